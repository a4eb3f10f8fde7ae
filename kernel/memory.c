/* SPDX-License-Identifier: MIT */

/*
 * memcpy() and memset() by words. The C library as Debian builds it for small machines has loops
 * of bytes, and of pages they would take longer than interrupts may be off. What each function
 * does is the C library's to define (C17, 7.24); it is called by what the compiler emits, too.
 */

#include "kernel/types.h"

#include <string.h>

/* These loops are not to become calls of what they are in. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-loop-distribute-patterns")
#endif

#define WORD sizeof(uint64_t)

typedef uint64_t __attribute__((may_alias)) word_t;

/* The word at an address that is aligned. */
static inline word_t *word_at(uintptr_t address)
{
	return (word_t *)address;
}

static inline unsigned char *byte_at(uintptr_t address)
{
	return (unsigned char *)address;
}

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	uintptr_t t = (uintptr_t)to, f = (uintptr_t)from, end = t + size;

	/* Words have to be aligned in both. */
	if (((t ^ f) & (WORD - 1)) == 0) {
		for (; t < end && t & (WORD - 1); t++, f++)
			*byte_at(t) = *byte_at(f);
		for (; end - t >= 4 * WORD; t += 4 * WORD, f += 4 * WORD) {
			uint64_t a = word_at(f)[0], b = word_at(f)[1];
			uint64_t c = word_at(f)[2], d = word_at(f)[3];

			word_at(t)[0] = a;
			word_at(t)[1] = b;
			word_at(t)[2] = c;
			word_at(t)[3] = d;
		}
		for (; end - t >= WORD; t += WORD, f += WORD)
			*word_at(t) = *word_at(f);
	}
	for (; t < end; t++, f++)
		*byte_at(t) = *byte_at(f);
	return to;
}

void *memset(void *start, int byte, size_t size)
{
	uint64_t word = (uint8_t)byte * UINT64_C(0x0101010101010101);
	uintptr_t p = (uintptr_t)start, end = p + size;

	for (; p < end && p & (WORD - 1); p++)
		*byte_at(p) = (unsigned char)byte;
	for (; end - p >= 4 * WORD; p += 4 * WORD) {
		word_at(p)[0] = word;
		word_at(p)[1] = word;
		word_at(p)[2] = word;
		word_at(p)[3] = word;
	}
	for (; end - p >= WORD; p += WORD)
		*word_at(p) = word;
	for (; p < end; p++)
		*byte_at(p) = (unsigned char)byte;
	return start;
}
