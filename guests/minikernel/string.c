/* SPDX-License-Identifier: MIT */

/*
 * The few functions on memory and strings that are needed. The compiler calls the first
 * three by itself. Linked into the kernel and into every program.
 */

#include "guests/minikernel/text.h"

void *memset(void *to, int byte, size_t size)
{
	uint64_t *word = to;

	if (is_aligned((uintptr_t)to | size, 8)) {
		uint64_t pattern = (uint8_t)byte * UINT64_C(0x0101010101010101);

		for (size_t i = 0; i < size / 8; i++)
			word[i] = pattern;
		return to;
	}
	for (size_t i = 0; i < size; i++)
		((uint8_t *)to)[i] = (uint8_t)byte;
	return to;
}

void *memcpy(void *to, const void *from, size_t size)
{
	if (is_aligned((uintptr_t)to | (uintptr_t)from | size, 8)) {
		for (size_t i = 0; i < size / 8; i++)
			((uint64_t *)to)[i] = ((const uint64_t *)from)[i];
		return to;
	}
	for (size_t i = 0; i < size; i++)
		((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
	return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
	const uint8_t *x = a, *y = b;

	for (size_t i = 0; i < size; i++)
		if (x[i] != y[i])
			return x[i] - y[i];
	return 0;
}

size_t strlen(const char *s)
{
	size_t length = 0;

	while (s[length] != '\0')
		length++;
	return length;
}

int strcmp(const char *a, const char *b)
{
	while (*a != '\0' && *a == *b)
		a++, b++;
	return (uint8_t)*a - (uint8_t)*b;
}

int strncmp(const char *a, const char *b, size_t size)
{
	for (; size != 0; size--, a++, b++)
		if (*a != *b || *a == '\0')
			return (uint8_t)*a - (uint8_t)*b;
	return 0;
}

char *strchr(const char *s, int c)
{
	for (; *s != (char)c; s++)
		if (*s == '\0')
			return NULL;
	return (char *)(uintptr_t)s;
}

void string_copy(char *to, const char *from, size_t size)
{
	size_t i = 0;

	for (; i + 1 < size && from[i] != '\0'; i++)
		to[i] = from[i];
	to[i] = '\0';
}
