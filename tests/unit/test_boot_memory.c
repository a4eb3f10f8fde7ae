/* SPDX-License-Identifier: MIT */
/* unit: kernel/boot_memory.c */
#include "tests/unit/fake_kernel.h"

#include "kernel/boot_memory.h"
#include "tests/unit/machine_memory.h"

/* The first 4 MiB of memory are the firmware's and Pilae's. */
#define IMAGE_SIZE  MIB(2)
#define INITRD      (BASE + MIB(258))
#define INITRD_SIZE (MIB(6) + 100)
#define TREE        (END - MIB(2))
#define TREE_SIZE   8192

static const struct taken *other;

bool mmu_is_mapped(hpa_t address, uint64_t size)
{
	for (unsigned i = 0; i < platform.memory_count; i++) {
		if (range_within(address.v, size, platform.memory[i].base, platform.memory[i].size))
			return true;
	}
	return false;
}

struct range mmu_unmapped_range(struct range range)
{
	return (struct range){align_down(range.base, MIB(2)), align_up(range.size, MIB(2))};
}

void platform_for_reserved(const void *fdt, void (*visit)(struct range range, bool no_map))
{
	(void)fdt;
	visit((struct range){BASE, KIB(512)}, true);
	visit((struct range){END + MIB(1), 0}, false);
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	memory_map();
	platform = (struct platform){
	    .memory_count = 1,
	    .memory = {{BASE, SIZE}},
	    .initrd = {INITRD, INITRD_SIZE},
	    .fdt_range = {TREE, TREE_SIZE},
	    .fdt = hpa_to_pointer(HPA(TREE)),
	};
	memset(hpa_to_pointer(HPA(INITRD)), 'r', INITRD_SIZE);
	memset(hpa_to_pointer(HPA(TREE)), 't', TREE_SIZE);
	boot_memory_begin((struct range){BASE + MIB(2), IMAGE_SIZE});
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	memory_unmap();
	return 0;
}

static int reserve(uint64_t base, uint64_t size)
{
	return boot_memory_reserve((struct range){base, size}, "RAM of VM a", &other);
}

static uint64_t free_bytes;

static bool add_free(uint64_t base, uint64_t end, void *argument)
{
	(void)argument;
	assert_true(base < end);
	free_bytes += end - base;
	return false;
}

static void expect_free(uint64_t bytes)
{
	free_bytes = 0;
	assert_false(boot_memory_for_free(add_free, NULL));
	assert_int_equal(free_bytes, bytes);
}

/* Both are whole, lie in memory, apart from each other and from what was taken. */
static void expect_whole(uint64_t taken_base, uint64_t taken_size)
{
	const struct range *initrd = &platform.initrd, *tree = &platform.fdt_range;
	const char *bytes = hpa_to_pointer(HPA(initrd->base));

	for (uint64_t i = 0; i < INITRD_SIZE; i++)
		assert_int_equal(bytes[i], 'r');
	assert_ptr_equal(platform.fdt, hpa_to_pointer(HPA(tree->base)));
	for (uint64_t i = 0; i < TREE_SIZE; i++)
		assert_int_equal(((const char *)platform.fdt)[i], 't');
	assert_int_equal(initrd->size, INITRD_SIZE);
	assert_int_equal(tree->size, TREE_SIZE);
	assert_false(ranges_overlap(initrd->base, initrd->size, tree->base, tree->size));
	assert_false(ranges_overlap(initrd->base, initrd->size, taken_base, taken_size));
	assert_false(ranges_overlap(tree->base, tree->size, taken_base, taken_size));
	assert_false(ranges_overlap(initrd->base, initrd->size, BASE, MIB(4)));
	assert_false(ranges_overlap(tree->base, tree->size, BASE, MIB(4)));
	assert_true(mmu_is_mapped(HPA(initrd->base), initrd->size));
	assert_true(mmu_is_mapped(HPA(tree->base), tree->size));
}

static void test_what_is_free(void **state)
{
	(void)state;
	expect_free(SIZE - MIB(4));
	boot_memory_take(platform.initrd, "");
	boot_memory_take(platform.initrd, "twice");
	expect_free(SIZE - MIB(4) - INITRD_SIZE);
	/* Beyond memory, around its end, and one that wraps. */
	boot_memory_take((struct range){END - MIB(1), MIB(2)}, "");
	boot_memory_take((struct range){END + MIB(1), MIB(2)}, "");
	expect_free(SIZE - MIB(5) - INITRD_SIZE);
	boot_memory_take((struct range){END - MIB(3), UINT64_MAX - 5}, "");
	expect_free(SIZE - MIB(7) - INITRD_SIZE);
}

static void test_two_memories(void **state)
{
	uint64_t base;

	(void)state;
	platform.memory_count = 2;
	platform.memory[0].size = MIB(64);
	platform.memory[1] = (struct range){BASE + MIB(128), MIB(384)};
	expect_free(MIB(64 - 4 + 384));
	assert_int_equal(boot_memory_find(MIB(380), PAGE_SIZE, 0, true, &base), 0);
	assert_int_equal(base, END - MIB(380));
	assert_int_equal(boot_memory_find(MIB(385), PAGE_SIZE, 0, true, &base), ERR_NOENT);
	/* Not what is between. */
	assert_int_equal(reserve(BASE + MIB(32), MIB(128)), ERR_RANGE);
	assert_int_equal(reserve(BASE + MIB(64), MIB(2)), ERR_RANGE);
	assert_int_equal(reserve(END, MIB(2)), ERR_RANGE);
	assert_null(other);
	expect_free(MIB(64 - 4 + 384));
}

