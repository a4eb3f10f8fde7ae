/* SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_FENCED_H
#define TESTS_FUZZ_FENCED_H

/* What every fuzzer has, for its one source file. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel/log.h"
#include "kernel/types.h"

#define FENCED_MAX KIB(64)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Messages are formatted, so that their arguments are looked at. */
void log_at(enum log_level level, const char *format, ...)
{
	char text[1024];
	va_list arguments;

	(void)level;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
}

/*
 * A copy of the input, at most FENCED_MAX, that ends as near to an unmapped page as `align`
 * lets it: libraries without a sanitizer crash too when they read beyond it.
 */
static inline void *fenced_copy(const uint8_t *data, size_t size, size_t align)
{
	static uint8_t *region;

	if (!region) {
		region = mmap(NULL, FENCED_MAX + PAGE_SIZE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (region == MAP_FAILED)
			abort();
		mprotect(region + FENCED_MAX, PAGE_SIZE, PROT_NONE);
	}

	uint8_t *copy = region + FENCED_MAX - align_up(size, align);

	memcpy(copy, data, size);
	return copy;
}

/* A fuzzer's own findings. */
static inline void check(bool holds)
{
	if (!holds)
		abort();
}

#endif
