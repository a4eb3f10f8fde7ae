/* SPDX-License-Identifier: MIT */
/* unit: engine/soft/shadow.c engine/soft/shadow_root.c engine/soft/shadow_pages.c kernel/arena.c kernel/page.c */
#include "tests/unit/fake_kernel.h"

#include "tests/unit/shadow_fixture.h"

#define SHADOWS 2
#define ASIDS   4
#define PLACES  64
#define RECORDS 65536

/* The addresses that the guest uses, in all modes. */
static uint64_t places[PLACES];
static unsigned place_count;

/* What the guest has said, and when; `now` is the number of its last action. */
static struct record {
	unsigned shadow, view, levels, level;
	unsigned guest_level; /* of the guest's page; `level` of the leaf that was entered */
	uint64_t satp, va, time;
	bool global;
} records[RECORDS];
static unsigned record_count;

static struct {
	uint64_t everything, asid[ASIDS];
	uint64_t page[PLACES], page_asid[PLACES][ASIDS];
} fenced[SHADOWS];
static uint64_t now;
static uint64_t short_fences;

/* Leaves with SHADOW_CODE that were seen, with the generation then. */
static struct code {
	uint64_t pte, generation;
	bool global;
} code[SHADOWS][PLACES];

static struct shadow shadows[SHADOWS];

/* What is in use: whose translations the hart makes. */
static struct {
	unsigned shadow, view, levels;
	uint64_t satp;
} in_use;

static unsigned modes[3], mode_count;

static bool is_shared(unsigned view, unsigned levels)
{
	return levels > 0 && (view == 1 || view == 2);
}

/* Of the views, the first is that of U-mode. */
static bool is_supervisor(unsigned view)
{
	return view != 0;
}

static bool is_canonical(uint64_t va, unsigned levels)
{
	unsigned bits = levels ? pte_level_shift(levels) : pte_level_shift(layout.root_level + 1);
	uint64_t sign = BIT(bits - 1);

	return levels ? (((va & (2 * sign - 1)) ^ sign) - sign) == va : va < sign;
}

static unsigned pin_of(uint64_t va)
{
	uint64_t n = (va >> PAGE_SHIFT) - (layout.pin_va >> PAGE_SHIFT);

	return n < layout.pin_count ? (unsigned)n + 1 : 0;
}

static void add_place(uint64_t va)
{
	assert_true(place_count < PLACES);
	places[place_count++] = va;
}

static void choose_places(void)
{
	static const uint64_t bases[] = {
	    0,
	    0x10000,
	    0x7fe00000,
	    0x3fffe00000,
	    0x7fff00000000,
	    0xffffff8000000000,
	    0xffff800000000000,
	    0xffffffc000000000,
	    0xffffffff80000000,
	    IMAGE_BASE - MEGAPAGE_SIZE,
	};

	place_count = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(bases); i++) {
		add_place(bases[i]);
		add_place(bases[i] + PAGE_SIZE);
		add_place(bases[i] + MEGAPAGE_SIZE - PAGE_SIZE);
		if (bases[i] + MEGAPAGE_SIZE < IMAGE_BASE)
			add_place(bases[i] + MEGAPAGE_SIZE + 3 * PAGE_SIZE);
	}
}

static void check_host_now(void)
{
	check_host(in_use.levels, is_supervisor(in_use.view));
}

static void start(uint64_t pages_max)
{
	memset(&model, 0, sizeof(model));
	memset(fenced, 0, sizeof(fenced));
	memset(code, 0, sizeof(code));
	memset(&in_use, 0, sizeof(in_use));
	record_count = 1;
	now = 1;
	choose_places();
	model.at_fence = check_host_now;
	for (unsigned i = 0; i < SHADOWS; i++)
		assert_int_equal(shadow_init(&shadows[i], &arena, &layout, pages_max), 0);
	use_host_tables();
}

/* No fence since it was entered forbids the leaf. */
static void check_not_fenced(const struct record *r)
{
	unsigned asid = (r->satp >> SATP_ASID_SHIFT) % ASIDS;
	unsigned shift = pte_level_shift(r->guest_level);

	assert_true(r->time > fenced[r->shadow].everything);
	assert_true(r->global || r->time > fenced[r->shadow].asid[asid]);
	for (unsigned i = 0; i < place_count; i++) {
		if (places[i] >> shift != r->va >> shift)
			continue;
		assert_true(r->time > fenced[r->shadow].page[i]);
		assert_true(r->global || r->time > fenced[r->shadow].page_asid[i][asid]);
	}
}

