/* SPDX-License-Identifier: MIT */
/* unit: shell/terminal.c shell/plain_text.c vmm/backlog.c vmm/copy.c */
#include "tests/unit/terminal_fixture.h"

#define OWN_SIZE 65536

static uint64_t seed = 88172645463325252;

static unsigned below(unsigned limit)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 33) % limit;
}

/* What the rows that were shown have of a VM, or of Pilae. */
struct seen {
	unsigned rows;
	uint64_t bytes, dropped; /* with a newline for each row */
};

static void count_dropped(struct seen *seen, const char *row, const char *name)
{
	char format[64];
	unsigned long long dropped;
	int end = 0;

	snprintf(format, sizeof(format), "pilae: %s%s%%llu bytes of output dropped%%n", name,
		 *name ? ": " : "");
	if (sscanf(row, format, &dropped, &end) == 1 && row[end] == '\0')
		seen->dropped += dropped;
}

/* Goes through the rows of `text`; `begin` is what those begin with that are counted. */
static struct seen look_for(const char *text, const char *begin, const char *name)
{
	static char copy[sizeof(shown)];
	struct seen seen = {0};

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *row = strtok(copy, "\r\n"); row; row = strtok(NULL, "\r\n")) {
		count_dropped(&seen, row, name);
		if (strncmp(row, begin, strlen(begin)) != 0)
			continue;
		seen.rows++;
		seen.bytes += strlen(row) - strlen(begin) + 1;
	}
	return seen;
}

static void write_line(unsigned n, unsigned number, unsigned length)
{
	char line[300];
	int used = snprintf(line, sizeof(line), "%c%06u", 'a' + (int)n, number);

	memset(line + used, 'a' + (int)n, sizeof(line) - (size_t)used);
	line[length - 1] = '\n';
	vm_write(n, line, length);
}

/* All that was written has been shown, or is told to be missing. */
static void test_nothing_unaccounted(void **state)
{
	const char *text;
	struct seen seen;
	uint64_t written[VMS] = {0};

	(void)state;
	uart_busy = true;
	for (unsigned i = 0; i < 3000; i++) {
		for (unsigned n = 1; n < VMS; n++) {
			unsigned length = 20 + below(200);

			write_line(n, i, length);
			written[n] += length;
		}
		if (i % 4 == 0) {
			room = UART_ROOM;
			terminal_fill();
			now += MS;
		}
	}
	text = take_shown();
	for (unsigned n = 1; n < VMS; n++) {
		char begin[32];

		snprintf(begin, sizeof(begin), "[%s] ", vm_names[n]);
		seen = look_for(text, begin, vm_names[n]);
		assert_true(seen.dropped > 0);
		assert_true(seen.rows > 100);
		assert_int_equal(seen.bytes + seen.dropped, written[n]);
	}
}

/* The same for the VM that is focused. */
static void test_nothing_unaccounted_focused(void **state)
{
	const char *text;
	struct seen seen;
	uint64_t written = 0, raw = 0;

	(void)state;
	uart_busy = true;
	for (unsigned i = 0; i < 3000; i++) {
		unsigned length = 20 + below(200);

		write_line(0, i, length);
		written += length;
		if (i % 4 == 0) {
			room = 2048 + below(2048);
			terminal_fill();
			now += MS;
		}
	}
	text = take_shown();
	seen = look_for(text, "none", "web");
	for (const char *c = text; *c; c++)
		raw += *c == 'a' && (c[1] == 'a' || c[1] == '\n' || c[1] == '\r');
	assert_true(seen.dropped > 0);
	/* Without the newlines and the numbers, of which there are seven bytes a line. */
	assert_in_range(raw + seen.dropped, written - (uint64_t)3000 * 9, written);
}

