/* SPDX-License-Identifier: MIT */

#include "kernel/log.h"

#include "kernel/lock.h"
#include "kernel/printable.h"
#include "riscv/sbi.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LOG_KEPT KIB(16)

enum log_level log_level = LOG_INFO;

static struct spinlock log_lock = SPINLOCK_INIT; /* guards the output, and what is kept */

/* The end of all that was logged: byte n of it is at n % LOG_KEPT. Guarded by log_lock. */
static struct {
	char bytes[LOG_KEPT];
	uint64_t end;
} kept;

static void keep(const char *text, size_t length)
{
	uint64_t at = kept.end % LOG_KEPT;
	size_t first = (size_t)min_u64(length, LOG_KEPT - at);

	memcpy(kept.bytes + at, text, first);
	memcpy(kept.bytes, text + first, length - first);
	kept.end += length;
}

/* Where the next line begins, if none is known: the first in the ring may lack its beginning. */
static uint64_t oldest_line(void)
{
	uint64_t at = kept.end - LOG_KEPT;

	if (kept.end <= LOG_KEPT)
		return 0;
	while (kept.bytes[at++ % LOG_KEPT] != '\n')
		;
	return at;
}

bool log_next(uint64_t *position, char *line, size_t size)
{
	size_t length = 0;

	spin_lock(&log_lock);
	if (*position > kept.end || kept.end - *position > LOG_KEPT)
		*position = oldest_line();

	bool any = *position != kept.end;

	while (*position != kept.end) {
		char c = kept.bytes[(*position)++ % LOG_KEPT];

		if (c == '\n')
			break;
		if (length + 1 < size)
			line[length++] = c;
	}
	spin_unlock(&log_lock);
	line[length] = '\0';
	return any;
}

static void output_to_firmware(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		sbi_call(SBI_EXT_CONSOLE_PUTCHAR, 0, (uint8_t)text[i], 0, 0, 0, 0);
}

static void (*log_output)(const char *text, size_t length) = output_to_firmware;

void log_set_output(void (*output)(const char *text, size_t length))
{
	log_output = output;
}

static void (*last_output)(const char *text, size_t length) = output_to_firmware;
static void (*flush_output)(void);

void log_set_last_output(void (*last)(const char *text, size_t length), void (*flush)(void))
{
	last_output = last;
	flush_output = flush;
}

void log_begin_last(void)
{
	log_output = last_output;
}

void log_flush(void)
{
	if (flush_output)
		flush_output();
}

/* A part may be from outside, a system file for instance. */
static void make_plain(char *text)
{
	for (; *text; text++)
		*text = printable(*text);
}

void log_at(enum log_level level, const char *format, ...)
{
	static const char *const words[] = {"error: ", "warning: ", "", "debug: "};
	char line[LOG_LINE_MAX];
	va_list arguments;

	if (level > log_level)
		return;

	int used =
	    snprintf(line, sizeof(line), "pilae: %s", level == LOG_ERROR ? "" : words[level]);

	va_start(arguments, format);
	vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, arguments);
	va_end(arguments);
	make_plain(line);

	size_t length = strlen(line);

	line[length++] = '\n';
	spin_lock(&log_lock);
	keep(line, length);
	log_output(line, length);
	spin_unlock(&log_lock);
}

void log_raw(const char *format, ...)
{
	char text[LOG_LINE_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	log_output(text, strlen(text));
}
