/* SPDX-License-Identifier: MIT */

/*
 * The translation of Priv. 1.13, 12.3.2. All that makes an entry unusable is a page fault, so
 * the order of its checks does not matter, except that A and D are set last.
 */

#include "engine/soft/walk.h"

#include "engine/soft/code.h"
#include "kernel/mmu.h"
#include "riscv/csr.h"
#include "riscv/pte.h"

#define PTE_RESERVED BITS(62, 54) /* those of PBMT among them: Svpbmt is not offered */

/* 12.3.1: reserved where an entry points to a table. Napot entries are leaves. */
#define POINTER_RESERVED (PTE_D | PTE_A | PTE_U | PTE_N)

#define SATP_PPN BITS(43, 0)

#define PTE_ALL (PTE_V | PTE_R | PTE_W | PTE_X | PTE_U | PTE_A | PTE_D)

/* Of Svnapot there is one size, 16 pages, and one encoding in the page number. */
#define NAPOT_MASK ((uint64_t)0xf << PTE_PPN_SHIFT)
#define NAPOT_64K  ((uint64_t)0x8 << PTE_PPN_SHIFT)

/* What an access demands of an entry. */
struct demand {
	uint64_t u_mask, u_value; /* (entry & u_mask) == u_value */
	uint64_t any;             /* one of these permissions */
	uint64_t used;            /* A, or A and D */
	uint64_t reserved;        /* these must be clear */
};

static struct demand demand_of(const struct walk_context *context, enum access_kind kind)
{
	static const uint8_t permission[] = {
	    [ACCESS_FETCH] = PTE_X, [ACCESS_LOAD] = PTE_R, [ACCESS_STORE] = PTE_W};
	struct demand demand = {
	    .u_mask = PTE_U,
	    .u_value = context->user ? PTE_U : 0,
	    .any = permission[kind],
	    .used = kind == ACCESS_STORE ? PTE_A | PTE_D : PTE_A,
	    .reserved = context->svnapot ? PTE_RESERVED : PTE_RESERVED | PTE_N,
	};

	/* 12.1.1.2: S-mode never executes a user's page. */
	if (context->sum && !context->user && kind != ACCESS_FETCH)
		demand.u_mask = 0;
	if (context->mxr && kind == ACCESS_LOAD)
		demand.any |= PTE_X;
	return demand;
}

/* V is set, and nothing that is reserved: at any level, of leaves and of pointers to tables. */
static inline bool is_valid(const struct demand *demand, uint64_t entry)
{
	return entry & PTE_V && (entry & (PTE_R | PTE_W)) != PTE_W && !(entry & demand->reserved);
}

static inline bool is_permitted(const struct demand *demand, uint64_t entry)
{
	return (entry & demand->u_mask) == demand->u_value && entry & demand->any;
}

/* Whether a leaf's page number fits its level, and its N bit. */
static inline bool is_aligned_leaf(uint64_t entry, unsigned level)
{
	if (level > 0)
		return !(entry & (PTE_N | BITS(PTE_PPN_SHIFT + 9 * level - 1, PTE_PPN_SHIFT)));
	return likely(!(entry & PTE_N)) || (entry & NAPOT_MASK) == NAPOT_64K;
}

bool walk_entry_allows(const struct walk_context *context, uint64_t entry, enum access_kind kind)
{
	struct demand demand = demand_of(context, kind);

	return is_valid(&demand, entry) && is_permitted(&demand, entry) &&
	       (entry & demand.used) == demand.used && !(entry & PTE_N);
}

bool walk_mode_levels(uint64_t satp, unsigned *levels)
{
	uint64_t mode = satp >> ATP_MODE_SHIFT;

	if (mode == ATP_MODE_BARE) {
		*levels = 0;
		return true;
	}
	*levels = (unsigned)(mode - ATP_MODE_SV39) + 3;
	return mode >= ATP_MODE_SV39 && mode <= ATP_MODE_SV57;
}

static enum walk_result walk_bare(gva_t va, struct walk *walk)
{
	*walk = (struct walk){.gpa = GPA(va.v), .entry = PTE_ALL, .level = 2, .bare = true};
	return WALK_DONE;
}

/* 12.4.1: bits 63 and below are all equal to the highest bit that is translated. */
static inline bool is_canonical(gva_t va, unsigned levels)
{
	unsigned unused = 64 - pte_level_shift(levels);

	return (uint64_t)((int64_t)(va.v << unused) >> unused) == va.v;
}