/* A VM that writes without an end, whether it is focused or not, takes nothing from another. */
static void flood(unsigned loud, unsigned quiet)
{
	char begin[32], line[64];
	const char *text;
	struct seen seen;

	uart_busy = true;
	for (unsigned i = 0; i < 2000; i++) {
		for (unsigned k = 0; k < 50; k++)
			write_line(loud, i * 50 + k, 100);
		if (i % 10 == 0) {
			snprintf(line, sizeof(line), "quiet %u\n", i);
			vm_print(quiet, line);
		}
		/* A UART of 115200 baud has room for 12 bytes a millisecond: more than FILL here.
		 */
		room = UART_ROOM;
		terminal_fill();
		now += MS;
	}
	text = take_shown();
	snprintf(begin, sizeof(begin), "%s%s%squiet ", quiet ? "[" : "",
		 quiet ? vm_names[quiet] : "", quiet ? "] " : "");
	seen = look_for(text, begin, vm_names[quiet]);
	assert_int_equal(seen.rows, 200);
	assert_int_equal(seen.dropped, 0);
	assert_true(look_for(text, "none", vm_names[loud]).dropped > 100000);
}

static void test_flood_of_another(void **state)
{
	(void)state;
	flood(1, 2);
}

static void test_flood_beside_focus(void **state)
{
	(void)state;
	flood(1, 0);
}

static void test_flood_of_focused(void **state)
{
	(void)state;
	flood(0, 2);
}

/* Two that flood have a turn each: neither is more than one piece ahead. */
static void test_turns(void **state)
{
	struct seen db, mail;
	const char *text;

	(void)state;
	uart_busy = true;
	for (unsigned i = 0; i < 200; i++) {
		write_line(1, i, 100);
		write_line(2, i, 100);
	}
	for (unsigned i = 0; i < 30; i++) {
		size_t before = shown_length;

		room = UART_ROOM;
		terminal_fill();
		/* What is done in one stretch has an end. */
		assert_in_range(shown_length - before, 1, 700);
	}
	text = shown;
	db = look_for(text, "[db] ", "db");
	mail = look_for(text, "[mail] ", "mail");
	assert_in_range(db.rows, mail.rows - 1, mail.rows + 1);
	assert_true(db.rows > 20);
}

/* Messages come before what VMs have written, each once and whole; or it is told. */
static void test_own_overflow(void **state)
{
	uint64_t written = 0;
	const char *text;
	struct seen seen;
	char line[80];

	(void)state;
	uart_busy = true;
	vm_print(1, "later\n");
	for (unsigned i = 0; i < 2000; i++) {
		int length = snprintf(line, sizeof(line), "pilae: m%u%.*s\n", i, (int)below(40),
				      "........................................");

		written += (unsigned)length;
		message(line);
	}
	terminal_fill();
	assert_null(strstr(shown, "later"));
	text = take_shown();
	seen = look_for(text, "pilae: m", "");
	assert_true(seen.bytes + seen.rows * strlen("pilae: m") <= OWN_SIZE);
	assert_true(seen.bytes > OWN_SIZE / 4);
	assert_int_equal(seen.bytes + seen.rows * strlen("pilae: m") + seen.dropped, written);
	assert_non_null(strstr(text, "bytes of output dropped\r\n[db] later\r\n"));
	/* Then there is room again. */
	message("pilae: again\n");
	expect_shown("pilae: again\r\n");
}

/* A message that comes while too much waits is not shown before that is told. */
static void test_own_order(void **state)
{
	const char *text;

	(void)state;
	uart_busy = true;
	for (unsigned i = 0; i < 3000; i++)
		message("pilae: one of very many\n");
	for (unsigned i = 0; i < 100; i++) {
		room = UART_ROOM;
		terminal_fill();
	}
	message("pilae: after the gap\n");
	text = take_shown();
	assert_null(strstr(text, "after the gap"));
	assert_non_null(strstr(text, "bytes of output dropped"));
}

/* Whatever is told cannot be longer than what there is room for. */
static void test_long_messages(void **state)
{
	static char line[5000];

	(void)state;
	for (unsigned length = 1; length < sizeof(line); length += 997) {
		memset(line, '\n', sizeof(line));
		terminal_message(line, length);
		memset(line, 'x', sizeof(line));
		terminal_message(line, length);
		vm_write(0, line, length);
		vm_write(1, line, length);
	}
	terminal_focus(NULL, "", 0);
	for (unsigned i = 0; i < 20; i++) {
		memset(line, '\n', sizeof(line));
		terminal_shell_output(line, 512, "\rpilae> ", 8);
	}
	for (unsigned i = 0; i < 3000; i++) {
		room = below(UART_ROOM);
		terminal_fill();
		now += MS;
	}
	take_shown();
}

/*
 * Anything, in any order: rows are of one writer, whole where they are to be, and the UART is never
 * given more than it has room for.
 */

