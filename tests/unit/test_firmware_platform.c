/* SPDX-License-Identifier: MIT */
/* unit: firmware/platform.c */
/* libs: -lfdt */

/* What the firmware reads in a device tree, and makes of it: whole, broken and odd ones. */

#include "firmware/firmware.h"
#include "firmware/platform.h"
#include "tests/unit/fit_tree.h"

#define RAM      0x80000000
#define RAM_SIZE MIB(64)
#define RESERVED "/reserved-memory/mmode_resv0@80000000"

struct fw_hart fw_harts[FW_HARTS_MAX];

static void set_strings(const char *path, const char *name, const char *strings, size_t size)
{
	set_bytes(path, name, strings, size);
}

static void add_cpu(unsigned id, const char *isa)
{
	char name[16], path[40];

	snprintf(name, sizeof(name), "cpu@%u", id);
	snprintf(path, sizeof(path), "/cpus/%s", name);
	add_node("/cpus", name);
	set_string(path, "device_type", "cpu");
	set_cell(path, "reg", id);
	set_string(path, "riscv,isa", isa);
	add_node(path, "interrupt-controller");
	strcat(path, "/interrupt-controller");
	set_flag(path, "interrupt-controller");
	set_cell(path, "phandle", 100 + id);
}

static void add_device(const char *name, const char *compatible)
{
	char path[60];

	snprintf(path, sizeof(path), "/soc/%s", name);
	add_node("/soc", name);
	set_string(path, "compatible", compatible);
}

/* A machine as QEMU's: two harts, RAM, the tree's own memory, a CLINT, a UART, a finisher. */
static int setup(void **state)
{
	uint64_t self = (uint64_t)(uintptr_t)tree;

	(void)state;
	memset(&platform, 0, sizeof(platform));
	memset(fw_harts, 0, sizeof(fw_harts));
	tree_clear();
	set_cell("/", "#address-cells", 2);
	set_cell("/", "#size-cells", 2);
	add_node("/", "cpus");
	set_cell("/cpus", "#address-cells", 1);
	set_cell("/cpus", "#size-cells", 0);
	set_cell("/cpus", "timebase-frequency", 12345);
	add_cpu(1, "rv64imafdc_svadu");
	add_cpu(0, "rv64imafdc_svadu_svade");
	add_node("/", "memory@80000000");
	set_string("/memory@80000000", "device_type", "memory");
	CELLS("/memory@80000000", "reg", 0, RAM, 0, RAM_SIZE, (uint32_t)(self >> 32),
	      (uint32_t)self, 0, 2 * TREE_MAX);
	add_node("/", "soc");
	set_cell("/soc", "#address-cells", 2);
	set_cell("/soc", "#size-cells", 2);
	add_device("clint@2000000", "sifive,clint0");
	CELLS("/soc/clint@2000000", "reg", 0, 0x2000000, 0, 0x10000);
	CELLS("/soc/clint@2000000", "interrupts-extended", 100, 3, 100, 7, 101, 3, 101, 7);
	add_device("serial@10000000", "ns16550a");
	CELLS("/soc/serial@10000000", "reg", 0, 0x10000000, 0, 0x100);
	add_node("/", "poweroff");
	set_string("/poweroff", "compatible", "syscon-poweroff");
	CELLS("/poweroff", "regmap", 50);
	CELLS("/poweroff", "value", 0x5555);
	add_device("test@100000", "sifive,test1");
	CELLS("/soc/test@100000", "reg", 0, 0x100000, 0, 0x1000);
	set_cell("/soc/test@100000", "phandle", 50);
	return 0;
}

