/* SPDX-License-Identifier: MIT */
/* unit: engine/soft/shadow.c engine/soft/shadow_root.c engine/soft/shadow_pages.c kernel/arena.c kernel/page.c */
#include "tests/unit/fake_kernel.h"

#include "tests/unit/shadow_one.h"

static void use_bare(void)
{
	model.satp = shadow_select(&shadow, 0, VIEW_S, 0, 0);
}

static void test_init(void **state)
{
	char *rest[MEMORY_PAGES + 1];
	unsigned count = 0;

	(void)state;
	start(4, 100);
	assert_int_equal(shadow.pages, SHADOW_PAGES_MIN);
	assert_int_equal(arena.pages[ARENA_TABLES], SHADOW_PAGES_MIN);
	destroy();

	/* Three chunks are left: not enough, and nothing is kept of them. */
	while ((rest[count] = page_alloc(0)))
		count++;
	for (unsigned i = 0; i < 3 * SHADOW_CHUNK_PAGES; i++)
		page_free(rest[--count], 0);
	assert_int_equal(shadow_init(&shadow, &arena, &layout, 1000), ERR_NOMEM);
	assert_int_equal(page_free_bytes(), 3 * SHADOW_CHUNK_PAGES * PAGE_SIZE);
	assert_int_equal(arena.pages[ARENA_TABLES], 0);

	/* With four the guest runs, and what it needs more is had by eviction. */
	for (unsigned i = 0; i < SHADOW_CHUNK_PAGES; i++)
		page_free(rest[--count], 0);
	start(4, 1000);
	for (unsigned i = 0; i < 400; i++) {
		use(1, i, VIEW_S);
		map(USER, leaf(i), false);
		assert_int_equal(find(USER), leaf(i));
	}
	assert_true(shadow.evictions > 0);
	assert_int_equal(shadow.pages, SHADOW_PAGES_MIN);
	while (count > 0)
		page_free(rest[--count], 0);
	destroy();
}

static void test_switching_keeps(void **state)
{
	unsigned fences;

	(void)state;
	start(4, 1000);
	for (unsigned i = 1; i <= 5; i++) {
		use(i, i, VIEW_S);
		map(KERNEL, leaf(7), true);
		use(i, i, VIEW_U);
		map(USER, leaf(i), false);
	}
	fences = model.fences;
	for (unsigned i = 1; i <= 5; i++) {
		use(i, i, VIEW_U);
		assert_int_equal(find(USER), leaf(i));
		assert_int_equal(find(KERNEL), 0);
		use(i, i, VIEW_S);
		assert_int_equal(find(KERNEL), leaf(7));
		assert_int_equal(find(USER), 0);
	}
	assert_int_equal(model.fences, fences);
	destroy();
}

/* What was entered as global in one root is there in all that use its part of the address space. */
static void test_global(void **state)
{
	(void)state;
	for (unsigned root_level = 2; root_level <= 4; root_level++) {
		start(root_level, 1000);
		use(1, 1, VIEW_S);
		map(KERNEL, leaf(1), true);
		map(KERNEL + PAGE_SIZE, leaf(2), true);
		use(2, 2, VIEW_SUM);
		map(KERNEL + 2 * PAGE_SIZE, leaf(3), true);
		assert_int_equal(find(KERNEL), leaf(1));
		assert_int_equal(find(KERNEL + PAGE_SIZE), leaf(2));
		use(1, 1, VIEW_S);
		assert_int_equal(find(KERNEL + 2 * PAGE_SIZE), leaf(3));

		/* A root with something else there has none of it, the others go on. */
		use(3, 3, VIEW_S);
		map(KERNEL + 2 * PAGE_SIZE, leaf(3), true);
		map(KERNEL + 3 * PAGE_SIZE, leaf(4), false);
		assert_int_equal(find(KERNEL), 0);
		assert_int_equal(find(KERNEL + 3 * PAGE_SIZE), leaf(4));
		map(KERNEL, leaf(5), true);
		use(2, 2, VIEW_SUM);
		assert_int_equal(find(KERNEL), leaf(1));
		assert_int_equal(find(KERNEL + 3 * PAGE_SIZE), 0);

		fence_page(KERNEL);
		assert_int_equal(find(KERNEL), 0);
		assert_int_equal(find(KERNEL + PAGE_SIZE), leaf(2));
		use(3, 3, VIEW_S);
		assert_int_equal(find(KERNEL), 0);
		assert_int_equal(find(KERNEL + 3 * PAGE_SIZE), leaf(4));
		destroy();
	}
}