/* A part of a focused VM's output, or of a line: characters of that VM alone. */
static bool is_of_one_vm(const char *row)
{
	char letter = 0;

	for (; *row; row++) {
		if (*row >= '0' && *row <= '9')
			continue;
		if (*row < 'a' || *row >= 'a' + VMS || (letter && *row != letter))
			return false;
		letter = *row;
	}
	return true;
}

static void check_row(char *row)
{
	unsigned number, end = 0;
	char name[16], letter;

	/* What takes the prompt away, and the prompt, which is alone in its row. */
	if (strncmp(row, "\033[K", 3) == 0)
		row += 3;
	if (strcmp(row, "pilae> ") == 0)
		return;
	if (strncmp(row, "pilae: ", 7) == 0)
		return;
	if (sscanf(row, "[%15[a-z]] %c%6u%n", name, &letter, &number, (int *)&end) == 3) {
		assert_in_range(letter, 'a', 'a' + VMS - 1);
		assert_string_equal(name, vm_names[letter - 'a']);
		assert_true(is_of_one_vm(row + end));
		return;
	}
	if (row[0] == '[')
		assert_true(is_of_one_vm(strstr(row, "] ") + 2));
	else if (!is_of_one_vm(row))
		fail_msg("a row of several: \"%s\"", row);
}

static void one_thing(unsigned *numbers)
{
	unsigned n = below(VMS);

	switch (below(16)) {
	case 0:
		terminal_focus(&vms[n].console, "pilae: focus\n", 13);
		break;
	case 1:
		terminal_focus(NULL, "pilae: shell\n", 13);
		break;
	case 2:
		terminal_show_others(below(2));
		break;
	case 3:
		message("pilae: message\n");
		break;
	case 4:
		terminal_shell_output("", 0, "\rpilae> ", 8);
		break;
	case 5:
		vms[n].console.port = below(2) ? (struct host_port *)&now : NULL;
		terminal_update(&vms[n].console);
		break;
	case 6:
		terminal_remove(&vms[n].console);
		if (terminal_focused() == &vms[n].console)
			terminal_focus(NULL, "pilae: shell\n", 13);
		vm_add(n);
		break;
	case 7:
	case 8:
		room = below(UART_ROOM);
		uart_busy = below(2);
		now += below(200) * MS;
		terminal_fill();
		break;
	default:
		for (unsigned i = below(30); i > 0; i--)
			write_line(n, numbers[n]++ % 1000000, 8 + below(240));
	}
}

static void test_random(void **state)
{
	unsigned numbers[VMS] = {0};

	(void)state;
	for (unsigned round = 0; round < 300; round++) {
		char *text;

		for (unsigned i = 0; i < 100; i++)
			one_thing(numbers);
		text = (char *)take_shown();
		for (char *row = strtok(text, "\r\n"); row; row = strtok(NULL, "\r\n"))
			check_row(row);
	}
}

static void flush_inside(void)
{
	terminal_flush();
}

/* The end of the machine, and the last of all tests. */
static void test_flush(void **state)
{
	(void)state;
	/* Who has the terminal may be stopped there, and is not waited for. */
	uart_busy = true;
	vm_print(1, "one\n");
	at_write = flush_inside;
	terminal_fill();
	assert_string_equal(shown, "[db] one\r\n");
	shown_length = 0;

	/* All that waits is shown, VMs' lines in the midst of others' too, but of VMs that are
	 * stopped while they write. */
	vm_print(0, "within");
	vm_print(1, "two\n");
	vm_print(2, "three\n");
	message("pilae: the end\n");
	spin_lock(&vms[2].console.lock);
	terminal_flush();
	spin_unlock(&vms[2].console.lock);
	assert_string_equal(shown, "pilae: the end\r\nwithin\r\n[db] two\r\n");
	shown_length = 0;
	terminal_write_last("pilae: bye\n", 11);
	assert_string_equal(shown, "pilae: bye\n");
	/* Nobody is waited for any more. */
	terminal_flush();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_nothing_unaccounted, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_nothing_unaccounted_focused, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_flood_of_another, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_flood_beside_focus, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_flood_of_focused, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_turns, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_own_overflow, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_own_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_long_messages, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_random, setup, teardown),
	    cmocka_unit_test_setup(test_flush, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
