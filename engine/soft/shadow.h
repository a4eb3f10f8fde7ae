/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_SOFT_SHADOW_H
#define ENGINE_SOFT_SHADOW_H

/*
 * The shadow page tables of one vCPU: a TLB in software that the hart walks by itself. Filled
 * by shadow_map() on faults, emptied by shadow_fence() as far as the guest's SFENCE.VMA says.
 *
 * There is a root for each (satp, view) the guest has used lately. The root in use is always up
 * to date. The others catch up when they are selected: every fence is noted in a log with a
 * number; a root remembers up to where it has followed, and one that is behind by more than the
 * log holds is emptied. So a fence costs a few lookups however many roots there are, and
 * switching address spaces costs no refill.
 *
 * Global leaves of the S-mode views are kept once: tables just below the guest's root level hang
 * in all roots (of S and SUM views) that have nothing of their own at that slot.
 *
 * Memory is bounded: when the pages are used up, the root that was used longest ago is emptied.
 * Nothing here fails. One vCPU's shadow is used by one hart at a time: there is no lock.
 */

#include "kernel/arena.h"
#include "kernel/list.h"
#include "kernel/types.h"
#include "riscv/pte.h"

/* A leaf of a page whose code was rewritten (one of the PTE's bits for software). */
#define SHADOW_CODE 0x100

/* The log of fences. */
#define SHADOW_LOG 256

/* Of shadow->work. */
#define SHADOW_EMPTYING  8
#define SHADOW_CLEARING  4
#define SHADOW_SELECTING 2
#define SHADOW_EVICTING  1
#define SHADOW_GROWING   4

/* What of the hypervisor every root contains. */
struct shadow_layout {
	unsigned root_level;  /* of the roots: 2, 3, 4 for Sv39, Sv48, Sv57 */
	bool resident;        /* the hypervisor is mapped in every root, by the next two */
	const uint64_t *root; /* its own root table: entries outside the guest's mode are copied */
	uint64_t top_entry;   /* the entry of level 2 for IMAGE_BASE, the top GiB */
	uint64_t top_entry_s; /* another one for the roots with SHADOW_SUPERVISOR; 0: the same */
	uint64_t asid_max;    /* the largest ASID of the harts; 0: they have none */
	bool passing; /* it has so few roots that it is changed without shadow_prepare_change() */

	/* Unless resident: up to two pages that stay in every root, not across a 2 MiB boundary. */
	unsigned pin_count;
	uint64_t pin_va;
	uint64_t pin_pte[2];
};

/* A fence of the guest, and what it spares. */
struct shadow_fence {
	bool all_addresses, all_asids;
	gva_t address; /* unless all_addresses */
	uint64_t asid; /* unless all_asids */
};

/* What kind of root shadow_select() is to find. */
#define SHADOW_SHARE      0x1 /* global leaves are kept in common, for all roots that say so */
#define SHADOW_SUPERVISOR 0x2 /* with layout.top_entry_s; all that share are of one kind */

struct shadow_root;
struct shadow_own;

struct shadow {
	struct arena *arena;
	struct shadow_layout layout;
	uint64_t pages, pages_max; /* taken from the arena; the bound (tables and bookkeeping) */
	/*
	 * What is known of code, by its address, is true as long as this stays: it changes when
	 * another address space is in use that may have other code (leaves with SHADOW_CODE), and
	 * when an address is fenced where any root may have code. Different views of one address
	 * space may differ meanwhile, as a TLB may from the tables.
	 */
	uint64_t code_generation;
	bool code_apart;         /* a root of the address space in use has code of its own */
	bool code_private;       /* any root has had some */
	uint64_t code_places[2]; /* of each half, where there was code: see shadow_own.h */
	/* Changes whenever a root that is not in use may have to be selected before it is used. */
	uint64_t version;
	uint64_t evictions, fills; /* how often; for tests and statistics */
	/*
	 * Counts what takes long, some 200 to 400 instructions as 1: fences that are done or
	 * followed; roots and sets that are emptied, as SHADOW_EMPTYING; new tables and those
	 * that are emptied, as SHADOW_CLEARING; another root, as SHADOW_SELECTING; one that is
	 * given up, as SHADOW_EVICTING; more pages, as SHADOW_GROWING. To be set to 0 when the
	 * guest is left: from what was done since depends how much more is done at a time.
	 */
	uint64_t work;
	struct shadow_root *selected;
	struct shadow_own *own; /* shadow_own.h; within `pages` */
};

