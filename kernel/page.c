/* SPDX-License-Identifier: MIT */

#include "kernel/page.h"

#include "kernel/alloc_fault.h"
#include "kernel/lock.h"
#include "kernel/log.h"
#include "kernel/trap.h"

/* Of instructions, these take some 11,000 and 9,000. */
#define CLEAR_STEP       KIB(64)
#define CLEAR_STEP_BLOCK KIB(256)

/* Free blocks of one order, linked through their first pages' entries. */
static struct {
	struct spinlock lock; /* guards everything here and all entries of free pages */
	char *base;
	struct page *pages;
	uint32_t count;
	uint32_t free[PAGE_ORDER_MAX + 1];
	uint64_t free_pages, total_pages;
} allocator = {.lock = SPINLOCK_INIT};

struct page *page_of(const void *block)
{
	return &allocator.pages[page_number(block)];
}

uint32_t page_number(const void *block)
{
	return (uint32_t)(((uintptr_t)block - (uintptr_t)allocator.base) >> PAGE_SHIFT);
}

void *page_pointer(uint32_t number)
{
	return allocator.base + ((uint64_t)number << PAGE_SHIFT);
}

static void push_free(uint32_t number, unsigned order)
{
	struct page *page = &allocator.pages[number];
	uint32_t head = allocator.free[order];

	page->state = PAGE_FREE;
	page->order = (uint8_t)order;
	page->prev = PAGE_NONE;
	page->next = head;
	if (head != PAGE_NONE)
		allocator.pages[head].prev = number;
	allocator.free[order] = number;
}

static void remove_free(uint32_t number, unsigned order)
{
	struct page *page = &allocator.pages[number];

	if (page->prev != PAGE_NONE)
		allocator.pages[page->prev].next = page->next;
	else
		allocator.free[order] = page->next;
	if (page->next != PAGE_NONE)
		allocator.pages[page->next].prev = page->prev;
	page->state = PAGE_TAIL;
}

/* Puts a block back, joined with its buddy as long as that one is free too. */
static void release(uint32_t number, unsigned order)
{
	for (; order < PAGE_ORDER_MAX; order++) {
		uint32_t buddy = number ^ (uint32_t)1 << order;

		if (buddy >= allocator.count || allocator.pages[buddy].state != PAGE_FREE ||
		    allocator.pages[buddy].order != order)
			break;
		remove_free(buddy, order);
		allocator.pages[number].state = PAGE_TAIL;
		number = number < buddy ? number : buddy;
	}
	push_free(number, order);
}

void page_init(char *base, uint32_t count, struct page *pages)
{
	allocator.base = base;
	allocator.count = count;
	allocator.pages = pages;
	allocator.free_pages = allocator.total_pages = 0;
	for (unsigned i = 0; i <= PAGE_ORDER_MAX; i++)
		allocator.free[i] = PAGE_NONE;
	for (uint32_t i = 0; i < count; i++)
		pages[i].state = PAGE_RESERVED;
}

void page_add(char *start, uint64_t page_count)
{
	uint32_t number = page_number(start);
	uint64_t left = page_count;

	spin_lock(&allocator.lock);
	while (left > 0) {
		unsigned order = 0;

		while (order < PAGE_ORDER_MAX && is_aligned(number, BIT(order + 1)) &&
		       BIT(order + 1) <= left)
			order++;
		release(number, order);
		number += (uint32_t)1 << order;
		left -= BIT(order);
	}
	allocator.free_pages += page_count;
	allocator.total_pages += page_count;
	spin_unlock(&allocator.lock);
}

void *page_alloc(unsigned order)
{
	unsigned from = order;
	void *block = NULL;

	if (alloc_fault())
		return NULL;
	spin_lock(&allocator.lock);
	while (from <= PAGE_ORDER_MAX && allocator.free[from] == PAGE_NONE)
		from++;
	if (from <= PAGE_ORDER_MAX) {
		uint32_t number = allocator.free[from];

		remove_free(number, from);
		while (from > order) {
			from--;
			push_free(number + ((uint32_t)1 << from), from);
		}
		allocator.pages[number].state = PAGE_ALLOCATED;
		allocator.pages[number].order = (uint8_t)order;
		allocator.free_pages -= BIT(order);
		block = page_pointer(number);
	}
	spin_unlock(&allocator.lock);
	return block;
}

void page_free(void *block, unsigned order)
{
	uint32_t number = page_number(block);
	struct page *page = &allocator.pages[number];

	spin_lock(&allocator.lock);
	if (number >= allocator.count || page->state != PAGE_ALLOCATED || page->order != order)
		panic("page_free: no block of order %u at %p", order, block);
	release(number, order);
	allocator.free_pages += BIT(order);
	spin_unlock(&allocator.lock);
}

static unsigned zero_block;

void page_set_zero_block(unsigned bytes)
{
	zero_block = bytes;
}

uint64_t page_clear_step(void)
{
	return zero_block ? CLEAR_STEP_BLOCK : CLEAR_STEP;
}

static inline char *zero_one_block(char *at, unsigned size)
{
#ifdef __riscv
	register char *a0 __asm__("a0") = at;

	__asm__ volatile(".word 0x0045200f" ::"r"(a0) : "memory"); /* cbo.zero (a0) */
#else
	for (unsigned i = 0; i < size; i++)
		at[i] = 0;
#endif
	return at + size;
}

static void clear_by_blocks(char *start, uint64_t size, unsigned block)
{
	char *end = start + size;

	/* A block is at most an eighth of a page. */
	while (start < end) {
		start = zero_one_block(start, block);
		start = zero_one_block(start, block);
		start = zero_one_block(start, block);
		start = zero_one_block(start, block);
		start = zero_one_block(start, block);
		start = zero_one_block(start, block);
		start = zero_one_block(start, block);
		start = zero_one_block(start, block);
	}
}

void page_clear_bytes(void *start, uint64_t size)
{
	volatile uint64_t *word = start;
	volatile uint64_t *end = word + size / sizeof(*word);

	unsigned block = zero_block;

	if (block) {
		clear_by_blocks(start, size, block);
		return;
	}
	/* Volatile, so that this stays the plain loop whose length is known. */
	for (; word < end; word += 8) {
		word[0] = word[1] = word[2] = word[3] = 0;
		word[4] = word[5] = word[6] = word[7] = 0;
	}
}

void page_clear(void *block, unsigned order)
{
	uint64_t size = PAGE_SIZE << order;
	uint64_t step = page_clear_step();
	char *start = block;

	for (uint64_t done = 0; done < size; done += step) {
		page_clear_bytes(start + done, min_u64(step, size - done));
		if (done + step < size)
			preempt_point();
	}
}

void *page_alloc_zeroed(unsigned order)
{
	void *block = page_alloc(order);

	if (block)
		page_clear(block, order);
	return block;
}

uint64_t page_free_bytes(void)
{
	return allocator.free_pages << PAGE_SHIFT;
}

uint64_t page_total_bytes(void)
{
	return allocator.total_pages << PAGE_SHIFT;
}
