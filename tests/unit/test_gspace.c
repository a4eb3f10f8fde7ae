/* SPDX-License-Identifier: MIT */
/* unit: engine/gspace.c kernel/arena.c kernel/page.c */
#include "tests/unit/fake_kernel.h"

#include "engine/gspace.h"
#include "kernel/page.h"
#include "riscv/pte.h"

#define MEMORY_PAGES 4096
#define MAPPINGS_MAX 300

static struct page pages[MEMORY_PAGES];
static char *memory;
static struct arena arena;
static struct gspace space;

/* The model. */
static struct mapping {
	uint64_t gpa, hpa;
	unsigned level;
} mappings[MAPPINGS_MAX];
static unsigned mapping_count;

static uint64_t size_of_level(unsigned level)
{
	return BIT(PAGE_SHIFT + 9 * level);
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	memory = aligned_alloc(MIB(16), MEMORY_PAGES * PAGE_SIZE);
	memset(memory, 0xdb, MEMORY_PAGES * PAGE_SIZE);
	page_init(memory, MEMORY_PAGES, pages);
	page_add(memory, MEMORY_PAGES);
	arena_init(&arena);
	mapping_count = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	while (arena_destroy_step(&arena) == ERR_AGAIN)
		;
	assert_int_equal(page_free_bytes(), page_total_bytes());
	free(memory);
	return 0;
}

static const struct mapping *model_find(uint64_t gpa, uint64_t size)
{
	for (unsigned i = 0; i < mapping_count; i++) {
		if (ranges_overlap(mappings[i].gpa, size_of_level(mappings[i].level), gpa, size))
			return &mappings[i];
	}
	return NULL;
}

/* Addresses at the ends of the space, and clusters that share tables. */
static uint64_t some_address(unsigned bits)
{
	uint64_t near = fake_random() & (BIT(20 + fake_random_below(bits - 19)) - 1);

	near &= BIT(bits) - 1;
	return fake_random_below(2) ? near : BIT(bits) - 1 - near;
}

static void check_lookup(uint64_t gpa)
{
	const struct mapping *expected = model_find(gpa, 1);
	unsigned level = 99;
	hpa_t hpa = HPA(0);
	int error = gspace_lookup(&space, GPA(gpa), &hpa, &level);

	if (!expected) {
		assert_int_equal(error, ERR_NOENT);
		return;
	}
	assert_int_equal(error, 0);
	assert_int_equal(level, expected->level);
	assert_int_equal(hpa.v, expected->hpa + (gpa - expected->gpa));
}

static void map_something(unsigned root_level)
{
	unsigned level = fake_random_below(root_level + 1);
	uint64_t size = size_of_level(level);
	uint64_t gpa = align_down(some_address(gspace_address_bits(root_level)), size);
	uint64_t hpa = align_down(fake_random() & BITS(55, 0), size);
	bool is_taken = model_find(gpa, size) != NULL;

	assert_int_equal(gspace_is_free(&space, GPA(gpa), level), !is_taken);
	assert_int_equal(gspace_map(&space, GPA(gpa), HPA(hpa), level), is_taken ? ERR_EXIST : 0);
	if (!is_taken)
		mappings[mapping_count++] = (struct mapping){gpa, hpa, level};
	check_lookup(gpa);
	check_lookup(gpa + size - 1);
}

static void test_random_mappings(void **state)
{
	(void)state;
	for (unsigned root_level = 2; root_level <= 4; root_level++) {
		unsigned bits = gspace_address_bits(root_level);

		mapping_count = 0;
		assert_int_equal(gspace_init(&space, &arena, root_level), 0);
		while (mapping_count < MAPPINGS_MAX)
			map_something(root_level);
		for (unsigned i = 0; i < mapping_count; i++) {
			uint64_t size = size_of_level(mappings[i].level);

			check_lookup(mappings[i].gpa + fake_random() % size);
			check_lookup((mappings[i].gpa + size) & (BIT(bits) - 1));
			check_lookup((mappings[i].gpa - 1) & (BIT(bits) - 1));
		}
		for (unsigned i = 0; i < 10000; i++)
			check_lookup(some_address(bits));
	}
}

