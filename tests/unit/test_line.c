/* SPDX-License-Identifier: MIT */
/* unit: shell/line.c shell/completion.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "shell/line.h"
#include "tests/unit/fake_terminal.h"

#define LEFT  "\033[D"
#define RIGHT "\033[C"
#define UP    "\033[A"
#define DOWN  "\033[B"

static const char *const *offers; /* what complete() offers; NULL ends it */
static char complete_text[LINE_SIZE];

static void complete(const char *text, unsigned length, struct completion *completion)
{
	snprintf(complete_text, sizeof(complete_text), "%.*s", (int)length, text);
	for (const char *const *offer = offers; offer && *offer; offer++)
		completion_offer(completion, *offer);
}

static struct line line;

static int setup(void **state)
{
	(void)state;
	terminal_reset();
	offers = NULL;
	memset(&line, 0, sizeof(line));
	line.prompt = "> ";
	line.output = terminal_output;
	line.complete = complete;
	line_begin(&line);
	return 0;
}

/* Types, and checks that no event comes before the last byte. */
static enum line_event type(const char *bytes)
{
	enum line_event event = LINE_EDITED;

	for (; *bytes; bytes++) {
		assert_int_equal(event, LINE_EDITED);
		event = line_input(&line, (uint8_t)*bytes);
		assert_false(terminal.broken);
	}
	return event;
}

/* The line, and the terminal, are `before` and, from the cursor on, `after`. */
static void expect(const char *before, const char *after)
{
	char row[TERMINAL_COLUMNS + 1];

	assert_int_equal(line.cursor, strlen(before));
	assert_int_equal(line.length, strlen(before) + strlen(after));
	assert_memory_equal(line.text, before, strlen(before));
	assert_string_equal(line.text + line.cursor, after);
	memset(row, ' ', sizeof(row));
	row[TERMINAL_COLUMNS] = '\0';
	row[snprintf(row, sizeof(row), "> %s%s", before, after)] = ' ';
	assert_string_equal(terminal.row, row);
	assert_int_equal(terminal.column, 2 + strlen(before));
}

static void test_typing(void **state)
{
	(void)state;
	expect("", "");
	assert_int_equal(type("vm list"), LINE_EDITED);
	expect("vm list", "");
	assert_int_equal(type("\r"), LINE_READY);
	assert_string_equal(line.text, "vm list");
	assert_string_equal(terminal.rows, "> vm list\n");
	/* Nothing is taken until the next line has begun. */
	assert_int_equal(type("x"), LINE_EDITED);
	assert_string_equal(line.text, "vm list");
	line_begin(&line);
	expect("", "");
}

static void test_ends_of_lines(void **state)
{
	(void)state;
	assert_int_equal(type("a\r"), LINE_READY);
	line_begin(&line);
	/* The LF of a CR LF is not one more. */
	assert_int_equal(type("\nb"), LINE_EDITED);
	expect("b", "");
	assert_int_equal(type("\n"), LINE_READY);
	line_begin(&line);
	assert_int_equal(type("\n"), LINE_READY);
	assert_string_equal(line.text, "");
}

static void test_moving(void **state)
{
	(void)state;
	type("abcd" LEFT LEFT);
	expect("ab", "cd");
	type("X");
	expect("abX", "cd");
	type(RIGHT RIGHT RIGHT);
	expect("abXcd", "");
	type("\001" LEFT);
	expect("", "abXcd");
	type("\005");
	expect("abXcd", "");
	type("\033[H\033[C\033[F\002\002\006");
	expect("abXc", "d");
	type("\033[1~");
	expect("", "abXcd");
	type("\033[4~");
	expect("abXcd", "");
	type("\033[7~\033OC");
	expect("a", "bXcd");
	type("\033[8~\033[1;5D");
	expect("abXc", "d");
	type("\033OH\033OF");
	expect("abXcd", "");
}

static void test_deleting(void **state)
{
	(void)state;
	type("\010\177\033[3~");
	expect("", "");
	type("abcdef" LEFT LEFT "\177");
	expect("abc", "ef");
	type("\010");
	expect("ab", "ef");
	type("\033[3~");
	expect("ab", "f");
	assert_int_equal(type("\004\004"), LINE_EDITED);
	expect("ab", "");
	type("cd" LEFT LEFT "\013");
	expect("ab", "");
	type("cd" LEFT "\025");
	expect("", "d");
	type("\005\025one two  three  " LEFT "\027");
	expect("one two  ", " ");
	type("\027\027\027\005\177");
	expect("", "");
}

static void test_cancel_clear_leave(void **state)
{
	(void)state;
	type("abc" LEFT "\003");
	assert_string_equal(terminal.rows, "> abc^C\n");
	expect("", "");
	type("def" LEFT "\014");
	assert_int_equal(terminal.clears, 1);
	expect("de", "f");
	type("\025\004");
	assert_int_equal(type("\004"), LINE_LEFT);
	expect("", "");
	/* A line that was cancelled is not remembered. */
	type(UP);
	expect("", "");
	assert_int_equal(terminal.bells, 1);
}

static void test_what_means_nothing(void **state)
{
	(void)state;
	type("a\200\377\303\244\016\022\034\037");
	expect("a", "");
	/* Sequences of other keys, unknown, too long, or cut off by another one. */
	type("\033[5~\033[6~\033[200~\033[Z\033[1;2;3P\033[?25h\033OP\033x\033\033[D");
	expect("", "a");
	type("\033[99999999999999999999~\033[\033[C\033[12\001b");
	expect("b", "a");
	type("\033[\200c");
	expect("bc", "a");
}

static void fill(const char *word, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		type(word);
}

