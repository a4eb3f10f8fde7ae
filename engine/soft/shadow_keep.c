/* SPDX-License-Identifier: MIT */

/*
 * What a fence for all addresses and all ASIDs spares: tables of the shared set in which all leaves
 * are parts of one page of the guest's, which the guest's tables map as before. A kernel's own code
 * lies in such pages, and some hundred leaves of it would be found again one by one, each by a
 * fault, and its rewritten code be decoded again.
 */

#include "engine/soft/shadow_own.h"

/*
 * Bounds of the time that this takes: tables that may be kept, for which the guest's are asked; the
 * GiB that they lie in, for each of which up to two tables are built again; and tables of all
 * kinds.
 */
#define ASKED_MAX   16
#define REGIONS_MAX 4
#define PAGES_MAX   512

/* Of shadow->work: a page of the guest's that is asked for counts 1, and so many pages do. */
#define PAGES_EACH 32

struct keep {
	struct shadow *shadow;
	const struct shadow_fence *fence;
	unsigned count, asked, region_count;
	struct shadow_page *pages[ASKED_MAX];
	uint64_t regions[REGIONS_MAX];
};

/*
 * Whether the shared set leads to the table, and nothing on the way has parts of a page larger than
 * 2 MiB: a fence anywhere in that is about them all. (What a fence has cut off is not led to.)
 */
static bool is_by_itself(const struct shadow_root *shared, const struct shadow_page *page)
{
	const uint64_t *table = shared->table;

	for (unsigned level = shared->level; level > 0; level--) {
		uint64_t entry = table[shadow_index(page->va, level)];

		if (!shadow_is_table(shared, level, entry) || shadow_page_of(table)->pieces)
			return false;
		table = shadow_table(entry);
	}
	return table == shadow_table_of(page);
}

static bool has_room(struct keep *keep, uint64_t va)
{
	uint64_t region = va >> GIGAPAGE_SHIFT;

	for (unsigned i = 0; i < keep->region_count; i++) {
		if (keep->regions[i] == region)
			return true;
	}
	if (keep->region_count == REGIONS_MAX)
		return false;
	keep->regions[keep->region_count++] = region;
	return true;
}

static bool can_keep(struct keep *keep, const struct shadow_page *page)
{
	const struct shadow_fence *fence = keep->fence;
	const struct shadow_root *shared = &keep->shadow->own->shared;

	if (page->origin < SHADOW_ORIGIN_MIN || keep->asked == ASKED_MAX)
		return false;
	keep->asked++;
	keep->shadow->work++;
	return is_by_itself(shared, page) && has_room(keep, page->va) &&
	       fence->is_as_before(fence->context, GVA(page->va), page->origin);
}

/* Chooses what is kept. Whether that is all there is of code. */
static bool choose(struct keep *keep)
{
	const struct shadow_root *shared = &keep->shadow->own->shared;
	bool all_code = true;
	unsigned seen = 0;

	for (struct list *node = shared->pages.next; node != &shared->pages; node = node->next) {
		struct shadow_page *page = list_entry(node, struct shadow_page, link);

		if (seen++ == PAGES_MAX)
			return false;
		if (can_keep(keep, page))
			keep->pages[keep->count++] = page;
		else
			all_code &= !page->code;
	}
	keep->shadow->work += seen / PAGES_EACH;
	return all_code;
}

/* Puts a table back to where it was; those above it are there, or new. */
static void put_back(struct shadow *shadow, struct shadow_page *page)
{
	struct shadow_root *shared = &shadow->own->shared;
	uint64_t va = page->va;
	uint64_t *table = shadow_table_of(page);
	uint64_t *entry = &shared->table[shadow_index(va, shared->level)];

	for (unsigned level = shared->level; level > 1; level--) {
		uint64_t value = *entry;

		if (!shadow_is_table(shared, level, value))
			value = shadow_add_table(shadow, shared, entry, va, level - 1);
		entry = &shadow_table(value)[shadow_index(va, level - 1)];
	}
	*entry = pte_make(pointer_to_hpa(table), PTE_V);
	shadow_note(entry);
	shadow_pages_attach(table, &shared->pages, &shared->page_count);
	if (!page->code)
		return;
	shared->code = true;
	shadow->code_places[va >> 63] |= shadow_place(va);
}

void shadow_forget_others(struct shadow *shadow, const struct shadow_fence *fence)
{
	struct shadow_root *shared = &shadow->own->shared;
	struct keep keep;
	bool all_code;

	keep.shadow = shadow;
	keep.fence = fence;
	keep.count = keep.asked = keep.region_count = 0;
	all_code = choose(&keep);
	if (keep.count == 0) {
		shadow_forget_all(shadow);
		return;
	}
	for (unsigned i = 0; i < keep.count; i++)
		shadow_pages_detach(shadow_table_of(keep.pages[i]), &shared->page_count);
	/* What is known of code is true as before if all of it is kept. */
	if (!all_code)
		shadow->code_generation++;
	shared->code = false;
	shadow_forget_roots(shadow);
	for (unsigned i = 0; i < keep.count; i++)
		put_back(shadow, keep.pages[i]);
}
