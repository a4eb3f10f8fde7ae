/* SPDX-License-Identifier: MIT */
#ifndef MINIKERNEL_TEXT_H
#define MINIKERNEL_TEXT_H

/* string.c and format.c: linked into the kernel and into every program. */

#include <stdarg.h>

#include "kernel/types.h"

void *memset(void *to, int byte, size_t size);
void *memcpy(void *to, const void *from, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t size);
char *strchr(const char *s, int c);
/* Copies as much as fits and always terminates. */
void string_copy(char *to, const char *from, size_t size);

/* %c %s %d %u %x, with l for 64 bits, a width, 0 and -. */
void format(void (*put)(char c, void *arg), void *arg, const char *text, va_list args);

#endif
