/* SPDX-License-Identifier: MIT */
/* unit: kernel/log.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/log.h"
#include "riscv/sbi.h"

#define KEPT (16 * 1024)

static char shown[65536];

struct sbi_ret sbi_call(uint64_t ext, uint64_t fid, uint64_t a0, uint64_t a1, uint64_t a2,
			uint64_t a3, uint64_t a4)
{
	(void)ext, (void)fid, (void)a0, (void)a1, (void)a2, (void)a3, (void)a4;
	fail();
	return (struct sbi_ret){0, 0};
}

static void output(const char *text, size_t length)
{
	strncat(shown, text, length);
}

/* One after the other, as the numbers say; how many, and the first of them. */
static unsigned count_lines(unsigned *first)
{
	char line[LOG_LINE_MAX];
	uint64_t position = 0;
	unsigned count = 0, number;
	size_t bytes = 0;

	while (log_next(&position, line, sizeof(line))) {
		assert_int_equal(sscanf(line, "pilae: line %u", &number), 1);
		if (count == 0)
			*first = number;
		assert_int_equal(number, *first + count);
		bytes += strlen(line) + 1;
		count++;
	}
	assert_true(bytes <= KEPT);
	/* There is nothing more, until there is. */
	assert_false(log_next(&position, line, sizeof(line)));
	return count;
}

static void test_next(void **state)
{
	char line[LOG_LINE_MAX], few[8];
	uint64_t position = 0, other = 0;
	unsigned first = 0, count;

	(void)state;
	log_set_output(output);
	assert_false(log_next(&position, line, sizeof(line)));
	log_info("line %u", 0);
	log_debug("not shown, so not kept");
	log_error("line %u", 1);
	assert_string_equal(shown, "pilae: line 0\npilae: line 1\n");
	assert_int_equal(count_lines(&first), 2);
	assert_int_equal(first, 0);

	/* Cut off, and the next one is whole. */
	assert_true(log_next(&position, few, sizeof(few)));
	assert_string_equal(few, "pilae: ");
	assert_true(log_next(&position, line, sizeof(line)));
	assert_string_equal(line, "pilae: line 1");
	assert_false(log_next(&position, line, sizeof(line)));
	log_info("line %u", 2);
	assert_true(log_next(&position, line, sizeof(line)));
	assert_string_equal(line, "pilae: line 2");

	/* Many more than fit, of all lengths: those kept are the last, and whole. */
	for (unsigned n = 3; n < 2000; n++) {
		shown[0] = '\0';
		log_info("line %u %.*s", n, (int)(n % 97),
			 "......................................."
			 "......................................."
			 "...................");
		if (n % 13 == 0) {
			count = count_lines(&first);
			assert_int_equal(first + count - 1, n);
		}
	}
	assert_true(count_lines(&first) > 100);

	/* Who reads slowly goes on with what is left. */
	assert_true(log_next(&other, line, sizeof(line)));
	position = 20;
	assert_true(log_next(&position, line, sizeof(line)));
	assert_int_equal(strncmp(line, "pilae: line ", 12), 0);
	position = UINT64_MAX;
	assert_true(log_next(&position, line, sizeof(line)));
	assert_int_equal(strncmp(line, "pilae: line ", 12), 0);
}

static void test_long_lines(void **state)
{
	static char text[2000];
	char line[LOG_LINE_MAX];
	uint64_t position = 0;
	unsigned count = 0;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	for (unsigned n = 0; n < 100; n++) {
		shown[0] = '\0';
		log_info("%s", text);
		assert_int_equal(strlen(shown), LOG_LINE_MAX - 1);
	}
	while (log_next(&position, line, sizeof(line))) {
		assert_int_equal(strlen(line), LOG_LINE_MAX - 2);
		count++;
	}
	assert_true(count >= KEPT / LOG_LINE_MAX - 1);
}

/* What comes from outside does nothing to a terminal, and begins no line. */
static void test_plain(void **state)
{
	(void)state;
	log_set_output(output);
	shown[0] = '\0';
	log_info("/configurations/%s: kernel = \"%s\": no such image", "w\033]0;x\a",
		 "a\n\rpilae: b\t\x7f\x9b\xff\302\200 ~");
	assert_string_equal(shown, "pilae: /configurations/w?]0;x?: kernel = "
				   "\"a??pilae: b????\?\? ~\": no such image\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_next),
	    cmocka_unit_test(test_long_lines),
	    cmocka_unit_test(test_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
