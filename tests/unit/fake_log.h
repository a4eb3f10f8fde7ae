/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_FAKE_LOG_H
#define TESTS_UNIT_FAKE_LOG_H

/* The log, whose messages are kept and looked at. For one source file of a test program. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/log.h"

static char messages[16384]; /* all that was logged, a line each */

void log_at(enum log_level level, const char *format, ...)
{
	size_t used = strlen(messages);
	va_list arguments;

	(void)level;
	va_start(arguments, format);
	vsnprintf(messages + used, sizeof(messages) - used, format, arguments);
	va_end(arguments);
	strncat(messages, "\n", sizeof(messages) - strlen(messages) - 1);
}

/* Fails unless `part` is in the messages, and forgets them. */
static inline void expect_message(const char *part)
{
	if (!strstr(messages, part))
		fail_msg("\"%s\" is not in \"%s\"", part, messages);
	messages[0] = '\0';
}

static inline void expect_silence(void)
{
	assert_string_equal(messages, "");
}

#endif
