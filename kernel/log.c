/* SPDX-License-Identifier: MIT */

#include "kernel/log.h"

#include "kernel/lock.h"
#include "riscv/sbi.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX 512

enum log_level log_level = LOG_INFO;

static struct spinlock log_lock = SPINLOCK_INIT; /* guards the output */

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

void log_at(enum log_level level, const char *format, ...)
{
	static const char *const words[] = {"error: ", "warning: ", "", "debug: "};
	char line[LINE_MAX];
	va_list arguments;

	if (level > log_level)
		return;

	int used =
	    snprintf(line, sizeof(line), "pilae: %s", level == LOG_ERROR ? "" : words[level]);

	va_start(arguments, format);
	vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, arguments);
	va_end(arguments);

	size_t length = strlen(line);

	line[length++] = '\n';
	spin_lock(&log_lock);
	log_output(line, length);
	spin_unlock(&log_lock);
}

void log_raw(const char *format, ...)
{
	char text[LINE_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	log_output(text, strlen(text));
}