/* A leaf that the hart found may be used: for this address, by this address space, now. */
static void check_leaf(uint64_t pte, unsigned level, unsigned place)
{
	uint64_t va = places[place];
	uint64_t ppn = (pte & PTE_PPN_MASK) >> PTE_PPN_SHIFT;
	unsigned pin = pin_of(va);

	if (pin) {
		assert_int_equal(pte, layout.pin_pte[pin - 1]);
		return;
	}
	if (!pte)
		return;
	assert_true(ppn >> 9 < record_count);

	const struct record *r = &records[ppn >> 9];

	assert_int_equal(r->shadow, in_use.shadow);
	assert_true(r->level >= level);
	assert_int_equal(va >> pte_level_shift(r->level), r->va >> pte_level_shift(r->level));
	assert_int_equal(ppn % 512, r->level > level ? va >> PAGE_SHIFT & 511 : 0);
	if (r->satp != in_use.satp || r->view != in_use.view) {
		assert_true(r->global && is_shared(r->view, r->levels));
		assert_true(is_shared(in_use.view, in_use.levels));
		assert_int_equal(r->levels, in_use.levels);
	}
	check_not_fenced(r);
}

static uint64_t touch(unsigned place)
{
	unsigned level = 0;
	uint64_t pte = model_translate(places[place], &level);

	check_leaf(pte, level, place);
	return pte;
}

static unsigned any_place(void)
{
	unsigned place;

	do
		place = fake_random_below(place_count);
	while (!is_canonical(places[place], in_use.levels));
	return place;
}

static void touch_some(void)
{
	for (unsigned i = 0; i < 4; i++)
		touch(any_place());
}

/*
 * Without a change of the generation nothing else than that code is found there, nor, where no
 * other root can have it, nothing.
 */
static void check_code(void)
{
	const struct shadow *shadow = &shadows[in_use.shadow];

	for (unsigned i = 0; i < place_count; i++) {
		const struct code *c = &code[in_use.shadow][i];
		unsigned level;
		uint64_t pte;

		if (!c->pte || c->generation != shadow->code_generation ||
		    !is_canonical(places[i], in_use.levels))
			continue;
		pte = model_walk_memory(model.satp, places[i], &level);
		if (!c->global || (pte && is_shared(in_use.view, in_use.levels)))
			assert_int_equal(pte, c->pte);
	}
}

static void mark_reachable(const char *is_free, uint64_t table_pte)
{
	const uint64_t *table = hpa_to_pointer(pte_address(table_pte));
	const char *address = (const char *)table;

	if (address < memory || address >= memory + MEMORY_PAGES * PAGE_SIZE)
		return;
	assert_false(is_free[page_number(table)]);
	for (unsigned i = 0; i < PTE_ENTRIES; i++) {
		if (table[i] & PTE_V && !pte_is_leaf(table[i]))
			mark_reachable(is_free, table[i]);
	}
}

/* No page is lost, and none that is in use is free. */
static void check_pages(void)
{
	static char is_free[MEMORY_PAGES];
	uint64_t total = 0;

	memset(is_free, 0, sizeof(is_free));
	for (unsigned i = 0; i < SHADOWS; i++) {
		struct shadow *shadow = &shadows[i];
		struct shadow_own *own = shadow->own;
		uint64_t count = own->free_count + own->fixed_count + own->shared.page_count;
		uint64_t own_pages = (sizeof(*own) + PAGE_SIZE - 1) / PAGE_SIZE;

		for (unsigned r = 0; r < SHADOW_ROOTS; r++)
			count += own->roots[r].page_count;
		count += own_pages + shadow->pages / SHADOW_CHUNK_PAGES;
		assert_int_equal(count, shadow->pages);
		assert_true(shadow->pages <= shadow->pages_max);
		total += shadow->pages;
		for (struct list *node = own->free.next; node != &own->free; node = node->next) {
			uint64_t offset = (uint64_t)((char *)node - memory);
			uint64_t index = offset % PAGE_SIZE / sizeof(struct shadow_page);

			is_free[(offset >> PAGE_SHIFT) + index] = 1;
		}
	}
	assert_int_equal(arena.pages[ARENA_TABLES], total);
	assert_int_equal(arena.pages[ARENA_OBJECTS], 0);
	if (shadows[in_use.shadow].selected)
		mark_reachable(is_free, pte_make(HPA((model.satp & BITS(43, 0)) << PAGE_SHIFT), 0));
}

