/* SPDX-License-Identifier: MIT */

/* The leaves of the shadow tables: entered, found, and dropped. */

#include "engine/soft/shadow.h"

#include "engine/soft/shadow_own.h"
#include "kernel/layout.h"
#include "riscv/tlb.h"

#define GUEST_LEVEL_MAX 3 /* of a leaf of the guest's; Sv57's largest pages are not marked */

/* The hart loses the leaf, or where `all` is set every entry it may have below a table. */
static void flush_hart(const struct shadow_own *own, const struct shadow_root *owner, uint64_t va,
		       bool all)
{
	bool shared = owner == &own->shared;

	if (!all && shared)
		tlb_flush_page_all(va);
	else if (!all)
		tlb_flush_page(va, owner->asid);
	else if (shared)
		tlb_flush_all();
	else
		tlb_flush_asid(owner->asid);
}

/* Deals with what is lost with an entry that has been overwritten. */
static __attribute__((noinline)) void retire(struct shadow *shadow, struct shadow_root *owner,
					     uint64_t old, uint64_t va)
{
	struct shadow_own *own = shadow->own;
	bool leaf = pte_is_leaf(old);

	if (leaf ? (old & SHADOW_CODE) != 0 : owner->code)
		shadow->code_generation++;
	flush_hart(own, owner, va, !leaf);
	/* Only a large page takes the place of a table, the last on its way. */
	if (!leaf)
		shadow_pages_give(own, shadow_table(old), &owner->page_count);
}

/* Whether the owner's table at `level` around `va` has something of the spine in it. */
static bool is_on_spine(const struct shadow_own *own, const struct shadow_root *owner, uint64_t va,
			unsigned level)
{
	/* The entry above is 0 where there is no spine, or where it has ended. */
	return owner->spine[level + 1] && (va ^ own->spine.va) >> pte_level_shift(level + 1) == 0;
}

/* Writes what of the spine belongs into a table of the owner's that is on it. */
static void add_spine(const struct shadow_own *own, const struct shadow_root *owner,
		      uint64_t *table, unsigned level)
{
	unsigned index = shadow_index(own->spine.va, level);
	const uint64_t *model;

	if (level == 0) {
		/* Only the pinned pages are so deep. */
		model = shadow_table(owner->spine[1]);
		for (unsigned i = index; i < index + own->spine.count; i++) {
			table[i] = model[i];
			shadow_note(&table[i]);
		}
		return;
	}
	table[index] = owner->spine[level];
	shadow_note(&table[index]);
}