static void test_range(void **state)
{
	static const unsigned bits[] = {[2] = 41, [3] = 50, [4] = 59};
	unsigned level;
	hpa_t hpa;

	(void)state;
	for (unsigned root_level = 2; root_level <= 4; root_level++) {
		gpa_t last = GPA(BIT(bits[root_level]) - PAGE_SIZE);
		gpa_t beyond = GPA(BIT(bits[root_level]));

		assert_int_equal(gspace_address_bits(root_level), bits[root_level]);
		assert_int_equal(gspace_init(&space, &arena, root_level), 0);
		assert_true(is_aligned((uintptr_t)space.root, KIB(16)));
		assert_int_equal(gspace_map(&space, beyond, HPA(0x1000), 0), ERR_RANGE);
		assert_int_equal(gspace_map(&space, GPA(~UINT64_C(0xfff)), HPA(0x1000), 0),
				 ERR_RANGE);
		assert_int_equal(gspace_map(&space, last, HPA(0x1000), 0), 0);
		assert_int_equal(gspace_map(&space, GPA(0), HPA(0x2000), 0), 0);
		assert_int_equal(gspace_lookup(&space, beyond, &hpa, &level), ERR_NOENT);
		assert_int_equal(gspace_lookup(&space, GPA(UINT64_MAX), &hpa, &level), ERR_NOENT);
		assert_int_equal(gspace_lookup(&space, last, &hpa, &level), 0);
		assert_int_equal(hpa.v, 0x1000);
	}
}

/* As the hardware reads it: Priv. 1.13, 12.3.2 and 18.5.1. */
static void test_format(void **state)
{
	const uint64_t gpa = UINT64_C(0x7ff) << 30 | 0x155 << 21 | 0x0aa << 12;
	uint64_t *table;

	(void)state;
	assert_int_equal(gspace_init(&space, &arena, 2), 0);
	assert_int_equal(gspace_map(&space, GPA(gpa), HPA(UINT64_C(0xabcdef12345000)), 0), 0);
	assert_int_equal(gspace_map(&space, GPA(GIB(3)), HPA(GIB(5)), 2), 0);
	assert_int_equal(space.root[3], GIB(5) >> 2 | 0xdf);
	assert_int_equal(space.root[0x7ff] & 0x3ff, PTE_V);
	table = hpa_to_pointer(pte_address(space.root[0x7ff]));
	assert_int_equal(table[0x155] & 0x3ff, PTE_V);
	table = hpa_to_pointer(pte_address(table[0x155]));
	assert_int_equal(table[0x0aa], UINT64_C(0xabcdef12345000) >> 2 | 0xdf);
	for (unsigned i = 0; i < PTE_ENTRIES; i++)
		assert_true(i == 0x0aa || table[i] == 0);
	assert_int_equal(arena.pages[ARENA_TABLES], 4 + 2);
}

static void test_no_memory(void **state)
{
	void *taken[MEMORY_PAGES];
	unsigned count = 0;
	unsigned level;
	hpa_t hpa;

	(void)state;
	assert_int_equal(gspace_init(&space, &arena, 4), 0);
	while ((taken[count] = page_alloc(0)) != NULL)
		count++;
	/* Four tables are wanted, and two are there. */
	page_free(taken[--count], 0);
	page_free(taken[--count], 0);
	assert_int_equal(gspace_map(&space, GPA(0x5000), HPA(0x1000), 0), ERR_NOMEM);
	assert_int_equal(gspace_lookup(&space, GPA(0x5000), &hpa, &level), ERR_NOENT);
	assert_int_equal(space.lock.next, space.lock.owner);
	/* What it got is kept, and the rest suffices later. */
	page_free(taken[--count], 0);
	page_free(taken[--count], 0);
	assert_int_equal(gspace_map(&space, GPA(0x5000), HPA(0x1000), 0), 0);
	assert_int_equal(page_free_bytes(), 0);
	while (count)
		page_free(taken[--count], 0);
}

static void test_no_memory_for_root(void **state)
{
	void *block;

	(void)state;
	block = page_alloc(12);
	assert_non_null(block);
	assert_int_equal(gspace_init(&space, &arena, 2), ERR_NOMEM);
	page_free(block, 12);
}

/* A device's page is no memory, and not to be executed. */
static void test_devices(void **state)
{
	const gpa_t at = GPA(0x10001000);
	struct gspace_cache cache = {0};
	unsigned level;
	hpa_t hpa;

	(void)state;
	assert_int_equal(gspace_init(&space, &arena, 2), 0);
	assert_int_equal(gspace_map_device(&space, at, HPA(0x10001000), 0), 0);
	assert_int_equal(gspace_map_device(&space, at, HPA(0x10001000), 0), ERR_EXIST);
	assert_int_equal(gspace_map(&space, at, HPA(0x80000000), 0), ERR_EXIST);
	assert_int_equal(gspace_map_device(&space, GPA(MIB(512)), HPA(MIB(512)), 1), 0);
	assert_int_equal(gspace_map(&space, GPA(GIB(2)), HPA(GIB(2)), 2), 0);
	assert_int_equal(gspace_lookup(&space, at, &hpa, &level), ERR_NOENT);
	assert_int_equal(gspace_lookup(&space, GPA(MIB(513)), &hpa, &level), ERR_NOENT);
	assert_int_equal(gspace_lookup_cached(&space, &cache, GPA(MIB(513)), &hpa, &level),
			 ERR_NOENT);
	assert_int_equal(gspace_find_device(&space, GPA(0x10001ffc), &hpa), 0);
	assert_int_equal(hpa.v, 0x10001ffc);
	assert_int_equal(gspace_find_device(&space, GPA(MIB(513) + 4), &hpa), 0);
	assert_int_equal(hpa.v, MIB(513) + 4);
	/* And memory is no device. */
	assert_int_equal(gspace_find_device(&space, GPA(GIB(2) + 8), &hpa), ERR_NOENT);
	assert_int_equal(gspace_lookup(&space, GPA(GIB(2) + 8), &hpa, &level), 0);
	assert_int_equal(level, 2);
	assert_int_equal(gspace_find_device(&space, GPA(0x10002000), &hpa), ERR_NOENT);
	assert_int_equal(gspace_find_device(&space, GPA(BIT(41)), &hpa), ERR_NOENT);
	assert_false(gspace_is_free(&space, at, 0));
}