static void test_fences_spare(void **state)
{
	const uint64_t user = USER;
	const unsigned one = 1;

	(void)state;
	start(3, 1000);
	for (unsigned i = 1; i <= 2; i++) {
		use(i, i, VIEW_S);
		map(USER, leaf(10 + i), false);
		map(USER + PAGE_SIZE, leaf(20 + i), false);
		map(KERNEL, leaf(30), true);
	}

	fence(&user, &one);
	assert_int_equal(find(USER), leaf(12));
	use(1, 1, VIEW_S);
	assert_int_equal(find(USER), 0);
	assert_int_equal(find(USER + PAGE_SIZE), leaf(21));
	assert_int_equal(find(KERNEL), leaf(30));

	fence(NULL, &one);
	assert_int_equal(find(USER + PAGE_SIZE), 0);
	map(KERNEL + PAGE_SIZE, leaf(31), true);
	assert_int_equal(find(KERNEL), leaf(30));
	use(2, 2, VIEW_S);
	assert_int_equal(find(USER), leaf(12));
	assert_int_equal(find(KERNEL), leaf(30));

	fence(NULL, NULL);
	assert_int_equal(find(USER), 0);
	assert_int_equal(find(KERNEL), 0);
	map(KERNEL + PAGE_SIZE, leaf(32), true);
	assert_int_equal(find(KERNEL), 0);
	destroy();
}

/*
 * A root follows the fences there were while it was not in use, be there few that concern it among
 * those in the log, or is emptied. Few are fewer if much was done already.
 */
static void test_log(void **state)
{
	const uint64_t other = USER + 2 * PAGE_SIZE;
	const unsigned asids[] = {1, 2};

	(void)state;
	start(3, 1000);
	for (unsigned count = 30; count <= SHADOW_LOG + 1; count++) {
		for (unsigned i = 0; i < 2; i++) {
			use(1, 1, VIEW_U);
			map(USER, leaf(1), false);
			map(USER + PAGE_SIZE, leaf(2), false);
			use(2, 2, VIEW_U);
			fence_page(USER);
			for (unsigned f = 1; f < count; f++)
				fence(&other, &asids[i]);
			use(1, 1, VIEW_U);
			assert_int_equal(find(USER), 0);
			assert_int_equal(find(USER + PAGE_SIZE),
					 count > (i ? SHADOW_LOG : 40) ? 0 : leaf(2));
		}
	}
	for (unsigned work = 0; work < 60; work++) {
		use(1, 1, VIEW_U);
		map(USER, leaf(1), false);
		map(USER + PAGE_SIZE, leaf(2), false);
		use(2, 2, VIEW_U);
		for (unsigned f = 0; f < 20; f++)
			fence_page(USER);
		shadow.work = work;
		model.satp = shadow_select(&shadow, satp_of(1, 1), VIEW_U, 3, 0);
		assert_int_equal(find(USER), 0);
		assert_int_equal(find(USER + PAGE_SIZE), work > 20 ? 0 : leaf(2));
	}
	destroy();
}

static void test_many_roots(void **state)
{
	unsigned kept = 0;

	(void)state;
	start(2, 4096);
	for (unsigned i = 0; i < SHADOW_ROOTS + 100; i++) {
		use(i, i, VIEW_U);
		map(USER, leaf(i), false);
		/* One that is used now and then stays. */
		use(0, 0, VIEW_U);
		assert_int_equal(find(USER), leaf(0));
	}
	assert_int_equal(shadow.evictions, 100);
	for (unsigned i = 101; i < SHADOW_ROOTS + 100; i++) {
		use(i, i, VIEW_U);
		kept += find(USER) == leaf(i);
	}
	assert_int_equal(kept, SHADOW_ROOTS - 1);
	use(100, 100, VIEW_U);
	assert_int_equal(find(USER), 0);
	destroy();
}

