/* SPDX-License-Identifier: MIT */
/* unit: engine/soft/shadow.c engine/soft/shadow_root.c engine/soft/shadow_keep.c engine/soft/shadow_pages.c kernel/arena.c kernel/page.c */
#include "tests/unit/fake_kernel.h"

#include "tests/unit/shadow_one.h"

/* What a fence for everything spares. */

#define ORIGIN 0x80200000
#define SV48   0xffff800000000000
#define OTHER  (KERNEL + 3 * MEGAPAGE_SIZE)

/* What the guest's tables have now, for all that is asked, and how often that was. */
static uint64_t origin_now;
static unsigned asked;

static bool is_as_before(void *context, gva_t va, uint64_t origin)
{
	assert_ptr_equal(context, &shadow);
	assert_int_equal(va.v % MEGAPAGE_SIZE, 0);
	asked++;
	return origin == origin_now;
}

static void fence_everything(void)
{
	const struct shadow_fence f = {.all_addresses = true,
				       .all_asids = true,
				       .is_as_before = is_as_before,
				       .context = &shadow};

	asked = 0;
	shadow.work = 0;
	shadow_fence(&shadow, &f);
	assert_true(shadow.work > 0);
	check_host(3 + (shadow.own->shared.level > 2), true);
}

static uint64_t satp4_of(unsigned asid, unsigned table)
{
	return (uint64_t)ATP_MODE_SV48 << ATP_MODE_SHIFT | (uint64_t)asid << SATP_ASID_SHIFT |
	       table;
}

/* What was kept is found once its slot is the root's again, as the first fault there makes it. */
static uint64_t find_linked(uint64_t va)
{
	map(OTHER, leaf(0x777), true);
	return find(va);
}

static void begin(void)
{
	start(4, 1000);
	use(1, 1, VIEW_S);
	origin_now = ORIGIN;
	for (unsigned i = 0; i < 4; i++)
		map_part(KERNEL + i * PAGE_SIZE, 0, leaf(i + 1) | (i == 0 ? SHADOW_CODE : 0), 1,
			 ORIGIN);
}

static void test_kept(void **state)
{
	uint64_t generation, version;

	(void)state;
	begin();
	map(USER, leaf(0x20), false);
	use(1, 1, VIEW_SUM);
	use(1, 1, VIEW_S);
	generation = shadow.code_generation;
	version = shadow.version;
	fence_everything();
	assert_int_equal(asked, 1);
	assert_int_equal(find(USER), 0);
	assert_int_equal(find_linked(KERNEL), leaf(1) | SHADOW_CODE);
	assert_int_equal(find(KERNEL + 3 * PAGE_SIZE), leaf(4));
	assert_int_equal(find(KERNEL + 4 * PAGE_SIZE), 0);
	assert_int_equal(shadow.code_generation, generation);
	assert_int_not_equal(shadow.version, version);

	/* In the other root of this address space, and in another one. */
	use(1, 1, VIEW_SUM);
	assert_int_equal(find_linked(KERNEL + PAGE_SIZE), leaf(2));
	use(2, 2, VIEW_S);
	assert_int_equal(find_linked(KERNEL + PAGE_SIZE), leaf(2));

	/* It is still one page of the guest's, and has code. */
	generation = shadow.code_generation;
	fence_page(KERNEL + 100 * PAGE_SIZE);
	assert_int_equal(find_linked(KERNEL + PAGE_SIZE), 0);
	assert_int_not_equal(shadow.code_generation, generation);
	destroy();
}

static void test_changed(void **state)
{
	uint64_t generation;

	(void)state;
	begin();
	generation = shadow.code_generation;
	origin_now = ORIGIN + MEGAPAGE_SIZE;
	fence_everything();
	assert_int_equal(asked, 1);
	assert_int_equal(find_linked(KERNEL + PAGE_SIZE), 0);
	assert_int_not_equal(shadow.code_generation, generation);
	destroy();
}

/* A leaf of another page, or of one that nothing is known of, among them. */
static void test_mixed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		begin();
		if (i == 0)
			map(KERNEL + 9 * PAGE_SIZE, leaf(9), true);
		else
			map_part(KERNEL + 9 * PAGE_SIZE, 0, leaf(9), 1,
				 i == 1 ? ORIGIN + MEGAPAGE_SIZE : 0);
		/* That it is as it was for one of them does not help. */
		map_part(KERNEL + 2 * PAGE_SIZE, 0, leaf(3), 1, ORIGIN);
		fence_everything();
		assert_int_equal(asked, 0);
		assert_int_equal(find_linked(KERNEL + PAGE_SIZE), 0);
		destroy();
	}
}