static void test_whole(void **state)
{
	(void)state;
	assert_true(platform_read(tree));
	assert_int_equal(platform.harts, 3);
	assert_int_equal(platform.adue, 2);
	assert_int_equal(platform.timebase, 12345);
	assert_int_equal(platform.ram_count, 2);
	assert_int_equal(platform.uart, 0x10000000);
	assert_int_equal(platform.mtime, 0x200bff8);
	assert_int_equal(fw_harts[0].msip, 0x2000000);
	assert_int_equal(fw_harts[1].msip, 0x2000004);
	assert_int_equal(fw_harts[0].mtimecmp, 0x2004000);
	assert_int_equal(fw_harts[1].mtimecmp, 0x2004008);
	assert_int_equal(platform.finisher, 0x100000);
	assert_int_equal(platform.poweroff.address, 0x100000);
	assert_int_equal(platform.poweroff.value, 0x5555);
	assert_int_equal(platform.reboot.address, 0);
}

/* None, at an odd address, of another version, cut off, and with each word changed. */
static void test_broken(void **state)
{
	static uint64_t copy[TREE_MAX / 8];
	uint32_t *words = (uint32_t *)copy;

	(void)state;
	assert_false(platform_read(NULL));
	assert_false(platform_read((char *)tree + 4));
	fdt_pack(tree);
	for (size_t i = 0; i < fdt_totalsize(tree) / 4; i++) {
		memcpy(copy, tree, sizeof(copy));
		words[i] ^= (uint32_t)0x9e3779b9 * (uint32_t)(i + 1);
		memset(&platform, 0, sizeof(platform));
		/* Whatever it says: nothing beyond it is read. */
		if (platform_read(copy))
			platform_hand_on(copy);
	}
	memset(tree, 0, sizeof(struct fdt_header));
	assert_false(platform_read(tree));
}

static void test_missing(void **state)
{
	static const char *const parts[] = {"/memory@80000000", "/cpus"};

	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
		setup(state);
		CHECK(fdt_del_node(tree, node_at(parts[i])));
		assert_false(platform_read(tree));
	}
	/* All else need not be there. */
	setup(state);
	CHECK(fdt_del_node(tree, node_at("/soc")));
	CHECK(fdt_del_node(tree, node_at("/poweroff")));
	assert_true(platform_read(tree));
	assert_int_equal(platform.uart, 0);
	assert_int_equal(platform.mtime, 0);
	assert_int_equal(platform.finisher, 0);
	assert_int_equal(fw_harts[0].msip, 0);
	/* The syscon's registers are gone alone. */
	setup(state);
	CHECK(fdt_del_node(tree, node_at("/soc/test@100000")));
	assert_true(platform_read(tree));
	assert_int_equal(platform.poweroff.address, 0);
}

static void test_odd_cpus(void **state)
{
	(void)state;
	add_cpu(63, "rv64gc");
	add_cpu(64, "rv64gc");
	add_cpu(2, "rv64gc");
	set_string("/cpus/cpu@2", "status", "disabled");
	add_cpu(3, "rv64gc");
	/* A hart with a number of 64 bits that only looks like 3. */
	CELLS("/cpus/cpu@3", "reg", 1, 3);
	add_cpu(4, "rv64gc");
	remove_property("/cpus/cpu@4", "reg");
	add_cpu(5, "rv64gc_svadu");
	/* A string without an end is none. */
	set_strings("/cpus/cpu@5", "riscv,isa", "rv64gc_svadu", 12);
	assert_true(platform_read(tree));
	assert_int_equal(platform.harts, BIT(63) | BIT(5) | 3);
	assert_int_equal(platform.adue, 2);
}

static void test_isa_extensions(void **state)
{
	(void)state;
	set_strings("/cpus/cpu@1", "riscv,isa-extensions", "i\0svadu\0svade", 14);
	set_strings("/cpus/cpu@0", "riscv,isa-extensions", "i\0svadu", 8);
	assert_true(platform_read(tree));
	assert_int_equal(platform.adue, 1);
}

