/* SPDX-License-Identifier: MIT */
/* unit: shell/script.c */
#include "tests/unit/fake_jobs.h"

#include "driver/virtio/console.h"
#include "kernel/platform.h"
#include "kernel/timer.h"
#include "shell/commands.h"
#include "shell/line.h"
#include "shell/script.h"

#define MS     10000 /* ticks */
#define SECOND (1000 * MS)

const struct command shell_commands[] = {{NULL, NULL, NULL, 0, NULL}};
static uint64_t now;

uint64_t time_now(void)
{
	return now;
}

/* The port, and who is on the other side. */
struct host_port {
	bool open;
	char in[4096];
	size_t in_at, in_end;
	unsigned room; /* for what is written */
	char out[65536];
	size_t out_length;
	uint64_t reads_at;    /* then it reads all; 0: never */
	bool behind;          /* there is something that is not known of it */
	unsigned reads_after; /* ms that the reader takes for a byte; 0: it has room at once */
};

static struct host_port port, other;
static char commands[4096]; /* that were run, a line each */

bool host_port_is_open(const struct host_port *its)
{
	return its->open;
}

bool host_port_is_up_to_date(struct host_port *its)
{
	return !its->behind;
}

unsigned host_port_read(struct host_port *its, uint8_t *bytes, unsigned size)
{
	unsigned count = 0;

	while (count < size && its->in_at < its->in_end)
		bytes[count++] = (uint8_t)its->in[its->in_at++];
	return count;
}

unsigned host_port_write(struct host_port *its, const uint8_t *bytes, unsigned count)
{
	unsigned taken;

	if (its->reads_at && now >= its->reads_at)
		its->room = UINT32_MAX;
	taken = count < its->room ? count : its->room;
	assert_int_not_equal(count, 0);
	if (!its->open)
		return 0;
	assert_true(its->out_length + taken < sizeof(its->out));
	memcpy(its->out + its->out_length, bytes, taken);
	its->out_length += taken;
	its->room -= taken;
	/* Time passes while somebody waits. */
	if (taken == 0)
		now += MS;
	return taken;
}

/* A reader that takes a few bytes now and then. */
static void read_some(void)
{
	static unsigned times;

	if (port.reads_after && ++times % port.reads_after == 0)
		port.room += 8;
	preempt_hook = read_some;
}

/*
 * Commands: `print N` prints so many bytes in lines of ten, `fail` fails, `leave` and `close` are
 * the port and its other side that go.
 */
static void print_bytes(unsigned count)
{
	for (unsigned i = 1; i <= count; i++)
		script_write(i % 10 && i < count ? "x" : "\n", 1);
}

void command_run(const struct command *table, char *line)
{
	unsigned count;

	assert_ptr_equal(table, shell_commands);
	assert_true(script_runs());
	assert_true(strlen(line) < LINE_SIZE);
	strcat(strcat(commands, line), "\n");
	if (sscanf(line, "print %u", &count) == 1)
		print_bytes(count);
	if (strcmp(line, "fail") == 0)
		script_fail();
	if (strcmp(line, "leave") == 0) {
		script_write("one\n", 4);
		script_end();
		script_write("two\n", 4);
	}
	if (strcmp(line, "close") == 0) {
		port.open = false;
		script_opened(false);
		script_write("nobody\n", 7);
	}
}

static void say_bytes(const char *bytes, size_t length)
{
	assert_true(port.in_end + length <= sizeof(port.in));
	memcpy(port.in + port.in_end, bytes, length);
	port.in_end += length;
	script_received();
}

static void say(const char *text)
{
	say_bytes(text, strlen(text));
}

/* What came back since the last time, when all has been done. */
static const char *answer(void)
{
	static char text[sizeof(port.out) + 1];

	run_jobs();
	assert_false(script_runs());
	memcpy(text, port.out, port.out_length);
	text[port.out_length] = '\0';
	port.out_length = 0;
	return text;
}

#define expect_answer(text) assert_string_equal(answer(), text)

