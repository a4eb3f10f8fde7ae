/* SPDX-License-Identifier: MIT */

/*
 * The pages of shadow tables. Free pages are dirty: what was a tree of tables becomes free
 * without being visited, and new ones come as they are. Each page is cleared, as far as it was
 * used, when it is taken.
 */

#include "engine/soft/shadow_own.h"
#include "kernel/error.h"
#include "kernel/page.h"

#define OWN_PAGES ((sizeof(struct shadow_own) + PAGE_SIZE - 1) / PAGE_SIZE)

_Static_assert(sizeof(struct shadow_page) * SHADOW_CHUNK_PAGES <= PAGE_SIZE, "one page describes");
_Static_assert(OWN_PAGES + 1 < SHADOW_CHUNK_PAGES, "the bookkeeping fits into the first chunk");
_Static_assert(SHADOW_PAGES_MIN % SHADOW_CHUNK_PAGES == 0, "taken by chunks");

/* A chunk of whatever was in this memory before. */
static struct shadow_page *take_chunk(struct shadow *shadow)
{
	struct shadow_page *chunk = page_alloc(SHADOW_CHUNK_ORDER);

	if (chunk)
		arena_adopt_pages(shadow->arena, chunk, SHADOW_CHUNK_ORDER, ARENA_TABLES);
	return chunk;
}

/* Puts the pages of a chunk from number `first` on among the free ones. */
static void add_chunk(struct shadow *shadow, struct shadow_page *chunk, unsigned first)
{
	struct shadow_own *own = shadow->own;

	for (unsigned i = first; i < SHADOW_CHUNK_PAGES; i++) {
		chunk[i] = (struct shadow_page){
		    .first = {0, PTE_ENTRIES / 2},
		    .last = {PTE_ENTRIES / 2 - 1, PTE_ENTRIES - 1},
		};
		list_push_back(&own->free, &chunk[i].link);
	}
	own->free_count += SHADOW_CHUNK_PAGES - first;
	shadow->pages += SHADOW_CHUNK_PAGES;
}

bool shadow_pages_grow(struct shadow *shadow)
{
	struct shadow_page *chunk;

	if (shadow->pages + SHADOW_CHUNK_PAGES > shadow->pages_max)
		return false;
	chunk = take_chunk(shadow);
	if (!chunk)
		return false;
	add_chunk(shadow, chunk, 1);
	shadow->work += SHADOW_GROWING;
	return true;
}

int shadow_pages_init(struct shadow *shadow)
{
	struct shadow_page *chunks[SHADOW_PAGES_MIN / SHADOW_CHUNK_PAGES];

	for (unsigned i = 0; i < ARRAY_SIZE(chunks); i++) {
		chunks[i] = take_chunk(shadow);
		if (chunks[i])
			continue;
		while (i > 0)
			arena_free_pages(shadow->arena, chunks[--i], SHADOW_CHUNK_ORDER,
					 ARENA_TABLES);
		return ERR_NOMEM;
	}
	shadow->own = (struct shadow_own *)((char *)chunks[0] + PAGE_SIZE);
	page_clear_bytes(shadow->own, OWN_PAGES * PAGE_SIZE);
	list_init(&shadow->own->free);
	add_chunk(shadow, chunks[0], 1 + OWN_PAGES);
	for (unsigned i = 1; i < ARRAY_SIZE(chunks); i++)
		add_chunk(shadow, chunks[i], 1);
	return 0;
}

/* Volatile: the hart may be walking the table, and this stays a loop whose length is known. */
static inline void clear_entries(uint64_t *table, unsigned first, unsigned end)
{
	volatile uint64_t *entry = table + first;
	volatile uint64_t *last = table + end;

	for (; entry + 8 <= last; entry += 8) {
		entry[0] = entry[1] = entry[2] = entry[3] = 0;
		entry[4] = entry[5] = entry[6] = entry[7] = 0;
	}
	for (; entry < last; entry++)
		*entry = 0;
}

void shadow_table_clear(uint64_t *table, unsigned keep)
{
	struct shadow_page *page = shadow_page_of(table);

	for (unsigned half = 0; half < 2; half++) {
		unsigned first = page->first[half], last = page->last[half];

		if (first > last)
			continue;
		page->first[half] = PTE_ENTRIES;
		page->last[half] = 0;
		if (first <= keep && keep <= last) {
			clear_entries(table, first, keep);
			first = keep + 1;
		}
		clear_entries(table, first, last + 1);
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
