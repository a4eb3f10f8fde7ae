/* SPDX-License-Identifier: MIT */
/* unit: shell/command.c shell/print.c shell/completion.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "shell/command.h"
#include "shell/print.h"

static char printed[4096];

static unsigned refused;

void shell_fail(void)
{
	refused++;
}

void shell_write(const char *text, unsigned length)
{
	strncat(printed, text, length);
}

const char *command_vm_name(unsigned index)
{
	static const char *const names[] = {"web", "west", "db"};

	return index < ARRAY_SIZE(names) ? names[index] : NULL;
}

const char *command_new_name(int *at)
{
	static const char *const names[] = {"mail", "old"};

	return *at < (int)ARRAY_SIZE(names) ? names[(*at)++] : NULL;
}

static void record(const char *name, const struct command_call *call)
{
	shell_print("%s(%s%s", name, call->vm ? call->vm : "", call->json ? " json" : "");
	for (unsigned i = 0; i < call->number_count; i++)
		shell_print(" %llu", (unsigned long long)call->numbers[i]);
	shell_print("%s%s)", call->word ? " " : "", call->word ? call->word : "");
}

static void run_list(const struct command_call *call)
{
	record("list", call);
}

static void run_start(const struct command_call *call)
{
	record("start", call);
}

static void run_status(const struct command_call *call)
{
	record("status", call);
}

static void run_mem(const struct command_call *call)
{
	record("mem", call);
}

static void run_memory(const struct command_call *call)
{
	record("memory", call);
}

static void run_stop(const struct command_call *call)
{
	record("stop", call);
}

static void run_read(const struct command_call *call)
{
	record("read", call);
}

static void run_define(const struct command_call *call)
{
	record("define", call);
}

static const struct command vm_group[] = {
    {"list", "all VMs", NULL, COMMAND_JSON, run_list},
    {"start", "start one", NULL, COMMAND_NAME, run_start},
    {"status", "of one", NULL, COMMAND_NAME | COMMAND_JSON, run_status},
    {"quit", "stop one", NULL, COMMAND_NAME | COMMAND_NUMBER, run_stop},
    {"define", "make one known", NULL, COMMAND_NEW_NAME, run_define},
    {NULL, NULL, NULL, 0, NULL},
};

static const struct command table[] = {
    {"vm", "VMs", vm_group, 0, NULL},
    {"mem", "memory", NULL, COMMAND_JSON, run_mem},
    {"memory", "the same", NULL, 0, run_memory},
    {"read", "some", NULL, COMMAND_NUMBERS | COMMAND_WORD | COMMAND_JSON, run_read},
    {NULL, NULL, NULL, 0, NULL},
};

static void expect_run(const char *text, const char *output)
{
	char line[COMPLETION_WORD];

	printed[0] = '\0';
	refused = 0;
	snprintf(line, sizeof(line), "%s", text);
	command_run(table, line);
	assert_string_equal(printed, output);
	/* What ends a line is the answer to one that was not understood. */
	assert_int_equal(refused, strchr(output, '\n') != NULL);
}

static void test_run(void **state)
{
	(void)state;
	expect_run("", "");
	expect_run(" \t  ", "");
	expect_run("mem", "mem()");
	expect_run("\tmem   --json ", "mem( json)");
	expect_run("vm list", "list()");
	expect_run("vm list --json", "list( json)");
	expect_run("vm start web", "start(web)");
	expect_run("vm status west --json", "status(west json)");
	expect_run("vm status --json db", "status(db json)");
}

static void test_numbers(void **state)
{
	(void)state;
	expect_run("vm quit web", "stop(web)");
	expect_run("vm quit web 30", "stop(web 30)");
	expect_run("vm quit web 0x1fB", "stop(web 507)");
	expect_run("vm quit web 18446744073709551615", "stop(web 18446744073709551615)");
	expect_run("vm quit web 0XFFFFFFFFFFFFFFFF", "stop(web 18446744073709551615)");
	expect_run("vm quit web 007", "stop(web 7)");
	expect_run("read", "read()");
	expect_run("read 1", "read( 1)");
	expect_run("read 1 0x10 --json", "read( json 1 16)");
	expect_run("read 1 2 all", "read( 1 2 all)");
	expect_run("read --json all", "read( json all)");
}

static void test_wrong_numbers(void **state)
{
	static const char *const wrong[] = {
	    "18446744073709551616",
	    "0x10000000000000000",
	    "99999999999999999999",
	    "0x",
	    "12a",
	    "0xg",
	    "-1",
	    "ten",
	    "1.5",
	};
	char line[64], message[128];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		snprintf(line, sizeof(line), "vm quit web %s", wrong[i]);
		snprintf(message, sizeof(message),
			 "%s: not understood; expected: vm quit NAME [NUMBER]\n", wrong[i]);
		expect_run(line, message);
	}
	expect_run("vm quit web 1 2", "2: not understood; expected: vm quit NAME [NUMBER]\n");
	/* The name comes first, whatever it looks like. */
	expect_run("vm quit 1", "1: no such VM; have: web, west, db\n");
	expect_run("vm quit 1 web", "web: not understood; expected: vm quit NAME [NUMBER]\n");
	expect_run("read 1 2 3", "3: not understood; expected: "
				 "read [NUMBER [NUMBER]] [WORD] [--json]\n");
	expect_run("read all 1", "1: not understood; expected: "
				 "read [NUMBER [NUMBER]] [WORD] [--json]\n");
	expect_run("read 1x", "1x: not understood; expected: "
			      "read [NUMBER [NUMBER]] [WORD] [--json]\n");
}