/*
 * Finds the entry for `va` at walk->level, in the table at `table`: walk->gpa, walk->leaf. False
 * if no memory is mapped there. Tables of a guest are aligned to pages, so that no entry crosses
 * one.
 */
static inline bool find_entry(const struct walk_context *context, uint64_t table, gva_t va,
			      struct walk *walk)
{
	uint64_t index = va.v >> pte_level_shift(walk->level) & (PTE_ENTRIES - 1);
	unsigned level;
	hpa_t hpa;

	walk->gpa = GPA(table + index * sizeof(uint64_t));
	walk->rom = unlikely(gspace_lookup_cached(&context->guest->space, context->backing,
						  walk->gpa, &hpa, &level) != 0);
	if (walk->rom && gspace_find_rom(&context->guest->space, walk->gpa, &hpa) != 0)
		return false;
	walk->leaf = hpa_to_pointer(hpa);
	return true;
}

/* An address dependency orders what is read through a pointer to a table after this. */
static inline uint64_t read_entry(const struct walk *walk)
{
	return __atomic_load_n(walk->leaf, __ATOMIC_RELAXED);
}

static inline gpa_t leaf_target(uint64_t entry, unsigned level, gva_t va)
{
	uint64_t mask = (entry & PTE_N ? KIB(64) : BIT(pte_level_shift(level))) - 1;

	return GPA((pte_address(entry).v & ~mask) | (va.v & mask));
}

static enum walk_result finish(uint64_t entry, gva_t va, struct walk *walk)
{
	walk->gpa = leaf_target(entry, walk->level, va);
	walk->entry = entry;
	walk->global |= (entry & PTE_G) != 0;
	return WALK_DONE;
}

/* How often an entry that another vCPU changes at the same moment is looked at again. */
#define TRIES_MAX 16

/* Sets bits in the entry if it still is what was checked. */
static bool set_used(const struct walk *walk, uint64_t *entry, uint64_t used)
{
	uint64_t wanted = *entry | used;

	if (!__atomic_compare_exchange_n(walk->leaf, entry, wanted, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_RELAXED))
		return false;
	*entry = wanted;
	return true;
}

/* From the entry that find_entry() found in the root table. */
static enum walk_result walk_tables(const struct walk_context *context, const struct demand *demand,
				    gva_t va, bool update, struct walk *walk)
{
	unsigned tries = 0;

	for (;;) {
		uint64_t entry = read_entry(walk);

		if (!is_valid(demand, entry))
			return WALK_PAGE_FAULT;
		if (!pte_is_leaf(entry)) {
			if (entry & POINTER_RESERVED || walk->level == 0)
				return WALK_PAGE_FAULT;
			walk->level--;
			walk->global |= (entry & PTE_G) != 0;
			if (!find_entry(context, pte_address(entry).v, va, walk))
				return WALK_MISSING;
			continue;
		}
		if (!is_permitted(demand, entry) || !is_aligned_leaf(entry, walk->level)) {
			walk->entry = entry;
			return WALK_PAGE_FAULT;
		}
		if (likely((entry & demand->used) == demand->used))
			return finish(entry, va, walk);
		if (!update)
			return WALK_PAGE_FAULT;
		if (walk->rom)
			return WALK_READ_ONLY;
		if (code_is_protected(context->guest, walk->gpa))
			return WALK_PROTECTED;
		if (set_used(walk, &entry, demand->used))
			return finish(entry, va, walk);
		if (++tries == TRIES_MAX)
			return WALK_PROTECTED;
	}
}

enum walk_result walk_address(const struct walk_context *context, gva_t va, enum access_kind kind,
			      bool update, struct walk *walk)
{
	struct demand demand;
	unsigned levels;
	bool known = walk_mode_levels(context->satp, &levels);

	if (known && levels == 0)
		return walk_bare(va, walk);
	*walk = (struct walk){.level = levels - 1};
	if (!known || !is_canonical(va, levels))
		return WALK_PAGE_FAULT;
	if (!find_entry(context, (context->satp & SATP_PPN) << PAGE_SHIFT, va, walk))
		return WALK_MISSING;
	demand = demand_of(context, kind);
	return walk_tables(context, &demand, va, update, walk);
}