static void test_find(void **state)
{
	uint64_t base;

	(void)state;
	assert_int_equal(boot_memory_find(MIB(16), MIB(2), 0, true, &base), 0);
	assert_int_equal(base, END - MIB(16));
	/* Not over the tree, nor the ramdisk, if they are to stay. */
	assert_int_equal(boot_memory_find(MIB(16), MIB(2), 0, false, &base), 0);
	assert_int_equal(base, END - MIB(18));
	assert_int_equal(boot_memory_find(MIB(254), MIB(2), 0, false, &base), 0);
	assert_int_equal(base, BASE + MIB(4));
	assert_int_equal(boot_memory_find(MIB(256), MIB(2), 0, false, &base), ERR_NOENT);
	assert_int_equal(boot_memory_find(MIB(508), MIB(2), 0, true, &base), 0);
	assert_int_equal(boot_memory_find(MIB(510), MIB(2), 0, true, &base), ERR_NOENT);
	assert_int_equal(boot_memory_find(MIB(64), MIB(256), 0, true, &base), 0);
	assert_int_equal(base, BASE + MIB(256));
	assert_int_equal(boot_memory_find(MIB(64), MIB(2), END - MIB(64), true, &base), 0);
	assert_int_equal(boot_memory_find(MIB(64), MIB(2), END - MIB(62), true, &base), ERR_NOENT);
	expect_free(SIZE - MIB(4));
}

static void test_reserve(void **state)
{
	(void)state;
	assert_int_equal(reserve(BASE + MIB(64), MIB(64)), 0);
	assert_int_equal(platform.initrd.base, INITRD);
	assert_int_equal(platform.fdt_range.base, TREE);
	expect_whole(BASE + MIB(64), MIB(64));
	/* What has it already is told. */
	assert_int_equal(reserve(BASE + MIB(126), MIB(4)), ERR_EXIST);
	assert_string_equal(other->what, "RAM of VM a");
	assert_int_equal(other->range.base, BASE + MIB(64));
	assert_int_equal(reserve(BASE, MIB(2)), ERR_EXIST);
	assert_non_null(strstr(other->what, "firmware"));
	assert_int_equal(reserve(BASE + MIB(2), MIB(16)), ERR_EXIST);
	assert_string_equal(other->what, "Pilae itself");
	expect_free(SIZE - MIB(68));
}

static void test_ramdisk_moves(void **state)
{
	(void)state;
	assert_int_equal(reserve(BASE + MIB(256), MIB(128)), 0);
	assert_int_not_equal(platform.initrd.base, INITRD);
	assert_int_equal(platform.fdt_range.base, TREE);
	expect_whole(BASE + MIB(256), MIB(128));
	/* Away from where it went, too. */
	assert_int_equal(reserve(align_down(platform.initrd.base, MIB(2)), MIB(8)), 0);
	expect_whole(BASE + MIB(256), MIB(128));
	expect_free(SIZE - MIB(4 + 128 + 8));
}

static void test_both_move(void **state)
{
	(void)state;
	assert_int_equal(reserve(BASE + MIB(256), MIB(256)), 0);
	expect_whole(BASE + MIB(256), MIB(256));
	assert_int_not_equal(platform.fdt_range.base, TREE);
}

/* Part of it lies outside: there it does not get in the way of its own copy. */
static void test_half_a_ramdisk(void **state)
{
	(void)state;
	assert_int_equal(reserve(BASE + MIB(4), INITRD + MIB(2) - BASE - MIB(4)), 0);
	expect_whole(BASE + MIB(4), INITRD + MIB(2) - BASE - MIB(4));
	assert_false(ranges_overlap(platform.initrd.base, INITRD_SIZE, INITRD, INITRD_SIZE));
}

static void test_too_little_is_left(void **state)
{
	(void)state;
	/* All but 16 MiB, where the allocator's table has to go, too. */
	assert_int_equal(reserve(BASE + MIB(20), SIZE - MIB(20)), ERR_NOMEM);
	assert_null(other);
	assert_int_equal(platform.initrd.base, INITRD);
	assert_int_equal(platform.fdt_range.base, TREE);
	expect_whole(0, 0);
	expect_free(SIZE - MIB(4));
	/* There is room for that, but not for the ramdisk besides. */
	assert_int_equal(reserve(BASE + MIB(24), SIZE - MIB(24)), ERR_NOMEM);
	assert_int_equal(reserve(BASE + MIB(32), SIZE - MIB(32)), 0);
	expect_whole(BASE + MIB(32), SIZE - MIB(32));
}

static void test_as_many_as_there_may_be(void **state)
{
	unsigned count = 0;

	(void)state;
	while (reserve(BASE + MIB(8) + count * MIB(2), MIB(2)) == 0)
		count++;
	assert_true(count > 100);
	/* Those that start.c adds still find room. */
	boot_memory_take((struct range){BASE + MIB(6), KIB(4)}, "");
	boot_memory_take((struct range){BASE + MIB(6) + KIB(4), KIB(4)}, "");
	boot_memory_take((struct range){BASE + MIB(6) + KIB(8), KIB(4)}, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_what_is_free),
	    TEST(test_two_memories),
	    TEST(test_find),
	    TEST(test_reserve),
	    TEST(test_ramdisk_moves),
	    TEST(test_both_move),
	    TEST(test_half_a_ramdisk),
	    TEST(test_too_little_is_left),
	    TEST(test_as_many_as_there_may_be),
	};

	return cmocka_run_group_tests_name("boot_memory", tests, NULL, NULL);
}
