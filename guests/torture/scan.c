/* SPDX-License-Identifier: MIT */
/* Looks for what must not be there: at addresses that no table maps, and without paging. */
#include "guests/torture/torture.h"

/* Anything, but mostly where a hypervisor may keep itself. */
static uint64_t somewhere(struct worker *w)
{
	uint64_t r = random_next(&w->random);

	switch (random_below(w, 8)) {
	case 0:
		return ~UINT64_C(0) << 30 | r;
	case 1:
		return ~UINT64_C(0) << 31 | (r & BITS(30, 0));
	case 2:
		return UINT64_C(0xffff800000000000) | (r & BITS(40, 0));
	case 3:
		return ~UINT64_C(0) << (11 + 9 * settings.levels) | (r & BITS(34, 0));
	case 4:
		return BIT(12 + 9 * settings.levels) - 1 - (r & BITS(31, 0));
	case 5:
		return r | BIT(63);
	case 6:
		return r >> random_below(w, 64);
	default:
		return -(r & BITS(20, 0));
	}
}

static bool mapped_on_purpose(uint64_t va)
{
	for (unsigned int s = 0; s < SLOTS; s++)
		if (va - slot_va(s) < MIB(2))
			return true;
	return va < GIB(4) || va - USER_CODE < PAGE_SIZE;
}

/* One of the leaves that fill a root table shows the pool once more. */
static void load_through_filler(struct worker *w, const struct root *root)
{
	uint64_t index = random_below(w, 512), frame = random_below(w, POOL_FRAMES), value, cause;
	uint64_t offset = align_down(random_below(w, FRAME_FIXED), 8);
	unsigned int shift = 3 + 9 * settings.levels;
	uint64_t va = (uint64_t)((int64_t)(index << (shift + 64 - shift - 9)) >> (64 - shift - 9));

	if (index < 8 || (root->tables.root[index] & ~(uint64_t)(PTE_A | PTE_D)) !=
			     (pte_make(root->filler, PTE_RWX) & ~(uint64_t)(PTE_A | PTE_D)))
		return;
	va += frame_address(frame) + offset - root->filler;
	cause = access_load(w, va, false, &value);
	if (cause != 0 || value != frame_word(frame, offset))
		fail(w, "load at 0x%lx of frame %lu: cause %lu, value 0x%lx", va, frame, cause,
		     value);
}

void scan_op(struct worker *w)
{
	const struct root *root = w->roots[context_root(w->context)];

	for (int i = 0; i < 4 && !failed(); i++) {
		uint64_t va = align_down(somewhere(w), 8);

		if (root->full)
			load_through_filler(w, root);
		else if (!mapped_on_purpose(va))
			access_forbidden(w, va, false);
	}
}

/* Nothing is mapped above RAM; that is checked as far as physical addresses go. */
void bare_op(struct worker *w)
{
	unsigned int context = w->context;
	uint64_t frame = random_below(w, POOL_FRAMES), value;

	context_switch(w, CONTEXT_OFF);
	for (int i = 0; i < 3 && !failed(); i++) {
		uint64_t va = align_down(somewhere(w), 8);

		if (va >= machine.ram_base + machine.ram_size && (!machine.native || va >= BIT(36)))
			access_forbidden(w, va, true);
	}
	if (access_load(w, frame_address(frame), chance(w, 50), &value) != 0 ||
	    value != frame_word(frame, 0))
		fail(w, "load of frame %lu without paging: cause %lu, value 0x%lx", frame,
		     hart_self()->trap.cause, value);
	context_switch(w, context);
}