static void test_full(void **state)
{
	(void)state;
	fill("abcde", 51);
	assert_int_equal(line.length, LINE_SIZE - 1);
	assert_int_equal(terminal.bells, 0);
	type("x" LEFT "y\001z");
	assert_int_equal(line.length, LINE_SIZE - 1);
	assert_int_equal(terminal.bells, 3);
	assert_memory_equal(line.text, "abcde", 5);
	assert_int_equal(line.text[LINE_SIZE - 1], '\0');
	type("\005\177!");
	assert_string_equal(line.text + LINE_SIZE - 4, "cd!");
	assert_int_equal(type("\r"), LINE_READY);
	line_begin(&line);
	type(UP);
	assert_int_equal(line.length, LINE_SIZE - 1);
}

static void test_longer_than_a_row(void **state)
{
	(void)state;
	fill("0123456789", 8);
	type("x");
	/* 74 columns: the end of the text, and the cursor behind it. */
	assert_memory_equal(terminal.row, "> 789012", 8);
	assert_int_equal(terminal.column, 76);
	assert_int_equal(terminal.row[75], 'x');
	type("\001");
	assert_memory_equal(terminal.row, "> 0123456789", 12);
	assert_int_equal(terminal.column, 2);
	type("y\005" LEFT);
	assert_int_equal(terminal.row[terminal.column - 1], '9');
	/* There is room for this. */
	type("\003");
	assert_non_null(strstr(terminal.rows, "9x^C\n"));
}

static void enter(const char *text)
{
	type(text);
	assert_int_equal(type("\r"), LINE_READY);
	line_begin(&line);
}

static void test_history(void **state)
{
	(void)state;
	enter("one");
	enter("two");
	enter("two");
	enter("");
	enter("three");
	type("dra" UP);
	expect("three", "");
	type(UP UP);
	expect("one", "");
	assert_int_equal(terminal.bells, 0);
	type(UP);
	expect("one", "");
	assert_int_equal(terminal.bells, 1);
	type(DOWN "\016");
	expect("three", "");
	type(DOWN);
	expect("dra", "");
	type(DOWN);
	assert_int_equal(terminal.bells, 2);
	/* What is changed of an old line is a new one. */
	type("\020\020\033[D-");
	expect("tw-", "o");
	assert_int_equal(type("\r"), LINE_READY);
	line_begin(&line);
	type(UP);
	expect("tw-o", "");
	type(UP UP);
	expect("two", "");
}

static void test_history_goes_round(void **state)
{
	char text[16];

	(void)state;
	for (unsigned i = 0; i < 3 * LINE_HISTORY; i++) {
		snprintf(text, sizeof(text), "line %u", i);
		enter(text);
	}
	for (unsigned i = 0; i < LINE_HISTORY; i++)
		type(UP);
	assert_int_equal(terminal.bells, 0);
	snprintf(text, sizeof(text), "line %u", 2 * LINE_HISTORY);
	expect(text, "");
	type(UP);
	assert_int_equal(terminal.bells, 1);
	expect(text, "");
}

static void test_completion(void **state)
{
	static const char *const names[] = {"start", "stop", "list", "status", NULL};

	(void)state;
	offers = names;
	type("vm l\t");
	assert_string_equal(complete_text, "vm l");
	expect("vm list ", "");
	type("\177\177\177\177\177");
	type("x\t");
	expect("vm x", "");
	assert_int_equal(terminal.bells, 1);
	/* As far as they have in common; then they are listed. */
	type("\177s\t");
	expect("vm st", "");
	type("a\tX" LEFT "\t");
	assert_string_equal(terminal.rows, "> vm sta\nstart  status  \n"
					   "> vm staX\nstart  status  \n");
	expect("vm sta", "X");
	type("r\t");
	expect("vm start ", "X");
	assert_int_equal(terminal.bells, 1);
}

static void test_completion_without_room(void **state)
{
	static char long_name[LINE_SIZE];
	static const char *const names[] = {long_name, NULL};
	static const char *const many[] = {long_name, long_name, long_name, long_name, NULL};

	(void)state;
	memset(long_name, 'n', sizeof(long_name) - 1);
	offers = names;
	type("ab \t");
	expect("ab ", "");
	assert_int_equal(terminal.bells, 1);
	/* What is too long to be listed is left out; what is offered too long is, too. */
	type("\025");
	memset(long_name, 'm', sizeof(long_name) - 1);
	type("\t");
	assert_int_equal(line.length, LINE_SIZE - 1);
	offers = many;
	assert_true(line.completion.list_length <= COMPLETION_SIZE);
}

static void test_render(void **state)
{
	char buffer[LINE_RENDER_MAX];

	(void)state;
	type("abc" LEFT);
	terminal_reset();
	terminal_output(buffer, line_render(&line, buffer));
	expect("ab", "c");
	type("\r");
	assert_int_equal(line_render(&line, buffer), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_typing, setup),
	    cmocka_unit_test_setup(test_ends_of_lines, setup),
	    cmocka_unit_test_setup(test_moving, setup),
	    cmocka_unit_test_setup(test_deleting, setup),
	    cmocka_unit_test_setup(test_cancel_clear_leave, setup),
	    cmocka_unit_test_setup(test_what_means_nothing, setup),
	    cmocka_unit_test_setup(test_full, setup),
	    cmocka_unit_test_setup(test_longer_than_a_row, setup),
	    cmocka_unit_test_setup(test_history, setup),
	    cmocka_unit_test_setup(test_history_goes_round, setup),
	    cmocka_unit_test_setup(test_completion, setup),
	    cmocka_unit_test_setup(test_completion_without_room, setup),
	    cmocka_unit_test_setup(test_render, setup),
	};

	return cmocka_run_group_tests_name("line", tests, NULL, NULL);
}
