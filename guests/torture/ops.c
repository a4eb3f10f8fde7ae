/* SPDX-License-Identifier: MIT */
/* What a worker does next. */
#include "guests/torture/torture.h"

static unsigned int any_page(struct worker *w)
{
	return chance(w, 50) ? w->hot : (unsigned int)random_below(w, PAGES);
}

static uint64_t random_leaf(struct worker *w)
{
	static const uint8_t sane[] = {PTE_R,         PTE_R | PTE_W,         PTE_X,
				       PTE_R | PTE_X, PTE_R | PTE_W | PTE_X, PTE_R | PTE_W | PTE_X};
	uint64_t flags = PTE_V | sane[random_below(w, ARRAY_SIZE(sane))];

	flags |= chance(w, 40) ? PTE_U : 0;
	flags |= chance(w, 20) ? PTE_G : 0;
	flags |= chance(w, 85) ? PTE_A : 0;
	return flags | (chance(w, 70) ? PTE_D : 0);
}

/* Nothing of the machine is there. */
static uint64_t outside(struct worker *w)
{
	const uint64_t places[] = {NOWHERE + random_below(w, MIB(1)),
				   machine.ram_base + machine.ram_size,
				   BIT(40) + (random_next(&w->random) & BITS(38, 12)), BIT(55)};

	return align_down(places[random_below(w, ARRAY_SIZE(places))], PAGE_SIZE);
}

/* An entry of a page of 4 KiB in place of `old`. */
static uint64_t small_entry(struct worker *w, uint64_t old)
{
	uint64_t frame = pte_make(frame_address(random_below(w, POOL_FRAMES)), 0);

	switch (random_below(w, 10)) {
	case 0:
		return 0;
	case 1:
		return old & ~(uint64_t)PTE_V;
	case 2:
		return (old & ~BITS(7, 0)) | random_leaf(w);
	case 3:
		return old & ~(uint64_t)(chance(w, 50) ? PTE_A | PTE_D : PTE_D);
	case 4:
		return (old & BITS(7, 0)) | frame;
	case 5:
		return pte_make(outside(w), random_leaf(w));
	case 6:
		return frame | (random_next(&w->random) & BITS(7, 0));
	default:
		return frame | random_leaf(w);
	}
}

/* Of a large page; it must not look like a table. */
static uint64_t large_entry(struct worker *w, uint64_t old)
{
	uint64_t base = pool_base + MIB(2) * random_below(w, POOL_LARGE);

	if (chance(w, 10))
		base = align_down(outside(w), MIB(2));
	if (chance(w, 20) && (old & PTE_LARGE) && (old & PTE_LEAF))
		return old & ~(uint64_t)(chance(w, 50) ? PTE_V : PTE_A | PTE_D);
	return pte_make(base, random_leaf(w));
}

static void change_to_large(struct worker *w, struct version *version)
{
	uint64_t old = version->pte[0], entry = large_entry(w, old);

	/* The first page has index 0, so its entry is that of the whole. */
	for (unsigned int i = 0; i < SLOT_PAGES; i++)
		version->pte[i] = (entry + pte_make(slot_index[i] * PAGE_SIZE, 0)) | PTE_LARGE;
}

static void change_to_table(struct worker *w, struct version *version, bool table_global)
{
	for (unsigned int i = 0; i < SLOT_PAGES; i++)
		version->pte[i] = (small_entry(w, version->pte[i]) & ~(uint64_t)PTE_LARGE &
				   ~(uint64_t)PTE_GLOBAL_ABOVE) |
				  (table_global ? PTE_GLOBAL_ABOVE : 0);
}

/* A fence after a change, as the specification asks for, at the slot's or all harts. */
static void fence_change(struct worker *w, uint64_t root, unsigned int page, bool restructured,
			 bool global)
{
	struct fence fence = {.all_addresses = restructured || chance(w, 20),
			      .all_asids = global || chance(w, 40),
			      .start = page_va(page) + random_below(w, PAGE_SIZE),
			      .size = 1};
	unsigned int c = (unsigned int)random_below(w, CONTEXTS);

	while (context_root(c) != root)
		c = (c + 1) % CONTEXTS;
	fence.asid = context_asid(c);
	if (chance(w, 25)) {
		fence.start = align_down(fence.start, PAGE_SIZE);
		fence.size = PAGE_SIZE;
		fence_remote(w, BIT(worker_count) - 1, &fence, chance(w, 20));
	} else {
		fence_here(w, &fence, settings.svinval && chance(w, 30));
	}
}

