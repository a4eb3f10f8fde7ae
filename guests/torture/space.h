/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_TORTURE_SPACE_H
#define GUESTS_TORTURE_SPACE_H

#include "guests/lib/paging.h"
#include "guests/lib/sync.h"
#include "guests/torture/pool.h"

/*
 * Page tables with a history. A root has slots, the same in all roots: 2 MiB of addresses each,
 * mapped by a leaf or by a table, of which some pages are used.
 */
#define SLOTS        6
#define SLOT_PAGES   8
#define PAGES        (SLOTS * SLOT_PAGES)
#define RING         16
#define SHARED_ROOTS 3

/* In entries, in bits that the machine ignores: of a large page; global because the table is. */
#define PTE_LARGE        BIT(9)
#define PTE_GLOBAL_ABOVE BIT(8)

/* What the pages of a slot were mapped to at one time; A and D as software wrote them. */
struct version {
	uint64_t pte[SLOT_PAGES];
};

/*
 * Versions are numbered from 1 on. Version `pending` may be in memory, all of `committed` is.
 * Whoever changes a slot holds its lock.
 */
struct slot {
	struct spinlock lock;
	uint64_t va;
	volatile uint64_t *entry; /* at level 1 */
	volatile uint64_t *table;
	uint64_t pending, committed;
	uint64_t restructured;        /* the version that last changed `entry` to or from a table */
	uint64_t written[SLOT_PAGES]; /* those that last wrote the page's entry */
	bool large, table_global;
	uint64_t storing, stored; /* stores under way now; the latest version any was done at */
	struct version ring[RING];
};

struct root {
	struct paging tables;
	struct slot slots[SLOTS];
	bool shared, full;
	uint64_t filler; /* what the leaves map that fill a full root table */
};

struct worker;

extern const uint16_t slot_index[SLOT_PAGES];
extern struct root shared_roots[SHARED_ROOTS];

uint64_t page_va(unsigned int page);
uint64_t slot_va(unsigned int slot);

/* Makes a root, on the boot hart. `full`: no entry of its root table stays empty. */
void root_init(struct root *root, bool shared, bool full);

/*
 * Changes a slot: take, modify the copy of the current version that is given, then give back,
 * which writes the tables. `pages` are bits of those whose entries are to be written; for a large
 * page, and when it becomes one or a table, all are.
 */
struct version *slot_take(struct worker *w, struct slot *slot);
void slot_give(struct slot *slot, unsigned int pages, bool large, bool table_global);

/* The entry in memory that maps this page of the slot. */
volatile uint64_t *slot_entry(struct slot *slot, unsigned int index);

static inline const struct version *slot_version(const struct slot *slot, uint64_t number)
{
	return &slot->ring[number % RING];
}

/* The frame that an entry names; POOL_FRAMES if it is none. */
static inline uint64_t pte_frame(uint64_t pte)
{
	return frame_at((pte & BITS(53, 10)) >> 10 << PAGE_SHIFT);
}

static inline bool pte_is_global(uint64_t pte)
{
	return pte & (PTE_G | PTE_GLOBAL_ABOVE);
}

#endif
