/* SPDX-License-Identifier: MIT */
/* unit: vmm/backlog.c vmm/copy.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/backlog.h"

static uint8_t bytes[BACKLOG_SIZE];
static struct backlog backlog;
static struct backlog_reader reader;

static int setup(void **state)
{
	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	memset(&reader, 0, sizeof(reader));
	backlog_init(&backlog, bytes);
	return 0;
}

static void put(const char *text)
{
	backlog_write(&backlog, (const uint8_t *)text, (unsigned)strlen(text));
}

/* `count` bytes, each as its place in the stream says. */
static void put_numbered(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		uint8_t byte = (uint8_t)('A' + backlog.head % 23);

		backlog_write(&backlog, &byte, 1);
	}
}

/* Reads all there is, of numbered bytes; returns how many. */
static unsigned read_numbered(void)
{
	unsigned count, sum = 0;
	const uint8_t *at;

	while (at = backlog_peek(&backlog, &reader, &count), count > 0) {
		for (unsigned i = 0; i < count; i++)
			assert_int_equal(at[i], 'A' + (reader.at + i) % 23);
		reader.at += count;
		sum += count;
	}
	return sum;
}

static const char *line(unsigned size)
{
	static char text[512];
	unsigned length;

	if (!backlog_read_line(&backlog, &reader, text, size, &length))
		return NULL;
	assert_true(length <= size);
	text[length] = '\0';
	return text;
}

static void test_lines(void **state)
{
	(void)state;
	assert_null(line(8));
	put("one\r\ntw");
	assert_true(backlog_has_line(&backlog, &reader, 8));
	assert_string_equal(line(8), "one");
	assert_null(line(8));
	put("o\n\nthree");
	assert_string_equal(line(8), "two");
	assert_string_equal(line(8), "");
	assert_null(line(8));
	/* As long as the limit, with its end, and longer. */
	put("456\r\n123456789abc\n");
	assert_string_equal(line(8), "three456");
	assert_string_equal(line(8), "12345678");
	assert_string_equal(line(8), "9abc");
	assert_null(line(8));
	assert_false(backlog_has_bytes(&backlog, &reader));
}

static void test_line_without_end(void **state)
{
	(void)state;
	put("0123456789");
	assert_string_equal(line(8), "01234567");
	assert_null(line(8));
	backlog_end_line(&backlog);
	assert_string_equal(line(8), "89");
	/* A line that is complete has no second end. */
	put("a\n");
	backlog_end_line(&backlog);
	put("b");
	assert_string_equal(line(8), "a");
	assert_null(line(8));
	backlog_end_line(&backlog);
	put("c\n");
	assert_string_equal(line(8), "b");
	assert_string_equal(line(8), "c");
}

/* Carriage returns alone, of which none is shown: a call is short all the same. */
static void test_line_of_nothing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100; i++)
		put("\r");
	assert_string_equal(line(8), "");
	assert_int_equal(reader.at, 10);
}

static void test_wraps(void **state)
{
	unsigned total = 0;

	(void)state;
	for (unsigned i = 0; i < 500; i++) {
		uint8_t piece[300];

		for (unsigned j = 0; j < sizeof(piece); j++)
			piece[j] = (uint8_t)('A' + (backlog.head + j) % 23);
		backlog_write(&backlog, piece, sizeof(piece));
		total += read_numbered();
	}
	assert_int_equal(total, 500 * 300);
	assert_int_equal(reader.dropped, 0);
}

static void test_dropped(void **state)
{
	(void)state;
	put_numbered(BACKLOG_SIZE);
	assert_int_equal(read_numbered(), BACKLOG_SIZE);
	put_numbered(BACKLOG_SIZE + 1);
	/* Half of it is given up, so that the next loss is not near. */
	assert_int_equal(read_numbered(), BACKLOG_SIZE / 2);
	assert_int_equal(reader.dropped, BACKLOG_SIZE / 2 + 1);
}

/* What is old may be missed without a word; what came since not. */
static void test_rewind(void **state)
{
	(void)state;
	put_numbered(3 * BACKLOG_SIZE);
	backlog_rewind(&backlog, &reader);
	assert_int_equal(read_numbered(), BACKLOG_SIZE);
	backlog_rewind(&backlog, &reader);
	put_numbered(100);
	assert_true(read_numbered() > BACKLOG_SIZE - 8192);
	assert_int_equal(reader.dropped, 0);
	backlog_rewind(&backlog, &reader);
	put_numbered(BACKLOG_SIZE + 100);
	assert_int_equal(read_numbered() + reader.dropped, BACKLOG_SIZE + 100);
	assert_true(reader.dropped >= 100);
}

static void test_skip(void **state)
{
	(void)state;
	put("one\ntwo\nthr");
	backlog_skip(&backlog, &reader);
	assert_null(line(8));
	put("ee\n");
	assert_string_equal(line(8), "three");
}

/* Who has read a part of a line begins with it again, and loses nothing that is before it. */
static void test_rewind_line(void **state)
{
	unsigned count;

	(void)state;
	put("one\ntwo\nthr");
	backlog_peek(&backlog, &reader, &count);
	reader.at += count;
	backlog_rewind_line(&backlog, &reader, 64);
	put("ee\n");
	assert_string_equal(line(8), "three");
	/* At its end, and before it. */
	backlog_rewind_line(&backlog, &reader, 64);
	assert_false(backlog_has_bytes(&backlog, &reader));
	put("four\nfi");
	backlog_rewind_line(&backlog, &reader, 64);
	assert_string_equal(line(8), "four");
	/* A long line is gone on with, and one of which not all is kept. */
	put_numbered(100);
	reader.at = backlog.head;
	backlog_rewind_line(&backlog, &reader, 64);
	assert_int_equal(reader.at, backlog.head);
	backlog_rewind_line(&backlog, &reader, 102);
	assert_int_equal(backlog.head - reader.at, 102);
	put_numbered(BACKLOG_SIZE);
	reader.at = backlog.head - 10;
	backlog_rewind_line(&backlog, &reader, BACKLOG_SIZE);
	assert_int_equal(backlog.head - reader.at, BACKLOG_SIZE);
}

static void test_clear(void **state)
{
	(void)state;
	put("secret\nof one life");
	backlog_clear(&backlog);
	backlog_rewind(&backlog, &reader);
	assert_false(backlog_has_bytes(&backlog, &reader));
	put("another\n");
	assert_string_equal(line(16), "another");
	/* Who had not read all of it goes on with what is there. */
	reader.at = 3;
	reader.fresh = 0;
	assert_string_equal(line(16), "another");
	assert_int_equal(reader.dropped, strlen("secret\nof one life") - 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_lines, setup),
	    cmocka_unit_test_setup(test_line_without_end, setup),
	    cmocka_unit_test_setup(test_line_of_nothing, setup),
	    cmocka_unit_test_setup(test_wraps, setup),
	    cmocka_unit_test_setup(test_dropped, setup),
	    cmocka_unit_test_setup(test_rewind, setup),
	    cmocka_unit_test_setup(test_skip, setup),
	    cmocka_unit_test_setup(test_rewind_line, setup),
	    cmocka_unit_test_setup(test_clear, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
