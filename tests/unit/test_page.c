/* SPDX-License-Identifier: MIT */
/* unit: kernel/page.c */
#include "tests/unit/fake_kernel.h"

#include "kernel/page.h"

/* The allocator never touches what it gives out, so that an address alone will do. */
#define BASE       ((char *)0x4000000000)
#define COUNT      5000
#define HOLE       1200 /* pages 1200 to 1210 are never added */
#define HOLE_END   1211
#define FIRST      3
#define BLOCKS_MAX COUNT
#define ORDER_TRY  12

static struct page pages[COUNT];

/* The model: of each page whether it is there and free; and the blocks that were given. */
static bool is_free[COUNT];
static uint64_t free_count;
static struct {
	void *block;
	unsigned order;
} blocks[BLOCKS_MAX];
static unsigned block_count;

static void add(uint32_t first, uint32_t end)
{
	page_add(BASE + first * PAGE_SIZE, end - first);
	for (uint32_t i = first; i < end; i++)
		is_free[i] = true;
	free_count += end - first;
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	memset(is_free, 0, sizeof(is_free));
	free_count = block_count = 0;
	page_init(BASE, COUNT, pages);
	page_set_zero_block(0);
	add(FIRST, HOLE);
	add(HOLE_END, COUNT);
	return 0;
}

static bool run_is_free(uint32_t number, unsigned order)
{
	if (number + BIT(order) > COUNT)
		return false;
	for (uint32_t i = 0; i < BIT(order); i++) {
		if (!is_free[number + i])
			return false;
	}
	return true;
}

/* As buddies are always joined, a block that would fit is always found. */
static bool model_has(unsigned order)
{
	for (uint32_t number = 0; number < COUNT; number += (uint32_t)BIT(order)) {
		if (run_is_free(number, order))
			return true;
	}
	return false;
}

static void mark(uint32_t number, unsigned order, bool value)
{
	for (uint32_t i = 0; i < BIT(order); i++)
		is_free[number + i] = value;
}

static bool allocate(unsigned order)
{
	void *block = page_alloc(order);
	uint32_t number;

	if (!block) {
		assert_false(model_has(order));
		return false;
	}
	number = page_number(block);
	assert_ptr_equal(page_pointer(number), block);
	assert_ptr_equal(page_of(block), &pages[number]);
	assert_true(is_aligned(number, BIT(order)));
	assert_true(run_is_free(number, order));
	assert_int_equal(page_of(block)->order, order);
	assert_int_equal(page_of(block)->state, PAGE_ALLOCATED);
	mark(number, order, false);
	free_count -= BIT(order);
	blocks[block_count].block = block;
	blocks[block_count++].order = order;
	return true;
}

static void release(unsigned i)
{
	page_free(blocks[i].block, blocks[i].order);
	mark(page_number(blocks[i].block), blocks[i].order, true);
	free_count += BIT(blocks[i].order);
	blocks[i] = blocks[--block_count];
}

static void check_totals(void)
{
	assert_int_equal(page_free_bytes(), free_count * PAGE_SIZE);
	assert_int_equal(page_total_bytes(), (HOLE - FIRST + COUNT - HOLE_END) * PAGE_SIZE);
}

/* How many blocks of each order there are, taking the largest first. */
static void drain(unsigned counts[PAGE_ORDER_MAX + 1])
{
	for (unsigned order = PAGE_ORDER_MAX + 1; order-- > 0;) {
		counts[order] = 0;
		while (allocate(order))
			counts[order]++;
	}
	assert_int_equal(page_free_bytes(), 0);
	while (block_count)
		release(0);
	check_totals();
}

/* What the ranges consist of, found without the allocator. */
static void count_blocks(unsigned counts[PAGE_ORDER_MAX + 1])
{
	memset(counts, 0, (PAGE_ORDER_MAX + 1) * sizeof(counts[0]));
	for (uint32_t number = 0; number < COUNT;) {
		unsigned order = PAGE_ORDER_MAX;

		if (!is_free[number]) {
			number++;
			continue;
		}
		while (!is_aligned(number, BIT(order)) || !run_is_free(number, order))
			order--;
		counts[order]++;
		number += (uint32_t)BIT(order);
	}
}