static void change_op(struct worker *w)
{
	uint64_t r = context_root(w->context);
	unsigned int page = any_page(w), index = page % SLOT_PAGES;
	struct version *version;
	struct slot *slot;
	bool large, table_global, restructured, global;

	if (chance(w, 25))
		r = random_below(w, ROOTS);
	slot = &w->roots[r]->slots[page / SLOT_PAGES];
	version = slot_take(w, slot);
	global = pte_is_global(version->pte[index]);
	large = slot->large != chance(w, 12);
	table_global = !large && slot->table_global != chance(w, 3);
	restructured = large != slot->large || table_global != slot->table_global;
	if (large)
		change_to_large(w, version);
	else if (restructured)
		change_to_table(w, version, table_global);
	else
		version->pte[index] =
		    (small_entry(w, version->pte[index]) & ~(uint64_t)PTE_GLOBAL_ABOVE) |
		    (table_global ? PTE_GLOBAL_ABOVE : 0);
	global |= pte_is_global(version->pte[index]);
	w->hot = page;
	trace(w,
	      restructured ? "restructure"
	      : large      ? "change large"
			   : "change",
	      page, r, version->pte[index]);
	slot_give(slot, 1U << index, large, table_global);
	if (chance(w, 65))
		fence_change(w, r, page, restructured, global);
}

static struct fence random_fence(struct worker *w)
{
	return (struct fence){.all_addresses = chance(w, 35),
			      .all_asids = chance(w, 50),
			      .start = page_va(any_page(w)) + random_below(w, PAGE_SIZE),
			      .size = 1,
			      .asid = context_asid((unsigned int)random_below(w, CONTEXTS))};
}

static void fence_op(struct worker *w)
{
	struct fence fence = random_fence(w);

	fence_here(w, &fence, settings.svinval && chance(w, 30));
}

static void remote_fence_op(struct worker *w)
{
	struct fence fence = random_fence(w);

	fence.start = align_down(fence.start, PAGE_SIZE);
	fence.size = PAGE_SIZE * (1 + random_below(w, chance(w, 10) ? 1024 : 4));
	if (fence.size > ~fence.start)
		fence.size = ~fence.start + 1;
	fence_remote(w, 1 + random_below(w, BIT(worker_count) - 1), &fence, chance(w, 25));
}

static void switch_op(struct worker *w)
{
	context_switch(w, (unsigned int)random_below(w, CONTEXTS));
	if (chance(w, 20))
		fence_op(w);
}

static void status_op(struct worker *w)
{
	context_set_status(w, chance(w, 50), chance(w, 30));
}

static bool is_stale(const struct worker *w, uint64_t frame)
{
	for (unsigned int i = 0; i < w->stub_stale_count; i++)
		if (w->stub_stale[i] == frame)
			return true;
	return false;
}

/* New code in a frame: the one that the hot page of this context has now, often. */
static void stub_op(struct worker *w)
{
	const struct slot *slot = &w->roots[context_root(w->context)]->slots[w->hot / SLOT_PAGES];
	uint64_t pte = slot_version(slot, slot->committed)->pte[w->hot % SLOT_PAGES];
	uint64_t frame = pte_frame(pte);

	if (frame == POOL_FRAMES || chance(w, 20))
		frame = random_below(w, POOL_FRAMES);
	if (w->stub_stale_count == STUBS_STALE ||
	    (w->stub_now[frame] + 1) % STUB_VERSIONS == w->stub_fenced[frame])
		fence_code(w);
	if (!is_stale(w, frame))
		w->stub_stale[w->stub_stale_count++] = (uint16_t)frame;
	w->stub_now[frame] = (uint16_t)((w->stub_now[frame] + 1) % STUB_VERSIONS);
	trace(w, "stub", frame, w->stub_now[frame], 0);
	pool_write_stub(frame, w->index, w->stub_now[frame]);
	if (chance(w, 60))
		fence_code(w);
}

static void across_op(struct worker *w)
{
	unsigned int page = any_page(w);

	access_across(w, page - page % SLOT_PAGES + (unsigned int)random_below(w, 2));
}

static void sweep_op(struct worker *w)
{
	for (unsigned int page = 0; page < PAGES && !failed(); page++)
		access_page(w, page);
}

static void access_op(struct worker *w)
{
	access_page(w, any_page(w));
}

void torture_op(struct worker *w)
{
	static const struct {
		void (*run)(struct worker *w);
		uint8_t weight;
	} ops[] = {
	    {access_op, 50}, {change_op, 17}, {fence_op, 6},   {remote_fence_op, 2}, {switch_op, 8},
	    {status_op, 5},  {stub_op, 3},    {fence_code, 1}, {garbage_op, 2},      {scan_op, 2},
	    {across_op, 2},  {bare_op, 1},    {sweep_op, 1},
	};
	uint64_t at = random_below(w, 100);

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		if (at < ops[i].weight) {
			ops[i].run(w);
			return;
		}
		at -= ops[i].weight;
	}
}