static void test_odd_devices(void **state)
{
	(void)state;
	CELLS("/soc/clint@2000000", "interrupts-extended", 99, 3, 101, 3, 101);
	CELLS("/soc/serial@10000000", "reg", 0, 0x10000000, 0);
	set_string("/soc/test@100000", "status", "disabled");
	add_node("/", "chosen");
	set_strings("/chosen", "stdout-path", "/soc/serial@10000000:115200", 20);
	assert_true(platform_read(tree));
	/* Of a phandle that no hart has; a place is counted for it. */
	assert_int_equal(fw_harts[0].msip, 0);
	assert_int_equal(fw_harts[1].msip, 0x2000004);
	assert_int_equal(fw_harts[1].mtimecmp, 0);
	assert_int_equal(platform.uart, 0);
	assert_int_equal(platform.finisher, 0);
	assert_int_equal(platform.poweroff.address, 0x100000);
}

/* A wild number of cells, and nodes below one another without end. */
static void test_odd_cells(void **state)
{
	char path[200] = "/soc";

	(void)state;
	set_cell("/soc", "#address-cells", 0xffffffff);
	for (unsigned i = 0; i < 30; i++) {
		add_node(path, "x");
		strcat(path, "/x");
		set_string(path, "compatible", "ns16550a");
		CELLS(path, "reg", 1, 2, 3, 4);
	}
	assert_true(platform_read(tree));
	assert_int_equal(platform.mtime, 0);
	/* The first one below that has what is said where nothing is. */
	assert_int_equal(platform.uart, UINT64_C(1) << 32 | 2);
}

/* Two groups of harts, of two and of one, in an order of their own; each has four pages. */
static void test_imsics(void **state)
{
	(void)state;
	add_cpu(5, "rv64gc");
	add_cpu(6, "rv64gc");
	add_device("imsics@24000000", "riscv,imsics");
	CELLS("/soc/imsics@24000000", "reg", 0, 0x24000000, 0, 0x8000, 0, 0x25000000, 0, 0x4000);
	CELLS("/soc/imsics@24000000", "interrupts-extended", 105, 11, 100, 11, 101, 11, 106, 11);
	set_cell("/soc/imsics@24000000", "riscv,guest-index-bits", 2);
	/* S-mode's are not the firmware's. */
	add_device("imsics@28000000", "riscv,imsics");
	CELLS("/soc/imsics@28000000", "reg", 0, 0x28000000, 0, 0x8000, 0, 0x29000000, 0, 0x8000);
	CELLS("/soc/imsics@28000000", "interrupts-extended", 105, 9, 100, 9, 101, 9, 106, 9);
	set_cell("/soc/imsics@28000000", "riscv,guest-index-bits", 2);
	assert_true(platform_read(tree));
	assert_int_equal(fw_harts[5].imsic, 0x24000000);
	assert_int_equal(fw_harts[0].imsic, 0x24004000);
	assert_int_equal(fw_harts[1].imsic, 0x25000000);
	/* There is no page left for it. */
	assert_int_equal(fw_harts[6].imsic, 0);
}

/* An APLIC's registers, as wide as the test needs them; those of S-mode's follow. */
static uint32_t aplic[2][0x4000 / 4];

static void add_aplic(const char *name, const uint32_t *registers, uint32_t msi_parent)
{
	uint64_t address = (uint64_t)(uintptr_t)registers;
	char path[60];

	snprintf(path, sizeof(path), "/soc/%s", name);
	add_device(name, "riscv,aplic");
	CELLS(path, "reg", (uint32_t)(address >> 32), (uint32_t)address, 0, 0x4000);
	set_cell(path, "msi-parent", msi_parent);
	set_cell(path, "riscv,num-sources", 3);
}

