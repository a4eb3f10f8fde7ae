/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_SOFT_SHADOW_OWN_H
#define ENGINE_SOFT_SHADOW_OWN_H

/*
 * Between the files of the shadow page tables: shadow.c (leaves), shadow_root.c (roots and the
 * log), shadow_pages.c (memory).
 *
 * Every root contains the hypervisor at one place, the spine: the tables on the way from the root
 * to the top GiB, or to the pinned pages. As long as the guest needs nothing beside it there, an
 * entry on this way is that of the hypervisor's own (or a common) table, root->spine[level], and
 * counts as empty. Only when the guest needs a table there is one built for it, with the rest
 * of the spine in it. So a root that is emptied is given back the first of these entries, and
 * contains the hypervisor at every moment: this code runs on it.
 */

#include "engine/soft/shadow.h"
#include "kernel/mmu.h"

#define SHADOW_ROOTS   256
#define SHADOW_BUCKETS 64
#define SHADOW_VIEWS   8 /* for which the root used last is remembered */

/* Pages come from the arena in blocks of this order; the first of each describes the others. */
#define SHADOW_CHUNK_ORDER 4
#define SHADOW_CHUNK_PAGES (1U << SHADOW_CHUNK_ORDER)

/* Free pages that suffice for any one leaf: a table of each level, and a shared one. */
#define SHADOW_RESERVE 6

/* Entries outside these two ranges, one in each half of the table, are 0. */
struct shadow_page {
	struct list link;
	uint16_t first[2], last[2];
	bool pieces; /* may contain parts of a guest's page that is as large as all of it */
} __aligned(32);

struct shadow_root {
	uint64_t satp;
	uint32_t key;  /* view, levels and flags; SHADOW_KEY_NONE: not in use */
	uint16_t asid; /* the hart's */
	uint16_t guest_asid;
	uint8_t level;      /* of `table` */
	uint8_t slot_level; /* where shared tables hang; SHADOW_NO_SLOTS */
	uint8_t bits;       /* an address is the guest's if (va + bias) >> bits is 0 */
	bool code; /* may differ from other roots in leaves with SHADOW_CODE; until emptied */
	uint64_t bias;
	const uint64_t *spine; /* what it has of the hypervisor, by level: own->spine.entries[] */
	uint64_t *table;
	uint64_t value;    /* for the hart's satp */
	uint64_t position; /* up to where it followed the log */
	struct list use;   /* own->by_use */
	struct list pages; /* its tables but the first */
	uint64_t page_count;
	struct shadow_root *next;  /* in its bucket, or among those not in use */
	struct shadow_root **link; /* what points to it in its bucket */
};

#define SHADOW_KEY_NONE UINT32_MAX
#define SHADOW_NO_SLOTS UINT8_MAX

struct shadow_log_entry {
	uint64_t address;
	uint16_t asid;
	bool all_addresses, all_asids;
};

struct shadow_own {
	/*
	 * The global leaves, for all roots with slots: `table` is no table of a hart but the
	 * directory of the shared tables by the index that they have at their slot_level.
	 */
	struct shadow_root shared;

	/* What of the hypervisor is in every root. */
	struct {
		uint64_t va;
		/*
		 * By level; 0: the spine has ended above. The second is for the roots with
		 * SHADOW_SUPERVISOR.
		 */
		uint64_t entries[2][PTE_LEVELS_MAX];
		uint64_t first, count; /* page number and number of pages that nobody may map */
	} spine;

	struct list by_use;      /* roots in use: the one first that was selected longest ago */
	unsigned root_count;     /* of them */
	struct list free, fixed; /* pages; `fixed`: root tables, the spine, the directory */
	uint64_t free_count, fixed_count;

	/* Roots whose position is before the barrier have to be emptied. */
	uint64_t log_end, barrier;
	uint64_t divided[PTE_ENTRIES / 64]; /* a bit for each slot: some root has its own table */
	uint64_t spurious; /* page number of the last leaf that was there already */

