/* SPDX-License-Identifier: MIT */
/* unit: shell/line.c shell/completion.c */
#include "tests/fuzz/fenced.h"

#include "shell/line.h"
#include "tests/unit/fake_terminal.h"

static struct line line;

static void complete(const char *text, unsigned length, struct completion *completion)
{
	static const char *const words[] = {"start", "stop", "a", "ab", "abc"};

	check(length <= strlen(text) && completion->length <= length);
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		completion_offer(completion, words[i]);
}

/* The editor's state makes sense, and the terminal shows it. */
static void check_line(void)
{
	check(line.shown && line.length < LINE_SIZE && line.cursor <= line.length);
	check(strlen(line.text) == line.length && !terminal.broken);
	if (line.length + strlen(line.prompt) < LINE_COLUMNS) {
		check(terminal.column == strlen(line.prompt) + line.cursor);
		check(memcmp(terminal.row, line.prompt, strlen(line.prompt)) == 0);
		check(memcmp(terminal.row + strlen(line.prompt), line.text, line.length) == 0);
	}
	for (unsigned i = 0; i < line.length; i++)
		check(line.text[i] >= ' ' && line.text[i] <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	memset(&line, 0, sizeof(line));
	terminal_reset();
	line.prompt = "> ";
	line.output = terminal_output;
	line.complete = complete;
	line_begin(&line);
	for (size_t i = 0; i < size; i++) {
		if (line_input(&line, data[i]) == LINE_READY)
			line_begin(&line);
		check_line();
	}
	return 0;
}