static void test_new_names(void **state)
{
	(void)state;
	expect_run("vm define old", "define(old)");
	expect_run("vm define", "expected: vm define NAME\n");
	expect_run("vm define web", "web: there is a VM of this name already\n");
	expect_run("vm define ol",
		   "ol: the system does not describe it; it has besides: mail, old\n");
	expect_run("vm define old mail", "mail: not understood; expected: vm define NAME\n");
}

static void test_prefixes(void **state)
{
	(void)state;
	expect_run("v l", "list()");
	expect_run("v star db", "start(db)");
	/* A whole word is meant, whatever else begins with it. */
	expect_run("mem", "mem()");
	expect_run("memo", "memory()");
	expect_run("me", "me: may be one of: mem, memory\n");
	expect_run("vm st web", "st: may be one of: start, status\n");
	/* A VM has to be named in full. */
	expect_run("vm start d", "d: no such VM; have: web, west, db\n");
}

static void test_errors(void **state)
{
	(void)state;
	expect_run("lsit", "lsit: no such command; have: vm, mem, memory, read\n");
	expect_run("vmx", "vmx: no such command; have: vm, mem, memory, read\n");
	expect_run("vm", "vm: expected one of: list, start, status, quit, define\n");
	expect_run("vm kill", "kill: no such command; have: list, start, status, quit, define\n");
	expect_run("vm start", "expected: vm start NAME\n");
	expect_run("vm start mail", "mail: no such VM; have: web, west, db\n");
	expect_run("vm start web db", "db: not understood; expected: vm start NAME\n");
	expect_run("vm start --json", "--json: not understood; expected: vm start NAME\n");
	expect_run("vm status", "expected: vm status NAME [--json]\n");
	expect_run("vm list --jso", "--jso: not understood; expected: vm list [--json]\n");
	expect_run("mem --json --json", "--json: not understood; expected: mem [--json]\n");
	expect_run("a b c d e f g h i j", "too many words: a command has at most 8\n");
	expect_run("a b c d e f g h i", "too many words: a command has at most 8\n");
}

static void expect_offers(const char *text, const char *list)
{
	static struct completion completion;
	const char *word = strrchr(text, ' ');

	memset(&completion, 0, sizeof(completion));
	completion.word = word ? word + 1 : text;
	completion.length = (unsigned)strlen(completion.word);
	command_complete(table, text, (unsigned)strlen(text), &completion);
	assert_int_equal(completion.list_length, strlen(list));
	assert_memory_equal(completion.list, list, strlen(list));
}

static void test_complete(void **state)
{
	(void)state;
	expect_offers("", "vm  mem  memory  read  ");
	expect_offers("  m", "mem  memory  ");
	expect_offers("vm ", "list  start  status  quit  define  ");
	expect_offers("vm define ", "mail  old  ");
	expect_offers("vm define m", "mail  ");
	expect_offers("vm quit w", "web  west  ");
	expect_offers("v sta", "start  status  ");
	expect_offers("vm start ", "web  west  db  ");
	expect_offers("vm start we", "web  west  ");
	expect_offers("vm  status  -", "--json  ");
	expect_offers("vm status web ", "--json  web  west  db  ");
	expect_offers("vm list ", "--json  ");
	expect_offers("memory ", "");
	expect_offers("x ", "");
	expect_offers("vm st ", "");
}

static void test_help(void **state)
{
	(void)state;
	printed[0] = '\0';
	command_help(table);
	assert_string_equal(printed, "  vm list [--json]         all VMs\n"
				     "  vm start NAME            start one\n"
				     "  vm status NAME [--json]  of one\n"
				     "  vm quit NAME [NUMBER]    stop one\n"
				     "  vm define NAME           make one known\n"
				     "  mem [--json]             memory\n"
				     "  memory                   the same\n"
				     "  read [NUMBER [NUMBER]] [WORD] [--json] some\n");
}

static void test_json(void **state)
{
	struct shell_json json;

	(void)state;
	printed[0] = '\0';
	shell_json_begin(&json);
	shell_json_end(&json);
	assert_string_equal(printed, "[]\n");
	printed[0] = '\0';
	shell_json_begin(&json);
	shell_json_object(&json);
	shell_json_string(&json, "name", "a\"b\\c\n\x1f\x7f\xe4/");
	shell_json_number(&json, "n", UINT64_MAX);
	shell_json_object(&json);
	shell_json_bool(&json, "yes", true);
	shell_json_bool(&json, "no", false);
	shell_json_end(&json);
	assert_string_equal(printed, "[{\"name\": \"a\\\"b\\\\c\\u000a\\u001f\\u007f\\u00e4/\", "
				     "\"n\": 18446744073709551615},\n"
				     " {\"yes\": true, \"no\": false}]\n");
}

static void test_print_is_cut(void **state)
{
	char text[2 * SHELL_PRINT_MAX];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	printed[0] = '\0';
	shell_print("%s", text);
	assert_int_equal(strlen(printed), SHELL_PRINT_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_run),           cmocka_unit_test(test_prefixes),
	    cmocka_unit_test(test_errors),        cmocka_unit_test(test_complete),
	    cmocka_unit_test(test_help),          cmocka_unit_test(test_json),
	    cmocka_unit_test(test_print_is_cut),  cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_wrong_numbers), cmocka_unit_test(test_new_names),
	};

	return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}
