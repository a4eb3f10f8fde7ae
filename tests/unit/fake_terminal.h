/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_FAKE_TERMINAL_H
#define TESTS_UNIT_FAKE_TERMINAL_H

/* A terminal that shows what a line editor sends: the present row, and all rows before it. */

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define TERMINAL_COLUMNS 80

static struct {
	char row[TERMINAL_COLUMNS + 1]; /* filled up with spaces */
	unsigned column, end;           /* what was ever written of the row ends at `end` */
	char rows[16384];               /* those that were left, with their newlines */
	size_t rows_length;
	unsigned bells, clears;
	bool broken; /* something came that it does not know, or that does not fit */
} terminal;

static void terminal_new_row(void)
{
	memset(terminal.row, ' ', TERMINAL_COLUMNS);
	terminal.row[TERMINAL_COLUMNS] = '\0';
	terminal.column = terminal.end = 0;
}

static void terminal_reset(void)
{
	memset(&terminal, 0, sizeof(terminal));
	terminal_new_row();
}

static void terminal_newline(void)
{
	if (terminal.rows_length + terminal.end + 2 > sizeof(terminal.rows))
		terminal.rows_length = 0;
	memcpy(terminal.rows + terminal.rows_length, terminal.row, terminal.end);
	terminal.rows_length += terminal.end;
	terminal.rows[terminal.rows_length++] = '\n';
	terminal.rows[terminal.rows_length] = '\0';
	terminal_new_row();
}

static void terminal_character(char c)
{
	/* The last column is never used: terminals differ in what they do then. */
	if (c < ' ' || c > '~' || terminal.column >= TERMINAL_COLUMNS - 1) {
		terminal.broken = true;
		return;
	}
	terminal.row[terminal.column++] = c;
	if (terminal.column > terminal.end)
		terminal.end = terminal.column;
}

/* CSI sequences. Returns how many bytes it had. */
static unsigned terminal_sequence(const char *text)
{
	char *end;
	unsigned long number = strtoul(text + 2, &end, 10);

	if (text[1] != '[')
		terminal.broken = true;
	else if (*end == 'K' && end == text + 2)
		memset(terminal.row + terminal.column, ' ', TERMINAL_COLUMNS - terminal.column);
	else if (*end == 'D' && number <= terminal.column && number > 0)
		terminal.column -= (unsigned)number;
	else if (*end == 'J' && number == 2)
		terminal.clears++;
	else if (*end == 'H' && end == text + 2)
		terminal_new_row();
	else
		terminal.broken = true;
	if (*end == 'K')
		terminal.end = terminal.column;
	return (unsigned)(end + 1 - text);
}

/* `text` has to be terminated after its `length` bytes, or to hold whole sequences. */
static void terminal_output(const char *text, unsigned length)
{
	for (unsigned i = 0; i < length;) {
		unsigned used = 1;

		if (text[i] == '\033')
			used = terminal_sequence(text + i);
		else if (text[i] == '\r')
			terminal.column = 0;
		else if (text[i] == '\n')
			terminal_newline();
		else if (text[i] == '\a')
			terminal.bells++;
		else
			terminal_character(text[i]);
		i += used;
	}
}

#endif