/* One root that needs more than there is gives up what it has, never what is being entered. */
static void test_bound(void **state)
{
	(void)state;
	for (unsigned root_level = 2; root_level <= 4; root_level++) {
		start(root_level, SHADOW_PAGES_MIN);
		use(1, 1, VIEW_S);
		for (uint64_t i = 1; i < 500; i++) {
			uint64_t va =
			    (i % 2 ? 0xffffffc000000000 : 0) + i * 37 % 250 * GIGAPAGE_SIZE;

			map(va, leaf(i), i % 3);
			assert_int_equal(find(va), leaf(i));
		}
		assert_int_equal(shadow.pages, SHADOW_PAGES_MIN);
		assert_true(shadow.evictions > 0);
		destroy();
	}
}

/* Tables that are replaced do not add up. */
static void test_no_leak(void **state)
{
	const uint64_t large = 0x200 << PTE_PPN_SHIFT | LEAF;

	(void)state;
	start(4, SHADOW_PAGES_MIN);
	use(1, 1, VIEW_S);
	for (unsigned i = 0; i < 1000; i++) {
		map(KERNEL, leaf(i), true);
		if (i % 2) {
			shadow_map(&shadow, GVA(KERNEL), 1, large, true);
		} else {
			shadow_note_piece(&shadow, GVA(KERNEL), 2);
			fence_page(KERNEL + 5 * MEGAPAGE_SIZE);
			assert_int_equal(find(KERNEL), 0);
		}
	}
	assert_int_equal(shadow.evictions, 0);
	destroy();
}

static void test_large_pages(void **state)
{
	const uint64_t large = 0x200 << PTE_PPN_SHIFT | LEAF;
	unsigned level;

	(void)state;
	start(4, 1000);
	use(1, 1, VIEW_U);
	shadow_map(&shadow, GVA(MEGAPAGE_SIZE), 1, large, false);
	assert_int_equal(find(MEGAPAGE_SIZE + 5 * PAGE_SIZE), large);
	assert_int_equal(shadow_find(&shadow, GVA(MEGAPAGE_SIZE), &level), large);
	assert_int_equal(level, 1);

	/* A small page in its place, and the large one again. */
	map(MEGAPAGE_SIZE + 5 * PAGE_SIZE, leaf(5), false);
	assert_int_equal(find(MEGAPAGE_SIZE + 5 * PAGE_SIZE), leaf(5));
	assert_int_equal(find(MEGAPAGE_SIZE), 0);
	shadow_map(&shadow, GVA(MEGAPAGE_SIZE + PAGE_SIZE), 1, large, false);
	assert_int_equal(find(MEGAPAGE_SIZE + 5 * PAGE_SIZE), large);

	fence_page(2 * MEGAPAGE_SIZE - 1);
	assert_int_equal(find(MEGAPAGE_SIZE), 0);

	/* Parts of a page of the guest's that is larger than its leaves. */
	use(1, 1, VIEW_S);
	for (unsigned i = 0; i < 3; i++) {
		map(MEGAPAGE_SIZE + i * PAGE_SIZE, leaf(i + 1), true);
		shadow_note_piece(&shadow, GVA(MEGAPAGE_SIZE), 1);
		shadow_map(&shadow, GVA(GIGAPAGE_SIZE + i * MEGAPAGE_SIZE), 1, large, true);
		shadow_note_piece(&shadow, GVA(GIGAPAGE_SIZE), 2);
	}
	fence_page(MEGAPAGE_SIZE + 9 * PAGE_SIZE);
	assert_int_equal(find(MEGAPAGE_SIZE + PAGE_SIZE), 0);
	assert_int_equal(find(GIGAPAGE_SIZE), large);
	fence_page(GIGAPAGE_SIZE + 9 * MEGAPAGE_SIZE);
	assert_int_equal(find(GIGAPAGE_SIZE), 0);
	destroy();
}

/* Whether the generation changed since the last time. */
static bool is_new_generation(void)
{
	static uint64_t last;
	bool changed = shadow.code_generation != last;

	last = shadow.code_generation;
	return changed;
}

