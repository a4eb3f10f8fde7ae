/* SPDX-License-Identifier: MIT */

/*
 * The pages of shadow tables. Free pages are dirty: what was a tree of tables becomes free
 * without being visited, and each page is cleared, as far as it was used, when it is taken.
 */

#include "engine/soft/shadow_own.h"
#include "kernel/error.h"

#define OWN_PAGES ((sizeof(struct shadow_own) + PAGE_SIZE - 1) / PAGE_SIZE)

_Static_assert(sizeof(struct shadow_page) * SHADOW_CHUNK_PAGES <= PAGE_SIZE, "one page describes");
_Static_assert(OWN_PAGES + 1 < SHADOW_CHUNK_PAGES, "the bookkeeping fits into the first chunk");
_Static_assert(SHADOW_PAGES_MIN % SHADOW_CHUNK_PAGES == 0, "taken by chunks");

/* Puts the pages of a chunk of zeroes from number `first` on among the free ones. */
static void add_chunk(struct shadow *shadow, struct shadow_page *chunk, unsigned first)
{
	struct shadow_own *own = shadow->own;

	for (unsigned i = first; i < SHADOW_CHUNK_PAGES; i++)
		list_push_back(&own->free, &chunk[i].link);
	own->free_count += SHADOW_CHUNK_PAGES - first;
	shadow->pages += SHADOW_CHUNK_PAGES;
}

bool shadow_pages_grow(struct shadow *shadow)
{
	struct shadow_page *chunk;

	if (shadow->pages + SHADOW_CHUNK_PAGES > shadow->pages_max)
		return false;
	chunk = arena_alloc_pages(shadow->arena, SHADOW_CHUNK_ORDER, ARENA_TABLES);
	if (!chunk)
		return false;
	add_chunk(shadow, chunk, 1);
	return true;
}

int shadow_pages_init(struct shadow *shadow)
{
	void *chunks[SHADOW_PAGES_MIN / SHADOW_CHUNK_PAGES];

	for (unsigned i = 0; i < ARRAY_SIZE(chunks); i++) {
		chunks[i] = arena_alloc_pages(shadow->arena, SHADOW_CHUNK_ORDER, ARENA_TABLES);
		if (chunks[i])
			continue;
		while (i > 0)
			arena_free_pages(shadow->arena, chunks[--i], SHADOW_CHUNK_ORDER,
					 ARENA_TABLES);
		return ERR_NOMEM;
	}
	shadow->own = (struct shadow_own *)((char *)chunks[0] + PAGE_SIZE);
	list_init(&shadow->own->free);
	add_chunk(shadow, chunks[0], 1 + OWN_PAGES);
	for (unsigned i = 1; i < ARRAY_SIZE(chunks); i++)
		add_chunk(shadow, chunks[i], 1);
	return 0;
}

void shadow_table_clear(uint64_t *table, unsigned keep)
{
	struct shadow_page *page = shadow_page_of(table);

	for (unsigned half = 0; half < 2; half++) {
		for (unsigned i = page->first[half]; i <= page->last[half]; i++) {
			if (i != keep)
				table[i] = 0;
		}
		page->first[half] = PTE_ENTRIES;
		page->last[half] = 0;
	}
	page->pieces = false;
}

static uint64_t *table_of(const struct shadow_page *page)
{
	uintptr_t address = (uintptr_t)page;
	uintptr_t chunk = address & ~(PAGE_SIZE - 1);

	return (uint64_t *)(chunk + (((address - chunk) / sizeof(*page)) << PAGE_SHIFT));
}

uint64_t *shadow_pages_take(struct shadow_own *own, struct list *list, uint64_t *count)
{
	struct list *node = own->free.next;
	uint64_t *table = table_of(list_entry(node, struct shadow_page, link));

	list_remove(node);
	own->free_count--;
	list_push_back(list, node);
	++*count;
	shadow_table_clear(table, PTE_ENTRIES);
	return table;
}

void shadow_pages_give_all(struct shadow_own *own, struct list *list, uint64_t *count)
{
	struct list *first = list->next, *last = list->prev;

	if (list_empty(list))
		return;
	last->next = own->free.next;
	own->free.next->prev = last;
	own->free.next = first;
	first->prev = &own->free;
	own->free_count += *count;
	*count = 0;
	list_init(list);
}

void shadow_pages_give(struct shadow_own *own, uint64_t *table, uint64_t *count)
{
	struct list *node = &shadow_page_of(table)->link;

	list_remove(node);
	list_push_front(&own->free, node);
	own->free_count++;
	--*count;
}