static void select_root(uint64_t satp, unsigned view, unsigned levels)
{
	struct shadow *shadow = &shadows[in_use.shadow];
	unsigned flags = (is_shared(view, levels) ? SHADOW_SHARE : 0) |
			 (is_supervisor(view) ? SHADOW_SUPERVISOR : 0);
	uint64_t value;

	shadow->work = fake_random_below(60);
	value = shadow_select(shadow, satp, view, levels, flags);

	/* So far the hart uses what it used before. */
	check_host_now();
	in_use.satp = satp;
	in_use.view = view;
	in_use.levels = levels;
	model.satp = value;
	assert_int_equal(value >> ATP_MODE_SHIFT, ATP_MODE_SV39 + layout.root_level - 2);
	assert_true(model_asid() <= layout.asid_max);
	check_host_now();
}

static uint64_t any_satp(unsigned levels)
{
	uint64_t mode = levels ? ATP_MODE_SV39 + levels - 3 : 0;

	if (!levels)
		return 0;
	return mode << ATP_MODE_SHIFT | (uint64_t)fake_random_below(ASIDS) << SATP_ASID_SHIFT |
	       (0x80000 + fake_random_below(4));
}

static void do_select(void)
{
	unsigned levels = modes[fake_random_below(8) ? 1 : fake_random_below(mode_count)];

	select_root(any_satp(levels), fake_random_below(fake_random_below(4) ? 3 : 8), levels);
}

static unsigned any_guest_level(unsigned level)
{
	if (in_use.levels == 0 || fake_random_below(8))
		return level;
	return level + fake_random_below(in_use.levels - level);
}

static void do_map(void)
{
	struct shadow *shadow = &shadows[in_use.shadow];
	unsigned place = any_place(), level = fake_random_below(6) == 0, tries = 0;
	uint64_t va = places[place], pte, expected, found;
	unsigned guest_level = any_guest_level(level);
	bool global = in_use.levels && fake_random_below(3) > 0;

	if (record_count == RECORDS)
		return;
	records[record_count] = (struct record){
	    .shadow = in_use.shadow,
	    .view = in_use.view,
	    .levels = in_use.levels,
	    .level = level,
	    .guest_level = guest_level,
	    .satp = in_use.satp,
	    .va = va,
	    .time = ++now,
	    .global = global,
	};
	expected = pte = (uint64_t)record_count++ << (PTE_PPN_SHIFT + 9) | LEAF;
	if (fake_random_below(8) == 0)
		expected = pte |= SHADOW_CODE;
	if (level && layout.pin_count && va >> MEGAPAGE_SHIFT == layout.pin_va >> MEGAPAGE_SHIFT)
		expected += (va >> PAGE_SHIFT & 511) << PTE_PPN_SHIFT;
	if (pin_of(va))
		expected = layout.pin_pte[pin_of(va) - 1];
	do {
		shadow_map(shadow, GVA(va), level, pte, global);
		if (guest_level > level)
			shadow_note_piece(shadow, GVA(va), guest_level);
		found = touch(place);
	} while (!found && ++tries < 3);
	assert_int_equal(found, expected);
	if (expected & SHADOW_CODE)
		code[in_use.shadow][place] =
		    (struct code){expected, shadow->code_generation, global};
}

static void note_fence(unsigned place, bool all_addresses, bool all_asids, unsigned asid)
{
	unsigned s = in_use.shadow;

	now++;
	if (all_addresses && all_asids)
		fenced[s].everything = now;
	else if (all_addresses)
		fenced[s].asid[asid] = now;
	else if (all_asids)
		fenced[s].page[place] = now;
	else
		fenced[s].page_asid[place][asid] = now;
}

/* The short way of a fence, where there is one. */
static bool fence_shortly(gva_t va)
{
	struct shadow *shadow = &shadows[in_use.shadow];
	uint64_t version = shadow->version;
	unsigned level;
	bool before = shadow_find(shadow, va, &level) != 0, found;

	if (!shadow_fence_page(shadow, va, &found)) {
		assert_int_equal(shadow->version, version);
		return false;
	}
	assert_int_equal(found, before);
	assert_int_equal(shadow_find(shadow, va, &level), 0);
	assert_int_not_equal(shadow->version, version);
	short_fences++;
	return true;
}

static void fence(bool all_addresses, bool all_asids)
{
	unsigned place = fake_random_below(place_count), asid = fake_random_below(ASIDS);
	struct shadow_fence f = {
	    .all_addresses = all_addresses,
	    .all_asids = all_asids,
	    .address = GVA(places[place] + fake_random_below(PAGE_SIZE)),
	    .asid = asid | fake_random() << 16,
	};

	if (all_addresses || !all_asids || fake_random_below(2) || !fence_shortly(f.address))
		shadow_fence(&shadows[in_use.shadow], &f);
	note_fence(place, all_addresses, all_asids, asid);
}

