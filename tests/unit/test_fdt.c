/* SPDX-License-Identifier: MIT */
/* unit: kernel/fdt.c */
/* libs: -lfdt */
#include "kernel/error.h"
#include "kernel/fdt.h"
#include "tests/unit/fit_tree.h"

static uint64_t address, size;

/* /soc with 2 and 2 cells and no translation; /soc/bus moves its addresses; /soc/bus/dev. */
static int setup(void **state)
{
	(void)state;
	tree_clear();
	/* It is changed: an index of the last one does not hold. */
	fdt_index(NULL);
	set_sizes("/", 2, 2);
	add_node("/", "soc");
	set_sizes("/soc", 2, 2);
	set_flag("/soc", "ranges");
	add_node("/soc", "bus");
	set_sizes("/soc/bus", 1, 1);
	CELLS("/soc/bus", "ranges", 0x1000, 0x1, 0x80000000, 0x1000, 0x8000, 0x2, 0x0, 0x10);
	add_node("/soc/bus", "dev");
	address = size = 99;
	return 0;
}

static int reg(const char *path, unsigned index)
{
	return fdt_node_reg(tree, node_at(path), index, &address, &size);
}

static void expect_reg(const char *path, unsigned index, uint64_t want, uint64_t want_size)
{
	assert_int_equal(reg(path, index), 0);
	assert_int_equal(address, want);
	assert_int_equal(size, want_size);
}

static void test_plain_reg(void **state)
{
	(void)state;
	assert_int_equal(reg("/soc/bus", 0), ERR_NOENT);
	CELLS("/soc/bus", "reg", 0x1, 0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0x8, 0x9);
	expect_reg("/soc/bus", 0, UINT64_C(0x100000002), UINT64_C(0x300000004));
	expect_reg("/soc/bus", 1, UINT64_C(0x500000006), UINT64_C(0x700000008));
	assert_int_equal(reg("/soc/bus", 2), ERR_NOENT);
	assert_int_equal(reg("/soc/bus", UINT32_MAX), ERR_NOENT);
}

static void test_translation(void **state)
{
	(void)state;
	CELLS("/soc/bus/dev", "reg", 0x1000, 0x10, 0x1fff, 0x20, 0x8004, 4, 0x2000, 4, 0xfff, 1,
	      0x8010, 1);
	expect_reg("/soc/bus/dev", 0, UINT64_C(0x180000000), 0x10);
	expect_reg("/soc/bus/dev", 1, UINT64_C(0x180000fff), 0x20);
	expect_reg("/soc/bus/dev", 2, UINT64_C(0x200000004), 4);
	/* Outside of all ranges. */
	for (unsigned i = 3; i < 6; i++)
		assert_int_equal(reg("/soc/bus/dev", i), ERR_INVAL);
	/* Without ranges, a bus's addresses are no others'. */
	remove_property("/soc", "ranges");
	assert_int_equal(reg("/soc/bus/dev", 0), ERR_INVAL);
}

static void test_odd_cells(void **state)
{
	(void)state;
	CELLS("/soc/bus/dev", "reg", 0x1000, 0x10, 0x1, 0x2, 0x3, 0x4);
	/* A number and no address: it is not translated. */
	set_sizes("/soc/bus", 1, 0);
	expect_reg("/soc/bus/dev", 1, 0x10, 0);
	set_sizes("/soc/bus", 2, 0);
	expect_reg("/soc/bus/dev", 0, UINT64_C(0x100000000010), 0);
	set_sizes("/soc/bus", 1, 3);
	assert_int_equal(reg("/soc/bus/dev", 0), ERR_INVAL);
	set_sizes("/soc/bus", 4, 1);
	assert_int_equal(reg("/soc/bus/dev", 0), ERR_INVAL);
	set_sizes("/soc/bus", 100, 1);
	assert_int_equal(reg("/soc/bus/dev", 0), ERR_INVAL);
}

