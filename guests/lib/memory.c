/* SPDX-License-Identifier: MIT */
#include "guests/lib/memory.h"

#include "guests/lib/console.h"
#include "guests/lib/machine.h"

void *memcpy(void *to, const void *from, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((char *)to)[i] = ((const char *)from)[i];
	return to;
}

void *memset(void *to, int byte, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((char *)to)[i] = (char)byte;
	return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
	const unsigned char *p = a, *q = b;

	for (size_t i = 0; i < size; i++)
		if (p[i] != q[i])
			return p[i] - q[i];
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

int strncmp(const char *a, const char *b, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (a[i] != b[i] || a[i] == 0)
			return (unsigned char)a[i] - (unsigned char)b[i];
	return 0;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

uint64_t heap_reserve(uint64_t size, uint64_t align)
{
	uint64_t start = align_up(machine.heap, align);

	if (!range_within(start, size, machine.ram_base, machine.heap_end - machine.ram_base)) {
		print("guest: out of memory\n");
		machine_shutdown(false);
	}
	machine.heap = start + size;
	return start;
}

void *heap_take(uint64_t size)
{
	uint64_t *words = (uint64_t *)heap_reserve(align_up(size, PAGE_SIZE), PAGE_SIZE);

	for (uint64_t i = 0; i < align_up(size, PAGE_SIZE) / 8; i++)
		words[i] = 0;
	return words;
}
