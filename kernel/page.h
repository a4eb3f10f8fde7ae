/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_PAGE_H
#define KERNEL_PAGE_H

/*
 * The physical page allocator: a buddy system over all of the machine's usable memory, in
 * blocks of 2^0 to 2^18 pages (4 KiB to 1 GiB), each aligned to its size. What it gives has
 * arbitrary contents: whoever hands memory to a VM clears it first, with page_clear.
 */

#include "kernel/types.h"

#define PAGE_ORDER_2M  9
#define PAGE_ORDER_1G  18
#define PAGE_ORDER_MAX PAGE_ORDER_1G

#define PAGE_NONE UINT32_MAX

/* What is known about a page: its block's order and its place in a list. */
struct page {
	uint32_t next, prev; /* page numbers; PAGE_NONE at the ends */
	uint8_t order;       /* of the block that this page heads */
	uint8_t state;       /* enum page_state */
	uint16_t reserved;
};

enum page_state { PAGE_RESERVED, PAGE_FREE, PAGE_ALLOCATED, PAGE_TAIL };

/*
 * Prepares the allocator for `count` pages from `base` on (aligned to 1 GiB), all reserved
 * for now. `pages` has room for that many entries.
 */
void page_init(char *base, uint32_t count, struct page *pages);

/* Gives it the pages from `start` on, page-aligned, none of which it has. */
void page_add(char *start, uint64_t page_count);

/* A block of 2^order pages with arbitrary contents, or NULL. Any hart, any lock but its own. */
void *page_alloc(unsigned order);

/* The same, cleared. Clearing more than 64 KiB passes preemption points: hold no lock. */
void *page_alloc_zeroed(unsigned order);

/* Returns a block. `block` and `order` are as they were allocated. */
void page_free(void *block, unsigned order);

/* Clears 2^order pages, with preemption points if that is more than 64 KiB. */
void page_clear(void *block, unsigned order);

/*
 * Clears `size` bytes, a multiple of 4 KiB, from a page's start; no preemption point. What
 * may be cleared in one stretch of less than 20,000 instructions: page_clear_step() bytes.
 */
void page_clear_bytes(void *start, uint64_t size);
uint64_t page_clear_step(void);

/*
 * Lets clearing use cbo.zero with blocks of that many bytes (Zicboz), a power of two up to
 * 512; 0: not. All harts must have it.
 */
void page_set_zero_block(unsigned bytes);

/* The entry of an allocated block's first page, its number, and back. */
struct page *page_of(const void *block);
uint32_t page_number(const void *block);
void *page_pointer(uint32_t number);

/* The order of the smallest block that holds so many bytes; PAGE_ORDER_MAX at most. */
static inline unsigned page_order(uint64_t bytes)
{
	unsigned order = 0;

	while (PAGE_SIZE << order < bytes && order < PAGE_ORDER_MAX)
		order++;
	return order;
}

/* Free memory and memory in all, in bytes. */
uint64_t page_free_bytes(void);
uint64_t page_total_bytes(void);

#endif
