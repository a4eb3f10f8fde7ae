/* SPDX-License-Identifier: MIT */
/* unit: shell/cmd_dt.c shell/command.c shell/print.c shell/completion.c */
/* libs: -lfdt */
#include "tests/unit/command_fixture.h"

#include <libfdt.h>

#include "kernel/platform.h"

#define TREE_MAX 65536

static const struct command table[] = {
    {"dt", "the machine's device tree", NULL, COMMAND_WORD, inspect_tree},
    {NULL, NULL, NULL, 0, NULL},
};

static uint64_t buffer[TREE_MAX / 8];
static void *const tree = buffer;

static int add(int parent, const char *name)
{
	int node = fdt_add_subnode(tree, parent, name);

	assert_true(node >= 0);
	return node;
}

static void set(const char *path, const char *name, const void *value, int length)
{
	assert_int_equal(fdt_setprop(tree, fdt_path_offset(tree, path), name, value, length), 0);
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	typed_at = table;
	platform.fdt = tree;
	assert_int_equal(fdt_create_empty_tree(tree, TREE_MAX), 0);
	/* The last one added is the first. */
	add(0, "soc");
	add(fdt_path_offset(tree, "/soc"), "serial@2000");
	add(fdt_path_offset(tree, "/soc"), "serial@1000");
	add(fdt_path_offset(tree, "/soc"), "serialx");
	add(0, "chosen");
	set("/", "model", "virt", 5);
	return 0;
}

static void test_documented(void **state)
{
	(void)state;
	check_documented(table, "");
}

static void test_tree(void **state)
{
	static const char all[] = "/ {\n\tmodel = \"virt\";\n"
				  "\tchosen {\n\t};\n"
				  "\tsoc {\n"
				  "\t\tserialx {\n\t\t};\n"
				  "\t\tserial@1000 {\n\t\t};\n"
				  "\t\tserial@2000 {\n\t\t};\n"
				  "\t};\n};\n";

	(void)state;
	expect("dt", all);
	expect("dt /", all);
	expect("dt /chosen", "chosen {\n};\n");
	expect("dt /soc/serial@2000/", "serial@2000 {\n};\n");
}

static void test_paths(void **state)
{
	static const char *const wrong[] = {"soc",
					    "chosen",
					    "/so",
					    "/socs",
					    "/serial",
					    "/soc/soc",
					    "/soc/seria",
					    "/soc/serial@",
					    "/soc/serial@3000",
					    "/chosen/serial",
					    "/soc@0",
					    "@",
					    "/soc/serial@1000/x",
					    "/x/soc"};
	char line[64], text[128];

	(void)state;
	/* The unit address may be left out: the first one counts. */
	expect("dt /soc/serial", "serial@1000 {\n};\n");
	expect("dt //soc///serial@2000//", "serial@2000 {\n};\n");
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		snprintf(line, sizeof(line), "dt %s", wrong[i]);
		snprintf(text, sizeof(text), "%s: the device tree has no such node\n", wrong[i]);
		expect_refusal(line, text);
	}
	/* One that is not the last of its kind, behind deeper ones. */
	add(fdt_path_offset(tree, "/soc/serialx"), "soc");
	expect("dt /soc/serial@2000", "serial@2000 {\n};\n");
	expect_refusal("dt /soc/soc", "/soc/soc: the device tree has no such node\n");
	expect("dt /soc/serialx/soc", "soc {\n};\n");
}

static void test_values(void **state)
{
	static const struct {
		const char *value;
		int length;
		const char *shown;
	} cases[] = {
	    {"", 0, "p;\n"},
	    {"", 1, "p = [00];\n"},
	    {"text", 5, "p = \"text\";\n"},
	    {"a\0bc", 5, "p = \"a\", \"bc\";\n"},
	    {"q\"\\", 4, "p = \"q\\\"\\\\\";\n"},
	    /* No text, as a part is empty, not ended, or not to be printed. */
	    {"a\0\0b", 5, "p = [61 00 00 62 00];\n"},
	    {"\0ab", 4, "p = <0x616200>;\n"},
	    {"abc", 3, "p = [61 62 63];\n"},
	    {"\033[2J\0", 5, "p = [1b 5b 32 4a 00];\n"},
	    {"a\x9b\0", 3, "p = [61 9b 00];\n"},
	    {"\0\0\0\1\xff\xff\xff\xff", 8, "p = <0x1 0xffffffff>;\n"},
	};
	char expected[128];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		set("/chosen", "p", cases[i].value, cases[i].length);
		snprintf(expected, sizeof(expected), "chosen {\n\t%s};\n", cases[i].shown);
		expect("dt /chosen", expected);
	}
}

/* What randomness is made of is not shown, wherever it is. */
static void test_secrets(void **state)
{
	static const char *const paths[] = {"/chosen", "/", "/soc/serialx"};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(paths); i++) {
		set(paths[i], "rng-seed", "secret", 7);
		set(paths[i], "kaslr-seed", "secrets!", 8);
	}
	run("dt");
	assert_null(strstr(printed, "secret"));
	assert_null(strstr(printed, "0x736563"));
	expect_part("\t\trng-seed; /* not shown */\n");
	expect_part("\tkaslr-seed; /* not shown */\n");
}

/* Long values, and nodes within nodes, are shown whole. */
static void test_large(void **state)
{
	static uint8_t value[20000];
	const char *at;
	unsigned open = 0, closed = 0;
	int node = 0;

	(void)state;
	memset(value, 0xab, sizeof(value));
	set("/chosen", "large", value, sizeof(value));
	run("dt /chosen");
	assert_int_equal(printed_length, strlen("chosen {\n\tlarge = <>;\n};\n") + 5000 * 11 - 1);
	for (unsigned i = 0; i < 100; i++)
		node = add(node, "deep");
	run("dt");
	for (at = printed; (at = strchr(at, '{')) != NULL; at++)
		open++;
	for (at = printed; (at = strstr(at, "};\n")) != NULL; at++)
		closed++;
	assert_int_equal(open, 106);
	assert_int_equal(closed, open);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_documented, setup),
	    cmocka_unit_test_setup(test_tree, setup),
	    cmocka_unit_test_setup(test_paths, setup),
	    cmocka_unit_test_setup(test_values, setup),
	    cmocka_unit_test_setup(test_secrets, setup),
	    cmocka_unit_test_setup(test_large, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
