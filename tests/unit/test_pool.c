/* SPDX-License-Identifier: MIT */
/* unit: kernel/pool.c kernel/page.c */
#include "tests/unit/fake_kernel.h"

#include "kernel/page.h"
#include "kernel/pool.h"

#define MEGAPAGES 64
#define COUNT     (MEGAPAGES << PAGE_ORDER_2M)

static struct page pages[COUNT];
static char *memory;

static bool begun;

static int setup(void **state)
{
	(void)state;
	fake_reset();
	memory = aligned_alloc(MEGAPAGE_SIZE, COUNT * PAGE_SIZE);
	page_init(memory, COUNT, pages);
	page_add(memory, COUNT);
	/* Before memory has been promised to VMs nothing is kept aside. */
	if (!begun)
		assert_false(pool_wants_refill());
	begun = true;
	pool_begin();
	return 0;
}

/* The stocks are the program's: each test leaves them empty. */
static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FAKE_HARTS; i++) {
		present_hart = &harts[i];
		assert_null(pool_take_megapage());
	}
	free(memory);
	return 0;
}

static unsigned fill(void)
{
	unsigned steps = 0;

	while (pool_refill_step())
		steps++;
	return steps;
}

static void test_pages_are_cleared(void **state)
{
	unsigned taken = 0;
	char *page;

	(void)state;
	memset(memory, 0xdb, COUNT * PAGE_SIZE);
	assert_null(pool_take_megapage());
	assert_true(pool_wants_refill());
	/* A page is not there before the last of it is clear. */
	for (uint64_t done = page_clear_step(); done < MEGAPAGE_SIZE; done += page_clear_step()) {
		assert_true(pool_refill_step());
		assert_null(pool_take_megapage());
	}
	assert_true(pool_refill_step());
	fill();
	assert_false(pool_wants_refill());
	while ((page = pool_take_megapage()) != NULL) {
		assert_true(is_aligned((uintptr_t)page, MEGAPAGE_SIZE));
		assert_int_equal(page[0], 0);
		assert_memory_equal(page, page + 1, MEGAPAGE_SIZE - 1);
		memset(page, 0xee, MEGAPAGE_SIZE);
		taken++;
	}
	assert_in_range(taken, 1, MEGAPAGES / 2);
	assert_int_equal(page_free_bytes(), page_total_bytes() - taken * MEGAPAGE_SIZE);
	assert_true(pool_wants_refill());
}

static void test_each_hart_has_its_own(void **state)
{
	(void)state;
	fill();
	present_hart = &harts[1];
	assert_null(pool_take_megapage());
	assert_true(pool_wants_refill());
	present_hart = &harts[0];
	assert_non_null(pool_take_megapage());
	assert_true(pool_reclaim());
}

static void test_reclaim(void **state)
{
	(void)state;
	assert_false(pool_reclaim());
	for (unsigned i = 0; i < FAKE_HARTS; i++) {
		present_hart = &harts[i];
		fill();
	}
	assert_true(page_free_bytes() < page_total_bytes());
	assert_true(pool_reclaim());
	assert_false(pool_reclaim());
	assert_int_equal(page_free_bytes(), page_total_bytes());
}

static void test_modest_when_memory_is_short(void **state)
{
	void *taken[MEGAPAGES];
	unsigned count = 0;

	(void)state;
	while (page_free_bytes() >= page_total_bytes() / 8)
		taken[count++] = page_alloc(PAGE_ORDER_2M);
	assert_int_equal(fill(), 0);
	/* Nothing is tried again before somebody asks for a page. */
	assert_false(pool_wants_refill());
	page_free(taken[--count], PAGE_ORDER_2M);
	assert_int_equal(fill(), 0);
	assert_null(pool_take_megapage());
	assert_true(pool_wants_refill());
	assert_int_equal(fill(), MEGAPAGE_SIZE / page_clear_step());
	assert_false(pool_wants_refill());
	assert_true(pool_reclaim());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_pages_are_cleared, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_each_hart_has_its_own, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_reclaim, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_modest_when_memory_is_short, setup, teardown),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
