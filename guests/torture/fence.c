/* SPDX-License-Identifier: MIT */
/* Fences, and what they take out of the windows of the harts that execute them. */
#include "guests/torture/torture.h"

/* What had been committed before a fence: all that comes after it sees at least that. */
struct point {
	uint64_t committed[ROOTS][SLOTS];
};

static void take_point(const struct worker *w, struct point *point)
{
	for (unsigned int r = 0; r < ROOTS; r++)
		for (unsigned int s = 0; s < SLOTS; s++)
			point->committed[r][s] =
			    __atomic_load_n(&w->roots[r]->slots[s].committed, __ATOMIC_SEQ_CST);
}

static void raise(uint64_t *low, uint64_t to)
{
	uint64_t old = __atomic_load_n(low, __ATOMIC_SEQ_CST);

	while (old < to && !__atomic_compare_exchange_n(low, &old, to, false, __ATOMIC_SEQ_CST,
							__ATOMIC_SEQ_CST))
		;
}

static bool covers(const struct fence *fence, uint64_t va, uint64_t size)
{
	return fence->all_addresses ||
	       (va <= fence->start + (fence->size - 1) && fence->start <= va + (size - 1));
}

/*
 * Whether the fence orders all that was done to this page: with an address it is one of leaf
 * entries alone, the one of a large page if any address within is named.
 */
static bool orders(const struct fence *fence, struct slot *slot, unsigned int page, uint64_t low)
{
	bool large = __atomic_load_n(&slot->large, __ATOMIC_SEQ_CST);

	if (fence->all_addresses)
		return true;
	if (low < __atomic_load_n(&slot->restructured, __ATOMIC_SEQ_CST))
		return false;
	return large ? covers(fence, slot->va, MIB(2)) : covers(fence, page_va(page), PAGE_SIZE);
}

/* Gives the bits of the slot's pages of which the hart now knows nothing older. */
static uint64_t order_slot(const struct fence *fence, struct slot *slot, unsigned int first,
			   uint64_t *low, uint64_t committed, bool keep_global)
{
	const struct version *now = slot_version(slot, committed);
	uint64_t done = 0;

	for (unsigned int i = 0; i < SLOT_PAGES; i++) {
		if (!orders(fence, slot, first + i, low[i]) ||
		    (keep_global && pte_is_global(now->pte[i])))
			continue;
		raise(&low[i], committed);
		done |= BIT(first + i);
	}
	return done;
}

/* Priv. 1.13, 12.2.1. `here`: it was this worker's own instruction, so satp is known. */
static void note(struct worker *w, const struct fence *fence, const struct point *point, bool here)
{
	struct window *window = &w->window;

	for (unsigned int s = 0; s < SLOTS; s++) {
		if (!covers(fence, slot_va(s), MIB(2)))
			continue;
		for (unsigned int c = 0; c < CONTEXTS; c++) {
			uint64_t r = context_root(c), done;

			if (!fence->all_asids &&
			    context_asid(c) != (fence->asid & settings.asid_mask))
				continue;
			done = order_slot(fence, &w->roots[r]->slots[s], s * SLOT_PAGES,
					  &window->low[c][s * SLOT_PAGES], point->committed[r][s],
					  !fence->all_asids);
			if (here && c != w->context)
				window->maybe[c] &= ~done;
		}
		for (unsigned int r = 0; r < ROOTS && fence->all_asids; r++) {
			uint64_t done = order_slot(fence, &w->roots[r]->slots[s], s * SLOT_PAGES,
						   &window->low_global[r][s * SLOT_PAGES],
						   point->committed[r][s], false);

			if (here && (w->context >= CONTEXTS || context_root(w->context) != r))
				window->maybe_global[r] &= ~done;
		}
	}
}

static void execute(const struct fence *fence)
{
	if (fence->all_addresses && fence->all_asids)
		sfence_all();
	else if (fence->all_addresses)
		sfence_asid(fence->asid);
	else if (fence->all_asids)
		sfence_va(fence->start);
	else
		sfence_va_asid(fence->start, fence->asid);
}

