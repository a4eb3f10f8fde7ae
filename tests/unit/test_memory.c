/* SPDX-License-Identifier: MIT */
/* unit: */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The functions under test, beside those of the build machine. */
void *copy_words(void *restrict to, const void *restrict from, size_t size);
void *set_words(void *start, int byte, size_t size);

#define memcpy copy_words
#define memset set_words
#include "kernel/memory.c"
#undef memcpy
#undef memset

#define OFFSETS 16
#define SIZES   100
#define LARGE   (2 * PAGE_SIZE)
#define ROOM    (LARGE + 4 * OFFSETS)
#define CANARY  0xc5

static _Alignas(OFFSETS) uint8_t target[ROOM], source[ROOM];

/* No byte is its neighbour's, nor that of any place that is a multiple of 8 away. */
static uint8_t byte_of(size_t i)
{
	return (uint8_t)(i * 7 + (i >> 3) + (i >> 8) * 31 + 1);
}

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROOM; i++)
		source[i] = byte_of(i);
	return 0;
}

static void spread_canaries(void)
{
	for (size_t i = 0; i < ROOM; i++)
		target[i] = CANARY;
}

/* Nothing but `size` bytes from `offset` on has been written. */
static void check_canaries(size_t offset, size_t size)
{
	for (size_t i = 0; i < ROOM; i++)
		if ((i < offset || i >= offset + size) && target[i] != CANARY)
			fail_msg("byte %zu is written, of %zu at %zu", i, size, offset);
}

static void check_copy(size_t to, size_t from, size_t size)
{
	spread_canaries();
	assert_ptr_equal(copy_words(target + to, source + from, size), target + to);
	for (size_t i = 0; i < size; i++)
		if (target[to + i] != byte_of(from + i))
			fail_msg("byte %zu of %zu, from %zu to %zu", i, size, from, to);
	check_canaries(to, size);
}

static void test_copy(void **state)
{
	(void)state;
	for (size_t to = OFFSETS; to < 2 * OFFSETS; to++)
		for (size_t from = OFFSETS; from < 2 * OFFSETS; from++) {
			for (size_t size = 0; size <= SIZES; size++)
				check_copy(to, from, size);
			check_copy(to, from, PAGE_SIZE - 1);
			check_copy(to, from, LARGE + 5);
		}
	for (size_t i = 0; i < ROOM; i++)
		assert_int_equal(source[i], byte_of(i));
}

static void check_set(size_t offset, int byte, size_t size)
{
	spread_canaries();
	assert_ptr_equal(set_words(target + offset, byte, size), target + offset);
	for (size_t i = 0; i < size; i++)
		if (target[offset + i] != (uint8_t)byte)
			fail_msg("byte %zu of %zu at %zu, set to %d", i, size, offset, byte);
	check_canaries(offset, size);
}

/* Of the value only the low byte counts. */
static void test_set(void **state)
{
	static const int bytes[] = {0, 1, 0x7f, 0x80, 0xa5, 0xff, 0x100, 0x17f, -1, -128, -256};

	(void)state;
	for (size_t offset = OFFSETS; offset < 2 * OFFSETS; offset++)
		for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
			for (size_t size = 0; size <= SIZES; size++)
				check_set(offset, bytes[i], size);
			check_set(offset, bytes[i], PAGE_SIZE - 1);
			check_set(offset, bytes[i], LARGE + 5);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_copy),
	    cmocka_unit_test(test_set),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
