/* SPDX-License-Identifier: MIT */
/* unit: shell/terminal.c shell/plain_text.c vmm/backlog.c vmm/copy.c */
#include "tests/unit/terminal_fixture.h"

#include "tests/unit/fake_terminal.h"

/* Nothing has been focused yet: the first of all tests. */
static void test_before_focus(void **state)
{
	(void)state;
	terminal_shell_output("", 0, "\rpilae> ", 8);
	message("pilae: hello\n");
	expect_shown("pilae: hello\r\n");
	vm_add(0);
	vm_print(0, "one\ntwo");
	expect_shown("[web] one\r\n");
	/* The first VM gets the terminal with all it has said, and there is no prompt. */
	focus(0);
	expect_shown("one\ntwo");
	assert_ptr_equal(terminal_focused(), &vms[0].console);
	assert_true(terminal_shows_others());
	terminal_remove(&vms[0].console);
}

static void test_focused(void **state)
{
	(void)state;
	vm_print(0, "\033[2J\001log");
	expect_shown("\033[2J\001log");
	vm_print(0, "in: ");
	vm_print(0, "\r\n$ ");
	expect_shown("in: \r\n$ ");
}

static void test_lines_of_others(void **state)
{
	char line[600], expected[640];

	(void)state;
	vm_print(1, "part");
	expect_shown("");
	vm_print(1, " of a line\r\nnext");
	expect_shown("[db] part of a line\r\n");
	vm_print(2, "\033[31mred\033[0m \033]0;title\007\x08text\n");
	expect_shown("[mail] red text\r\n");
	vm_print(1, "\n\n");
	expect_shown("[db] next\r\n[db] \r\n");
	/* One that is too long is shown in parts. */
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	vm_write(1, line, sizeof(line));
	snprintf(expected, sizeof(expected), "[db] %.256s\r\n[db] %.256s\r\n[db] %.87s\r\n", line,
		 line, line);
	expect_shown(expected);
}

/* A VM cannot look like another one, or like Pilae, but for the words. */
static void test_hostile_lines(void **state)
{
	static const char attack[] = "\r\033[1A\033[2K[web] all is well\033[8m\x9b"
				     "2J\302\2332J\033Pq\033\\\v\f\x7f\n";

	(void)state;
	vm_write(1, attack, sizeof(attack) - 1);
	expect_shown("[db] [web] all is well\r\n");
	vm_print(1, "x\rpilae: y\n\033[");
	expect_shown("[db] xpilae: y\r\n");
	vm_print(1, "\n");
	expect_shown("[db] \r\n");
}

static void test_colors(void **state)
{
	(void)state;
	terminal_init(true);
	vm_print(1, "a \033[32mgreen\033[5A one\n");
	expect_shown("\033[33m[db]\033[0m a \033[32mgreen one\033[0m\r\n");
	message("pilae: hello\n");
	expect_shown("\033[1mpilae: hello\033[0m\r\n");
}

static void test_messages(void **state)
{
	(void)state;
	vm_print(0, "prompt$ ");
	message("pilae: one\npilae: two\n");
	expect_shown("prompt$ \r\npilae: one\r\npilae: two\r\n");
	/* What does not end with a newline gets one. */
	message("pilae: three");
	vm_print(0, "x");
	expect_shown("pilae: three\r\nx");
}

/* Lines of others wait for one that is written to, and not for ever. */
static void test_within_line(void **state)
{
	(void)state;
	uart_busy = true;
	vm_print(0, "Password: ");
	room = UART_ROOM;
	terminal_fill();
	vm_print(1, "line\n");
	now += 99 * MS;
	terminal_fill();
	assert_string_equal(shown, "Password: ");
	/* It goes on. */
	vm_print(0, "abc");
	terminal_fill();
	now += 99 * MS;
	terminal_fill();
	assert_string_equal(shown, "Password: abc");
	now += 2 * MS;
	terminal_fill();
	assert_string_equal(shown, "Password: abc\r\n[db] line\r\n");
	shown_length = 0;

	/* A second in all. */
	vm_print(0, "x");
	terminal_fill();
	vm_print(1, "line\n");
	for (unsigned i = 0; i < 19; i++) {
		now += 50 * MS;
		vm_print(0, "x");
		terminal_fill();
		assert_null(strchr(shown, '['));
	}
	now += 51 * MS;
	room = UART_ROOM;
	terminal_fill();
	assert_string_equal(shown, "xxxxxxxxxxxxxxxxxxxx\r\n[db] line\r\n");
	shown_length = 0;

	/* Messages do not wait. */
	vm_print(0, "y");
	terminal_fill();
	message("pilae: now\n");
	terminal_fill();
	assert_string_equal(shown, "y\r\npilae: now\r\n");
	shown_length = 0;
}

