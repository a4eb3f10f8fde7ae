/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_ARENA_H
#define KERNEL_ARENA_H

/*
 * An arena owns every page that was allocated for one purpose (one VM), so that all of it
 * can be counted and given back at once. Small objects are cut from its pages and live as
 * long as it does; whole pages can be returned earlier.
 */

#include "kernel/lock.h"
#include "kernel/types.h"

/* What a block of pages is for: each kind is counted by itself. */
enum arena_use {
	ARENA_OBJECTS, /* small objects, and pages for devices and vCPUs */
	ARENA_TABLES,  /* second-stage or shadow page tables */
	ARENA_RAM,     /* the guest's memory */
	ARENA_USES
};

struct arena {
	struct spinlock lock; /* guards all below; taken before the page allocator's */
	uint32_t blocks;      /* page number of the newest block; linked through struct page */
	uint64_t pages[ARENA_USES]; /* 4 KiB pages owned, by use */
	char *cursor, *end;         /* what is left of the newest page of small objects */
};

void arena_init(struct arena *arena);

/*
 * `size` bytes of zeroes, aligned to 16 (to a page, if size is a page or more). Lives as
 * long as the arena. NULL when there is no memory. Takes arena->lock.
 */
void *arena_alloc(struct arena *arena, size_t size);

/*
 * A block of 2^order pages of zeroes, aligned to its size; NULL when there is no memory.
 * `order` 0 to PAGE_ORDER_MAX. Takes arena->lock. Clearing a block larger than 64 KiB
 * passes preemption points: hold no lock then.
 */
void *arena_alloc_pages(struct arena *arena, unsigned order, enum arena_use use);

/* Puts a block that the page allocator gave, of 2^order pages, into the arena's care. */
void arena_adopt_pages(struct arena *arena, void *block, unsigned order, enum arena_use use);

/* Gives one block of the arena back to the page allocator. */
void arena_free_pages(struct arena *arena, void *block, unsigned order, enum arena_use use);

/*
 * Gives back blocks until none is left or the time for one stretch is up: ERR_AGAIN then.
 * After 0 the arena is empty and usable.
 */
int arena_destroy_step(struct arena *arena);

#endif
