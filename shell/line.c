/* SPDX-License-Identifier: MIT */

#include "shell/line.h"

#include <stdio.h>
#include <string.h>

#define CTRL(c) ((c) & 0x1f)
#define BELL    "\a"
#define DELETE  0x7f

enum { STATE_PLAIN, STATE_ESCAPE, STATE_CSI, STATE_SS3 };

/* Keys that terminals send as sequences, under the numbers that VT220s gave them. */
enum { KEY_HOME = 1, KEY_DELETE = 3, KEY_END = 4, KEY_HOME_RXVT = 7, KEY_END_RXVT = 8 };

static void put(const struct line *line, const char *text)
{
	line->output(text, (unsigned)strlen(text));
}

unsigned line_render(const struct line *line, char *buffer)
{
	unsigned width = LINE_COLUMNS - 1 - (unsigned)strlen(line->prompt);
	unsigned first = line->cursor > width ? line->cursor - width : 0;
	unsigned end = line->length - first > width ? first + width : line->length;
	int length;

	if (!line->shown)
		return 0;
	length = snprintf(buffer, LINE_RENDER_MAX, "\r%s%.*s\033[K", line->prompt,
			  (int)(end - first), line->text + first);
	if (line->cursor < end)
		length += snprintf(buffer + length, (size_t)(LINE_RENDER_MAX - length), "\033[%uD",
				   end - line->cursor);
	return (unsigned)length;
}

static void show(const struct line *line)
{
	char buffer[LINE_RENDER_MAX];

	line->output(buffer, line_render(line, buffer));
}

void line_begin(struct line *line)
{
	line->length = line->cursor = 0;
	line->text[0] = '\0';
	line->back = 0;
	line->shown = true;
	show(line);
}

/* Ends the row of the terminal, with `mark` behind the text. */
static void leave_row(struct line *line, const char *mark)
{
	if (line->cursor < line->length) {
		line->cursor = line->length;
		show(line);
	}
	line->shown = false;
	put(line, mark);
	put(line, "\n");
}

static void insert(struct line *line, const char *text, unsigned length)
{
	unsigned width = LINE_COLUMNS - 1 - (unsigned)strlen(line->prompt);

	if (length > LINE_SIZE - 1 - line->length) {
		put(line, BELL);
		return;
	}
	memmove(line->text + line->cursor + length, line->text + line->cursor,
		line->length - line->cursor + 1);
	memcpy(line->text + line->cursor, text, length);
	line->cursor += length;
	line->length += length;
	/* At the end, what is there need not be shown again. */
	if (line->cursor == line->length && line->length <= width)
		line->output(text, length);
	else
		show(line);
}

/* Takes out the bytes from `from` up to `to`, and leaves the cursor there. */
static void cut(struct line *line, unsigned from, unsigned to)
{
	memmove(line->text + from, line->text + to, line->length - to + 1);
	line->length -= to - from;
	line->cursor = from;
	show(line);
}

static void move(struct line *line, unsigned to)
{
	if (to > line->length)
		return;
	line->cursor = to;
	show(line);
}

/* Where the word before the cursor begins. */
static unsigned word_start(const struct line *line)
{
	unsigned at = line->cursor;

	while (at > 0 && line->text[at - 1] == ' ')
		at--;
	while (at > 0 && line->text[at - 1] != ' ')
		at--;
	return at;
}

/*
 * History: `back` lines ago; 0 is the one that is being typed, kept in `draft` meanwhile.
 */

static char *remembered(struct line *line, unsigned back)
{
	return line->history[(line->remembered - back) % LINE_HISTORY];
}

static void remember(struct line *line)
{
	if (line->length == 0)
		return;
	if (line->remembered > 0 && strcmp(remembered(line, 1), line->text) == 0)
		return;
	memcpy(line->history[line->remembered++ % LINE_HISTORY], line->text, LINE_SIZE);
}

static void recall(struct line *line, unsigned back)
{
	if (back > line->remembered || back > LINE_HISTORY) {
		put(line, BELL);
		return;
	}
	if (line->back == 0)
		memcpy(line->draft, line->text, LINE_SIZE);
	memcpy(line->text, back ? remembered(line, back) : line->draft, LINE_SIZE);
	line->back = back;
	line->length = line->cursor = (unsigned)strlen(line->text);
	show(line);
}

static void recall_newer(struct line *line)
{
	if (line->back > 0)
		recall(line, line->back - 1);
	else
		put(line, BELL);
}

/*
 * Completion.
 */

static void list_completions(struct line *line)
{
	unsigned cursor = line->cursor;

	leave_row(line, "");
	line->output(line->completion.list, line->completion.list_length);
	put(line, "\n");
	line->cursor = cursor;
	line->shown = true;
	show(line);
}