/* A new table of the owner's in an entry at `level + 1`; there is a free page. */
static uint64_t add_table(struct shadow *shadow, struct shadow_root *owner, uint64_t *entry,
			  uint64_t va, unsigned level)
{
	struct shadow_own *own = shadow->own;
	uint64_t *table = shadow_pages_take(own, &owner->pages, &owner->page_count);
	uint64_t old = *entry, value = pte_make(pointer_to_hpa(table), PTE_V);

	shadow->work += SHADOW_CLEARING;
	if (is_on_spine(own, owner, va, level))
		add_spine(own, owner, table, level);
	/* The hart may walk into the table at once. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	*entry = value;
	if (!old)
		shadow_note(entry);
	else if (pte_is_leaf(old))
		retire(shadow, owner, old, va);
	return value;
}

/* The entry for `va` in the root's table at `level`; NULL if there is no such table. */
static uint64_t *find_entry(const struct shadow_root *root, uint64_t va, unsigned level)
{
	uint64_t *table = root->table;

	for (unsigned l = root->level; l > level; l--) {
		uint64_t entry = table[shadow_index(va, l)];

		if (!shadow_is_table(root, l, entry))
			return NULL;
		table = shadow_table(entry);
	}
	return &table[shadow_index(va, level)];
}

/*
 * A table for a slot that the shared set has not had. Code in it is not that of the roots that
 * have a table of their own there.
 */
static uint64_t add_shared_table(struct shadow *shadow, uint64_t va)
{
	struct shadow_own *own = shadow->own;
	struct shadow_root *shared = &own->shared;
	unsigned index = shadow_index(va, shared->level);

	if (own->divided[index / 64] & BIT(index % 64)) {
		/* Which ones would take long to find out. */
		for (unsigned i = 0; i < SHADOW_ROOTS; i++)
			own->roots[i].code = true;
		shadow->work += SHADOW_SELECTING;
		shadow->code_apart = true;
	}
	return add_table(shadow, shared, &shared->table[index], va, shared->level - 1U);
}

/*
 * The table below a slot of the root: the shared one or, where something is to be entered that is
 * not global, or was before, one of its own.
 */
static uint64_t enter_slot(struct shadow *shadow, uint64_t *entry, uint64_t va, bool global,
			   struct shadow_root **owner)
{
	struct shadow_own *own = shadow->own;
	struct shadow_root *root = shadow->selected, *shared = &own->shared;
	unsigned index = shadow_index(va, shared->level);
	uint64_t common = shared->table[index];
	uint64_t value = *entry;

	if (shadow_is_table(root, root->slot_level, value) && value != common)
		return value;
	if (global) {
		*owner = shared;
		if (value == common && value)
			return value;
		if (!common)
			common = add_shared_table(shadow, va);
		*entry = common;
		if (!value)
			shadow_note(entry);
		return common;
	}

	uint64_t table = add_table(shadow, root, entry, va, root->slot_level - 1U);

	own->divided[index / 64] |= BIT(index % 64);
	if (common) {
		/* Code in the shared table, now or later, is not this root's. */
		root->code = true;
		shadow->code_apart = true;
		shadow->code_generation++;
	}
	if (value && value == common)
		tlb_flush_asid(root->asid);
	return table;
}

/*
 * A hart may remember that there was no leaf (Priv. 1.13, 12.2.1), and that there was no table,
 * which an SFENCE.VMA for an address need not make it forget.
 */
static void flush_spurious(struct shadow *shadow, struct shadow_root *owner, uint64_t va)
{
	struct shadow_own *own = shadow->own;

	flush_hart(own, owner, va, own->spurious == va >> PAGE_SHIFT);
	own->spurious = va >> PAGE_SHIFT;
}

static void enter_leaf(struct shadow *shadow, struct shadow_root *owner, uint64_t *entry,
		       uint64_t va, uint64_t pte)
{
	uint64_t old = *entry;

	if (unlikely(old == pte)) {
		flush_spurious(shadow, owner, va);
		return;
	}
	*entry = pte;
	shadow->fills++;
	if (pte & SHADOW_CODE) {
		owner->code = true;
		if (owner == shadow->selected)
			shadow->code_apart = shadow->code_private = true;
		shadow->code_places[va >> 63] |= shadow_place(va);
	}
	if (old)
		retire(shadow, owner, old, va);
	else
		shadow_note(entry);
}

const uint64_t *shadow_map(struct shadow *shadow, gva_t va, unsigned level, uint64_t pte,
			   bool global)
{
	struct shadow_own *own = shadow->own;
	struct shadow_root *root = shadow->selected, *owner = root;
	uint64_t address = va.v, *table = root->table;
	bool in_part = false;

	if (unlikely(shadow_is_reserved(own, address)))
		return NULL;
	if (unlikely(own->free_count < SHADOW_RESERVE))
		shadow_make_room(shadow, SHADOW_RESERVE);
	if (level > 0 && root->spine[1] &&
	    address >> MEGAPAGE_SHIFT == own->spine.va >> MEGAPAGE_SHIFT) {
		level = 0;
		pte += (uint64_t)shadow_index(address, 0) << PTE_PPN_SHIFT;
		in_part = true;
	}
	for (unsigned l = root->level; l > level; l--) {
		uint64_t *entry = &table[shadow_index(address, l)];
		uint64_t value = *entry;

		if (l == root->slot_level)
			value = enter_slot(shadow, entry, address, global, &owner);
		else if (!shadow_is_table(root, l, value))
			value = add_table(shadow, owner, entry, address, l - 1);
		table = shadow_table(value);
	}
	if (in_part)
		shadow_page_of(table)->pieces = true;
	table += shadow_index(address, level);
	enter_leaf(shadow, owner, table, address, pte);
	return table;
}

void shadow_note_piece(struct shadow *shadow, gva_t va, unsigned guest_level)
{
	uint64_t *entry = find_entry(shadow->selected, va.v, guest_level - 1);

	if (entry)
		shadow_page_of(entry)->pieces = true;
	/* A fence anywhere in the guest's page is one for the code in it. */
	if (guest_level > 1 && shadow_may_have_code(shadow, va.v))
		shadow->code_places[va.v >> 63] = UINT64_MAX;
}

void shadow_map_device(struct shadow *shadow, gva_t va, gpa_t gpa, uint64_t rights, bool global)
{
	uint64_t leaf = pte_make(HPA(align_down(gpa.v, PAGE_SIZE)), rights & (PTE_R | PTE_W));

	/* To enter it once more would flush the hart, as for a leaf that it has not seen. */
	if (shadow_find_device(shadow, va) != leaf)
		shadow_map(shadow, va, 0, leaf, global);
}

/* The entry that ends the way to `va`, of whatever kind; 0 for what is not the guest's. */
static inline uint64_t find_last(const struct shadow *shadow, gva_t va, unsigned *level)
{
	const struct shadow_own *own = shadow->own;
	const struct shadow_root *root = shadow->selected;
	const uint64_t *table = root->table;

	if (!shadow_is_canonical(root, va.v) || shadow_is_reserved(own, va.v))
		return 0;
	for (unsigned l = root->level;; l--) {
		uint64_t value = table[shadow_index(va.v, l)];

		*level = l;
		if (!shadow_is_table(root, l, value))
			return value;
		table = shadow_table(value);
	}
}

uint64_t shadow_find(const struct shadow *shadow, gva_t va, unsigned *level)
{
	uint64_t value = find_last(shadow, va, level);

	return pte_is_leaf(value) && value & PTE_V ? value : 0;
}

uint64_t shadow_find_device(const struct shadow *shadow, gva_t va)
{
	unsigned level;
	uint64_t value = find_last(shadow, va, &level);

	return pte_is_leaf(value) && !(value & PTE_V) ? value : 0;
}

static bool uses_low_half(const uint64_t *table)
{
	const struct shadow_page *page = shadow_page_of(table);

	return page->first[0] <= page->last[0];
}

bool shadow_uses_low_half(const struct shadow *shadow)
{
	return uses_low_half(shadow->selected->table) || uses_low_half(shadow->own->shared.table);
}

/* Tables that are given back one by one where a page of the guest's takes their place. */
#define PIECES_MAX 32

/*
 * Gives back what is below a table of level 1 of the shared set. false: it is too much for that,
 * and some may be left.
 */
static bool give_tables_below(struct shadow *shadow, uint64_t *table)
{
	struct shadow_own *own = shadow->own;
	struct shadow_root *shared = &own->shared;
	const struct shadow_page *page = shadow_page_of(table);
	unsigned given = 0;

	shadow->work += SHADOW_EMPTYING;
	for (unsigned half = 0; half < 2; half++) {
		for (unsigned i = page->first[half]; i <= page->last[half]; i++) {
			if (!shadow_is_table(shared, 1, table[i]))
				continue;
			if (given++ == PIECES_MAX)
				return false;
			shadow_pages_give(own, shadow_table(table[i]), &shared->page_count);
		}
	}
	return true;
}

/*
 * Drops a table with parts of a page of the guest's: an SFENCE.VMA for any address in the page
 * covers all of it (Priv. 1.13, 12.2.1). A root's own tables are dropped all at once, as a root
 * may have many such fences to follow, and so is everything where many tables are in the way.
 */
static __attribute__((noinline)) void drop_pieces(struct shadow *shadow, struct shadow_root *owner,
						  uint64_t *table, uint64_t va, unsigned level)
{
	struct shadow_own *own = shadow->own;
	bool spine = is_on_spine(own, owner, va, level);

	if (owner != &own->shared) {
		shadow_root_empty(shadow, owner);
		tlb_flush_asid(owner->asid);
		return;
	}
	/* What is below higher tables becomes free with all shared pages. */
	if (level == 1 && !give_tables_below(shadow, table)) {
		shadow_forget_all(shadow);
		return;
	}
	shadow->work += SHADOW_CLEARING;
	/* Pinned leaves are not in use while this code runs, all else of the spine may be. */
	shadow_table_clear(table,
			   spine && level > 0 ? shadow_index(own->spine.va, level) : PTE_ENTRIES);
	if (spine)
		add_spine(own, owner, table, level);
	if (owner->code)
		shadow->code_generation++;
	tlb_flush_all();
}

void shadow_root_drop(struct shadow *shadow, struct shadow_root *root, uint64_t va)
{
	struct shadow_own *own = shadow->own;
	uint64_t *table = root->table;

	/* Priv. 1.13, 12.2.1: an address that is not valid has no effect. */
	if (!shadow_is_canonical(root, va))
		return;
	for (unsigned l = root->level;; l--) {
		unsigned index = shadow_index(va, l);
		uint64_t value = table[index];

		if (l <= GUEST_LEVEL_MAX - 1 && unlikely(shadow_page_of(table)->pieces)) {
			drop_pieces(shadow, root, table, va, l);
			return;
		}
		if (l == 0 || !shadow_is_table(root, l, value)) {
			if (!pte_is_leaf(value) || shadow_is_reserved(own, va))
				return;
			table[index] = 0;
			retire(shadow, root, value, va);
			return;
		}
		if (l == root->slot_level && value == own->shared.table[index])
			return;
		table = shadow_table(value);
	}
}

/* For the roots that are not in use. */
static inline __attribute__((always_inline)) void note_fence(struct shadow *shadow,
							     const struct shadow_fence *fence)
{
	struct shadow_own *own = shadow->own;

	shadow->version++;
	own->log[own->log_end++ % SHADOW_LOG] = (struct shadow_log_entry){
	    .address = fence->address.v,
	    .asid = (uint16_t)fence->asid,
	    .all_addresses = fence->all_addresses,
	    .all_asids = fence->all_asids,
	};
}

void shadow_fence(struct shadow *shadow, const struct shadow_fence *fence)
{
	struct shadow_own *own = shadow->own;
	struct shadow_root *root = shadow->selected;
	uint16_t asid = (uint16_t)fence->asid;
	bool matches = root && (fence->all_asids || root->guest_asid == asid);

	shadow->work++;
	/* One for an ASID is not about global translations. */
	if (fence->all_addresses ? shadow->code_private
				 : shadow_may_have_code(shadow, fence->address.v))
		shadow->code_generation++;
	if (fence->all_addresses && fence->all_asids) {
		shadow_forget_all(shadow);
		return;
	}
	note_fence(shadow, fence);
	if (fence->all_addresses) {
		/* Global translations stay. */
		if (matches) {
			shadow_root_empty(shadow, root);
			tlb_flush_asid(root->asid);
		}
		return;
	}
	if (fence->all_asids)
		shadow_root_drop(shadow, &own->shared, fence->address.v);
	if (matches)
		shadow_root_drop(shadow, root, fence->address.v);
}

void shadow_fence_others(struct shadow *shadow, gva_t va)
{
	const struct shadow_fence fence = {.all_asids = true, .address = va};

	shadow->work++;
	if (shadow_may_have_code(shadow, va.v))
		shadow->code_generation++;
	note_fence(shadow, &fence);
}

/* A table in which a fence may have to drop more than one leaf. */
static inline bool has_pieces(const uint64_t *table, unsigned level)
{
	return level < GUEST_LEVEL_MAX && shadow_page_of(table)->pieces;
}

/*
 * The entry that ends the way to `va`, in shared tables if it leads so far: the slot of the root in
 * use must be as that of the shared set. NULL: it is not, or there are pieces.
 */
static uint64_t *find_shared(const struct shadow *shadow, uint64_t va)
{
	const struct shadow_own *own = shadow->own;
	const struct shadow_root *root = shadow->selected;
	uint64_t *table = root->table;

	if (has_pieces(own->shared.table, own->shared.level))
		return NULL;
	for (unsigned l = root->level;; l--) {
		unsigned index = shadow_index(va, l);
		uint64_t value = table[index];

		if (unlikely(has_pieces(table, l) ||
			     (l == root->slot_level && value != own->shared.table[index])))
			return NULL;
		if (l == 0 || !shadow_is_table(root, l, value))
			return l > root->slot_level ? NULL : &table[index];
		table = shadow_table(value);
	}
}

bool shadow_fence_page(struct shadow *shadow, gva_t va, bool *found)
{
	const struct shadow_fence fence = {.all_asids = true, .address = va};
	const struct shadow_root *root = shadow->selected;
	uint64_t *entry;

	if (root->slot_level == SHADOW_NO_SLOTS || !shadow_is_canonical(root, va.v) ||
	    shadow_is_reserved(shadow->own, va.v) || shadow_may_have_code(shadow, va.v))
		return false;
	entry = find_shared(shadow, va.v);
	if (!entry)
		return false;
	note_fence(shadow, &fence);
	*found = pte_is_leaf(*entry);
	if (*found) {
		*entry = 0;
		tlb_flush_page_all(va.v);
	}
	return true;
}
