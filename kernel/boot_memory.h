/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_BOOT_MEMORY_H
#define KERNEL_BOOT_MEMORY_H

/*
 * Which memory is in use, until the page allocator is given the rest: what firmware and device tree
 * set apart, Pilae itself, and what a layer above reserves. On the boot hart, at boot.
 */

#include "kernel/platform.h"
#include "kernel/types.h"

struct taken {
	struct range range;
	const char *what; /* for messages */
};

/* Begins: taken are the image, and what the host's device tree reserves. */
void boot_memory_begin(struct range image);

/* Notes what else is taken, which may overlap. It panics when there are more than some 150. */
void boot_memory_take(struct range range, const char *what);

/*
 * Calls `use` for each piece of memory that is not taken, by ascending address, until it returns
 * true; whether it has.
 */
bool boot_memory_for_free(bool (*use)(uint64_t base, uint64_t end, void *argument), void *argument);

/*
 * The highest free place of `size` bytes, aligned, at or above `floor`. `movable`: the ramdisk and
 * the device tree are not in the way. ERR_NOENT.
 */
int boot_memory_find(uint64_t size, uint64_t align, uint64_t floor, bool movable, uint64_t *base);

/*
 * Takes a range for good. The ramdisk and the device tree are moved out of it first: their
 * addresses in `platform` change then, and pointers into them are void. Before they are taken
 * themselves. ERR_RANGE: it is not one piece of memory; ERR_EXIST: *other has some of it;
 * ERR_NOMEM: too little would be left for Pilae. Then nothing has changed.
 */
int boot_memory_reserve(struct range range, const char *what, const struct taken **other);

/* How many pages the table of the page allocator describes, and from which address on. */
uint64_t boot_memory_pages(uint64_t *first);

#endif
