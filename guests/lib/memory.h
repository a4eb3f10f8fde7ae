/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_LIB_MEMORY_H
#define GUESTS_LIB_MEMORY_H

#include "kernel/types.h"

void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t size);

/* `size` bytes of the heap, page-aligned, zeroed and never freed; the guest ends if none are left.
 */
void *heap_take(uint64_t size);

/* The same without touching them. */
uint64_t heap_reserve(uint64_t size, uint64_t align);

#endif