/* Addresses that are no guest's: of the hypervisor, and of no mode. */
static void fence_elsewhere(void)
{
	static const uint64_t addresses[] = {
	    0xffffffffffffa000, 0xffffffffc0000000, 0xff00000000000000,
	    0xffff800000000000, 0xffffffc000000000, 0x8000000000000000,
	    0x4000000000,       0xfffffe0000000000, UINT64_MAX,
	};
	struct shadow_fence f = {
	    .all_asids = fake_random_below(2),
	    .address = GVA(addresses[fake_random_below(ARRAY_SIZE(addresses))]),
	    .asid = fake_random_below(ASIDS),
	};

	if (!f.all_asids || !fence_shortly(f.address))
		shadow_fence(&shadows[in_use.shadow], &f);
}

static void do_fence(void)
{
	switch (fake_random_below(40)) {
	case 0:
		fence(true, true);
		break;
	case 1:
	case 2:
		fence(true, false);
		break;
	case 3:
		for (unsigned i = 0; i < SHADOW_LOG - 2 + fake_random_below(5); i++)
			fence(false, i % 2);
		break;
	case 4:
		fence_elsewhere();
		break;
	case 5:
		shadow_flush(&shadows[in_use.shadow]);
		fenced[in_use.shadow].everything = ++now;
		break;
	default:
		fence(false, fake_random_below(2));
		break;
	}
}

static void do_change_vcpu(void)
{
	use_host_tables();
	in_use.shadow = !in_use.shadow;
	shadow_enter_hart(&shadows[in_use.shadow]);
	do_select();
}

static void do_change_layout(void)
{
	static const uint64_t pins[] = {0x1000, 0x7fe00000 + 510 * PAGE_SIZE, 0xffffffff80000000,
					0x3fffe00000 + 3 * PAGE_SIZE};

	if (layout.resident)
		return;
	use_host_tables();
	layout.pin_va = pins[fake_random_below(ARRAY_SIZE(pins))];
	layout.pin_count = fake_random_below(3);
	for (unsigned i = 0; i < SHADOWS; i++) {
		while (!shadow_prepare_change(&shadows[i]))
			;
		shadow_change_layout(&shadows[i], &layout);
		assert_null(shadows[i].selected);
		fenced[i].everything = ++now;
	}
	shadow_enter_hart(&shadows[in_use.shadow]);
	do_select();
}

static void check_find(void)
{
	unsigned place = any_place(), found_level = 9, level = 9;
	uint64_t pte = model_walk_memory(model.satp, places[place], &level);
	uint64_t found = shadow_find(&shadows[in_use.shadow], GVA(places[place]), &found_level);

	assert_int_equal(found, pin_of(places[place]) ? 0 : pte);
	if (found)
		assert_int_equal(found_level, level);
	assert_int_equal(shadow_find(&shadows[in_use.shadow], GVA(0xffffffffffffa000), &level), 0);
	assert_int_equal(shadow_find(&shadows[in_use.shadow], GVA(0x8000000000000000), &level), 0);
}

static void do_something(void)
{
	unsigned what = fake_random_below(1000);

	if (what < 500)
		do_map();
	else if (what < 750)
		do_fence();
	else if (what < 980)
		do_select();
	else if (what < 995)
		do_change_vcpu();
	else
		do_change_layout();
	touch_some();
	check_find();
	check_code();
	check_host_now();
}

static void run_random(unsigned root_level, uint64_t pin_va, uint64_t asid_max, uint64_t pages_max)
{
	fill_layout(root_level, !pin_va, pin_va, asid_max);
	mode_count = 0;
	modes[mode_count++] = 0;
	modes[mode_count++] = 3;
	if (root_level > 2)
		modes[mode_count++] = 4;
	start(pages_max);
	do_select();
	for (unsigned i = 0; i < 6000; i++) {
		do_something();
		if (i % 16 == 0)
			check_pages();
	}
	assert_true(shadows[0].fills > 0);
	destroy();
}

static void test_random(void **state)
{
	static const uint64_t asids[] = {0, 5, 0xffff};
	static const uint64_t bounds[] = {SHADOW_PAGES_MIN, 100, 2048};

	(void)state;
	for (unsigned root_level = 2; root_level <= 4; root_level++) {
		for (unsigned i = 0; i < ARRAY_SIZE(bounds); i++) {
			for (unsigned a = 0; a < ARRAY_SIZE(asids); a++) {
				run_random(root_level, 0, asids[a], bounds[i]);
				run_random(root_level, 0x7fe00000 + PAGE_SIZE, asids[a], bounds[i]);
			}
		}
	}
	assert_true(short_fences > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_random, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
