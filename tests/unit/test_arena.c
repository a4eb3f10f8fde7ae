/* SPDX-License-Identifier: MIT */
/* unit: kernel/arena.c kernel/page.c */
#include "tests/unit/fake_kernel.h"

#include "kernel/arena.h"
#include "kernel/page.h"

#define MEMORY_PAGES 1024
#define BLOCKS_MAX   200

static struct page pages[MEMORY_PAGES];
static char *memory;
static struct arena arena;

static int setup(void **state)
{
	(void)state;
	fake_reset();
	memory = aligned_alloc(MEMORY_PAGES * PAGE_SIZE, MEMORY_PAGES * PAGE_SIZE);
	memset(memory, 0xdb, MEMORY_PAGES * PAGE_SIZE);
	page_init(memory, MEMORY_PAGES, pages);
	page_add(memory, MEMORY_PAGES);
	arena_init(&arena);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(memory);
	return 0;
}

/* How many steps it took. */
static unsigned destroy(void)
{
	unsigned steps = 1;

	while (arena_destroy_step(&arena) == ERR_AGAIN)
		steps++;
	assert_int_equal(page_free_bytes(), page_total_bytes());
	for (unsigned use = 0; use < ARENA_USES; use++)
		assert_int_equal(arena.pages[use], 0);
	return steps;
}

static void check_cleared(const char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		assert_int_equal(bytes[i], 0);
}

static void test_objects(void **state)
{
	char *objects[100];
	size_t sizes[100];

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		sizes[i] = 1 + fake_random_below(i % 10 ? 600 : 6000);
		objects[i] = arena_alloc(&arena, sizes[i]);
		assert_true(
		    is_aligned((uintptr_t)objects[i], sizes[i] >= PAGE_SIZE ? PAGE_SIZE : 16));
		check_cleared(objects[i], sizes[i]);
		memset(objects[i], (int)i + 1, sizes[i]);
	}
	/* Nobody has written into another. */
	for (unsigned i = 0; i < 100; i++) {
		for (size_t n = 0; n < sizes[i]; n++)
			assert_int_equal(objects[i][n], i + 1);
	}
	assert_int_equal(arena.pages[ARENA_OBJECTS] * PAGE_SIZE,
			 page_total_bytes() - page_free_bytes());
	destroy();
	/* And it is usable. */
	check_cleared(arena_alloc(&arena, 5000), 5000);
	assert_int_equal(arena.pages[ARENA_OBJECTS], 2);
	destroy();
}

static void test_small_objects_share_pages(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PAGE_SIZE / 16; i++)
		assert_non_null(arena_alloc(&arena, 1));
	assert_int_equal(arena.pages[ARENA_OBJECTS], 1);
	assert_non_null(arena_alloc(&arena, 1));
	assert_int_equal(arena.pages[ARENA_OBJECTS], 2);
	destroy();
}

static void test_random_pages(void **state)
{
	static struct {
		void *block;
		unsigned order;
		enum arena_use use;
	} blocks[BLOCKS_MAX];
	uint64_t owned[ARENA_USES] = {0};
	unsigned count = 0;

	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		if (fake_random_below(2) && count < BLOCKS_MAX) {
			unsigned order = fake_random_below(4);
			enum arena_use use = fake_random_below(ARENA_USES);
			void *block = arena_alloc_pages(&arena, order, use);

			if (!block)
				continue;
			check_cleared(block, PAGE_SIZE << order);
			memset(block, 0xee, PAGE_SIZE << order);
			blocks[count].block = block;
			blocks[count].order = order;
			blocks[count++].use = use;
			owned[use] += BIT(order);
		} else if (count) {
			unsigned n = fake_random_below(count);

			arena_free_pages(&arena, blocks[n].block, blocks[n].order, blocks[n].use);
			owned[blocks[n].use] -= BIT(blocks[n].order);
			blocks[n] = blocks[--count];
		}
		assert_memory_equal(owned, arena.pages, sizeof(owned));
		assert_int_equal((owned[0] + owned[1] + owned[2]) * PAGE_SIZE,
				 page_total_bytes() - page_free_bytes());
	}
	destroy();
}

static void test_destroy_in_steps(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100; i++)
		arena_alloc_pages(&arena, 0, ARENA_RAM);
	assert_in_range(destroy(), 3, 20);
	assert_int_equal(destroy(), 1);
}

static void test_no_memory(void **state)
{
	(void)state;
	assert_null(arena_alloc(&arena, SIZE_MAX));
	assert_null(arena_alloc(&arena, GIB(1) + 1));
	assert_null(arena_alloc(&arena, GIB(1)));
	assert_null(arena_alloc_pages(&arena, 11, ARENA_RAM));
	assert_non_null(arena_alloc_pages(&arena, 10, ARENA_RAM));
	assert_null(arena_alloc(&arena, 1));
	assert_null(arena_alloc(&arena, 5000));
	assert_int_equal(arena.pages[ARENA_OBJECTS], 0);
	assert_int_equal(arena.lock.next, arena.lock.owner);
	destroy();
}

static void test_adopt(void **state)
{
	void *block = page_alloc(3);

	(void)state;
	arena_adopt_pages(&arena, block, 3, ARENA_RAM);
	assert_int_equal(arena.pages[ARENA_RAM], 8);
	destroy();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_objects, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_small_objects_share_pages, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_random_pages, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_destroy_in_steps, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_adopt, setup, teardown),
	};

	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
