/* SPDX-License-Identifier: MIT */
/* unit: kernel/options.c */
#include "tests/unit/fake_kernel.h"

#include "kernel/options.h"

static int setup(void **state)
{
	(void)state;
	fake_reset();
	return 0;
}

static void expect_option(const char *line, const char *name, const char *expected)
{
	char value[16] = "before";

	assert_int_equal(option_find(line, name, value, sizeof(value)), expected != NULL);
	assert_string_equal(value, expected ? expected : "before");
}

static void test_find(void **state)
{
	(void)state;
	expect_option("", "pilae.engine", NULL);
	expect_option("  \t\n ", "pilae.engine", NULL);
	expect_option("pilae.engine=hext", "pilae.engine", "hext");
	expect_option("  pilae.engine=hext\n", "pilae.engine", "hext");
	expect_option("a=b\tpilae.engine=soft c", "pilae.engine", "soft");
	expect_option("pilae.engine", "pilae.engine", "");
	expect_option("pilae.engine=", "pilae.engine", "");
	expect_option("pilae.engine=a=b", "pilae.engine", "a=b");
	/* Neither longer nor shorter names, nor a name within a word. */
	expect_option("pilae.engines=hext", "pilae.engine", NULL);
	expect_option("pilae.engin=hext", "pilae.engine", NULL);
	expect_option("xpilae.engine=hext", "pilae.engine", NULL);
	expect_option("x=pilae.engine=hext", "pilae.engine", NULL);
	expect_option("pilae.engine x", "pilae.engine", "");
	/* The last one counts. */
	expect_option("a=1 a=2 a=3 b=4", "a", "3");
	expect_option("a=1 a", "a", "");
}

static void test_cut_to_fit(void **state)
{
	char value[6] = "-----";

	(void)state;
	assert_true(option_find("x=12345678", "x", value, 4));
	assert_string_equal(value, "123");
	assert_int_equal(value[4], '-');
	assert_true(option_find("x=12345678", "x", value, 1));
	assert_string_equal(value, "");
	assert_true(option_find("x=123", "x", value, 4));
	assert_string_equal(value, "123");
}

static void test_unknown(void **state)
{
	static const char *const known[] = {"pilae.engine", "pilae.color"};

	(void)state;
	option_warn_unknown("pilae.engine=hext quiet pilae.color root=pilae.x pilae.", known, 1);
	assert_string_equal(messages, "command line: unknown option pilae.color\n"
				      "command line: unknown option pilae.\n");
	messages[0] = '\0';
	option_warn_unknown("pilae.engines=hext pilae.colo pilae.color=1", known, 2);
	assert_string_equal(messages, "command line: unknown option pilae.engines\n"
				      "command line: unknown option pilae.colo\n");
	messages[0] = '\0';
	option_warn_unknown("", known, 2);
	option_warn_unknown("pilae.engine=a pilae.color", known, 2);
	assert_string_equal(messages, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_find, setup),
	    cmocka_unit_test_setup(test_cut_to_fit, setup),
	    cmocka_unit_test_setup(test_unknown, setup),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