static void expect_commands(const char *lines)
{
	assert_string_equal(commands, lines);
	commands[0] = '\0';
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	platform.timebase = SECOND;
	memset(&port, 0, sizeof(port));
	commands[0] = '\0';
	port.open = true;
	port.room = UINT32_MAX;
	assert_true(script_begin(&port));
	script_opened(true);
	expect_answer("");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	script_end();
	run_jobs();
	return 0;
}

static void test_lines(void **state)
{
	(void)state;
	say("vm list\n");
	expect_answer("ok\n");
	say("one\r\ntwo\rthree\n\n\r\n\r\rfour\n");
	expect_answer("ok\nok\nok\nok\n");
	expect_commands("vm list\none\ntwo\nthree\nfour\n");
	/* In parts, however small. */
	for (const char *c = "print 4\n"; *c; c++) {
		expect_answer("");
		say_bytes(c, 1);
	}
	expect_answer("xxx\nok\n");
	expect_commands("print 4\n");
	say("fail\n");
	expect_answer("error\n");
	say("again\n");
	expect_answer("ok\n");
}

/* One line a step, so that others have their turn; and steps of a few bytes. */
static void test_steps(void **state)
{
	struct job *job;

	(void)state;
	say("one\ntwo\n");
	job = queued_job;
	queued_job = NULL;
	assert_int_equal(job->step(job), ERR_AGAIN);
	expect_commands("one\n");
	assert_int_equal(job->step(job), ERR_AGAIN);
	expect_commands("two\n");
	assert_int_equal(job->step(job), 0);
	say_bytes(
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
	    130);
	queued_job = NULL;
	assert_int_equal(job->step(job), ERR_AGAIN);
	assert_in_range(port.in_at, 8 + 1, 8 + 128);
	queued_job = job;
	say("\n");
	expect_answer("ok\nok\nok\n");
}

/* A line that is read before it is known that the port is open waits for that. */
static void test_line_before_open(void **state)
{
	struct job *job;

	(void)state;
	port.open = false;
	script_opened(false);
	expect_answer("");
	port.behind = true;
	say("one\ntwo\n");
	job = queued_job;
	queued_job = NULL;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(job->step(job), ERR_AGAIN);
	expect_commands("");
	port.behind = false;
	port.open = true;
	script_opened(true);
	queued_job = job;
	expect_answer("ok\nok\n");
	expect_commands("one\ntwo\n");
	/* The port may go before. */
	port.behind = true;
	say("three\n");
	job = queued_job;
	queued_job = NULL;
	assert_int_equal(job->step(job), ERR_AGAIN);
	script_end();
	assert_int_equal(job->step(job), 0);
	assert_true(script_begin(&port));
	port.behind = false;
	say("four\n");
	expect_answer("ok\n");
	expect_commands("four\n");
}

static void test_long_lines(void **state)
{
	char line[1024];

	(void)state;
	memset(line, 'y', sizeof(line));
	say_bytes(line, LINE_SIZE - 1);
	say("\n");
	expect_answer("ok\n");
	assert_int_equal(strlen(commands), LINE_SIZE);
	commands[0] = '\0';
	say_bytes(line, LINE_SIZE);
	say("\n");
	expect_answer("the line is too long\nerror\n");
	say_bytes(line, sizeof(line));
	say("\nnext\n");
	expect_answer("the line is too long\nerror\nok\n");
	expect_commands("next\n");
}

/* Bytes that no command has: none of them gets anywhere. */
static void test_bytes(void **state)
{
	(void)state;
	say_bytes("a\0b\tc\033[d\x7f\x9b\xff\n", 12);
	expect_answer("ok\n");
	expect_commands("a b c [d   \n");
	for (unsigned n = 0; n < 3000; n++) {
		char bytes[100];
		unsigned ends = 0;

		for (unsigned i = 0; i < sizeof(bytes); i++)
			bytes[i] = fake_random_below(40) ? (char)fake_random() : '\n';
		say_bytes(bytes, sizeof(bytes));
		say("\n");
		for (const char *c = answer(); *c; c++)
			ends += *c == '\n';
		for (const char *c = commands; *c; c++)
			assert_true(*c == '\n' || (*c >= ' ' && *c <= '~'));
		commands[0] = '\0';
		assert_in_range(ends, 1, 2 * sizeof(bytes));
		port.in_at = port.in_end = 0;
	}
}

