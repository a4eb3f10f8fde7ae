/* SPDX-License-Identifier: MIT */
/* unit: kernel/trace_ring.c shell/trace_words.c */

#include "kernel/trace_ring.h"

#include "shell/trace_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SIZE 8

static struct trace_record memory[3][SIZE];
static struct trace_ring rings[3];

static int reset(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rings); i++)
		rings[i] = (struct trace_ring){.records = memory[i], .size = SIZE};
	return 0;
}

static void put(unsigned ring, uint64_t time)
{
	struct trace_record record = {.time = time, .kind = TRACE_WAKE, .a = ring};

	trace_ring_put(&rings[ring], &record);
}

static void test_empty(void **state)
{
	struct trace_cursor cursor;
	unsigned ring;

	(void)state;
	assert_int_equal(trace_ring_count(&rings[0]), 0);
	assert_int_equal(trace_ring_lost(&rings[0]), 0);
	trace_cursor_init(&cursor, rings, 3);
	assert_false(trace_cursor_back(&cursor));
	assert_null(trace_cursor_next(&cursor, &ring));
}

static void test_old_ones_are_lost(void **state)
{
	(void)state;
	for (uint64_t time = 0; time < SIZE; time++)
		put(0, time);
	assert_int_equal(trace_ring_count(&rings[0]), SIZE);
	assert_int_equal(trace_ring_lost(&rings[0]), 0);
	assert_int_equal(trace_ring_at(&rings[0], 0)->time, 0);
	for (uint64_t time = SIZE; time < 3 * SIZE + 3; time++)
		put(0, time);
	assert_int_equal(trace_ring_count(&rings[0]), SIZE);
	assert_int_equal(trace_ring_lost(&rings[0]), 2 * SIZE + 3);
	for (unsigned i = 0; i < SIZE; i++)
		assert_int_equal(trace_ring_at(&rings[0], i)->time, 2 * SIZE + 3 + i);
}

/* The times that a cursor shows, and of which rings, as text. */
static void expect(uint64_t most, const char *expected)
{
	struct trace_cursor cursor;
	const struct trace_record *record;
	char text[256] = "";
	unsigned ring;

	trace_cursor_init(&cursor, rings, 3);
	while (most-- > 0 && trace_cursor_back(&cursor))
		;
	while ((record = trace_cursor_next(&cursor, &ring)) != NULL) {
		assert_int_equal(record->a, ring);
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%llu:%u ",
			 (unsigned long long)record->time, ring);
	}
	assert_string_equal(text, expected);
}

static void test_order(void **state)
{
	(void)state;
	put(0, 10);
	put(0, 20);
	put(0, 20);
	put(2, 5);
	put(2, 20);
	put(2, 25);
	expect(UINT64_MAX, "5:2 10:0 20:0 20:0 20:2 25:2 ");
	expect(6, "5:2 10:0 20:0 20:0 20:2 25:2 ");
	expect(0, "");
	expect(1, "25:2 ");
	/* Of those at one time, the first ring's come first: so the others' are the last. */
	expect(2, "20:2 25:2 ");
	expect(3, "20:0 20:2 25:2 ");
	expect(5, "10:0 20:0 20:0 20:2 25:2 ");
}

static void expect_words(struct trace_record record, const char *expected)
{
	char text[128];

	trace_words(&record, text, sizeof(text));
	assert_string_equal(text, expected);
}

static void test_words(void **state)
{
	(void)state;
	expect_words((struct trace_record){.kind = TRACE_SBI, .a = 0x54494d45},
		     "SBI call TIME 0x54494d45, function 0");
	expect_words((struct trace_record){.kind = TRACE_SBI, .a = 0x77, .b = 3},
		     "SBI call extension 0x77, function 3");
	expect_words((struct trace_record){.kind = TRACE_MMIO,
					   .detail = TRACE_ACCESS_STORE,
					   .a = 0x10000000},
		     "store to 0x10000000");
	expect_words((struct trace_record){.kind = TRACE_ACCESS,
					   .detail = TRACE_ACCESS_LOAD | TRACE_ACCESS_RAM,
					   .a = 0x80200000},
		     "load from 0x80200000: RAM not backed yet");
	expect_words((struct trace_record){.kind = TRACE_INJECT, .detail = 9},
		     "is given an external interrupt");
	expect_words((struct trace_record){.kind = TRACE_TRAP, .detail = 3, .a = 1, .b = 2},
		     "trap: breakpoint at 0x2, 0x1");
	expect_words(
	    (struct trace_record){.kind = TRACE_TRAP, .detail = TRACE_CAUSE(UINT64_C(1) << 63 | 5)},
	    "trap: timer interrupt of the host");
	expect_words((struct trace_record){.kind = TRACE_TRAP, .detail = 40},
		     "trap: cause 40 at 0x0, 0x0");
	expect_words((struct trace_record){.kind = TRACE_TURN_END, .detail = 2},
		     "turn ends: it is blocked");
	expect_words((struct trace_record){.kind = TRACE_TURN_END, .detail = 9}, "turn ends: ?");
	expect_words((struct trace_record){.kind = 200}, "?");
}

/* Every kind has words, and they fit where there is little room. */
static void test_all_kinds(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < TRACE_KINDS; kind++) {
		struct trace_record record = {
		    .kind = (uint8_t)kind, .detail = 0xffff, .a = UINT64_MAX, .b = UINT64_MAX};
		char text[128], small[4];

		trace_words(&record, text, sizeof(text));
		assert_true(strlen(text) > 3);
		trace_words(&record, small, sizeof(small));
		assert_int_equal(strlen(small), 3);
		assert_memory_equal(small, text, 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_empty, reset),
	    cmocka_unit_test_setup(test_old_ones_are_lost, reset),
	    cmocka_unit_test_setup(test_order, reset),
	    cmocka_unit_test(test_words),
	    cmocka_unit_test(test_all_kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