static void test_numbers(void **state)
{
	int node = node_at("/soc");

	(void)state;
	assert_int_equal(fdt_node_u64(tree, node, "x", 7), 7);
	set_cell("/soc", "x", 0x80000001);
	assert_int_equal(fdt_node_u64(tree, node_at("/soc"), "x", 7), 0x80000001);
	set_u64("/soc", "x", UINT64_C(0x8000000100000002));
	assert_int_equal(fdt_node_u64(tree, node_at("/soc"), "x", 7), UINT64_C(0x8000000100000002));
	set_bytes("/soc", "x", "abc", 3);
	assert_int_equal(fdt_node_u64(tree, node_at("/soc"), "x", 7), 7);
	CELLS("/soc", "x", 1, 2, 3);
	assert_int_equal(fdt_node_u64(tree, node_at("/soc"), "x", 7), 7);
	set_flag("/soc", "x");
	assert_int_equal(fdt_node_u64(tree, node_at("/soc"), "x", 7), 7);
}

static void test_interrupts(void **state)
{
	uint32_t source = 99;

	(void)state;
	assert_int_equal(fdt_node_interrupt(tree, node_at("/soc"), 0, &source), ERR_NOENT);
	CELLS("/soc", "interrupts", 10, 11);
	assert_int_equal(fdt_node_interrupt(tree, node_at("/soc"), 0, &source), 0);
	assert_int_equal(source, 10);
	assert_int_equal(fdt_node_interrupt(tree, node_at("/soc"), 1, &source), 0);
	assert_int_equal(source, 11);
	assert_int_equal(fdt_node_interrupt(tree, node_at("/soc"), 2, &source), ERR_NOENT);
	set_bytes("/soc", "interrupts", "abc", 3);
	assert_int_equal(fdt_node_interrupt(tree, node_at("/soc"), 0, &source), ERR_NOENT);
}

static void test_status(void **state)
{
	static const char *const words[] = {"okay", "ok", "disabled", "fail", "okay2", ""};

	(void)state;
	assert_true(fdt_node_enabled(tree, node_at("/soc")));
	for (unsigned i = 0; i < 6; i++) {
		set_string("/soc", "status", words[i]);
		assert_int_equal(fdt_node_enabled(tree, node_at("/soc")), i < 2);
	}
}

/* With an index the answers are the same, for each node and phandle, and for what is none. */
static void test_index(void **state)
{
	unsigned nodes = 0;

	(void)state;
	set_cell("/soc", "phandle", 7);
	set_cell("/soc/bus/dev", "phandle", 9);
	fdt_index(tree);
	for (int node = -1; node < (int)fdt_size_dt_struct(tree); node++) {
		int parent = fdt_parent_offset(tree, node);

		if (node >= 0 && parent == -FDT_ERR_BADOFFSET) {
			assert_true(fdt_find_parent(tree, node) < 0);
			continue;
		}
		assert_int_equal(fdt_find_parent(tree, node) < 0, parent < 0);
		if (parent >= 0)
			assert_int_equal(fdt_find_parent(tree, node), parent);
		nodes += parent >= 0;
	}
	assert_int_equal(nodes, 3);
	for (uint32_t phandle = 0; phandle < 12; phandle++)
		assert_int_equal(fdt_find_phandle(tree, phandle),
				 fdt_node_offset_by_phandle(tree, phandle));
	assert_int_equal(fdt_find_phandle(tree, 9), node_at("/soc/bus/dev"));
	CELLS("/soc/bus/dev", "reg", 0x1800, 0x10);
	fdt_index(tree);
	expect_reg("/soc/bus/dev", 0, UINT64_C(0x180000800), 0x10);
}

/* What is too deep or too large for the index is found as before. */
static void test_too_deep_for_the_index(void **state)
{
	char path[100] = "/soc/bus/dev";

	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		add_node(path, "x");
		strcat(path, "/x");
	}
	set_cell(path, "phandle", 5);
	fdt_index(tree);
	assert_int_equal(fdt_find_phandle(tree, 5), node_at(path));
	assert_int_equal(fdt_find_parent(tree, node_at(path)),
			 fdt_parent_offset(tree, node_at(path)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_plain_reg, setup),
	    cmocka_unit_test_setup(test_translation, setup),
	    cmocka_unit_test_setup(test_odd_cells, setup),
	    cmocka_unit_test_setup(test_numbers, setup),
	    cmocka_unit_test_setup(test_interrupts, setup),
	    cmocka_unit_test_setup(test_status, setup),
	    cmocka_unit_test_setup(test_index, setup),
	    cmocka_unit_test_setup(test_too_deep_for_the_index, setup),
	};

	return cmocka_run_group_tests_name("fdt", tests, NULL, NULL);
}