/* The same table, when it is used again, is not what it was. */
static void test_mixed_no_more(void **state)
{
	(void)state;
	begin();
	map(KERNEL + 9 * PAGE_SIZE, leaf(9), true);
	fence_page(KERNEL);
	map_part(KERNEL, 0, leaf(1), 1, ORIGIN);
	fence_everything();
	assert_int_equal(asked, 1);
	assert_int_equal(find_linked(KERNEL), leaf(1));
	destroy();
}

/* A fence anywhere in a page of 1 GiB is about all of it: such parts are not kept. */
static void test_parts_of_larger(void **state)
{
	(void)state;
	begin();
	map_part(KERNEL + MEGAPAGE_SIZE, 0, leaf(7), 2, ORIGIN);
	fence_everything();
	assert_int_equal(find_linked(KERNEL + MEGAPAGE_SIZE), 0);
	destroy();
}

/* The guest's page of 512 GiB, which was fenced, left tables that nothing leads to. `again`: there
 * is one. */
static void cut_off(bool again)
{
	start(4, 1000);
	model.satp =
	    shadow_select(&shadow, satp4_of(1, 1), VIEW_S, 4, SHADOW_SHARE | SHADOW_SUPERVISOR);
	origin_now = ORIGIN;
	map_part(SV48, 0, leaf(1) | SHADOW_CODE, 1, ORIGIN);
	map_part(SV48 + GIGAPAGE_SIZE, 1, 0x200 << PTE_PPN_SHIFT | LEAF, 3, 0);
	fence_page(SV48 + 2 * GIGAPAGE_SIZE);
	assert_int_equal(find(SV48), 0);
	if (again)
		map_part(SV48, 0, leaf(2), 1, ORIGIN);
	fence_everything();
	assert_int_equal(asked, again);
	map(SV48 + GIGAPAGE_SIZE, leaf(0x777), true);
	assert_int_equal(find(SV48), again ? leaf(2) : 0);
	destroy();
}

static void test_cut_off(void **state)
{
	(void)state;
	cut_off(false);
	cut_off(true);
}

static void test_flush(void **state)
{
	(void)state;
	begin();
	asked = 0;
	shadow_flush(&shadow);
	assert_int_equal(asked, 0);
	assert_int_equal(find_linked(KERNEL + PAGE_SIZE), 0);
	destroy();
}

/* Code that only one address space has is gone, and known no more. */
static void test_private_code(void **state)
{
	uint64_t generation;

	(void)state;
	begin();
	map(USER, leaf(0x20) | SHADOW_CODE, false);
	generation = shadow.code_generation;
	fence_everything();
	assert_int_not_equal(shadow.code_generation, generation);
	assert_int_equal(find(USER), 0);
	assert_int_equal(find_linked(KERNEL + PAGE_SIZE), leaf(2));
	destroy();
}

/* What is kept has code, so that what happens to it later changes what is known. */
static void test_code_is_known(void **state)
{
	uint64_t generation;

	(void)state;
	begin();
	fence_everything();
	generation = shadow.code_generation;
	shadow_fence_others(&shadow, GVA(KERNEL));
	assert_int_not_equal(shadow.code_generation, generation);
	destroy();

	begin();
	fence_everything();
	assert_int_equal(find_linked(KERNEL + PAGE_SIZE), leaf(2));
	generation = shadow.code_generation;
	shadow_map(&shadow, GVA(KERNEL), 1, 0x200 << PTE_PPN_SHIFT | LEAF, true);
	assert_int_not_equal(shadow.code_generation, generation);
	destroy();
}

static void fence_much(uint64_t now)
{
	const uint64_t first = KERNEL - GIGAPAGE_SIZE;
	unsigned found = 0;
	uint64_t generation;

	start(4, 2000);
	use(1, 1, VIEW_S);
	origin_now = now;
	for (unsigned i = 0; i < 500; i++)
		map_part(first + i * MEGAPAGE_SIZE, 0, leaf(i + 1) | SHADOW_CODE, 1, ORIGIN);
	generation = shadow.code_generation;
	fence_everything();
	assert_true(asked <= 32);
	assert_int_not_equal(shadow.code_generation, generation);
	map(first + GIGAPAGE_SIZE - PAGE_SIZE, leaf(0x777), true);
	for (unsigned i = 0; i < 500; i++)
		found += find(first + i * MEGAPAGE_SIZE) != 0;
	assert_int_equal(found, now == ORIGIN ? asked : 0);
	destroy();
}

/* However much there is, it takes no longer, and what is not kept is forgotten. */
static void test_bounds(void **state)
{
	(void)state;
	fence_much(ORIGIN);
	fence_much(ORIGIN + MEGAPAGE_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_changed, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_mixed, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_mixed_no_more, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_parts_of_larger, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_cut_off, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_flush, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_private_code, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_code_is_known, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