static void test_code_generation(void **state)
{
	(void)state;
	start(4, 1000);
	use(1, 1, VIEW_S);
	is_new_generation();
	map(KERNEL, leaf(1) | SHADOW_CODE, true);
	map(KERNEL + PAGE_SIZE, leaf(2), true);
	assert_false(is_new_generation());

	/* What does not touch the code leaves the generation as it is. */
	use(1, 1, VIEW_U);
	map(USER, leaf(3), false);
	use(2, 2, VIEW_S);
	map(KERNEL + 3 * MEGAPAGE_SIZE, leaf(2), true);
	fence_page(KERNEL + 3 * MEGAPAGE_SIZE);
	fence_page(USER);
	assert_false(is_new_generation());

	fence_page(KERNEL);
	assert_true(is_new_generation());
	map(KERNEL, leaf(1) | SHADOW_CODE, true);
	map(KERNEL, leaf(4), true);
	assert_true(is_new_generation());
	map(KERNEL, leaf(1) | SHADOW_CODE, true);
	is_new_generation();
	fence(NULL, NULL);
	assert_true(is_new_generation());

	/* Code of one root alone. */
	map(USER, leaf(5) | SHADOW_CODE, false);
	is_new_generation();
	use(1, 1, VIEW_U);
	assert_true(is_new_generation());
	use(2, 2, VIEW_S);
	assert_true(is_new_generation());
	destroy();
}

/*
 * The short way of a fence: for global leaves, and where nothing is; not where the root has tables
 * of its own, parts of larger pages or code. Other roots follow it as any other.
 */
static void test_fence_of_page(void **state)
{
	const uint64_t own = USER, code = KERNEL + 2 * MEGAPAGE_SIZE,
		       pieces = KERNEL + 5 * MEGAPAGE_SIZE;
	bool found;

	(void)state;
	start(4, 1000);
	use(1, 1, VIEW_S);
	map(KERNEL, leaf(1), true);
	map(own, leaf(2), false);
	map(code, leaf(3) | SHADOW_CODE, true);
	map(pieces, leaf(4), true);
	shadow_note_piece(&shadow, GVA(pieces), 1);

	assert_false(shadow_fence_page(&shadow, GVA(own), &found));
	assert_false(shadow_fence_page(&shadow, GVA(code), &found));
	assert_false(shadow_fence_page(&shadow, GVA(pieces), &found));
	assert_false(shadow_fence_page(&shadow, GVA(IMAGE_BASE), &found));
	assert_false(shadow_fence_page(&shadow, GVA(UINT64_C(1) << 60), &found));
	assert_true(find(own) && find(code) && find(pieces));

	use(2, 2, VIEW_U);
	assert_false(shadow_fence_page(&shadow, GVA(own), &found));
	map(KERNEL, leaf(5), false);
	use(1, 1, VIEW_S);
	assert_true(shadow_fence_page(&shadow, GVA(KERNEL), &found));
	assert_true(found);
	assert_int_equal(find(KERNEL), 0);
	assert_true(shadow_fence_page(&shadow, GVA(KERNEL), &found));
	assert_false(found);
	use(2, 2, VIEW_U);
	assert_int_equal(find(KERNEL), 0);
	destroy();
}

/* A fence of which the root in use has nothing reaches those that are not in use. */
static void test_fence_of_others(void **state)
{
	uint64_t version, generation;

	(void)state;
	start(4, 1000);
	/* The first with a global set empties what there is. */
	use(1, 1, VIEW_S);
	use(1, 1, VIEW_U);
	map(USER, leaf(1), false);
	map(USER + PAGE_SIZE, leaf(2), false);
	use(1, 1, VIEW_S);
	version = shadow.version;
	generation = shadow.code_generation;
	shadow_fence_others(&shadow, GVA(USER));
	assert_int_not_equal(shadow.version, version);
	assert_int_equal(shadow.code_generation, generation);
	use(1, 1, VIEW_U);
	assert_int_equal(find(USER), 0);
	assert_int_equal(find(USER + PAGE_SIZE), leaf(2));

	/* Where any root may have code it is about that, too. */
	map(USER, leaf(3) | SHADOW_CODE, false);
	use(1, 1, VIEW_S);
	generation = shadow.code_generation;
	shadow_fence_others(&shadow, GVA(USER));
	assert_int_not_equal(shadow.code_generation, generation);
	destroy();
}

static uint64_t find_device(uint64_t va)
{
	/* The hart finds nothing there, nor does who looks for a leaf. */
	assert_int_equal(find(va), 0);
	return shadow_find_device(&shadow, GVA(va));
}

static void map_device(uint64_t va, uint64_t gpa, uint64_t rights, bool global)
{
	shadow_map_device(&shadow, GVA(va), GPA(gpa), rights, global);
}

