/* SPDX-License-Identifier: MIT */
/* unit: shell/shell.c shell/line.c shell/completion.c */
#include "tests/unit/fake_jobs.h"

#include "kernel/platform.h"
#include "kernel/timer.h"
#include "shell/commands.h"
#include "shell/console.h"
#include "shell/line.h"
#include "shell/print.h"
#include "shell/script.h"
#include "shell/shell.h"

#define SECOND 10000000
#define QUEUE  1024

const struct command shell_commands[] = {{NULL, NULL, NULL, 0, NULL}};

/* Time, and the one timer. */
static uint64_t now = 1000, deadline;
static struct timer *armed;

uint64_t time_now(void)
{
	return now;
}

void timer_init(struct timer *timer, void (*expired)(struct timer *timer))
{
	assert_null(armed);
	timer->expired = expired;
}

void timer_set(struct timer *timer, uint64_t at)
{
	armed = timer;
	deadline = at;
}

void timer_cancel(struct timer *timer)
{
	if (armed == timer)
		armed = NULL;
}

/* The time of the timer comes; false if none is armed. */
static bool expire(void)
{
	struct timer *timer = armed;

	if (!timer)
		return false;
	now = deadline;
	armed = NULL;
	timer->expired(timer);
	return true;
}

/* The script's side. */
static bool script_is_running;
static char scripted[256];
static unsigned script_failures;

bool script_runs(void)
{
	return script_is_running;
}

void script_write(const char *text, unsigned length)
{
	strncat(scripted, text, length);
}

void script_fail(void)
{
	script_failures++;
}

/* The console: the shell is 0. Keys of a VM's are noted. */
static unsigned focused;
static char vm_keys[2 * QUEUE];
static char shown[8192]; /* pieces, with '|' before each */
static unsigned pieces, prompt_length;

unsigned console_focused(void)
{
	return focused;
}

void console_leave_shell(void)
{
	focused = 1;
}

void console_key(uint8_t byte)
{
	if (byte == 0x1d)
		focused = 2;
	else if (focused == 0)
		shell_key(byte);
	else
		strncat(vm_keys, (const char *)&byte, 1);
}

void console_shell_output(const char *text, unsigned length, const char *prompt, unsigned its)
{
	assert_true(its == 0 || prompt[0] == '\r');
	assert_true(its <= LINE_RENDER_MAX);
	prompt_length = its;
	if (focused != 0)
		return;
	pieces++;
	strncat(strcat(shown, "|"), text, length);
}

/* Commands. */
static unsigned shows, ends;

static void show(void)
{
	shows++;
	shell_write("live\n", 5);
}

static void end(void)
{
	ends++;
}

void command_run(const struct command *table, char *line)
{
	assert_ptr_equal(table, shell_commands);
	/* While it runs there is no prompt. */
	assert_int_equal(prompt_length, 0);
	assert_true(shell_is_busy());
	if (strcmp(line, "rows") == 0) {
		shell_write("a ", 2);
		shell_write("row\nand ", 8);
		shell_write("one\nrest", 8);
	} else if (strcmp(line, "long") == 0) {
		for (unsigned i = 0; i < 1500; i++)
			shell_write("x", 1);
		shell_write("\n", 1);
	} else if (strcmp(line, "go") == 0) {
		focused = 1;
	} else if (strcmp(line, "live") == 0) {
		shell_begin_live(show, end);
	} else if (strcmp(line, "fail") == 0) {
		shell_fail();
	}
}

void command_complete(const struct command *table, const char *text, unsigned length,
		      struct completion *completion)
{
	assert_ptr_equal(table, shell_commands);
	assert_int_equal(length, strlen(text));
	completion_offer(completion, "complete");
}

static void queue(const char *keys)
{
	for (; *keys; keys++) {
		assert_true(shell_has_room());
		shell_queue((uint8_t)*keys);
		assert_true(shell_is_busy());
	}
}

static void type_keys(const char *keys)
{
	queue(keys);
	run_jobs();
	assert_false(shell_is_busy());
}

static const char *take_shown(void)
{
	static char text[sizeof(shown)];

	strcpy(text, shown);
	shown[0] = '\0';
	return text;
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	platform.timebase = SECOND;
	focused = 0;
	script_is_running = false;
	scripted[0] = vm_keys[0] = '\0';
	shows = ends = script_failures = 0;
	shell_init();
	shown[0] = '\0';
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	run_jobs();
	assert_false(shell_is_busy());
	assert_null(armed);
	return 0;
}

