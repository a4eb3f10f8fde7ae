/* SPDX-License-Identifier: MIT */

/* The roots of the shadow tables: which there are, and that the one in use is up to date. */

#include "engine/soft/shadow_own.h"
#include "kernel/layout.h"
#include "riscv/csr.h"
#include "riscv/tlb.h"

#include <string.h>

/* Of a root's key. */
#define KEY_LEVELS_SHIFT 8
#define KEY_FLAGS_SHIFT  16

static unsigned key_levels(uint32_t key)
{
	return key >> KEY_LEVELS_SHIFT & 0xff;
}

static void give_tables(struct shadow *shadow, struct shadow_root *root)
{
	if (root->page_count)
		shadow_pages_give_all(shadow->own, &root->pages, &root->page_count);
	shadow->version++;
	if (root->code)
		shadow->code_generation++;
	root->code = false;
}

void shadow_root_empty(struct shadow *shadow, struct shadow_root *root)
{
	struct shadow_own *own = shadow->own;
	uint64_t spine = root->spine[root->level];

	if (root == &own->shared || !spine) {
		shadow_table_clear(root->table, PTE_ENTRIES);
	} else {
		unsigned index = shadow_index(own->spine.va, root->level);

		/* This may be the table that the hart uses at this moment. */
		shadow_table_clear(root->table, index);
		root->table[index] = spine;
		if (!shadow->layout.resident)
			shadow_note(&root->table[index]);
	}
	shadow->work += SHADOW_EMPTYING;
	give_tables(shadow, root);
}

void shadow_forget_all(struct shadow *shadow)
{
	struct shadow_own *own = shadow->own;

	own->barrier = ++own->log_end;
	memset(own->divided, 0, sizeof(own->divided));
	shadow->version++;
	if (shadow->code_places[0] | shadow->code_places[1])
		shadow->code_generation++;
	shadow->code_places[0] = shadow->code_places[1] = 0;
	shadow->code_private = false;
	if (shadow->selected)
		shadow_root_empty(shadow, shadow->selected);
	shadow_root_empty(shadow, &own->shared);
	tlb_flush_all();
}

static struct shadow_root **bucket_of(struct shadow_own *own, uint64_t satp, uint32_t key)
{
	/* Page number and ASID both vary in their low bits. */
	uint64_t hash = satp ^ satp >> SATP_ASID_SHIFT ^ (uint64_t)key << 3;

	return &own->buckets[(hash ^ hash >> 6) % SHADOW_BUCKETS];
}

/* Its table stays among the fixed pages, and it in its bucket and in by_use. */
static inline void put_out_of_use(struct shadow *shadow, struct shadow_root *root)
{
	struct shadow_own *own = shadow->own;
	struct shadow_page *page = shadow_page_of(root->table);

	root->next = own->unused;
	own->unused = root;
	own->root_count--;
	root->key = SHADOW_KEY_NONE;
	give_tables(shadow, root);
	if (shadow->layout.resident) {
		/* What was copied from the hypervisor's table was not noted. */
		page->first[1] = PTE_ENTRIES / 2;
		page->last[1] = PTE_ENTRIES - 1;
	}
}

static void put_in_bucket(struct shadow_root **bucket, struct shadow_root *root)
{
	root->next = *bucket;
	root->link = bucket;
	if (root->next)
		root->next->link = &root->next;
	*bucket = root;
}

static void take_from_bucket(struct shadow_root *root)
{
	*root->link = root->next;
	if (root->next)
		root->next->link = root->link;
}

/* Removes the root that was used longest ago, but not the one in use. False: there is none. */
static bool evict_root(struct shadow *shadow)
{
	struct shadow_own *own = shadow->own;
	struct list *node = own->by_use.next;
	struct shadow_root *root;

	if (shadow->selected && node == &shadow->selected->use)
		node = node->next;
	if (node == &own->by_use)
		return false;
	root = list_entry(node, struct shadow_root, use);
	list_remove(node);
	take_from_bucket(root);
	put_out_of_use(shadow, root);
	shadow_pages_give(own, root->table, &own->fixed_count);
	shadow->work += SHADOW_EVICTING;
	shadow->evictions++;
	return true;
}

/* Roots that a layout is left with at once. */
#define LEFT_MAX 64