static void test_device_format(void **state)
{
	const uint64_t *table;

	(void)state;
	assert_int_equal(gspace_init(&space, &arena, 2), 0);
	assert_int_equal(gspace_map_device(&space, GPA(MIB(512)), HPA(MIB(512)), 1), 0);
	table = hpa_to_pointer(pte_address(space.root[0]));
	assert_int_equal(table[256] & BITS(7, 0), PTE_V | PTE_R | PTE_W | PTE_U | PTE_A | PTE_D);
	assert_int_equal(pte_address(table[256]).v, MIB(512));
}

/* Memory that cannot be written is none for the hypervisor's own use, and can be hidden. */
static void test_rom(void **state)
{
	const gpa_t at = GPA(0x20001000), far = GPA(0x20000000 + MIB(4));
	const uint64_t *table;
	unsigned level;
	hpa_t hpa;

	(void)state;
	for (unsigned root_level = 2; root_level <= 4; root_level++) {
		assert_int_equal(gspace_init(&space, &arena, root_level), 0);
		/* There is nothing to hide yet. */
		gspace_show_rom(&space, GPA(0x20000000), MIB(32), false);
		gspace_unmap_rom(&space, GPA(0x20000000), PAGE_SIZE);
		assert_int_equal(space.hidings, 1);
		gspace_show_rom(&space, GPA(0x20000000), MIB(32), true);
		assert_int_equal(gspace_map_rom(&space, at, HPA(0x5000)), 0);
		assert_int_equal(gspace_map_rom(&space, at, HPA(0x6000)), ERR_EXIST);
		assert_int_equal(gspace_map_rom(&space, far, HPA(0x7000)), 0);
		assert_int_equal(gspace_map(&space, GPA(0x22000000), HPA(0x8000), 0), 0);
		assert_int_equal(gspace_lookup(&space, at, &hpa, &level), ERR_NOENT);
		assert_int_equal(gspace_find_device(&space, at, &hpa), ERR_NOENT);
		assert_int_equal(gspace_find_rom(&space, GPA(at.v + 6), &hpa), 0);
		assert_int_equal(hpa.v, 0x5006);
		assert_int_equal(gspace_find_rom(&space, GPA(0x22000000), &hpa), ERR_NOENT);

		gspace_show_rom(&space, GPA(0x20000000), MIB(32), false);
		assert_int_equal(space.hidings, 2);
		assert_int_equal(gspace_find_rom(&space, at, &hpa), ERR_NOENT);
		assert_int_equal(gspace_find_rom(&space, far, &hpa), ERR_NOENT);
		assert_int_equal(gspace_lookup(&space, GPA(0x22000000), &hpa, &level), 0);
		gspace_unmap_rom(&space, at, PAGE_SIZE);
		gspace_show_rom(&space, GPA(0x20000000), MIB(32), true);
		assert_int_equal(space.hidings, 2);
		assert_int_equal(gspace_find_rom(&space, at, &hpa), ERR_NOENT);
		assert_int_equal(gspace_find_rom(&space, far, &hpa), 0);
		assert_int_equal(gspace_map_rom(&space, at, HPA(0x9000)), 0);
		assert_int_equal(gspace_find_rom(&space, at, &hpa), 0);
		assert_int_equal(hpa.v, 0x9000);
		assert_int_equal(space.lock.next, space.lock.owner);
	}
	assert_int_equal(gspace_init(&space, &arena, 2), 0);
	assert_int_equal(gspace_map_rom(&space, GPA(0x1000), HPA(0x5000)), 0);
	table = hpa_to_pointer(pte_address(space.root[0]));
	table = hpa_to_pointer(pte_address(table[0]));
	assert_int_equal(table[1] & BITS(7, 0), PTE_V | PTE_R | PTE_X | PTE_U | PTE_A);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_random_mappings, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_range, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_format, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_devices, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_device_format, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_rom, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_memory_for_root, setup, teardown),
	};

	return cmocka_run_group_tests_name("gspace", tests, NULL, NULL);
}
