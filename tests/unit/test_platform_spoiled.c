/* SPDX-License-Identifier: MIT */
/* unit: kernel/platform.c kernel/fdt.c */
/* libs: -lfdt */

/* Device trees with something wrong anywhere: what is read of them makes sense all the same. */

#include "kernel/error.h"
#include "tests/unit/host_tree.h"

#include <stdlib.h>
#include <sys/mman.h>

#define ROUNDS 60000

static char *copy; /* of the tree, right before memory that must not be touched */
static size_t size;
static unsigned visits;

/* More of what is read than the tree has at first. */
static void build_tree(void)
{
	setup(NULL);
	set_string("/chosen", "bootargs", "pilae.loglevel=debug");
	set_bytes("/chosen", "rng-seed", "0123456789abcdef", 16);
	set_cell("/chosen", "linux,initrd-start", 0x88000000);
	set_u64("/chosen", "linux,initrd-end", 0x88001234);
	CELLS("/memory@80000000", "reg", 0, RAM_BASE, 0, 0x40000000, 1, 0, 1, 0, 4, 0, 0, 0x1000);
	CHECK(fdt_add_mem_rsv(tree, 0xa0000000, 0x2000));
	add_node("/", "reserved-memory");
	set_sizes("/reserved-memory", 2, 2);
	add_node("/reserved-memory", "firmware");
	CELLS("/reserved-memory/firmware", "reg", 0, RAM_BASE, 0, 0x40000, 0, 0x90000000, 0,
	      0x1000);
	set_flag("/reserved-memory/firmware", "no-map");
	for (unsigned i = 0; i < 4; i++) {
		char path[] = "/soc/virtio@0";

		path[12] = (char)('0' + i);
		add_node("/soc", path + 5);
		set_string(path, "compatible", "virtio,mmio");
		CELLS(path, "reg", 0, 0x10001000 + i * 0x1000, 0, 0x1000);
		CELLS(path, "interrupts", i + 1);
	}
	add_node("/soc", "clint");
	set_string("/soc/clint", "compatible", "sifive,clint0");
	CELLS("/soc/clint", "reg", 0, 0x2000000, 0, 0x10000);
	CHECK(fdt_pack(tree));
	/* All of it to the end, which has to be where the next page begins. */
	size = align_up(fdt_totalsize(tree), 8);
	fdt_set_totalsize(tree, (uint32_t)size);
}

/* Room for the copy that ends where libfdt, which has no sanitizer, would crash, too. */
static void fence(void)
{
	char *region =
	    mmap(NULL, 2 * TREE_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(region, MAP_FAILED);
	assert_int_equal(mprotect(region + TREE_MAX, TREE_MAX, PROT_NONE), 0);
	copy = region + TREE_MAX - size;
}

/* Its size stays, as what lies behind the tree is the firmware's. */
static void spoil(void)
{
	static const uint32_t values[] = {0, 1,    2,          3,          4,
					  9, 0xff, 0x7fffffff, 0x80000000, UINT32_MAX};
	unsigned changes = (unsigned)rand() % 4 + 1;

	memcpy(copy, tree, size);
	while (changes--) {
		size_t word = 2 + (size_t)rand() % (size / 4 - 2);

		if (rand() % 2)
			fdt32_st(copy + 4 * word, values[(size_t)rand() % ARRAY_SIZE(values)]);
		else
			copy[4 * word + (size_t)rand() % 4] = (char)rand();
	}
}

static void visit(struct range range, bool no_map)
{
	(void)range;
	(void)no_map;
	visits++;
}

static void check_ranges(void)
{
	assert_in_range(platform.memory_count, 0, PLATFORM_MEMORY_MAX);
	for (unsigned i = 0; i < platform.memory_count; i++) {
		const struct range *range = &platform.memory[i];

		assert_true(range->size > 0 && range->size <= UINT64_MAX - range->base);
		if (i > 0)
			assert_true(range[-1].base + range[-1].size <= range->base);
	}
	assert_in_range(platform.virtio_count, 0, PLATFORM_VIRTIO_MAX);
	for (unsigned i = 0; i < platform.virtio_count; i++) {
		const struct platform_virtio *place = &platform.virtio[i];

		assert_true(place->registers.size > 0);
		if (i > 0)
			assert_true(place[-1].registers.base <= place->registers.base);
	}
}

static bool is_inside(const void *pointer, uint64_t bytes)
{
	return range_within((uintptr_t)pointer, bytes, (uintptr_t)copy, size);
}

static void check(void)
{
	check_ranges();
	assert_non_null(platform.bootargs);
	assert_true(!*platform.bootargs ||
		    is_inside(platform.bootargs, strlen(platform.bootargs) + 1));
	if (platform.rng_seed)
		assert_true(is_inside(platform.rng_seed, platform.rng_seed_size));
	if (platform.uart.registers.size) {
		assert_in_range(platform.uart.stride, 1, 128);
		assert_true(platform.uart.width == 1 || platform.uart.width == 4);
	}
	assert_in_range(platform.plic_sources, 0, PLATFORM_PLIC_SOURCES_MAX);
}

static bool read_spoiled(void)
{
	uint32_t context;
	int error;

	memset(&platform, 0, sizeof(platform));
	fdt_index(NULL);
	error = platform_read_memory(copy, FDT_AT);
	assert_true(error == 0 || error == ERR_INVAL || error == ERR_NOENT);
	assert_true(error != 0 || platform.memory_count > 0);
	if (error)
		return false;
	platform_for_reserved(copy, visit);
	platform_read_devices();
	for (uint64_t hart = 0; hart < 6; hart++)
		assert_true(platform_plic_context(hart, &context) == 0 ||
			    platform_plic_context(hart, &context) == ERR_NOENT);
	platform_mtime();
	return true;
}

static void test_spoiled(void **state)
{
	unsigned read = 0;

	(void)state;
	srand(1);
	build_tree();
	fence();
	memcpy(copy, tree, size);
	assert_true(read_spoiled());
	check();
	assert_int_equal(visits, 3);
	assert_int_equal(platform.virtio_count, 4);
	for (unsigned i = 0; i < ROUNDS; i++) {
		spoil();
		messages[0] = '\0';
		if (!read_spoiled())
			continue;
		check();
		read++;
	}
	/* Not all of them are refused at once, nor none. */
	assert_in_range(read, ROUNDS / 4, ROUNDS - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_spoiled),
	};

	return cmocka_run_group_tests_name("platform_spoiled", tests, NULL, NULL);
}
