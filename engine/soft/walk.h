/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_SOFT_WALK_H
#define ENGINE_SOFT_WALK_H

/*
 * Walks a guest's page tables as its hart would (Priv. 1.13, 12.3.2), for any access, and sets
 * A and D in its entries (as with Svadu). The tables are whatever a guest put into its memory;
 * other vCPUs change them meanwhile: each entry is read once, and A and D are set by
 * compare-and-swap. Plain C.
 */

#include "engine/exit.h"
#include "engine/guest.h"
#include "kernel/types.h"

enum walk_result {
	WALK_DONE,
	WALK_PAGE_FAULT, /* walk->entry: a leaf that refuses this access, maybe not others; or 0 */
	/* An entry that has to be read is in no memory that is mapped: walk->gpa tells where.
	   Whether there is RAM to be backed is for others to say. */
	WALK_MISSING,
	/* A or D has to be set in an entry at walk->gpa, whose page must not be written
	   (code_is_protected(), engine/soft/code.h), or that others write all the time. */
	WALK_PROTECTED,
	/* A or D has to be set in an entry at walk->gpa, in memory that cannot be written. */
	WALK_READ_ONLY,
};

struct walk {
	gpa_t gpa;      /* the address translated; or see above */
	uint64_t entry; /* the leaf as it is now, PTE_… ; in bare mode all permissions, A, D */
	unsigned level; /* of the leaf: its page has 2^(12 + 9 * level) bytes; bare mode: 2 */
	bool global;    /* G in the leaf or in an entry above it */
	bool bare;      /* satp.MODE is Bare */
	bool rom;       /* the table that was read last is in memory that cannot be written */
	uint64_t *leaf; /* where the leaf lies in the host's memory; NULL in bare mode */
};

/* Which accesses are allowed besides the entry's own bits. */
struct walk_context {
	const struct guest *guest;
	struct gspace_cache *backing; /* of guest->space */
	uint64_t satp;
	bool user;     /* the access is made by U-mode */
	bool sum, mxr; /* of sstatus */
	bool svnapot;  /* N in an entry means 64 KiB; else it is reserved */
};

/*
 * Translates `va` for an access of this kind. All permissions are checked. `update`: set A,
 * and D for a store, where they are clear; else an entry that lacks them is WALK_PAGE_FAULT.
 * With svnapot, walk->gpa is exact, and the leaf counts as level 0.
 * Whether anything is mapped at the address translated is not looked at; in bare mode it may be
 * any 64-bit number. *walk is complete only with WALK_DONE. Any hart, no lock; all that
 * guest->space maps is memory in the direct map.
 */
enum walk_result walk_address(const struct walk_context *context, gva_t va, enum access_kind kind,
			      bool update, struct walk *walk);

/*
 * Whether the entry allows the access, for entries found beside a leaf (prefilling): V, A (and
 * D for a store) set, nothing reserved, and the permissions of the context. `entry` is a leaf
 * candidate of level 0 without N.
 */
bool walk_entry_allows(const struct walk_context *context, uint64_t entry, enum access_kind kind);

/* Whether satp.MODE is Bare, Sv39, Sv48 or Sv57, and how many levels it has (0: Bare). */
bool walk_mode_levels(uint64_t satp, unsigned *levels);

#endif