/* The rest of a line that nobody completes is forgotten; those before it count. */
static void test_other_side(void **state)
{
	(void)state;
	say("one\ntw");
	script_opened(false);
	expect_answer("ok\n");
	script_opened(true);
	say("three\n");
	expect_answer("ok\n");
	expect_commands("one\nthree\n");
	say("a line of which half is read ");
	expect_answer("");
	script_opened(false);
	run_jobs();
	script_opened(true);
	say("four\n");
	expect_answer("ok\n");
	expect_commands("four\n");
	/* It goes while a command runs, which ends all the same; and what was sent is done. */
	say("close\nfail\nrest");
	expect_answer("");
	expect_commands("close\nfail\n");
	port.open = true;
	script_opened(true);
	say("five\n");
	expect_answer("ok\n");
	expect_commands("five\n");
}

static void test_port_goes(void **state)
{
	(void)state;
	assert_false(script_begin(&other));
	say("leave\nnever\n");
	expect_answer("one\n");
	expect_commands("leave\n");
	script_received();
	assert_null(queued_job);
	/* With what was sent last, and a line that is not complete. */
	assert_true(script_begin(&port));
	port.in_at = port.in_end = 0;
	say("half");
	expect_answer("");
	script_opened(false);
	script_end();
	assert_true(script_begin(&port));
	port.in_at = port.in_end = 0;
	say("whole");
	expect_answer("");
	say(" line\n");
	expect_answer("ok\n");
	expect_commands("whole line\n");
}

/* A reader that is slow gets all. */
static void test_slow_reader(void **state)
{
	(void)state;
	port.room = 0;
	port.reads_after = 5;
	preempt_hook = read_some;
	say("print 1000\n");
	assert_int_equal(strlen(answer()), 1000 + 3);
}

/* Nobody reads: the boot hart does not wait long, and it is told. */
static void test_no_reader(void **state)
{
	uint64_t begun = now;

	(void)state;
	port.room = 100;
	preempt_hook = NULL;
	say("print 1000\n");
	run_jobs();
	assert_in_range(now - begun, SECOND / 10, SECOND / 4);
	assert_int_equal(port.out_length, 100);
	port.out_length = 0;
	port.room = UINT32_MAX;
	say("fail\n");
	expect_answer("error\n");
}

/* What is told of that is a line of its own, though what was dropped began within one. */
static void test_dropped(void **state)
{
	(void)state;
	port.room = 103;
	port.reads_at = now + 150 * MS;
	say("print 1000\n");
	run_jobs();
	assert_string_equal(port.out + 90, "xxxxxxxxx\nxxx\nerror: 897 bytes of output dropped\n");
	memset(&port.out, 0, sizeof(port.out));
	port.out_length = 0;
	/* Nobody reads that either, and what comes then is a line of its own, too. */
	port.room = 10;
	port.reads_at = 0;
	say("print 20\n");
	run_jobs();
	port.room = 5;
	say("print 20\n");
	run_jobs();
	port.room = UINT32_MAX;
	say("fail\n");
	run_jobs();
	assert_string_equal(port.out, "xxxxxxxxx\nxxxxx\nerror\n");
}

static void test_five_seconds(void **state)
{
	uint64_t begun = now;

	(void)state;
	/* Each byte comes after a while, and none of these is too long. */
	port.room = 0;
	port.reads_after = 90;
	preempt_hook = read_some;
	say("print 10000\n");
	run_jobs();
	assert_in_range(now - begun, 5ULL * SECOND, 6ULL * SECOND);
	assert_in_range(port.out_length, 100, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_steps, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_line_before_open, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_long_lines, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_bytes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_other_side, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_port_goes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_slow_reader, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_reader, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_dropped, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_five_seconds, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
