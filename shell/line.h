/* SPDX-License-Identifier: MIT */
#ifndef SHELL_LINE_H
#define SHELL_LINE_H

/*
 * A line that is being typed: its text, cursor and history, fed with the bytes that a terminal
 * sends, and shown by those that a terminal understands (ECMA-48: CSI K, CSI D). It touches no
 * hardware. All functions: one caller at a time.
 */

#include "kernel/types.h"
#include "shell/completion.h"

#define LINE_SIZE       256 /* with the terminator */
#define LINE_HISTORY    16  /* lines that are remembered */
#define LINE_COLUMNS    77  /* of the terminal that are used; a longer line is shown in part */
#define LINE_RENDER_MAX (LINE_COLUMNS + 16)

enum line_event {
	LINE_EDITED, /* or nothing happened */
	LINE_READY,  /* a whole line is in `text`; line_begin() begins the next */
	LINE_LEFT,   /* Ctrl-D on an empty line */
};

struct line {
	const char *prompt; /* shorter than LINE_COLUMNS / 2 */
	/* Shows text; `\n` is a new row. It may call line_render(), as the line is up to date. */
	void (*output)(const char *text, unsigned length);
	/* Offers what `text` may go on with after its first `length` bytes; NULL: nothing. */
	void (*complete)(const char *text, unsigned length, struct completion *completion);

	char text[LINE_SIZE]; /* always terminated; printable ASCII alone */
	unsigned length, cursor;
	bool shown; /* the line is on the terminal, and can be edited */

	uint8_t last;     /* the byte before, for CR LF */
	uint8_t state;    /* of an escape sequence: enum in line.c */
	unsigned number;  /* its first parameter */
	bool more_params; /* and more of them follow */

	char history[LINE_HISTORY][LINE_SIZE];
	unsigned remembered; /* lines ever put into the history */
	unsigned back;       /* how far back the shown one is; 0: the one that is being typed */
	char draft[LINE_SIZE];
	struct completion completion;
};

/* Begins a new line, empty, and shows its prompt. Prompt and functions are set. */
void line_begin(struct line *line);

/* A byte from the terminal. Bytes that mean nothing, and those of no ASCII, are ignored. */
enum line_event line_input(struct line *line, uint8_t byte);

/*
 * What shows the line anew wherever the cursor is in its row: at most LINE_RENDER_MAX bytes
 * into `buffer`. Returns how many; 0 if the line is not shown.
 */
unsigned line_render(const struct line *line, char *buffer);

#endif