static void test_random_operations(void **state)
{
	unsigned before[PAGE_ORDER_MAX + 1], after[PAGE_ORDER_MAX + 1];

	(void)state;
	count_blocks(before);
	for (unsigned round = 0; round < 40; round++) {
		unsigned bias = 1 + fake_random_below(9); /* of 10: how often it allocates */

		for (unsigned i = 0; i < 400; i++) {
			if (fake_random_below(10) < bias)
				allocate(fake_random_below(ORDER_TRY + 1) * fake_random_below(2));
			else if (block_count)
				release(fake_random_below(block_count));
			assert_int_equal(page_free_bytes(), free_count * PAGE_SIZE);
		}
		check_totals();
	}
	while (block_count)
		release(fake_random_below(block_count));
	drain(after);
	assert_memory_equal(before, after, sizeof(before));
	drain(after);
	assert_memory_equal(before, after, sizeof(before));
}

static void test_largest_blocks(void **state)
{
	static struct page many[3 << PAGE_ORDER_1G];
	void *first, *second;

	(void)state;
	page_init(BASE, ARRAY_SIZE(many), many);
	page_add(BASE + PAGE_SIZE, ARRAY_SIZE(many) - 1);
	first = page_alloc(PAGE_ORDER_1G);
	second = page_alloc(PAGE_ORDER_1G);
	assert_ptr_not_equal(first, second);
	assert_true(first == BASE + GIB(1) || first == BASE + GIB(2));
	assert_true(second == BASE + GIB(1) || second == BASE + GIB(2));
	/* The first GiB lacks a page. */
	assert_null(page_alloc(PAGE_ORDER_1G));
	assert_null(page_alloc(PAGE_ORDER_MAX + 1));
	assert_int_equal(page_free_bytes(), GIB(1) - PAGE_SIZE);
	/* Blocks of the largest order are not joined any further. */
	page_free(first, PAGE_ORDER_1G);
	page_free(second, PAGE_ORDER_1G);
	assert_non_null(page_alloc(PAGE_ORDER_1G));
	assert_non_null(page_alloc(PAGE_ORDER_1G));
}

static void test_bad_frees_panic(void **state)
{
	char *block = page_alloc(3);

	(void)state;
	assert_panics(page_free(block, 2));
	assert_panics(page_free(block + PAGE_SIZE, 0));
	assert_panics(page_free(BASE + HOLE * PAGE_SIZE, 0));
	assert_panics(page_free(BASE + COUNT * PAGE_SIZE, 0));
	page_free(block, 3);
	assert_panics(page_free(block, 3));
}

/* Clears one block between two pages that must keep their contents. */
static void check_clear(unsigned order, uint64_t step)
{
	uint64_t size = PAGE_SIZE << order;
	unsigned char *memory = aligned_alloc(PAGE_SIZE, size + 2 * PAGE_SIZE);

	assert_int_equal(page_clear_step(), step);
	memset(memory, 0xa5, size + 2 * PAGE_SIZE);
	preemptions = 0;
	page_clear(memory + PAGE_SIZE, order);
	for (uint64_t i = 0; i < PAGE_SIZE; i++) {
		assert_int_equal(memory[i], 0xa5);
		assert_int_equal(memory[PAGE_SIZE + size + i], 0xa5);
	}
	for (uint64_t i = 0; i < size; i++)
		assert_int_equal(memory[PAGE_SIZE + i], 0);
	assert_int_equal(preemptions, size <= step ? 0 : size / step - 1);
	free(memory);
}

static void test_clear(void **state)
{
	(void)state;
	for (unsigned block = 0; block <= 512; block = block ? block * 2 : 16) {
		page_set_zero_block(block);
		for (unsigned order = 0; order <= PAGE_ORDER_2M; order += 3)
			check_clear(order, block ? KIB(256) : KIB(64));
	}
}

static void test_alloc_zeroed(void **state)
{
	static struct page few[16];
	char *memory = aligned_alloc(PAGE_SIZE, 16 * PAGE_SIZE);
	char *block;

	(void)state;
	page_init(memory, 16, few);
	page_add(memory, 16);
	memset(memory, 0xff, 16 * PAGE_SIZE);
	block = page_alloc_zeroed(4);
	assert_ptr_equal(block, memory);
	for (unsigned i = 0; i < 16 * PAGE_SIZE; i++)
		assert_int_equal(block[i], 0);
	assert_null(page_alloc_zeroed(0));
	free(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_random_operations, setup),
	    cmocka_unit_test_setup(test_largest_blocks, setup),
	    cmocka_unit_test_setup(test_bad_frees_panic, setup),
	    cmocka_unit_test_setup(test_clear, setup),
	    cmocka_unit_test_setup(test_alloc_zeroed, setup),
	};

	return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}