/* Where an APLIC sends its messages: to whom of which group (AIA 4.5.3, 4.5.4). */
static void test_aplic(void **state)
{
	(void)state;
	memset(aplic, 0, sizeof(aplic));
	add_device("imsics@24000000", "riscv,imsics");
	CELLS("/soc/imsics@24000000", "reg", 0, 0x24000000, 0, 0x1000, 0, 0x25000000, 0, 0x1000);
	CELLS("/soc/imsics@24000000", "interrupts-extended", 100, 11, 101, 11);
	set_cell("/soc/imsics@24000000", "riscv,group-index-bits", 1);
	set_cell("/soc/imsics@24000000", "riscv,group-index-shift", 26);
	set_cell("/soc/imsics@24000000", "riscv,hart-index-bits", 3);
	set_cell("/soc/imsics@24000000", "phandle", 60);
	add_device("imsics@28000000", "riscv,imsics");
	CELLS("/soc/imsics@28000000", "reg", 5, 0x28000000, 0, 0x8000);
	CELLS("/soc/imsics@28000000", "interrupts-extended", 100, 9, 101, 9);
	set_cell("/soc/imsics@28000000", "riscv,guest-index-bits", 2);
	set_cell("/soc/imsics@28000000", "phandle", 61);
	add_aplic("aplic@0", aplic[0], 60);
	set_cell("/soc/aplic@0", "riscv,children", 63);
	add_aplic("aplic@1", aplic[1], 61);
	set_cell("/soc/aplic@1", "phandle", 63);
	assert_true(platform_read(tree));
	for (unsigned i = 1; i <= 4; i++)
		assert_int_equal(aplic[0][i], i <= 3 ? 0x400 : 0);
	assert_int_equal(aplic[0][0x1bc0 / 4], 0x24000);
	assert_int_equal(aplic[0][0x1bc4 / 4], 2 << 24 | 1 << 16 | 3 << 12);
	/* Two harts need one bit; the address has more than 32. */
	assert_int_equal(aplic[0][0x1bc8 / 4], 0x528000);
	assert_int_equal(aplic[0][0x1bcc / 4], 2 << 20 | 1 << 12);
	for (unsigned i = 0; i < ARRAY_SIZE(aplic[1]); i++)
		assert_int_equal(aplic[1][i], 0);
}

static void test_memory(void **state)
{
	(void)state;
	add_node("/", "memory@0");
	set_string("/memory@0", "device_type", "memory");
	set_string("/memory@0", "status", "disabled");
	CELLS("/memory@0", "reg", 0, 0, 0, 0x1000);
	add_node("/", "flash@20000000");
	set_string("/flash@20000000", "compatible", "cfi-flash");
	CELLS("/flash@20000000", "reg", 0, 0x20000000, 0, 0x2000000);
	/* One that ends beyond all addresses has nothing. */
	add_node("/", "memory@f");
	set_string("/memory@f", "device_type", "memory");
	CELLS("/memory@f", "reg", 0xffffffff, 0xfffff000, 0, 0x2000);
	assert_true(platform_read(tree));
	assert_true(platform_is_ram(RAM + FW_SIZE, RAM_SIZE - FW_SIZE));
	assert_true(platform_is_ram(RAM + RAM_SIZE - 1, 1));
	assert_true(platform_is_ram(RAM + RAM_SIZE - 1, 0));
	assert_false(platform_is_ram(RAM + RAM_SIZE, 1));
	assert_false(platform_is_ram(RAM + RAM_SIZE - 1, 2));
	assert_false(platform_is_ram(0, 1));
	assert_false(platform_is_ram(0x20000000, 1));
	assert_true(platform_is_code(0x20000000));
	assert_true(platform_is_code(RAM + FW_SIZE));
	assert_false(platform_is_code(RAM + FW_SIZE + 1));
	assert_false(platform_is_code(RAM + RAM_SIZE - 2));
	assert_false(platform_is_code(~UINT64_C(1)));
	/* The firmware's own, wholly, in part, and around it. */
	assert_false(platform_is_ram(RAM, 1));
	assert_false(platform_is_ram(RAM, 0));
	assert_false(platform_is_ram(RAM + FW_SIZE - 1, 2));
	assert_false(platform_is_ram(RAM, RAM_SIZE));
	assert_false(platform_is_code(RAM));
	assert_false(platform_is_code(RAM + FW_SIZE - 2));
	assert_true(platform_is_ram(RAM + FW_SIZE, 0));
	/* From one to the next; beyond them; what is not there in between. */
	platform.memory[1] = (struct range){RAM + RAM_SIZE, PAGE_SIZE};
	assert_true(platform_is_ram(RAM + RAM_SIZE - 1, 2));
	assert_true(platform_is_code(RAM + RAM_SIZE - 2));
	assert_true(platform_is_ram(RAM + FW_SIZE, RAM_SIZE - FW_SIZE + PAGE_SIZE));
	assert_false(platform_is_ram(RAM + FW_SIZE, RAM_SIZE - FW_SIZE + PAGE_SIZE + 1));
	platform.memory[1].base++;
	assert_false(platform_is_ram(RAM + RAM_SIZE - 1, 2));
	for (uint64_t size = ~UINT64_C(0); size > RAM_SIZE; size >>= 1) {
		assert_false(platform_is_ram(RAM + FW_SIZE, size));
		assert_false(platform_is_ram(~size, size));
	}
}

