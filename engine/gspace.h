/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_GSPACE_H
#define ENGINE_GSPACE_H

/*
 * A guest-physical address space: where each page of a guest lies in the host's memory. It
 * has the format of the H extension's second-stage tables (Priv. 1.13, 18.5.1), so that
 * hardware can walk it as it is; a software engine walks it by gspace_lookup().
 */

#include "kernel/arena.h"
#include "kernel/types.h"

#define GSPACE_ROOT_ORDER 2 /* 16 KiB: two more address bits than Sv39, Sv48, Sv57 */

struct gspace {
	struct spinlock lock; /* guards changes; reading takes no lock */
	struct arena *arena;  /* where tables come from */
	uint64_t *root;
	unsigned root_level; /* 2, 3 or 4: Sv39x4, Sv48x4, Sv57x4 */
	uint64_t hidings;    /* how often something that was mapped was hidden; atomic */
};

/* How many guest-physical address bits a root level translates: 41, 50 or 59. */
unsigned gspace_address_bits(unsigned root_level);

/* Bytes of tables that map so much memory in 4 KiB pages, at most, the root included. */
uint64_t gspace_table_bytes(uint64_t size);

/* ERR_NOMEM. */
int gspace_init(struct gspace *space, struct arena *arena, unsigned root_level);

/*
 * Maps one page of 2^(12 + 9 * level) bytes, readable, writable and executable, A and D set.
 * Both addresses are aligned to that. ERR_EXIST if something is mapped there already (another
 * vCPU was quicker, say), ERR_NOMEM, ERR_RANGE. Takes space->lock.
 */
int gspace_map(struct gspace *space, gpa_t gpa, hpa_t hpa, unsigned level);

/*
 * The same for a page of a device's registers: not executable, and not found by gspace_lookup(), as
 * it is no memory that the hypervisor could reach. Before the guest runs.
 */
int gspace_map_device(struct gspace *space, gpa_t gpa, hpa_t hpa, unsigned level);

/* Where a device's register at `gpa` lies; ERR_NOENT if there is none. No lock. */
int gspace_find_device(const struct gspace *space, gpa_t gpa, hpa_t *hpa);

/*
 * The same for 4 KiB of memory that the guest may read and execute, but not write; not found by
 * gspace_lookup() either. Not while it is hidden.
 */
int gspace_map_rom(struct gspace *space, gpa_t gpa, hpa_t hpa);

/* Where such memory lies; ERR_NOENT if there is none at `gpa`, or it is hidden. No lock. */
int gspace_find_rom(const struct gspace *space, gpa_t gpa, hpa_t *hpa);

/*
 * Hides a range of 2 MiB pages in which nothing but such memory was ever mapped, or shows it again.
 * The guest has lost what was hidden when all its vCPUs have been told to forget (VCPU_FLUSH).
 * Takes space->lock.
 */
void gspace_show_rom(struct gspace *space, gpa_t gpa, uint64_t size, bool shown);

/* Takes such pages away, which are hidden. Takes space->lock. */
void gspace_unmap_rom(struct gspace *space, gpa_t gpa, uint64_t size);

/* Where `gpa` lies; *level tells the page's size. ERR_NOENT if no memory is mapped. No lock. */
int gspace_lookup(const struct gspace *space, gpa_t gpa, hpa_t *hpa, unsigned *level);

/*
 * What one reader has found lately, for looking things up again quickly: pages of 2 MiB and more.
 * It stays true, as memory that is mapped for writing stays mapped. All zeroes: nothing.
 */
#define GSPACE_CACHE 64

struct gspace_cache {
	struct {
		uint64_t number; /* of the 2 MiB page, plus 1 */
		uint64_t offset; /* host-physical minus guest-physical */
	} pages[GSPACE_CACHE];
};

/* gspace_lookup() by way of a cache, which is the caller's alone. */
int gspace_lookup_slowly(const struct gspace *space, struct gspace_cache *cache, gpa_t gpa,
			 hpa_t *hpa, unsigned *level);

static inline int gspace_lookup_cached(const struct gspace *space, struct gspace_cache *cache,
				       gpa_t gpa, hpa_t *hpa, unsigned *level)
{
	uint64_t number = (gpa.v >> 21) + 1;
	uint64_t index = number % GSPACE_CACHE;

	if (unlikely(cache->pages[index].number != number))
		return gspace_lookup_slowly(space, cache, gpa, hpa, level);
	hpa->v = gpa.v + cache->pages[index].offset;
	*level = 1;
	return 0;
}

/* Whether nothing at all is mapped within the page of that level around `gpa`. No lock. */
bool gspace_is_free(const struct gspace *space, gpa_t gpa, unsigned level);

#endif