static void test_changing_focus(void **state)
{
	(void)state;
	vm_print(0, "first");
	vm_print(1, "second\n$ ");
	expect_shown("first\r\n[db] second\r\n");
	terminal_focus(&vms[1].console, "pilae: console of db\n", 21);
	assert_false(terminal_shows_others());
	expect_shown("pilae: console of db\r\nsecond\n$ ");
	/* The rest is silent, */
	vm_print(0, " line\nmissed\nhalf ");
	vm_print(2, "silent\n");
	expect_shown("");
	/* until lines are wanted; then whole ones, from now on. */
	terminal_show_others(true);
	vm_print(0, "a line\n");
	vm_print(2, "heard\n");
	expect_shown("\r\n[web] half a line\r\n[mail] heard\r\n");
	terminal_show_others(false);
	vm_print(2, "silent\n");
	expect_shown("");
	/* All of it comes with the focus. */
	terminal_focus(&vms[2].console, "pilae: console of mail\n", 23);
	expect_shown("pilae: console of mail\r\nsilent\nheard\nsilent\n");
	/* A focus that it has already shows it again. */
	focus(2);
	expect_shown("silent\nheard\nsilent\n");
}

/* A line that was shown in part when the focus went is shown whole. */
static void test_line_goes_on(void **state)
{
	(void)state;
	vm_print(0, "a long ");
	expect_shown("a long ");
	terminal_focus(&vms[1].console, "pilae: db\n", 10);
	terminal_show_others(true);
	vm_print(0, "story\n");
	expect_shown("\r\npilae: db\r\n[web] a long story\r\n");
}

/* The last row shows the shell's line, whatever comes above it. */
static void expect_prompt(const char *row)
{
	const char *text = take_shown();

	terminal_output(text, (unsigned)strlen(text));
	assert_false(terminal.broken);
	assert_memory_equal(terminal.row, row, strlen(row));
	assert_int_equal(terminal.end, strlen(row));
	assert_int_equal(terminal.column, strlen(row));
}

static void test_prompt(void **state)
{
	(void)state;
	terminal_reset();
	/* A prompt that is not in focus is not shown, nor what the shell says. */
	terminal_shell_output("no", 2, "\rpilae> ", 8);
	expect_shown("");
	terminal_focus(NULL, "pilae: shell\n", 13);
	assert_null(terminal_focused());
	assert_true(terminal_shows_others());
	expect_prompt("pilae> ");
	assert_string_equal(terminal.rows, "pilae: shell\n");
	/* What is typed is shown by itself. */
	terminal_shell_output("v", 1, "\rpilae> v", 9);
	expect_prompt("pilae> v");
	vm_print(1, "one\ntwo\nthr");
	expect_prompt("pilae> v");
	message("pilae: three\n");
	terminal_shell_output("m", 1, "\rpilae> vm", 10);
	expect_prompt("pilae> vm");
	assert_string_equal(terminal.rows, "pilae: shell\n[db] one\n[db] two\npilae: three\n");
	/* A command runs: it has no prompt, and its lines stay whole. */
	terminal_shell_output("\n", 1, "", 0);
	terminal_shell_output("VMs:", 4, "", 0);
	vm_print(1, "ee\n");
	terminal_shell_output("none\n", 5, "\rpilae> ", 8);
	expect_prompt("pilae> ");
	assert_non_null(strstr(terminal.rows, "pilae> vm\n"));
	assert_non_null(strstr(terminal.rows, "[db] three\n"));
	/* The prompt that is left stays to be seen. */
	terminal_focus(&vms[0].console, "pilae: web\n", 11);
	expect_shown("\r\npilae: web\r\n");
	terminal_shell_output("", 0, "", 0);
}

static void test_port(void **state)
{
	struct host_port *port = (struct host_port *)&now;

	(void)state;
	vms[1].console.port = port;
	vm_print(1, "bef");
	terminal_update(&vms[1].console);
	vm_print(1, "ore\nmissed\nhalf a ");
	expect_shown("");
	vms[1].console.port = NULL;
	terminal_update(&vms[1].console);
	vm_print(1, "line\n");
	expect_shown("[db] half a line\r\n");
	/* The focus shows it all the same. */
	vms[0].console.port = port;
	terminal_update(&vms[0].console);
	vm_print(0, "both");
	expect_shown("both");
}

static void test_remove(void **state)
{
	(void)state;
	uart_busy = true;
	vm_print(1, "not any more\n");
	vm_print(2, "this\n");
	terminal_remove(&vms[1].console);
	memset(&vms[1], 0xff, sizeof(vms[1]));
	expect_shown("[mail] this\r\n");
	vm_add(1);
	vm_print(1, "new\n");
	expect_shown("[db] new\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_before_focus),
	    cmocka_unit_test_setup_teardown(test_focused, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_lines_of_others, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_hostile_lines, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_colors, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_messages, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_within_line, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_changing_focus, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_line_goes_on, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_prompt, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_port, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_remove, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