bool shadow_prepare_change(struct shadow *shadow)
{
	if (shadow->own->root_count <= LEFT_MAX)
		return true;
	for (unsigned i = 0; i < LEFT_MAX; i++)
		evict_root(shadow);
	return false;
}

void shadow_make_room(struct shadow *shadow, uint64_t count)
{
	struct shadow_own *own = shadow->own;

	while (own->free_count < count && (shadow_pages_grow(shadow) || evict_root(shadow)))
		;
	if (own->free_count < count) {
		/* All there is belongs to the root in use and to the shared set. */
		shadow_forget_all(shadow);
		shadow->evictions++;
	}
}

static void set_key(struct shadow_root *root, uint64_t satp, uint32_t key)
{
	root->satp = satp;
	root->key = key;
	root->guest_asid = (uint16_t)(satp >> SATP_ASID_SHIFT);
}

/* Which addresses are the guest's, and where its global tables may hang. */
static void set_mode(struct shadow_root *root, unsigned level, unsigned levels, bool slots)
{
	/* A sum of a canonical address and half of the space lies within the space. */
	root->bits = (uint8_t)(levels ? pte_level_shift(levels) : pte_level_shift(level + 1) - 1);
	root->bias = levels ? BIT(root->bits - 1) : 0;
	root->level = (uint8_t)level;
	root->slot_level = slots ? (uint8_t)(levels - 1) : SHADOW_NO_SLOTS;
}

static void build_root_table(struct shadow *shadow, struct shadow_root *root, unsigned levels)
{
	struct shadow_own *own = shadow->own;
	const struct shadow_layout *layout = &shadow->layout;
	uint64_t *table = shadow_pages_take(own, &own->fixed, &own->fixed_count);

	/* A smaller mode has the outermost two entries; bare mode has the lower half. */
	if (layout->resident && levels <= layout->root_level) {
		for (unsigned i = PTE_ENTRIES / 2; i < PTE_ENTRIES; i++)
			table[i] = layout->root[i];
	}
	root->table = table;
	shadow->work += SHADOW_CLEARING;
	shadow_root_empty(shadow, root);
}

static struct shadow_root *add_root(struct shadow *shadow, uint64_t satp, uint32_t key,
				    unsigned levels, unsigned flags)
{
	struct shadow_own *own = shadow->own;
	unsigned level = shadow->layout.root_level;
	unsigned most = shadow->layout.passing ? LEFT_MAX : SHADOW_ROOTS;
	struct shadow_root *root;

	while (own->root_count >= most)
		evict_root(shadow);
	shadow_make_room(shadow, 1);
	root = own->unused;
	own->unused = root->next;
	own->root_count++;
	set_key(root, satp, key);
	set_mode(root, level, levels, flags & SHADOW_SHARE);
	root->spine = own->spine.entries[flags & SHADOW_SUPERVISOR ? 1 : 0];
	build_root_table(shadow, root, levels);
	root->value = (uint64_t)(ATP_MODE_SV39 + level - 2) << ATP_MODE_SHIFT |
		      (uint64_t)root->asid << SATP_ASID_SHIFT |
		      pointer_to_hpa(root->table).v >> PAGE_SHIFT;
	root->position = own->log_end;
	put_in_bucket(bucket_of(own, satp, key), root);
	/* The hart may hold translations of another root that had this ASID. */
	tlb_flush_asid(root->asid);
	return root;
}

/* Steps of a simple search that count as 1 of shadow->work. */
#define STEPS 32

static struct shadow_root *find_root(struct shadow *shadow, uint64_t satp, uint32_t key)
{
	struct shadow_root *root = *bucket_of(shadow->own, satp, key);
	unsigned steps = 0;

	for (; root && (root->satp != satp || root->key != key); root = root->next)
		steps++;
	shadow->work += steps / STEPS;
	return root;
}

/*
 * Fences that are followed one by one, some 180 instructions each, where nothing else was done
 * since the trap: more would take longer than interrupts may be off.
 */
#define REPLAY_MAX 40