static void test_rows(void **state)
{
	(void)state;
	type_keys("rows\r");
	/* Whole rows, so that no other line comes between; and then the prompt. */
	assert_non_null(strstr(shown, "|a row\n|and one\n|rest|"));
	take_shown();
	assert_true(prompt_length > 0);
	type_keys("long\r");
	/* One of 1500 bytes comes in pieces. */
	assert_int_equal(strspn(strstr(shown, "|xx"), "|x\n"), 3 + 1501 + 1);
	assert_true(prompt_length > 0);
}

static void test_completion(void **state)
{
	(void)state;
	type_keys("com\t");
	assert_non_null(strstr(shown, "plete"));
	type_keys("\025");
}

/* What is typed behind a command comes to whom the command gives the terminal. */
static void test_order(void **state)
{
	(void)state;
	type_keys("go\rfor the VM");
	assert_string_equal(vm_keys, "for the VM");
	focused = 0;
	/* Ctrl-D on an empty line leaves. */
	type_keys("\x04more");
	assert_int_equal(focused, 1);
	assert_string_equal(vm_keys, "for the VMmore");
}

static void test_queue(void **state)
{
	(void)state;
	for (unsigned i = 0; i < QUEUE; i++) {
		assert_true(shell_has_room());
		shell_queue('x');
	}
	assert_false(shell_has_room());
	/* What comes all the same changes nothing of what is there. */
	shell_queue('y');
	focused = 1;
	run_jobs();
	assert_int_equal(strlen(vm_keys), QUEUE);
	assert_null(strchr(vm_keys, 'y'));
	assert_true(shell_has_room());
	assert_false(shell_is_busy());
}

static void test_live(void **state)
{
	(void)state;
	type_keys("live\r");
	assert_int_equal(shows, 1);
	assert_non_null(strstr(take_shown(), "|live\n"));
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(deadline, now + SECOND);
		assert_true(expire());
		run_jobs();
		assert_int_equal(shows, 2 + i);
		assert_string_equal(take_shown(), "|live\n");
	}
	assert_int_equal(prompt_length, 0);
	/* A key ends it, and is no more than that. */
	type_keys("q");
	assert_int_equal(ends, 1);
	assert_false(expire());
	assert_true(prompt_length > 0);
	assert_null(strchr(take_shown(), 'q'));
	/* The shell goes on. */
	type_keys("rows\r");
	assert_non_null(strstr(take_shown(), "|a row\n"));
	assert_int_equal(shows, 4);
}

/* The time has come, and a key as well. */
static void test_live_and_key(void **state)
{
	(void)state;
	type_keys("live\r");
	queue("q");
	expire();
	run_jobs();
	assert_int_equal(ends, 1);
	assert_false(expire());
	/* What is behind is for the line. */
	type_keys("live\rqrows\r");
	assert_int_equal(ends, 2);
	assert_non_null(strstr(take_shown(), "|a row\n"));
}

/* The shell is left while something is shown. */
static void test_live_left(void **state)
{
	(void)state;
	type_keys("live\r\x1d"
		  "vm");
	assert_int_equal(ends, 1);
	assert_false(expire());
	assert_string_equal(vm_keys, "vm");
	/* By somebody else: a command of a script. */
	focused = 0;
	type_keys("live\r");
	focused = 3;
	assert_true(expire());
	run_jobs();
	assert_int_equal(ends, 2);
	assert_int_equal(shows, 2);
	assert_false(expire());
	/* The prompt is ready for when it is back. */
	assert_true(prompt_length > 0);
}

static void test_script(void **state)
{
	(void)state;
	assert_false(shell_is_script());
	/* Nobody wants to know at the terminal. */
	type_keys("fail\r");
	assert_int_equal(script_failures, 0);
	take_shown();
	script_is_running = true;
	assert_true(shell_is_script());
	shell_write("for the script", 14);
	shell_fail();
	assert_string_equal(scripted, "for the script");
	assert_int_equal(script_failures, 1);
	assert_string_equal(shown, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_rows, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_completion, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_queue, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_live, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_live_and_key, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_live_left, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_script, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
