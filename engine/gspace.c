/* SPDX-License-Identifier: MIT */

#include "engine/gspace.h"

#include "kernel/error.h"
#include "kernel/mmu.h"
#include "riscv/pte.h"

/* G-stage leaves need U: all accesses count as user's there (Priv. 1.13, 18.5.1). */
#define LEAF_FLAGS (PTE_V | PTE_R | PTE_W | PTE_X | PTE_U | PTE_A | PTE_D)

/* The bits that hardware ignores (RSW) mark what is no RAM. */
#define LEAF_DEVICE  0x100
#define LEAF_ROM     0x200
#define DEVICE_FLAGS ((LEAF_FLAGS & ~PTE_X) | LEAF_DEVICE)
#define ROM_FLAGS    ((LEAF_FLAGS & ~(PTE_W | PTE_D)) | LEAF_ROM)

unsigned gspace_address_bits(unsigned root_level)
{
	return pte_level_shift(root_level + 1) + 2;
}

uint64_t gspace_table_bytes(uint64_t size)
{
	return size / 256 + KIB(64);
}

int gspace_init(struct gspace *space, struct arena *arena, unsigned root_level)
{
	space->lock = (struct spinlock)SPINLOCK_INIT;
	space->arena = arena;
	space->root_level = root_level;
	space->hidings = 0;
	space->root = arena_alloc_pages(arena, GSPACE_ROOT_ORDER, ARENA_TABLES);
	return space->root ? 0 : ERR_NOMEM;
}

/* The root has 2048 entries, every other table 512. */
static uint64_t entry_index(const struct gspace *space, gpa_t gpa, unsigned level)
{
	uint64_t mask = level == space->root_level ? 4 * PTE_ENTRIES - 1 : PTE_ENTRIES - 1;

	return gpa.v >> pte_level_shift(level) & mask;
}

static bool in_range(const struct gspace *space, gpa_t gpa)
{
	return gpa.v >> gspace_address_bits(space->root_level) == 0;
}

static uint64_t read_entry(const uint64_t *entry)
{
	return __atomic_load_n(entry, __ATOMIC_ACQUIRE);
}

static int map(struct gspace *space, gpa_t gpa, hpa_t hpa, unsigned level, uint64_t flags)
{
	uint64_t *table = space->root;
	int error = 0;

	if (!in_range(space, gpa))
		return ERR_RANGE;
	spin_lock(&space->lock);
	for (unsigned l = space->root_level;; l--) {
		uint64_t *entry = &table[entry_index(space, gpa, l)];

		if (l == level || pte_is_leaf(*entry)) {
			if (*entry & PTE_V)
				error = ERR_EXIST;
			else
				__atomic_store_n(entry, pte_make(hpa, flags), __ATOMIC_RELEASE);
			break;
		}
		if (!(*entry & PTE_V)) {
			uint64_t *next = arena_alloc_pages(space->arena, 0, ARENA_TABLES);

			if (!next) {
				error = ERR_NOMEM;
				break;
			}
			__atomic_store_n(entry, pte_make(pointer_to_hpa(next), PTE_V),
					 __ATOMIC_RELEASE);
		}
		table = hpa_to_pointer(pte_address(*entry));
	}
	spin_unlock(&space->lock);
	return error;
}

int gspace_map(struct gspace *space, gpa_t gpa, hpa_t hpa, unsigned level)
{
	return map(space, gpa, hpa, level, LEAF_FLAGS);
}

int gspace_map_device(struct gspace *space, gpa_t gpa, hpa_t hpa, unsigned level)
{
	return map(space, gpa, hpa, level, DEVICE_FLAGS);
}

int gspace_map_rom(struct gspace *space, gpa_t gpa, hpa_t hpa)
{
	return map(space, gpa, hpa, 0, ROM_FLAGS);
}

/* The entry for the 2 MiB around `gpa`, or NULL; it may be hidden. */
static uint64_t *megapage_entry(struct gspace *space, gpa_t gpa)
{
	uint64_t *table = space->root;

	for (unsigned l = space->root_level; l > 1; l--) {
		uint64_t entry = table[entry_index(space, gpa, l)];

		if (!(entry & PTE_V) || pte_is_leaf(entry))
			return NULL;
		table = hpa_to_pointer(pte_address(entry));
	}
	return &table[entry_index(space, gpa, 1)];
}