static void replay(struct shadow *shadow, struct shadow_root *root)
{
	struct shadow_own *own = shadow->own;
	unsigned others = 0;

	for (uint64_t p = root->position; p != own->log_end; p++) {
		const struct shadow_log_entry *entry = &own->log[p % SHADOW_LOG];

		if (!entry->all_asids && entry->asid != root->guest_asid) {
			others++;
			continue;
		}
		if (entry->all_addresses || ++shadow->work > REPLAY_MAX) {
			shadow_root_empty(shadow, root);
			tlb_flush_asid(root->asid);
			return;
		}
		shadow_root_drop(shadow, root, entry->address);
	}
	shadow->work += others / STEPS;
}

static void catch_up(struct shadow *shadow, struct shadow_root *root)
{
	struct shadow_own *own = shadow->own;

	if (root->position < own->barrier) {
		/* The hart lost everything then, and did not use this root since. */
		shadow_root_empty(shadow, root);
	} else if (own->log_end - root->position > SHADOW_LOG) {
		shadow_root_empty(shadow, root);
		tlb_flush_asid(root->asid);
	} else {
		replay(shadow, root);
	}
}

/*
 * The root `root` will be the one in use, of which `levels` tells the mode. In S-mode of another
 * address space there may be other code at the same addresses.
 */
static void note_code(struct shadow *shadow, const struct shadow_root *root, unsigned levels)
{
	const struct shadow_root *last = shadow->selected;
	bool apart = shadow->code_apart;

	if (last && last->satp == root->satp) {
		if (last->code || root->code)
			shadow->code_generation++;
		shadow->code_apart = apart || root->code;
		return;
	}
	/* Where nothing is translated, the code that others share is not to be found. */
	if (apart || !last || last->code || root->code ||
	    (shadow->own->shared.code && (levels == 0) != (key_levels(last->key) == 0)))
		shadow->code_generation++;
	shadow->code_apart = root->code;
}

/* The shared set serves one mode of the guest at a time. */
static void share_levels(struct shadow *shadow, unsigned levels)
{
	struct shadow_root *shared = &shadow->own->shared;

	if (shared->level == levels - 1)
		return;
	shadow_forget_all(shadow);
	set_mode(shared, levels - 1, levels, false);
}

uint64_t shadow_select(struct shadow *shadow, uint64_t satp, unsigned view, unsigned levels,
		       unsigned flags)
{
	struct shadow_own *own = shadow->own;
	struct shadow_root *last = shadow->selected, *root;

	if (levels == 0)
		flags &= ~(unsigned)SHADOW_SHARE;

	uint32_t key = view | levels << KEY_LEVELS_SHIFT | flags << KEY_FLAGS_SHIFT;

	if (last && last->satp == satp && last->key == key)
		return last->value;
	root = own->recent[view % SHADOW_VIEWS];
	if (root->satp != satp || root->key != key) {
		root = find_root(shadow, satp, key);
		if (!root)
			root = add_root(shadow, satp, key, levels, flags);
		own->recent[view % SHADOW_VIEWS] = root;
	}
	if (flags & SHADOW_SHARE)
		share_levels(shadow, levels);
	catch_up(shadow, root);
	shadow->work += SHADOW_SELECTING;
	/* It may be left, by fast_ops.S, without coming by here. */
	root->position = own->log_end;
	if (last)
		last->position = own->log_end;
	note_code(shadow, root, levels);
	if (root->use.next != &own->by_use) {
		list_remove(&root->use);
		list_push_back(&own->by_use, &root->use);
	}
	shadow->selected = root;
	if (root->asid == 0)
		tlb_flush_all();
	return root->value;
}

void shadow_flush(struct shadow *shadow)
{
	shadow_forget_all(shadow);
}

void shadow_enter_hart(struct shadow *shadow)
{
	(void)shadow;
	tlb_flush_all();
}

/* Tables of our own for the way to the pinned pages. */
static void build_pins(struct shadow *shadow)
{
	struct shadow_own *own = shadow->own;
	const struct shadow_layout *layout = &shadow->layout;
	uint64_t entry = 0;

	for (unsigned level = 0; level < layout->root_level; level++) {
		uint64_t *table = shadow_pages_take(own, &own->fixed, &own->fixed_count);
		unsigned index = shadow_index(layout->pin_va, level);

		for (unsigned i = 0; i < (level ? 1 : layout->pin_count); i++) {
			table[index + i] = level ? entry : layout->pin_pte[i];
			shadow_note(&table[index + i]);
		}
		entry = pte_make(pointer_to_hpa(table), PTE_V);
		own->spine.entries[0][level + 1] = entry;
	}
	memcpy(own->spine.entries[1], own->spine.entries[0], sizeof(own->spine.entries[0]));
	own->spine.va = layout->pin_va;
	own->spine.first = layout->pin_va >> PAGE_SHIFT;
	own->spine.count = layout->pin_count;
}

