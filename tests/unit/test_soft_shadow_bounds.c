/* SPDX-License-Identifier: MIT */
/* unit: engine/soft/shadow.c engine/soft/shadow_root.c engine/soft/shadow_pages.c kernel/arena.c kernel/page.c */
/* What a guest can make long: it is done in part, or otherwise, or counts as much as it takes. */
#include "tests/unit/fake_kernel.h"

#include "tests/unit/shadow_one.h"

/* What is entered below KERNEL, in `count` tables, and becomes one page of the guest's. */
static void become_one_page(unsigned count)
{
	const uint64_t large = 0x200 << PTE_PPN_SHIFT | LEAF;
	uint64_t first = align_down(KERNEL, GIGAPAGE_SIZE);

	for (unsigned i = 0; i < count; i++)
		map(first + (511 - i) * MEGAPAGE_SIZE, leaf(i + 1), true);
	shadow_map(&shadow, GVA(first), 1, large, true);
	shadow_note_piece(&shadow, GVA(first), 2);
}

/*
 * One fence for a page that takes the place of many tables drops all of them, without a page being
 * lost, and counts as much as is done.
 */
static void test_many_pieces(void **state)
{
	static const unsigned counts[] = {1, 31, 32, 33, 511};
	uint64_t first = align_down(KERNEL, GIGAPAGE_SIZE), elsewhere = first - GIGAPAGE_SIZE;

	(void)state;
	start(4, 592);
	for (unsigned i = 0; i < 100; i++) {
		unsigned count = counts[i % ARRAY_SIZE(counts)];

		/* Both roots have the global tables. */
		use(2, 2, VIEW_SUM);
		map(elsewhere, leaf(7), true);
		map(first + 511 * MEGAPAGE_SIZE, leaf(1), true);
		use(1, 1, VIEW_S);
		map(elsewhere, leaf(7), true);
		become_one_page(count);
		shadow.work = 0;
		fence_page(first + 5 * MEGAPAGE_SIZE);
		assert_in_range(shadow.work, SHADOW_EMPTYING, 3 * SHADOW_EMPTYING + 1);
		for (unsigned view = VIEW_S; view <= VIEW_SUM; view++) {
			use(view, view, view);
			for (unsigned t = 0; t < 512; t++)
				assert_int_equal(find(first + t * MEGAPAGE_SIZE), 0);
			assert_int_equal(find(elsewhere), count <= 32 ? leaf(7) : 0);
		}
	}
	assert_int_equal(shadow.evictions, 0);
	destroy();
}

/* Room for a leaf is made by giving up as many roots as it takes, and that does not take long. */
static void test_room_of_small_roots(void **state)
{
	uint64_t evictions, own_pages = (sizeof(*shadow.own) + PAGE_SIZE - 1) / PAGE_SIZE;

	(void)state;
	start(2, 256);
	for (unsigned i = 0; i < SHADOW_ROOTS + own_pages; i++)
		use(i, i, VIEW_U);
	use(1000, 1000, VIEW_U);
	for (unsigned i = 1; i < 50; i++) {
		for (unsigned n = 0; n < 5; n++)
			use(1000 + 5 * i + n, 1, VIEW_U);
		use(1000, 1000, VIEW_U);
		evictions = shadow.evictions;
		shadow.work = 0;
		map(i * GIGAPAGE_SIZE, leaf(i), false);
		assert_int_equal(find(i * GIGAPAGE_SIZE), leaf(i));
		assert_in_range(shadow.evictions - evictions, 1, SHADOW_RESERVE);
		assert_true(shadow.work <= SHADOW_RESERVE * SHADOW_EVICTING + 2 * SHADOW_CLEARING);
	}
	destroy();
}

/* Roots are given up some at a time before a change of layout; the one in use stays. */
static void test_prepare_change(void **state)
{
	unsigned steps = 0;

	(void)state;
	start(2, 1000);
	for (unsigned i = 0; i < SHADOW_ROOTS; i++)
		use(i, i, VIEW_U);
	use(0, 0, VIEW_U);
	map(USER, leaf(1), false);
	while (!shadow_prepare_change(&shadow)) {
		check_host(3, false);
		assert_int_equal(find(USER), leaf(1));
		assert_true(++steps < 10);
	}
	assert_int_equal(steps, 3);
	assert_int_equal(shadow.evictions, 3 * 64);
	destroy();
}

/* A layout that may be changed at any time has so few roots that it is done at once. */
static void test_passing_layout(void **state)
{
	(void)state;
	start(2, 1000);
	layout.passing = true;
	shadow_change_layout(&shadow, &layout);
	for (unsigned i = 0; i < SHADOW_ROOTS; i++) {
		use(i, i, VIEW_U);
		map(USER, leaf(i), false);
		assert_true(shadow_prepare_change(&shadow));
		assert_int_equal(shadow.evictions, i < 64 ? 0 : i - 63);
	}
	/* Those that were used last are kept. */
	for (unsigned i = SHADOW_ROOTS - 64; i < SHADOW_ROOTS; i++) {
		use(i, i, VIEW_U);
		assert_int_equal(find(USER), leaf(i));
	}
	layout.passing = false;
	shadow_change_layout(&shadow, &layout);
	for (unsigned i = 0; i < 65; i++)
		use(i, i, VIEW_U);
	assert_false(shadow_prepare_change(&shadow));
	destroy();
}

/* What is in memory that was given to it is no translation. */
static void test_dirty_memory(void **state)
{
	(void)state;
	memset(memory, 0xff, MEMORY_PAGES * PAGE_SIZE);
	start(4, 400);
	for (unsigned i = 0; i < 100; i++) {
		use(i, i, VIEW_S);
		assert_int_equal(find(USER), 0);
		map(USER, leaf(i), false);
		map(KERNEL, leaf(1), true);
		for (unsigned level = 0; level < 3; level++) {
			uint64_t beside = BIT(pte_level_shift(level));

			assert_int_equal(find(USER ^ beside), 0);
			if (level < 2)
				assert_int_equal(find(KERNEL ^ beside), 0);
		}
	}
	destroy();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_many_pieces, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_room_of_small_roots, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_prepare_change, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_passing_layout, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_dirty_memory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
