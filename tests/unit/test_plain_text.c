/* SPDX-License-Identifier: MIT */
/* unit: shell/plain_text.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shell/plain_text.h"

#define SIZE 64

static void expect(const char *line, bool colors, const char *expected)
{
	/* Of its own size, so that the sanitizer sees what is read behind it. */
	unsigned length = (unsigned)strlen(line);
	char *text = malloc(length + 1);

	assert_non_null(text);
	memcpy(text, line, length);
	length = plain_text(text, length, colors);
	assert_int_equal(length, strlen(expected));
	assert_memory_equal(text, expected, length);
	free(text);
}

static void test_text(void **state)
{
	(void)state;
	expect("", false, "");
	expect("[    0.000000] Linux version\t6.12 ~", false,
	       "[    0.000000] Linux version\t6.12 ~");
	expect("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", false,
	       "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
}

static void test_control_characters(void **state)
{
	(void)state;
	expect("a\001b\010\007c\177d\016", false, "abcd");
	/* C1, as bytes and in UTF-8; what is no UTF-8. */
	expect("a\205b\xc2\x85"
	       "c\xff\xc3",
	       false, "abc");
}

static void test_sequences(void **state)
{
	(void)state;
	expect("\033[2J\033[1;1Hpilae: \033[?25lhello\033[0m", false, "pilae: hello");
	expect("\033(B\033=a\033 Fb\033c", false, "ab");
	expect("\xc2\x9b"
	       "2Ja\x9b"
	       "3Jb",
	       false, "ab");
	/* A byte that is none of a sequence's ends it, and is looked at. */
	expect("\033[12\033[3Ax", false, "x");
	expect("\033\033[3Ax", false, "x");
}

/* What a terminal answers to, as if it had been typed. */
static void test_strings(void **state)
{
	(void)state;
	expect("a\033]0;title\007b", false, "ab");
	expect("a\033P$q\"p\033\\b", false, "ab");
	expect("a\033_x\033^y\033Xz\033\\b", false, "ab");
	expect("a\xc2\x90$qm\033\\b\x9d"
	       "52;c;?\007c",
	       false, "abc");
	expect("a\033]0;x\030b", false, "ab");
}

static void test_cut_off(void **state)
{
	(void)state;
	expect("a\033", false, "a");
	expect("a\033[", false, "a");
	expect("a\033[1;2", false, "a");
	expect("a\033[ ", false, "a");
	expect("a\033(", false, "a");
	expect("a\033]0;title", false, "a");
	expect("a\033]0;title\033", false, "a");
	expect("a\xe2\x82", false, "a");
}

static void test_colors(void **state)
{
	(void)state;
	expect("\033[1;31mred\033[38:5:7mx\033[m.", true, "\033[1;31mred\033[38:5:7mx\033[m.");
	expect("\033[1;31mred\033[m", false, "red");
	/* Those are other things. */
	expect("a\033[>4;1mb\033[1 mc\033[2Jd\033[1\033[m", true, "abcd\033[m");
}

static bool is_plain(const uint8_t *text, unsigned length)
{
	for (unsigned i = 0; i < length; i++) {
		if ((text[i] < 0x20 && text[i] != '\t') || text[i] == 0x7f)
			return false;
		if (text[i] == 0xc2 && i + 1 < length && text[i + 1] < 0xa0)
			return false;
	}
	return true;
}

static void test_random(void **state)
{
	static const char likely[] = "\033[]P\\;m1\007\t a\302\233\220\342\202\254";

	(void)state;
	srand(1);
	for (unsigned n = 0; n < 200000; n++) {
		uint8_t text[SIZE], again[SIZE];
		unsigned length = (unsigned)rand() % SIZE;

		for (unsigned i = 0; i < length; i++)
			text[i] = rand() % 8
				      ? (uint8_t)likely[(unsigned)rand() % (sizeof(likely) - 1)]
				      : (uint8_t)rand();
		length = plain_text((char *)text, length, false);
		assert_true(is_plain(text, length));
		/* There is nothing left to be removed. */
		memcpy(again, text, length);
		assert_int_equal(plain_text((char *)again, length, false), length);
		assert_memory_equal(again, text, length);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_text),      cmocka_unit_test(test_control_characters),
	    cmocka_unit_test(test_sequences), cmocka_unit_test(test_strings),
	    cmocka_unit_test(test_cut_off),   cmocka_unit_test(test_colors),
	    cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
