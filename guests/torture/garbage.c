/* SPDX-License-Identifier: MIT */
/*
 * Tables full of random entries: cyclic ones, tables that are pages at the same time, tables and
 * pages outside RAM. They belong to one worker, and a fence precedes each access, so what comes
 * of it is certain.
 */
#include "guests/torture/probe.h"
#include "guests/torture/torture.h"

#define TABLES 16

/* Entries of the root table: what lies below is random, and the root itself. */
#define INDEX_RANDOM 5
#define INDEX_ITSELF 6

enum walk_end { WALK_WORKS, WALK_PAGE_FAULT, WALK_ACCESS_FAULT, WALK_BROKEN };

struct walk {
	enum walk_end end;
	uint64_t address;
};

static uint64_t random_table(struct worker *w)
{
	return (uint64_t)w->garbage_tables + PAGE_SIZE * random_below(w, TABLES);
}

static uint64_t random_entry(struct worker *w)
{
	static const uint64_t devices[] = {UART_BASE, PLIC_BASE, VIRTIO_BASE, FINISHER_BASE};
	uint64_t r = random_next(&w->random);
	uint64_t flags = PTE_V | PTE_R | PTE_A | PTE_D | (r & (PTE_W | PTE_X | PTE_U));

	switch (random_below(w, 16)) {
	case 0:
	case 1:
	case 2:
	case 3:
		return pte_make(random_table(w), PTE_V);
	case 4:
		return pte_make(random_table(w), flags);
	case 5:
		return pte_make(pool_base + MIB(2) * random_below(w, POOL_LARGE), flags);
	case 6:
		return pte_make(chance(w, 50) ? NOWHERE : BIT(55) | random_table(w),
				chance(w, 50) ? PTE_V : flags);
	case 7:
		return pte_make(devices[random_below(w, ARRAY_SIZE(devices))], PTE_V);
	case 8:
		return pte_make(random_table(w), flags) | (r & BITS(58, 54));
	case 9:
		return pte_make(random_table(w), PTE_V | (r & BITS(58, 54)));
	case 10:
		return pte_make(random_table(w), r & BITS(9, 0) & ~(uint64_t)PTE_G);
	case 11:
		return 0;
	default:
		return pte_make(frame_address(random_below(w, POOL_FRAMES)),
				flags & ~(r >> 10 & (PTE_A | PTE_D)));
	}
}

void garbage_init(struct worker *w)
{
	paging_init_identity(&w->garbage, settings.levels);
	paging_map(&w->garbage, USER_CODE, (uint64_t)probe_user, 0,
		   PTE_V | PTE_X | PTE_U | PTE_A | PTE_D);
	w->garbage_tables = heap_take(TABLES * PAGE_SIZE);
	for (uint64_t i = 0; i < TABLES * PAGE_SIZE / 8; i++)
		w->garbage_tables[i] = random_entry(w);
	w->garbage.root[INDEX_RANDOM] = pte_make((uint64_t)w->garbage_tables, PTE_V);
	w->garbage.root[INDEX_ITSELF] = pte_make((uint64_t)w->garbage.root, PTE_V);
}

static bool in_ram(uint64_t address)
{
	return range_within(address, 8, machine.ram_base, machine.ram_size);
}

/* Whether a load is allowed by a leaf. */
static bool allowed(const struct worker *w, uint64_t pte, unsigned int level, bool user)
{
	if (user ? !(pte & PTE_U) : (pte & PTE_U) && !w->sum)
		return false;
	if (!(pte & PTE_R) && !(w->mxr && (pte & PTE_X)))
		return false;
	if (pte >> 10 & (BIT(9 * level) - 1))
		return false;
	return settings.sets_accessed || (pte & PTE_A);
}

/* Priv. 1.13, 12.3.2, for a load. */
static struct walk walk(const struct worker *w, uint64_t va, bool user)
{
	uint64_t table = (uint64_t)w->garbage.root;

	for (unsigned int level = settings.levels - 1;; level--) {
		uint64_t place = table + 8 * (va >> (PAGE_SHIFT + 9 * level) & 511), pte;

		if (!in_ram(place))
			return (struct walk){WALK_BROKEN, place};
		pte = *(volatile uint64_t *)place;
		if (!(pte & PTE_V) || (!(pte & PTE_R) && (pte & PTE_W)) || pte & BITS(63, 54))
			return (struct walk){WALK_PAGE_FAULT, place};
		table = pte >> 10 << PAGE_SHIFT;
		if (pte & PTE_LEAF) {
			uint64_t address = table | (va & (paging_size(level) - 1));

			if (!allowed(w, pte, level, user))
				return (struct walk){WALK_PAGE_FAULT, place};
			return (struct walk){in_ram(address) ? WALK_WORKS : WALK_ACCESS_FAULT,
					     address};
		}
		/* D, A and U are reserved in an entry that is no leaf (12.4.1). */
		if (level == 0 || pte & (PTE_D | PTE_A | PTE_U))
			return (struct walk){WALK_PAGE_FAULT, place};
	}
}

/* A walk that reads what cannot be read is an access fault; QEMU says page fault. */
static bool fits(const struct walk *walk, uint64_t cause, uint64_t value)
{
	switch (walk->end) {
	case WALK_WORKS:
		return cause == 0 && value == *(volatile uint64_t *)walk->address;
	case WALK_PAGE_FAULT:
		return cause == EXC_LOAD_PAGE;
	case WALK_ACCESS_FAULT:
		return cause == EXC_LOAD_ACCESS;
	default:
		return cause == EXC_LOAD_PAGE || cause == EXC_LOAD_ACCESS;
	}
}

static bool in_tables(const struct worker *w, uint64_t address)
{
	return range_within(address, 8, (uint64_t)w->garbage_tables, TABLES * PAGE_SIZE);
}

static void access_garbage(struct worker *w)
{
	const struct fence fence = {.all_addresses = true, .asid = GARBAGE_ASID};
	uint64_t index = chance(w, 85) ? INDEX_RANDOM : INDEX_ITSELF;
	uint64_t va = index << (3 + 9 * settings.levels), value, cause;
	bool user = chance(w, 30);
	struct walk expected;

	va |= random_next(&w->random) & BITS(2 + 9 * settings.levels, 12);
	va |= align_down(random_below(w, FRAME_FIXED), 8);
	fence_here(w, &fence, false);
	expected = walk(w, va, user);
	/* Devices do things when they are read; other workers' memory changes. */
	if (expected.end == WALK_ACCESS_FAULT && expected.address < machine.ram_base &&
	    align_down(expected.address, PAGE_SIZE) != NOWHERE)
		return;
	if (expected.end == WALK_WORKS && !in_tables(w, expected.address) &&
	    frame_at(expected.address) == POOL_FRAMES)
		return;
	cause = access_load(w, va, user, &value);
	if (!fits(&expected, cause, value))
		fail(w,
		     "load through garbage at 0x%lx, user %d sum %d mxr %d: cause %lu, value "
		     "0x%lx; expected end %d at 0x%lx",
		     va, user, w->sum, w->mxr, cause, value, expected.end, expected.address);
}

void garbage_op(struct worker *w)
{
	unsigned int context = w->context;

	context_switch(w, CONTEXT_GARBAGE);
	for (int i = 0; i < 8; i++)
		w->garbage_tables[random_below(w, TABLES * PAGE_SIZE / 8)] = random_entry(w);
	for (int i = 0; i < 4 && !failed(); i++)
		access_garbage(w);
	context_switch(w, context);
}