/* A page of a device is no leaf for the hart, and dropped as leaves are. */
static void test_devices(void **state)
{
	const uint64_t uart = 0x10000000, far = UINT64_C(0xffffffffff000);
	bool found;

	(void)state;
	start(4, 1000);
	use(1, 1, VIEW_S);
	assert_int_equal(find_device(KERNEL), 0);
	map_device(KERNEL, uart + 0x123, PTE_R | PTE_W | PTE_X, true);
	map_device(USER, far, PTE_R, false);
	assert_int_equal(find_device(KERNEL), uart >> PAGE_SHIFT << PTE_PPN_SHIFT | PTE_R | PTE_W);
	assert_int_equal(find_device(USER), far >> PAGE_SHIFT << PTE_PPN_SHIFT | PTE_R);
	assert_int_equal(find_device(IMAGE_BASE), 0);
	assert_int_equal(find_device(UINT64_C(1) << 60), 0);

	/* A leaf takes its place, and it a leaf's. */
	map(USER, leaf(1), false);
	assert_int_equal(shadow_find_device(&shadow, GVA(USER)), 0);
	assert_int_equal(find(USER), leaf(1));
	map_device(USER, uart, PTE_R, false);
	assert_true(find_device(USER));

	/* Global ones are in other address spaces; and each kind of fence is about them. */
	use(2, 2, VIEW_S);
	map(KERNEL + PAGE_SIZE, leaf(2), true);
	assert_true(find_device(KERNEL));
	assert_int_equal(find_device(USER), 0);
	fence_page(USER);
	assert_true(shadow_fence_page(&shadow, GVA(KERNEL), &found));
	assert_true(found);
	assert_int_equal(find_device(KERNEL), 0);
	use(1, 1, VIEW_S);
	assert_int_equal(find_device(USER), 0);
	map_device(USER, uart, PTE_R, false);
	fence(NULL, &(unsigned){1});
	assert_int_equal(find_device(USER), 0);
	map_device(USER, uart, PTE_R, false);
	fence(NULL, NULL);
	assert_int_equal(find_device(USER), 0);
	map_device(USER, uart, PTE_R, false);
	map_device(USER + PAGE_SIZE, uart, PTE_R, false);
	shadow_note_piece(&shadow, GVA(USER + PAGE_SIZE), 1);
	fence_page(USER + 2 * PAGE_SIZE);
	assert_int_equal(find_device(USER), 0);
	destroy();
}

/* Where one view had code, a fence in another one is about it as well. */
static void test_code_of_views(void **state)
{
	(void)state;
	start(4, 1000);
	use(1, 1, VIEW_S);
	map(USER, leaf(1) | SHADOW_CODE, false);
	use(1, 1, VIEW_SUM);
	is_new_generation();
	fence_page(USER);
	assert_true(is_new_generation());

	/* It was in use since, by way of a view that has none: another address space. */
	use(1, 1, VIEW_S);
	map(USER, leaf(1) | SHADOW_CODE, false);
	use(1, 1, VIEW_SUM);
	is_new_generation();
	use(2, 2, VIEW_SUM);
	assert_true(is_new_generation());

	/* Code of all address spaces is not that of none. */
	fence(NULL, NULL);
	use(3, 3, VIEW_S);
	map(KERNEL, leaf(1) | SHADOW_CODE, true);
	is_new_generation();
	use(4, 4, VIEW_S);
	assert_false(is_new_generation());
	use_bare();
	assert_true(is_new_generation());
	use(4, 4, VIEW_S);
	assert_true(is_new_generation());
	destroy();
}

static void test_layout(void **state)
{
	uint64_t old;

	(void)state;
	start(2, 1000);
	use(1, 1, VIEW_S);
	map(KERNEL, leaf(1), true);
	map(USER, leaf(1), false);
	old = shadow.pages;
	for (unsigned i = 0; i < 100; i++) {
		model.satp = 0;
		fill_layout(2, false, i % 2 ? KERNEL : USER, 0xffff);
		shadow_change_layout(&shadow, &layout);
		use(1, 1, VIEW_S);
		assert_int_equal(find(i % 2 ? USER : KERNEL), 0);
		map(i % 2 ? USER : KERNEL, leaf(2), true);
		map(i % 2 ? KERNEL : USER, leaf(3), true);
		check_host(3, true);
	}
	assert_int_equal(shadow.pages, old);
	destroy();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_init, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_switching_keeps, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_global, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_fences_spare, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_fence_of_page, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_fence_of_others, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_devices, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_log, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_many_roots, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_leak, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_large_pages, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_code_generation, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_code_of_views, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_layout, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