/* A table that is hidden is an entry that lacks V: the rest of it means nothing to hardware. */
void gspace_show_rom(struct gspace *space, gpa_t gpa, uint64_t size, bool shown)
{
	spin_lock(&space->lock);
	for (uint64_t done = 0; done < size; done += MEGAPAGE_SIZE) {
		uint64_t *entry = megapage_entry(space, GPA(gpa.v + done));

		if (entry && *entry)
			__atomic_store_n(entry, shown ? *entry | PTE_V : *entry & ~(uint64_t)PTE_V,
					 __ATOMIC_RELEASE);
	}
	if (!shown)
		__atomic_add_fetch(&space->hidings, 1, __ATOMIC_SEQ_CST);
	spin_unlock(&space->lock);
}

void gspace_unmap_rom(struct gspace *space, gpa_t gpa, uint64_t size)
{
	spin_lock(&space->lock);
	for (uint64_t done = 0; done < size; done += PAGE_SIZE) {
		gpa_t page = GPA(gpa.v + done);
		uint64_t *entry = megapage_entry(space, page);

		if (entry && *entry) {
			uint64_t *table = hpa_to_pointer(pte_address(*entry));

			__atomic_store_n(&table[entry_index(space, page, 0)], 0, __ATOMIC_RELAXED);
		}
	}
	spin_unlock(&space->lock);
}

/* The leaf for `gpa`, if it is of that kind. */
static inline int find_leaf(const struct gspace *space, gpa_t gpa, uint64_t kind, hpa_t *hpa,
			    unsigned *level)
{
	const uint64_t *table = space->root;

	if (!in_range(space, gpa))
		return ERR_NOENT;
	for (unsigned l = space->root_level;; l--) {
		uint64_t pte = read_entry(&table[entry_index(space, gpa, l)]);

		if (!(pte & PTE_V))
			return ERR_NOENT;
		if (pte_is_leaf(pte)) {
			if ((pte & (LEAF_DEVICE | LEAF_ROM)) != kind)
				return ERR_NOENT;
			uint64_t mask = BIT(pte_level_shift(l)) - 1;

			*hpa = HPA((pte_address(pte).v & ~mask) | (gpa.v & mask));
			*level = l;
			return 0;
		}
		table = hpa_to_pointer(pte_address(pte));
	}
}

int gspace_lookup(const struct gspace *space, gpa_t gpa, hpa_t *hpa, unsigned *level)
{
	return find_leaf(space, gpa, 0, hpa, level);
}

int gspace_find_device(const struct gspace *space, gpa_t gpa, hpa_t *hpa)
{
	unsigned level;

	return find_leaf(space, gpa, LEAF_DEVICE, hpa, &level);
}

int gspace_find_rom(const struct gspace *space, gpa_t gpa, hpa_t *hpa)
{
	unsigned level;

	return find_leaf(space, gpa, LEAF_ROM, hpa, &level);
}

int gspace_lookup_slowly(const struct gspace *space, struct gspace_cache *cache, gpa_t gpa,
			 hpa_t *hpa, unsigned *level)
{
	uint64_t number = (gpa.v >> 21) + 1;
	int error = gspace_lookup(space, gpa, hpa, level);

	if (!error && *level >= 1) {
		cache->pages[number % GSPACE_CACHE].number = number;
		cache->pages[number % GSPACE_CACHE].offset = hpa->v - gpa.v;
	}
	return error;
}

bool gspace_is_free(const struct gspace *space, gpa_t gpa, unsigned level)
{
	const uint64_t *table = space->root;

	for (unsigned l = space->root_level;; l--) {
		uint64_t pte = read_entry(&table[entry_index(space, gpa, l)]);

		if (l == level || !(pte & PTE_V) || pte_is_leaf(pte))
			return !(pte & PTE_V);
		table = hpa_to_pointer(pte_address(pte));
	}
}