static void complete(struct line *line)
{
	struct completion *completion = &line->completion;
	unsigned start = line->cursor;

	while (start > 0 && line->text[start - 1] != ' ')
		start--;
	completion->word = line->text + start;
	completion->length = line->cursor - start;
	completion->count = completion->list_length = 0;
	if (line->complete)
		line->complete(line->text, line->cursor, completion);
	if (completion->count == 0) {
		put(line, BELL);
		return;
	}

	/* `word` lies in the line that is about to change: what follows it is taken out first. */
	char *rest = completion->common + completion->length;
	unsigned length = (unsigned)strlen(rest);

	if (completion->count == 1 && completion->length + length < LINE_SIZE - 1)
		rest[length++] = ' ';
	if (length > 0)
		insert(line, rest, length);
	else
		list_completions(line);
}

/*
 * Keys.
 */

static enum line_event accept(struct line *line)
{
	leave_row(line, "");
	remember(line);
	return LINE_READY;
}

static void cancel(struct line *line)
{
	leave_row(line, "^C");
	line_begin(line);
}

static void delete_under_cursor(struct line *line)
{
	if (line->cursor < line->length)
		cut(line, line->cursor, line->cursor + 1);
}

static void delete_before_cursor(struct line *line)
{
	if (line->cursor > 0)
		cut(line, line->cursor - 1, line->cursor);
}

static enum line_event control_key(struct line *line, uint8_t byte)
{
	switch (byte) {
	case CTRL('M'):
		return accept(line);
	case CTRL('J'):
		return line->last == CTRL('M') ? LINE_EDITED : accept(line);
	case CTRL('D'):
		if (line->length == 0)
			return LINE_LEFT;
		delete_under_cursor(line);
		break;
	case CTRL('C'):
		cancel(line);
		break;
	case CTRL('A'):
		move(line, 0);
		break;
	case CTRL('E'):
		move(line, line->length);
		break;
	case CTRL('B'):
		move(line, line->cursor - 1);
		break;
	case CTRL('F'):
		move(line, line->cursor + 1);
		break;
	case CTRL('P'):
		recall(line, line->back + 1);
		break;
	case CTRL('N'):
		recall_newer(line);
		break;
	case CTRL('H'):
	case DELETE:
		delete_before_cursor(line);
		break;
	case CTRL('K'):
		cut(line, line->cursor, line->length);
		break;
	case CTRL('U'):
		cut(line, 0, line->cursor);
		break;
	case CTRL('W'):
		cut(line, word_start(line), line->cursor);
		break;
	case CTRL('L'):
		put(line, "\033[H\033[2J");
		show(line);
		break;
	case CTRL('I'):
		complete(line);
		break;
	case CTRL('['):
		line->state = STATE_ESCAPE;
		break;
	}
	return LINE_EDITED;
}

static void numbered_key(struct line *line)
{
	switch (line->number) {
	case KEY_HOME:
	case KEY_HOME_RXVT:
		move(line, 0);
		break;
	case KEY_END:
	case KEY_END_RXVT:
		move(line, line->length);
		break;
	case KEY_DELETE:
		delete_under_cursor(line);
		break;
	}
}

/* The last byte of a sequence says what key it was. */
static void sequence_key(struct line *line, uint8_t byte)
{
	switch (byte) {
	case 'A':
		recall(line, line->back + 1);
		break;
	case 'B':
		recall_newer(line);
		break;
	case 'C':
		move(line, line->cursor + 1);
		break;
	case 'D':
		move(line, line->cursor - 1);
		break;
	case 'H':
		move(line, 0);
		break;
	case 'F':
		move(line, line->length);
		break;
	case '~':
		numbered_key(line);
		break;
	}
}

/* ECMA-48, 5.4: parameter bytes, intermediate bytes, and one that ends the sequence. */
static void sequence_byte(struct line *line, uint8_t byte)
{
	if (byte >= '0' && byte <= '9' && !line->more_params) {
		/* Three digits are more than any key has. */
		if (line->number < 100)
			line->number = line->number * 10 + byte - '0';
	} else if (byte < 0x40) {
		line->more_params = true;
	} else {
		line->state = STATE_PLAIN;
		sequence_key(line, byte);
	}
}

static void escape_byte(struct line *line, uint8_t byte)
{
	line->number = 0;
	line->more_params = false;
	line->state = byte == '[' ? STATE_CSI : byte == 'O' ? STATE_SS3 : STATE_PLAIN;
}

static void printable(struct line *line, uint8_t byte)
{
	char character = (char)byte;

	if (line->state == STATE_ESCAPE)
		escape_byte(line, byte);
	else if (line->state != STATE_PLAIN)
		sequence_byte(line, byte);
	else
		insert(line, &character, 1);
}

enum line_event line_input(struct line *line, uint8_t byte)
{
	enum line_event event = LINE_EDITED;

	if (!line->shown)
		return event;
	if (byte >= 0x80) {
		line->state = STATE_PLAIN;
	} else if (byte >= ' ' && byte != DELETE) {
		printable(line, byte);
	} else {
		/* A control character ends a sequence that is not complete. */
		line->state = STATE_PLAIN;
		event = control_key(line, byte);
	}
	line->last = byte;
	return event;
}