/* Svinval: the fence in three parts; the toolchain need not know them. */
static void execute_sinval(const struct fence *fence)
{
	__asm__ volatile(".insn 0x18000073" ::: "memory"); /* sfence.w.inval */
	if (fence->all_addresses && fence->all_asids)
		__asm__ volatile(".insn r 0x73, 0, 0x0b, x0, x0, x0" ::: "memory");
	else if (fence->all_addresses)
		__asm__ volatile(".insn r 0x73, 0, 0x0b, x0, x0, %0" ::"r"(fence->asid) : "memory");
	else if (fence->all_asids)
		__asm__ volatile(".insn r 0x73, 0, 0x0b, x0, %0, x0" ::"r"(fence->start)
				 : "memory");
	else
		__asm__ volatile(".insn r 0x73, 0, 0x0b, x0, %0, %1" ::"r"(fence->start),
				 "r"(fence->asid)
				 : "memory");
	__asm__ volatile(".insn 0x18100073" ::: "memory"); /* sfence.inval.ir */
}

void fence_here(struct worker *w, const struct fence *fence, bool sinval)
{
	struct point point;

	trace(w, sinval ? "sinval" : "sfence", fence->all_addresses ? 0 : fence->start,
	      fence->all_asids ? ~UINT64_C(0) : fence->asid, 0);
	take_point(w, &point);
	if (sinval)
		execute_sinval(fence);
	else
		execute(fence);
	note(w, fence, &point, true);
}

void fence_everything(struct worker *w)
{
	const struct fence all = {.all_addresses = true, .all_asids = true};

	fence_here(w, &all, false);
}

static int64_t call(struct worker *w, uint64_t mask, const struct fence *fence, bool legacy)
{
	uint64_t start = fence->all_addresses ? 0 : fence->start, base = 0;
	uint64_t size = fence->all_addresses ? 0 : fence->size;

	if (fence->all_addresses && chance(w, 50))
		size = ~UINT64_C(0);
	if (legacy)
		return sbi_call(fence->all_asids ? SBI_EXT_REMOTE_SFENCE_VMA
						 : SBI_EXT_REMOTE_SFENCE_VMA_ASID,
				0, (uint64_t)&mask, start, size, fence->asid, 0)
		    .error;
	if (mask == BIT(worker_count) - 1 && worker_count == machine.hart_count && chance(w, 50)) {
		base = ~UINT64_C(0);
		mask = 0;
	}
	return sbi_call(SBI_EXT_RFENCE,
			fence->all_asids ? SBI_RFENCE_SFENCE_VMA : SBI_RFENCE_SFENCE_VMA_ASID, mask,
			base, start, size, fence->asid)
	    .error;
}

void fence_remote(struct worker *w, uint64_t mask, const struct fence *fence, bool legacy)
{
	struct point points[WORKERS_MAX];
	uint64_t hart_mask = 0;
	int64_t error;

	trace(w, legacy ? "legacy remote fence" : "remote fence", mask,
	      fence->all_addresses ? 0 : fence->start,
	      fence->all_asids ? ~UINT64_C(0) : fence->asid);
	for (size_t i = 0; i < worker_count; i++)
		if (mask & BIT(i)) {
			take_point(&workers[i], &points[i]);
			hart_mask |= BIT(harts[i].id);
		}
	error = call(w, hart_mask, fence, legacy);
	if (error)
		fail(w, "remote fence of harts 0x%lx: error %ld", hart_mask, error);
	for (size_t i = 0; i < worker_count; i++)
		if (mask & BIT(i))
			note(&workers[i], fence, &points[i], false);
}

void fence_code(struct worker *w)
{
	trace(w, "fence.i", w->stub_stale_count, 0, 0);
	__asm__ volatile("fence.i" ::: "memory");
	for (unsigned int i = 0; i < w->stub_stale_count; i++)
		w->stub_fenced[w->stub_stale[i]] = w->stub_now[w->stub_stale[i]];
	w->stub_stale_count = 0;
}
