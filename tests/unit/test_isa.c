/* SPDX-License-Identifier: MIT */
/* unit: kernel/isa.c kernel/fdt.c */
/* libs: -lfdt */
#include "kernel/error.h"
#include "kernel/isa.h"
#include "tests/unit/fit_tree.h"

#define LETTER(c) (1U << ((c) - 'a'))

static struct isa isa;

static int setup(void **state)
{
	(void)state;
	memset(&isa, 0, sizeof(isa));
	tree_clear();
	add_node("/", "cpu");
	return 0;
}

static void expect_printed(const char *expected)
{
	char text[ISA_STRING_MAX];

	isa_print(&isa, text, sizeof(text));
	assert_string_equal(text, expected);
}

/* A string, and the canonical one for what is known of it. */
static void check_string(const char *string, const char *expected)
{
	memset(&isa, 0, sizeof(isa));
	assert_int_equal(isa_parse_string(&isa, string), 0);
	expect_printed(expected);
}

static void test_strings(void **state)
{
	(void)state;
	check_string("rv64i", "rv64i");
	check_string("rv64imafdc", "rv64imafdc");
	check_string("rv64imafdch_zicsr_zifencei", "rv64imafdch_zicsr_zifencei");
	check_string("rv64ihcfdam", "rv64imafdch");
	check_string("rv64gc", "rv64imafdc_zicsr_zifencei");
	check_string("rv64g_h", "rv64imafdh_zicsr_zifencei");
	check_string("rv64imac_sstc_zba_svinval", "rv64imac_zba_sstc_svinval");
	/* The first long name needs no underscore before it. */
	check_string("rv64imaczicsr_zba", "rv64imac_zicsr_zba");
	/* What is unknown is left out, a longer or shorter name too. */
	check_string("rv64i_xtheadba_zbaa_zb_zfoo_sfoo_zba", "rv64i_zba");
	check_string("rv64i__zba_", "rv64i_zba");
}

static void test_case(void **state)
{
	(void)state;
	check_string("RV64IMAFDC_ZICSR_Zba_sSTC", "rv64imafdc_zicsr_zba_sstc");
	check_string("Rv64GC", "rv64imafdc_zicsr_zifencei");
}

static void test_versions(void **state)
{
	(void)state;
	check_string("rv64i2p1m2p0a2p1f2p2d2p2c2p0_zicsr2p0_zifencei2p0",
		     "rv64imafdc_zicsr_zifencei");
	check_string("rv64i2_m2_a2", "rv64ima");
	check_string("RV64I2P1M2P0_ZBA1P0_SSTC1", "rv64im_zba_sstc");
	/* A p that no number follows is an extension; so is the 2 of none. */
	check_string("rv64i2pm", "rv64imp");
	/* Digits that belong to the name, with and without a version behind them. */
	check_string("rv64i_zic64b_za64rs_za128rs_zve32x_zve64d",
		     "rv64i_zic64b_za64rs_za128rs_zve32x_zve64d");
	check_string("rv64i_zic64b1p0_za64rs1p0_za128rs1_zve32x1p0_zve64d1p12",
		     "rv64i_zic64b_za64rs_za128rs_zve32x_zve64d");
}

static void test_bad_strings(void **state)
{
	static const char *const bad[] = {"",      "r",     "rv64",   "rv32imac", "rv128i",
					  "rv64m", "rv64e", "rv64_i", "64imac",   " rv64i"};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(isa_parse_string(&isa, bad[i]), ERR_INVAL);
}

static void test_everything_survives(void **state)
{
	char text[ISA_STRING_MAX], again[ISA_STRING_MAX];
	struct isa all = {.letters = 0};

	(void)state;
	for (const char *l = "imafdqlcbkjtpvnh"; *l; l++)
		all.letters |= LETTER(*l);
	for (unsigned i = 0; i < ISA_EXTENSION_COUNT; i++)
		isa_add(&all, (enum isa_extension)i);
	isa_print(&all, text, sizeof(text));
	assert_true(strlen(text) < ISA_STRING_MAX - 1);
	assert_int_equal(isa_parse_string(&isa, text), 0);
	assert_memory_equal(&isa, &all, sizeof(isa));
	isa_print(&isa, again, sizeof(again));
	assert_string_equal(text, again);
	for (unsigned i = 0; i < ISA_EXTENSION_COUNT; i++) {
		assert_true(isa_has(&isa, (enum isa_extension)i));
		isa_remove(&isa, (enum isa_extension)i);
		assert_false(isa_has(&isa, (enum isa_extension)i));
	}
	for (unsigned i = 0; i < ISA_WORDS; i++)
		assert_int_equal(isa.extensions[i], 0);
}