static void check_reserved(void)
{
	int size, node = fdt_path_offset(tree, RESERVED);
	const fdt32_t *reg = fdt_getprop(tree, node, "reg", &size);

	assert_int_equal(fdt_check_full(tree, fdt_totalsize(tree)), 0);
	assert_non_null(reg);
	assert_int_equal(size, 16);
	assert_int_equal(fdt32_to_cpu(reg[1]), FW_BASE);
	assert_int_equal(fdt32_to_cpu(reg[3]), FW_SIZE);
	assert_non_null(fdt_getprop(tree, node, "no-map", NULL));
}

static void test_hand_on(void **state)
{
	(void)state;
	fdt_pack(tree);
	assert_true(platform_read(tree));
	assert_true(platform_hand_on(tree));
	check_reserved();
	/* Once more, as a kernel that is started by another does. */
	assert_true(platform_hand_on(tree));
	check_reserved();
	assert_int_equal(platform.harts, 3);
}

static void test_no_room(void **state)
{
	uint64_t self = (uint64_t)(uintptr_t)tree;

	(void)state;
	fdt_pack(tree);
	assert_true(platform_read(tree));
	/* The ramdisk follows at once; RAM ends; it is not in RAM at all. */
	platform.initrd = (struct range){self + fdt_totalsize(tree) + 16, 4096};
	assert_false(platform_hand_on(tree));
	platform.initrd.size = 0;
	platform.memory[1].size = fdt_totalsize(tree) + 16;
	assert_false(platform_hand_on(tree));
	platform.ram_count = 1;
	assert_false(platform_hand_on(tree));
}

static void test_odd_reserved_memory(void **state)
{
	(void)state;
	add_node("/", "reserved-memory");
	set_cell("/reserved-memory", "#address-cells", 3);
	set_cell("/reserved-memory", "#size-cells", 2);
	fdt_pack(tree);
	assert_true(platform_read(tree));
	assert_false(platform_hand_on(tree));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_whole, setup),
	    cmocka_unit_test_setup(test_broken, setup),
	    cmocka_unit_test_setup(test_missing, setup),
	    cmocka_unit_test_setup(test_odd_cpus, setup),
	    cmocka_unit_test_setup(test_isa_extensions, setup),
	    cmocka_unit_test_setup(test_odd_devices, setup),
	    cmocka_unit_test_setup(test_odd_cells, setup),
	    cmocka_unit_test_setup(test_imsics, setup),
	    cmocka_unit_test_setup(test_aplic, setup),
	    cmocka_unit_test_setup(test_memory, setup),
	    cmocka_unit_test_setup(test_hand_on, setup),
	    cmocka_unit_test_setup(test_no_room, setup),
	    cmocka_unit_test_setup(test_odd_reserved_memory, setup),
	};

	return cmocka_run_group_tests_name("firmware platform", tests, NULL, NULL);
}
