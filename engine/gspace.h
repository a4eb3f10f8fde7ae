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

/* Where `gpa` lies; *level tells the page's size. ERR_NOENT if nothing is mapped. No lock. */
int gspace_lookup(const struct gspace *space, gpa_t gpa, hpa_t *hpa, unsigned *level);

/* Whether nothing at all is mapped within the page of that level around `gpa`. No lock. */
bool gspace_is_free(const struct gspace *space, gpa_t gpa, unsigned level);

#endif
