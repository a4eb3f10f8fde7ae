/* SPDX-License-Identifier: MIT */
#include "guests/torture/probe.h"
#include "guests/torture/torture.h"

const uint16_t slot_index[SLOT_PAGES] = {0, 1, 2, 7, 64, 130, 301, 511};
struct root shared_roots[SHARED_ROOTS];

/* Both ends of both halves, neighbours, and where kernels are. */
uint64_t slot_va(unsigned int slot)
{
	unsigned int bits = 11 + 9 * settings.levels;
	const uint64_t vas[SLOTS] = {UINT64_C(0x1000000000),       UINT64_C(0x1000200000),
				     BIT(bits) - MIB(2),           ~UINT64_C(0) << bits,
				     UINT64_C(0xffffffff80000000), ~UINT64_C(0) - (MIB(2) - 1)};

	return vas[slot];
}

uint64_t page_va(unsigned int page)
{
	return slot_va(page / SLOT_PAGES) + slot_index[page % SLOT_PAGES] * PAGE_SIZE;
}

static void slot_init(struct root *root, unsigned int index)
{
	struct slot *slot = &root->slots[index];

	slot->va = slot_va(index);
	slot->table = heap_take(PAGE_SIZE);
	slot->entry = paging_pte(&root->tables, slot->va, 1);
	*slot->entry = pte_make((uint64_t)slot->table, PTE_V);
	slot->pending = slot->committed = slot->restructured = 1;
}

/* A leaf of the root's level cannot map RAM alone, unless it is of 1 GiB. */
static void fill(struct root *root)
{
	unsigned int level = settings.levels - 1;

	root->filler = align_down(machine.ram_base, paging_size(level));
	for (int i = 0; i < 512; i++)
		if (root->tables.root[i] == 0)
			root->tables.root[i] = pte_make(root->filler, PTE_RWX);
}

void root_init(struct root *root, bool shared, bool full)
{
	root->shared = shared;
	root->full = full;
	paging_init_identity(&root->tables, settings.levels);
	paging_map(&root->tables, USER_CODE, (uint64_t)probe_user, 0,
		   PTE_V | PTE_R | PTE_X | PTE_U | PTE_A | PTE_D);
	for (unsigned int i = 0; i < SLOTS; i++)
		slot_init(root, i);
	if (full)
		fill(root);
}

volatile uint64_t *slot_entry(struct slot *slot, unsigned int index)
{
	return slot->large ? slot->entry : &slot->table[slot_index[index]];
}

/* The oldest version of the slot that any worker's hart may still use. */
static uint64_t oldest_in_use(const struct root *root, unsigned int slot)
{
	uint64_t oldest = UINT64_MAX;

	for (size_t i = 0; i < worker_count; i++) {
		const struct worker *w = &workers[i];

		for (unsigned int p = slot * SLOT_PAGES; p < (slot + 1) * SLOT_PAGES; p++) {
			for (unsigned int c = 0; c < CONTEXTS; c++)
				if (w->roots[context_root(c)] == root)
					oldest = min_u64(oldest, w->window.low[c][p]);
			for (unsigned int r = 0; r < ROOTS; r++)
				if (w->roots[r] == root)
					oldest = min_u64(oldest, w->window.low_global[r][p]);
		}
	}
	return oldest;
}

static struct root *root_of(struct worker *w, const struct slot *slot)
{
	for (unsigned int r = 0; r < ROOTS; r++)
		if (slot >= w->roots[r]->slots && slot < w->roots[r]->slots + SLOTS)
			return w->roots[r];
	return NULL;
}

/* Forgetting a version that a hart may still use would make the model wrong: fence it away. */
static void make_room(struct worker *w, struct slot *slot)
{
	const struct fence all = {.all_addresses = true, .all_asids = true};
	const struct root *root = root_of(w, slot);

	if (oldest_in_use(root, (unsigned int)(slot - root->slots)) + RING > slot->pending + 1)
		return;
	fence_everything(w);
	if (root->shared && worker_count > 1)
		fence_remote(w, (BIT(worker_count) - 1) & ~BIT(w->index), &all, false);
}

struct version *slot_take(struct worker *w, struct slot *slot)
{
	struct version *version;

	spin_lock(&slot->lock);
	make_room(w, slot);
	version = &slot->ring[(slot->pending + 1) % RING];
	*version = slot->ring[slot->pending % RING];
	return version;
}

static void write_large(struct slot *slot, const struct version *version)
{
	*slot->entry = (version->pte[0] & BITS(9, 0)) |
		       pte_make(align_down((version->pte[0] >> 10) << PAGE_SHIFT, MIB(2)), 0);
}

/* All is announced before anything is written, and noted as written after that. */
void slot_give(struct slot *slot, unsigned int pages, bool large, bool table_global)
{
	uint64_t number = slot->pending + 1;
	const struct version *version = slot_version(slot, number);
	bool restructure = large != slot->large || (!large && table_global != slot->table_global);

	if (restructure)
		__atomic_store_n(&slot->restructured, number, __ATOMIC_SEQ_CST);
	if (restructure || large)
		pages = ~0U;
	for (unsigned int i = 0; i < SLOT_PAGES; i++)
		if (pages & 1U << i)
			__atomic_store_n(&slot->written[i], number, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->pending, number, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->large, large, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->table_global, table_global, __ATOMIC_SEQ_CST);
	for (unsigned int i = 0; i < SLOT_PAGES && !large; i++)
		if (pages & 1U << i)
			slot->table[slot_index[i]] = version->pte[i];
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (large)
		write_large(slot, version);
	else if (restructure)
		*slot->entry = pte_make((uint64_t)slot->table, PTE_V | (table_global ? PTE_G : 0));
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->committed, number, __ATOMIC_SEQ_CST);
	spin_unlock(&slot->lock);
}