/* Tables of our own for the way to top_entry_s. The hypervisor's have nothing else in them. */
static void build_supervisor_spine(struct shadow *shadow)
{
	struct shadow_own *own = shadow->own;
	uint64_t entry = shadow->layout.top_entry_s;

	own->spine.entries[1][2] = entry;
	for (unsigned level = 3; level <= shadow->layout.root_level; level++) {
		uint64_t *table, *slot;

		/* The way into a root is an entry of its own table. */
		table = shadow_pages_take(own, &own->fixed, &own->fixed_count);
		slot = &table[shadow_index(IMAGE_BASE, level - 1)];
		*slot = entry;
		shadow_note(slot);
		entry = pte_make(pointer_to_hpa(table), PTE_V);
		own->spine.entries[1][level] = entry;
	}
}

static void find_resident(struct shadow *shadow)
{
	struct shadow_own *own = shadow->own;
	const uint64_t *table = shadow->layout.root;

	for (unsigned level = shadow->layout.root_level; level > 2; level--) {
		uint64_t entry = table[shadow_index(IMAGE_BASE, level)];

		own->spine.entries[0][level] = entry;
		table = mmu_table(entry);
	}
	own->spine.entries[0][2] = shadow->layout.top_entry;
	memcpy(own->spine.entries[1], own->spine.entries[0], sizeof(own->spine.entries[0]));
	if (shadow->layout.top_entry_s)
		build_supervisor_spine(shadow);
	own->spine.va = IMAGE_BASE;
	own->spine.first = IMAGE_BASE >> PAGE_SHIFT;
	own->spine.count = GIGAPAGE_SIZE >> PAGE_SHIFT;
}

static void build_layout(struct shadow *shadow)
{
	struct shadow_own *own = shadow->own;

	memset(own->spine.entries, 0, sizeof(own->spine.entries));
	own->spine.count = 0;
	if (shadow->layout.resident)
		find_resident(shadow);
	else if (shadow->layout.pin_count)
		build_pins(shadow);
	own->shared.table = shadow_pages_take(own, &own->fixed, &own->fixed_count);
	own->shared.spine = own->spine.entries[1];
}

static void init_roots(struct shadow_own *own, uint64_t asid_max)
{
	list_init(&own->shared.pages);
	list_init(&own->by_use);
	for (unsigned i = SHADOW_ROOTS; i-- > 0;) {
		struct shadow_root *root = &own->roots[i];

		list_init(&root->pages);
		list_init(&root->use);
		root->asid = (uint16_t)(i < asid_max ? i + 1 : 0);
		root->key = SHADOW_KEY_NONE;
		root->next = own->unused;
		own->unused = root;
	}
	for (unsigned i = 0; i < SHADOW_VIEWS; i++)
		own->recent[i] = &own->roots[0];
}

int shadow_init(struct shadow *shadow, struct arena *arena, const struct shadow_layout *layout,
		uint64_t pages_max)
{
	int error;

	*shadow = (struct shadow){.arena = arena, .layout = *layout, .pages_max = pages_max};
	error = shadow_pages_init(shadow);
	if (error)
		return error;
	list_init(&shadow->own->fixed);
	init_roots(shadow->own, layout->asid_max);
	build_layout(shadow);
	return 0;
}

void shadow_change_layout(struct shadow *shadow, const struct shadow_layout *layout)
{
	struct shadow_own *own = shadow->own;

	shadow_forget_all(shadow);
	shadow->selected = NULL;
	for (struct list *node = own->by_use.next, *next; node != &own->by_use; node = next) {
		next = node->next;
		list_init(node);
		put_out_of_use(shadow, list_entry(node, struct shadow_root, use));
	}
	list_init(&own->by_use);
	for (unsigned i = 0; i < SHADOW_BUCKETS; i++)
		own->buckets[i] = NULL;
	shadow_pages_give_all(own, &own->fixed, &own->fixed_count);
	shadow->layout = *layout;
	build_layout(shadow);
}