/*
 * `pages_max`: 4 KiB pages, at least SHADOW_PAGES_MIN, of which so many are taken at once, and
 * the others as they are needed (ARENA_TABLES); if the arena has none, eviction starts earlier.
 * ERR_NOMEM.
 */
#define SHADOW_PAGES_MIN 64
int shadow_init(struct shadow *shadow, struct arena *arena, const struct shadow_layout *layout,
		uint64_t pages_max);

/*
 * Empties everything, and from then on builds roots of this layout, whose asid_max is that of the
 * one before. None is selected then. The hart's satp must not name a root of this shadow meanwhile.
 */
void shadow_change_layout(struct shadow *shadow, const struct shadow_layout *layout);

/*
 * Gives up roots, some at a time, so that shadow_change_layout() takes no longer than interrupts
 * may be off. false: there are too many still. The one in use stays.
 */
bool shadow_prepare_change(struct shadow *shadow);

/*
 * Makes the root of (satp, view) the one in use, up to date with all fences, and returns the value
 * for the hart's satp: mode of layout.root_level, ASID, page number. `flags`: SHADOW_SHARE and
 * SHADOW_SUPERVISOR. Different views of one satp are different roots; so is satp with another ASID
 * or mode. `levels`: of the guest's mode (0 for Bare: then nothing is global, and addresses are
 * those of the lower half).
 *
 * The root that was in use before may still be the hart's until its satp is written: of the
 * hypervisor it goes on containing all. Where the value has ASID 0 an SFENCE.VMA must follow
 * the write, as until then the hart may fetch more of that root's translations.
 */
uint64_t shadow_select(struct shadow *shadow, uint64_t satp, unsigned view, unsigned levels,
		       unsigned flags);

/*
 * Enters a leaf for the page of 2^(12 + 9 * level) bytes around `va` into the root in use, in
 * place of what there is. `pte` is complete (V, R, W, X, U, A, D, SHADOW_CODE, page number).
 * level 0 or 1. The hart may go on using what it had before for other pages, but not for this.
 * `va` is an address of the guest's mode. Nothing is entered over the hypervisor's own pages (the
 * top GiB, the pinned pages); a large page around pinned ones is entered in part.
 *
 * Returns the entry in its table (of PTE_ENTRIES, for the pages beside it), true until the next
 * call of any function; NULL where nothing was entered.
 */
const uint64_t *shadow_map(struct shadow *shadow, gva_t va, unsigned level, uint64_t pte,
			   bool global);

/*
 * The same for a page of an emulated device, at a guest-physical address: a leaf that lacks V, so
 * that the hart finds nothing, with `rights`: R, W or both. Fences drop it as they do all leaves.
 */
void shadow_map_device(struct shadow *shadow, gva_t va, gpa_t gpa, uint64_t rights, bool global);

/*
 * To be called after shadow_map(), where the guest's own page around `va` is larger than the leaf:
 * 2^(12 + 9 * guest_level) bytes, guest_level 1 to 3 (1 for 64 KiB, too). A fence for an address
 * in it then drops all leaves within it.
 */
void shadow_note_piece(struct shadow *shadow, gva_t va, unsigned guest_level);

/* The leaf for `va` in the root in use, and its level; 0: none. */
uint64_t shadow_find(const struct shadow *shadow, gva_t va, unsigned *level);

/* What shadow_map_device() has entered for `va` in the root in use; 0: nothing. */
uint64_t shadow_find_device(const struct shadow *shadow, gva_t va);

/*
 * Whether anything may have been entered at addresses of the lower half into the root in use, or
 * among the global leaves.
 */
bool shadow_uses_low_half(const struct shadow *shadow);

/* Does what the guest's SFENCE.VMA says (Priv. 1.13, 12.2.1). */
void shadow_fence(struct shadow *shadow, const struct shadow_fence *fence);

/*
 * The same for one address and all ASIDs, of which the root in use and the global set have nothing:
 * it is about other roots.
 */
void shadow_fence_others(struct shadow *shadow, gva_t va);

/*
 * The same for one address and all ASIDs, where that takes few steps: no code is near it, and
 * neither parts of a larger page nor tables of the root's own are on the way. *found: there was a
 * leaf for it. false: nothing was done.
 */
bool shadow_fence_page(struct shadow *shadow, gva_t va, bool *found);

/* Forgets all translations: another vCPU's view of memory changed under them. */
void shadow_flush(struct shadow *shadow);

/*
 * The hart loses all translations it holds of this shadow: on this hart another vCPU ran, or this
 * one ran elsewhere.
 */
void shadow_enter_hart(struct shadow *shadow);

#endif
