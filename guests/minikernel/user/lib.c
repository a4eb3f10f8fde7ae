/* SPDX-License-Identifier: MIT */
#include "guests/minikernel/user/user.h"

struct line {
	char text[256];
	size_t length;
};

static void flush(struct line *line)
{
	write(line->text, line->length);
	line->length = 0;
}

static void put(char c, void *arg)
{
	struct line *line = arg;

	if (line->length == sizeof(line->text))
		flush(line);
	line->text[line->length++] = c;
}

void print(const char *text, ...)
{
	struct line line;
	va_list args;

	line.length = 0;
	va_start(args, text);
	format(put, &line, text, args);
	va_end(args);
	flush(&line);
}

bool parse_number(const char *text, uint64_t *number)
{
	*number = 0;
	if (*text == '\0' || strlen(text) > 18)
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		*number = *number * 10 + (uint64_t)(*text - '0');
	}
	return true;
}

uint64_t ticks(void)
{
	uint64_t now;

	__asm__ volatile("rdtime %0" : "=r"(now));
	return now;
}