	struct shadow_root *unused;
	struct shadow_root *recent[SHADOW_VIEWS];
	struct shadow_root *buckets[SHADOW_BUCKETS];
	struct shadow_log_entry log[SHADOW_LOG];
	struct shadow_root roots[SHADOW_ROOTS];
};

static inline unsigned shadow_index(uint64_t va, unsigned level)
{
	return (unsigned)(va >> pte_level_shift(level)) & (PTE_ENTRIES - 1);
}

static inline uint64_t *shadow_table(uint64_t entry)
{
	return hpa_to_pointer(pte_address(entry));
}

/* Whether an entry of the root's tables points to a table of the guest's. */
static inline bool shadow_is_table(const struct shadow_root *root, unsigned level, uint64_t entry)
{
	return (entry & (PTE_V | PTE_R | PTE_W | PTE_X)) == PTE_V && entry != root->spine[level];
}

/* Whether the page is one of the hypervisor's own. */
static inline bool shadow_is_reserved(const struct shadow_own *own, uint64_t va)
{
	return (va >> PAGE_SHIFT) - own->spine.first < own->spine.count;
}

static inline bool shadow_is_canonical(const struct shadow_root *root, uint64_t va)
{
	return (va + root->bias) >> root->bits == 0;
}

static inline struct shadow_page *shadow_page_of(const uint64_t *entry)
{
	uintptr_t address = (uintptr_t)entry;
	uintptr_t chunk = address & ~((PAGE_SIZE << SHADOW_CHUNK_ORDER) - 1);

	return (struct shadow_page *)chunk + ((address - chunk) >> PAGE_SHIFT);
}

/*
 * The bit for an address in shadow->code_places[], by 2 MiB: the halves are apart, since programs
 * are in one, their kernel with its code in the other.
 */
static inline uint64_t shadow_place(uint64_t va)
{
	uint64_t region = va >> MEGAPAGE_SHIFT;

	return BIT((region ^ region >> 6) & 63);
}

static inline bool shadow_may_have_code(const struct shadow *shadow, uint64_t va)
{
	return shadow->code_places[va >> 63] & shadow_place(va);
}

/* To be called for each entry that is written where there was 0. */
static inline void shadow_note(const uint64_t *entry)
{
	struct shadow_page *page = shadow_page_of(entry);
	uint16_t index = (uint16_t)((uintptr_t)entry % PAGE_SIZE / sizeof(*entry));
	unsigned half = index / (PTE_ENTRIES / 2);

	if (index < page->first[half])
		page->first[half] = index;
	if (index > page->last[half])
		page->last[half] = index;
}

/* shadow_pages.c */

/* Sets up shadow->own, in the first pages, and takes SHADOW_PAGES_MIN. ERR_NOMEM. */
int shadow_pages_init(struct shadow *shadow);

/* Takes one more chunk from the arena, as far as the bound and the arena allow. */
bool shadow_pages_grow(struct shadow *shadow);

/* An empty table; there must be a free page. It is linked into `list`. */
uint64_t *shadow_pages_take(struct shadow_own *own, struct list *list, uint64_t *count);

/* Frees what shadow_pages_take() linked into the list: all of it, or one table. */
void shadow_pages_give_all(struct shadow_own *own, struct list *list, uint64_t *count);
void shadow_pages_give(struct shadow_own *own, uint64_t *table, uint64_t *count);

/* Clears the table but for entry `keep` (PTE_ENTRIES: without exception). */
void shadow_table_clear(uint64_t *table, unsigned keep);

/* shadow_root.c */

/* Makes `count` pages free, by growth or eviction. A root in use stays, but may be emptied. */
void shadow_make_room(struct shadow *shadow, uint64_t count);

/* Empties the root or the shared set. The hart may still hold all of its translations. */
void shadow_root_empty(struct shadow *shadow, struct shadow_root *root);

/* Makes all translations of all roots invalid, here and in the hart. */
void shadow_forget_all(struct shadow *shadow);

/* shadow.c */

/* Takes the leaf for `va` out of what is the root's own, and out of the hart. */
void shadow_root_drop(struct shadow *shadow, struct shadow_root *root, uint64_t va);

#endif
