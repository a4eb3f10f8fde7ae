/* SPDX-License-Identifier: MIT */

#include "kernel/arena.h"

#include "kernel/alloc_fault.h"
#include "kernel/error.h"
#include "kernel/page.h"

#define OBJECT_ALIGN   16
#define DESTROY_BLOCKS 32 /* given back in one step */

void arena_init(struct arena *arena)
{
	*arena = (struct arena){.lock = SPINLOCK_INIT, .blocks = PAGE_NONE};
}

void arena_adopt_pages(struct arena *arena, void *block, unsigned order, enum arena_use use)
{
	struct page *page = page_of(block);

	spin_lock(&arena->lock);
	page->prev = PAGE_NONE;
	page->next = arena->blocks;
	if (arena->blocks != PAGE_NONE)
		page_of(page_pointer(arena->blocks))->prev = page_number(block);
	arena->blocks = page_number(block);
	arena->pages[use] += BIT(order);
	spin_unlock(&arena->lock);
}

void *arena_alloc_pages(struct arena *arena, unsigned order, enum arena_use use)
{
	void *block = page_alloc_zeroed(order);

	if (block)
		arena_adopt_pages(arena, block, order, use);
	return block;
}

void arena_free_pages(struct arena *arena, void *block, unsigned order, enum arena_use use)
{
	struct page *page = page_of(block);

	spin_lock(&arena->lock);
	if (page->prev != PAGE_NONE)
		page_of(page_pointer(page->prev))->next = page->next;
	else
		arena->blocks = page->next;
	if (page->next != PAGE_NONE)
		page_of(page_pointer(page->next))->prev = page->prev;
	arena->pages[use] -= BIT(order);
	spin_unlock(&arena->lock);
	page_free(block, order);
}

void *arena_alloc(struct arena *arena, size_t size)
{
	char *object = NULL;

	if (alloc_fault())
		return NULL;
	if (size >= PAGE_SIZE)
		return size > GIB(1) ? NULL
				     : arena_alloc_pages(arena, page_order(size), ARENA_OBJECTS);
	size = align_up(size, OBJECT_ALIGN);
	spin_lock(&arena->lock);
	if (size <= (size_t)(arena->end - arena->cursor)) {
		object = arena->cursor;
		arena->cursor += size;
	}
	spin_unlock(&arena->lock);
	if (object)
		return object;

	/* What is left of the old page stays unused: objects are few and live long. */
	object = arena_alloc_pages(arena, 0, ARENA_OBJECTS);
	if (!object)
		return NULL;
	spin_lock(&arena->lock);
	arena->cursor = object + size;
	arena->end = object + PAGE_SIZE;
	spin_unlock(&arena->lock);
	return object;
}

int arena_destroy_step(struct arena *arena)
{
	arena->cursor = arena->end = NULL;
	for (unsigned i = 0; i < DESTROY_BLOCKS; i++) {
		if (arena->blocks == PAGE_NONE) {
			arena_init(arena);
			return 0;
		}

		void *block = page_pointer(arena->blocks);
		struct page *page = page_of(block);

		arena->blocks = page->next;
		page_free(block, page->order);
	}
	return ERR_AGAIN;
}
