/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_LIB_CONSOLE_H
#define GUESTS_LIB_CONSOLE_H

#include <stdarg.h>

#include "kernel/types.h"

#define PRINT_MAX 600

/* Finds out which SBI call prints: DBCN where there is one, else the legacy putchar. */
void console_init(void);

/*
 * Formats into `buffer`, always terminated; what does not fit is cut off. Knows %d %u %x %ld
 * %lu %lx %c %s %%, with a width and 0 for padding. Returns the length written.
 */
size_t format_v(char *buffer, size_t size, const char *format, va_list args);
__printf(3, 4) size_t format(char *buffer, size_t size, const char *format, ...);

/* Prints at most PRINT_MAX characters; lines of several harts do not mix. */
__printf(1, 2) void print(const char *format, ...);

/* The same without the lock, for the last words of a guest. */
__printf(1, 2) void print_raw(const char *format, ...);

#endif