static void test_print_is_cut(void **state)
{
	char text[12];

	(void)state;
	memset(text, 'x', sizeof(text));
	isa_parse_string(&isa, "rv64imafdc_zicsr");
	isa_print(&isa, text, 9);
	assert_string_equal(text, "rv64imaf");
	assert_int_equal(text[9], 'x');
}

static void test_node_with_list(void **state)
{
	static const char list[] = "i\0m\0A\0zicsr\0Zba\0unknown\0svinval";

	(void)state;
	set_bytes("/cpu", "riscv,isa-extensions", list, sizeof(list));
	/* The older string does not count then. */
	set_string("/cpu", "riscv,isa", "rv64gch_zbb");
	set_string("/cpu", "mmu-type", "riscv,sv48");
	set_cell("/cpu", "riscv,cbom-block-size", 64);
	set_cell("/cpu", "riscv,cboz-block-size", 128);
	set_cell("/cpu", "riscv,cbop-block-size", 32);
	memset(&isa, 0xff, sizeof(isa));
	assert_int_equal(isa_parse_node(&isa, tree, node_at("/cpu")), 0);
	expect_printed("rv64ima_zicsr_zba_svinval");
	assert_int_equal(isa.virtual_address_bits, 48);
	assert_int_equal(isa.cbom_block_size, 64);
	assert_int_equal(isa.cboz_block_size, 128);
	assert_int_equal(isa.cbop_block_size, 32);
	/* Without its last NUL, and with empty names. */
	set_bytes("/cpu", "riscv,isa-extensions", "i\0\0\0zbb", 7);
	assert_int_equal(isa_parse_node(&isa, tree, node_at("/cpu")), 0);
	expect_printed("rv64i_zbb");
	set_bytes("/cpu", "riscv,isa-extensions", "m\0a", 4);
	assert_int_equal(isa_parse_node(&isa, tree, node_at("/cpu")), ERR_INVAL);
}

static void test_node_with_string(void **state)
{
	static const struct {
		const char *type;
		unsigned bits;
	} types[] = {{"riscv,sv39", 39}, {"riscv,sv48", 48}, {"riscv,sv57", 57},
		     {"riscv,none", 0},  {"riscv,sv32", 0},  {"riscv,sv4", 0}};

	(void)state;
	assert_int_equal(isa_parse_node(&isa, tree, node_at("/cpu")), ERR_INVAL);
	set_string("/cpu", "riscv,isa", "rv32imac");
	assert_int_equal(isa_parse_node(&isa, tree, node_at("/cpu")), ERR_INVAL);
	set_string("/cpu", "riscv,isa", "rv64imac_sstc");
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		set_string("/cpu", "mmu-type", types[i].type);
		assert_int_equal(isa_parse_node(&isa, tree, node_at("/cpu")), 0);
		assert_int_equal(isa.virtual_address_bits, types[i].bits);
	}
	expect_printed("rv64imac_sstc");
	assert_int_equal(isa.cbom_block_size, 0);
}

static void test_intersect(void **state)
{
	struct isa other = {0};

	(void)state;
	isa_parse_string(&isa, "rv64imafdch_zicbom_zicboz_zba_zbb_svvptc");
	isa_parse_string(&other, "rv64imacv_zicbom_zicboz_zbb_zbs_svvptc");
	isa.cbom_block_size = other.cbom_block_size = isa.cboz_block_size = 64;
	other.cboz_block_size = 128;
	isa.virtual_address_bits = 57;
	other.virtual_address_bits = 39;
	isa_intersect(&isa, &other);
	/* Blocks of different sizes cannot be told the guest. */
	expect_printed("rv64imac_zicbom_zbb_svvptc");
	assert_int_equal(isa.virtual_address_bits, 39);
	other.cbom_block_size = 32;
	other.virtual_address_bits = 48;
	isa_intersect(&isa, &other);
	expect_printed("rv64imac_zbb_svvptc");
	assert_int_equal(isa.virtual_address_bits, 39);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_strings, setup),
	    cmocka_unit_test_setup(test_case, setup),
	    cmocka_unit_test_setup(test_versions, setup),
	    cmocka_unit_test_setup(test_bad_strings, setup),
	    cmocka_unit_test_setup(test_everything_survives, setup),
	    cmocka_unit_test_setup(test_print_is_cut, setup),
	    cmocka_unit_test_setup(test_node_with_list, setup),
	    cmocka_unit_test_setup(test_node_with_string, setup),
	    cmocka_unit_test_setup(test_intersect, setup),
	};

	return cmocka_run_group_tests_name("isa", tests, NULL, NULL);
}
