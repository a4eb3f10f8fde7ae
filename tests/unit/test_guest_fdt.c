/* SPDX-License-Identifier: MIT */
/* unit: vmm/guest_fdt.c vmm/guest_fdt_host.c vmm/tree_writer.c vmm/guest_fdt_patch.c */
/* libs: -lfdt */
#include "kernel/error.h"
#include "tests/unit/guest_tree.h"

static const uint8_t seed[32] = "0123456789abcdef0123456789abcde";
static unsigned preemptions, stretches;
static bool allowed;
static size_t said;

static void count_preemption(void)
{
	preemptions++;
}

static void allow(void)
{
	assert_false(allowed);
	allowed = true;
	said = strlen(messages);
}

static void forbid(void)
{
	assert_true(allowed);
	allowed = false;
	stretches++;
	assert_int_equal(strlen(messages), said);
}

static int setup(void **state)
{
	(void)state;
	messages[0] = '\0';
	preemptions = stretches = 0;
	allowed = false;
	info = (struct guest_fdt_info){
	    .path = "/configurations/web",
	    .hart_count = 2,
	    .timebase = 10000000,
	    .isa = "rv64imafdc_zicsr_zifencei",
	    .mmu_type = "riscv,sv48",
	    .ram_base = 0x80000000,
	    .ram_size = MIB(512),
	    .rng_seed = seed,
	    .rng_seed_size = sizeof(seed),
	    .preempt = count_preemption,
	    .preempt_allow = allow,
	    .preempt_forbid = forbid,
	};
	return 0;
}

static uint32_t get_cell(const char *path, const char *name)
{
	int length;
	const void *value = fdt_getprop(written, find(written, path), name, &length);

	assert_non_null(value);
	assert_int_equal(length, 4);
	return fdt32_ld(value);
}

static void expect_interrupt(const char *path, uint32_t source)
{
	expect_cell(written, path, "interrupts", source);
	expect_cell(written, path, "interrupt-parent", get_cell("/soc/plic@c000000", "phandle"));
}

static void test_devices(void **state)
{
	(void)state;
	write_tree();
	expect_cell(written, "/", "#address-cells", 2);
	expect_cell(written, "/", "#size-cells", 2);
	expect_text(written, "/", "compatible", "riscv-virtio");
	expect_bytes(written, "/soc", "ranges", "", 0);
	expect_reg(written, "/memory@80000000", 0x80000000, MIB(512));
	expect_text(written, "/memory@80000000", "device_type", "memory");
	expect_reg(written, "/soc/serial@10000000", 0x10000000, 0x100);
	expect_interrupt("/soc/serial@10000000", 10);
	expect_cell(written, "/soc/serial@10000000", "clock-frequency", 3686400);
	expect_text(written, "/soc/serial@10000000", "compatible", "ns16550a");
	expect_text(written, "/aliases", "serial0", "/soc/serial@10000000");
	expect_reg(written, "/soc/rtc@101000", 0x101000, 0x1000);
	expect_interrupt("/soc/rtc@101000", 11);
	expect_text(written, "/soc/rtc@101000", "compatible", "google,goldfish-rtc");
	expect_reg(written, "/soc/test@100000", 0x100000, 0x1000);
	expect_bytes(written, "/soc/test@100000", "compatible",
		     "sifive,test1\0sifive,test0\0syscon", 33);
	expect_cell(written, "/poweroff", "value", 0x5555);
	expect_cell(written, "/poweroff", "regmap", get_cell("/soc/test@100000", "phandle"));
	expect_text(written, "/poweroff", "compatible", "syscon-poweroff");
	expect_cell(written, "/reboot", "value", 0x7777);
	expect_cell(written, "/reboot", "offset", 0);
	expect_text(written, "/reboot", "compatible", "syscon-reboot");
}

static void test_flash(void **state)
{
	fdt64_t both[4] = {cpu_to_fdt64(0x20000000), cpu_to_fdt64(MIB(32)),
			   cpu_to_fdt64(0x22000000), cpu_to_fdt64(MIB(32))};

	(void)state;
	write_tree();
	assert_int_equal(fdt_path_offset(written, "/flash@20000000"), -FDT_ERR_NOTFOUND);
	info.flash_banks = 3;
	write_tree();
	expect_bytes(written, "/flash@20000000", "reg", both, sizeof(both));
	expect_cell(written, "/flash@20000000", "bank-width", 4);
	expect_text(written, "/flash@20000000", "compatible", "cfi-flash");
	info.flash_banks = 2;
	write_tree();
	expect_reg(written, "/flash@22000000", 0x22000000, MIB(32));
	assert_int_equal(fdt_path_offset(written, "/flash@20000000"), -FDT_ERR_NOTFOUND);
}

static void test_virtio_slots(void **state)
{
	int node, slot = 0;

	(void)state;
	write_tree();
	fdt_for_each_subnode(node, written, find(written, "/soc"))
	{
		char path[64];

		if (fdt_node_check_compatible(written, node, "virtio,mmio") != 0)
			continue;
		snprintf(path, sizeof(path), "/soc/virtio_mmio@%x", 0x10001000 + 0x1000 * slot);
		assert_int_equal(node, find(written, path));
		expect_reg(written, path, 0x10001000 + 0x1000 * (uint64_t)slot, 0x1000);
		slot++;
		expect_interrupt(path, (uint32_t)slot);
	}
	assert_int_equal(slot, 8);
}

static void test_plic(void **state)
{
	fdt32_t contexts[4 * 512];

	(void)state;
	info.hart_count = 512;
	write_tree();
	expect_reg(written, "/soc/plic@c000000", 0xc000000, 0x600000);
	expect_cell(written, "/soc/plic@c000000", "riscv,ndev", 95);
	expect_cell(written, "/soc/plic@c000000", "#interrupt-cells", 1);
	expect_bytes(written, "/soc/plic@c000000", "compatible", "sifive,plic-1.0.0\0riscv,plic0",
		     30);
	for (unsigned hart = 0; hart < 512; hart++) {
		char path[64];
		fdt32_t intc;

		snprintf(path, sizeof(path), "/cpus/cpu@%x/interrupt-controller", hart);
		intc = cpu_to_fdt32(get_cell(path, "phandle"));
		contexts[4 * hart] = contexts[4 * hart + 2] = intc;
		contexts[4 * hart + 1] = cpu_to_fdt32(11);
		contexts[4 * hart + 3] = cpu_to_fdt32(9);
	}
	expect_bytes(written, "/soc/plic@c000000", "interrupts-extended", contexts,
		     sizeof(contexts));
}

static void test_harts(void **state)
{
	(void)state;
	info.cbom_block_size = 64;
	info.cboz_block_size = 128;
	write_tree();
	expect_cell(written, "/cpus", "timebase-frequency", 10000000);
	for (unsigned hart = 0; hart < 2; hart++) {
		char path[64];
		uint32_t phandle;

		snprintf(path, sizeof(path), "/cpus/cpu@%u", hart);
		expect_cell(written, path, "reg", hart);
		expect_text(written, path, "device_type", "cpu");
		expect_text(written, path, "status", "okay");
		expect_text(written, path, "compatible", "riscv");
		expect_text(written, path, "mmu-type", "riscv,sv48");
		expect_text(written, path, "riscv,isa", "rv64imafdc_zicsr_zifencei");
		expect_text(written, path, "riscv,isa-base", "rv64i");
		expect_bytes(written, path, "riscv,isa-extensions",
			     "i\0m\0a\0f\0d\0c\0zicsr\0zifencei", 27);
		expect_cell(written, path, "riscv,cbom-block-size", 64);
		expect_cell(written, path, "riscv,cboz-block-size", 128);
		expect_none(written, path, "riscv,cbop-block-size");
		phandle = get_cell(path, "phandle");
		snprintf(path, sizeof(path), "/cpus/cpu-map/cluster0/core%u", hart);
		expect_cell(written, path, "cpu", phandle);
		snprintf(path, sizeof(path), "/cpus/cpu@%u/interrupt-controller", hart);
		expect_cell(written, path, "#interrupt-cells", 1);
		expect_text(written, path, "compatible", "riscv,cpu-intc");
	}
	assert_true(fdt_path_offset(written, "/cpus/cpu@2") < 0);
	assert_true(preemptions >= 28);
}

static void expect_extensions(const char *isa, const char *list, size_t size)
{
	info.isa = isa;
	write_tree();
	expect_text(written, "/cpus/cpu@0", "riscv,isa", isa);
	expect_bytes(written, "/cpus/cpu@0", "riscv,isa-extensions", list, size);
}

static void test_isa_strings(void **state)
{
	(void)state;
	expect_extensions("rv64imafdch_zba", "i\0m\0a\0f\0d\0c\0h\0zba", 18);
	expect_extensions("rv64ima", "i\0m\0a", 6);
	expect_extensions("rv64imazicsr_sstc__svadu_", "i\0m\0a\0zicsr\0sstc\0svadu", 23);
}

static void test_chosen(void **state)
{
	(void)state;
	write_tree();
	expect_text(written, "/chosen", "stdout-path", "/soc/serial@10000000");
	expect_bytes(written, "/chosen", "rng-seed", seed, sizeof(seed));
	expect_none(written, "/chosen", "bootargs");
	expect_none(written, "/chosen", "linux,initrd-start");
	info.bootargs = "console=ttyS0 quiet";
	info.ramdisk = UINT64_C(0x190200000);
	info.ramdisk_size = 0x12345;
	info.ram_base = GIB(4);
	write_tree();
	expect_text(written, "/chosen", "bootargs", "console=ttyS0 quiet");
	expect_u64(written, "/chosen", "linux,initrd-start", UINT64_C(0x190200000));
	expect_u64(written, "/chosen", "linux,initrd-end", UINT64_C(0x190212345));
	expect_reg(written, "/memory@100000000", GIB(4), MIB(512));
}

static void test_sizes(void **state)
{
	char isa[2000] = "rv64imafdcvh";
	char bootargs[4000];

	(void)state;
	memset(bootargs, 'x', sizeof(bootargs));
	bootargs[sizeof(bootargs) - 1] = '\0';
	info.cbom_block_size = info.cboz_block_size = info.cbop_block_size = 64;
	for (unsigned length = 0; length < 1900; length += 19) {
		strcat(isa, "_zabcdefghijklmnopq");
		info.isa = isa;
		info.hart_count = 1 + length % 7;
		write_tree();
	}
	for (info.hart_count = 1; info.hart_count <= 512; info.hart_count += 73)
		write_tree();
	info.bootargs = bootargs;
	info.hart_count = 512;
	info.isa = "rv64i";
	write_tree();
}

/* Too small a buffer by any number of bytes: an error, and nothing written beyond it. */
static void test_small_buffers(void **state)
{
	size_t needed;

	(void)state;
	write_tree();
	needed = fdt_totalsize(written);
	for (size_t size = 0; size < needed; size++) {
		void *buffer = malloc(size ? size : 1);

		memset(buffer, 0, size);
		assert_int_equal(guest_fdt_write(buffer, size, &info), ERR_TOO_LARGE);
		assert_true(size < 4 || fdt_magic(buffer) != FDT_MAGIC);
		free(buffer);
	}
}

/* Patches `tree` into memory of exactly the size that is asked for. */
static int patch_tree(void)
{
	size_t fdt_size = fdt_totalsize(tree);
	size_t size = guest_fdt_patch_size(&info, fdt_size);
	int error;

	free(written);
	written = malloc(size);
	assert_non_null(written);
	stretches = 0;
	error = guest_fdt_patch(written, size, tree, fdt_size, &info);
	assert_int_equal(stretches, 1);
	assert_false(allowed);
	if (error == 0) {
		assert_int_equal(fdt_check_full(written, size), 0);
		expect_silence();
	}
	return error;
}

/* A tree such as people give, with stale values in what is to be set. */
static void build_given_tree(void)
{
	tree_clear();
	set_cell("/", "#address-cells", 2);
	set_cell("/", "#size-cells", 2);
	add_node("/", "memory@80000000");
	set_string("/memory@80000000", "device_type", "memory");
	set_bytes("/memory@80000000", "reg", "stale", 5);
	add_node("/", "chosen");
	set_string("/chosen", "bootargs", "given");
	set_string("/chosen", "stdout-path", "serial0");
	set_cell("/chosen", "linux,initrd-start", 1);
	set_cell("/chosen", "linux,initrd-end", 2);
	add_node("/", "soc");
	set_string("/soc", "compatible", "simple-bus");
	CHECK(fdt_pack(tree));
}

static void test_patch(void **state)
{
	(void)state;
	build_given_tree();
	assert_int_equal(patch_tree(), 0);
	expect_reg(written, "/memory@80000000", 0x80000000, MIB(512));
	expect_text(written, "/chosen", "bootargs", "given");
	expect_text(written, "/chosen", "stdout-path", "serial0");
	expect_text(written, "/soc", "compatible", "simple-bus");
	expect_bytes(written, "/chosen", "rng-seed", seed, sizeof(seed));
	expect_none(written, "/chosen", "linux,initrd-start");
	expect_none(written, "/chosen", "linux,initrd-end");
	info.bootargs = "new";
	info.ramdisk = 0x90200000;
	info.ramdisk_size = 0x1000;
	assert_int_equal(patch_tree(), 0);
	expect_text(written, "/chosen", "bootargs", "new");
	expect_u64(written, "/chosen", "linux,initrd-start", 0x90200000);
	expect_u64(written, "/chosen", "linux,initrd-end", 0x90201000);
}

/* Neither memory nor /chosen: both are made, in the room that was asked for. */
static void test_patch_bare(void **state)
{
	(void)state;
	tree_clear();
	set_cell("/", "#address-cells", 2);
	set_cell("/", "#size-cells", 2);
	CHECK(fdt_pack(tree));
	info.bootargs = "console=ttyS0";
	info.ram_base = BIT(55);
	info.ramdisk = BIT(55);
	info.ramdisk_size = 1;
	assert_int_equal(patch_tree(), 0);
	expect_reg(written, "/memory@80000000000000", BIT(55), MIB(512));
	expect_text(written, "/memory@80000000000000", "device_type", "memory");
	expect_text(written, "/chosen", "bootargs", "console=ttyS0");
	expect_u64(written, "/chosen", "linux,initrd-end", BIT(55) + 1);
}

static void test_patch_cells(void **state)
{
	fdt32_t reg[2] = {cpu_to_fdt32(0x80000000), cpu_to_fdt32(MIB(512))};

	(void)state;
	build_given_tree();
	CHECK(fdt_open_into(tree, tree, TREE_MAX));
	set_cell("/", "#address-cells", 1);
	set_cell("/", "#size-cells", 1);
	assert_int_equal(patch_tree(), 0);
	expect_bytes(written, "/memory@80000000", "reg", reg, sizeof(reg));
	info.ram_size = GIB(4);
	assert_int_equal(patch_tree(), ERR_RANGE);
	expect_message("/configurations/web: fdt: its #address-cells or #size-cells");
	info.ram_size = MIB(2);
	info.ram_base = GIB(4);
	assert_int_equal(patch_tree(), ERR_RANGE);
	messages[0] = '\0';
	set_cell("/", "#address-cells", 3);
	assert_int_equal(patch_tree(), ERR_RANGE);
	messages[0] = '\0';
	set_cell("/", "#address-cells", 0);
	assert_true(patch_tree() < 0);
}

/* Further memory nodes name what is not there. */
static void test_patch_memories(void **state)
{
	(void)state;
	build_given_tree();
	CHECK(fdt_open_into(tree, tree, TREE_MAX));
	for (int i = 0; i < 4; i++) {
		char name[32], path[32];

		snprintf(name, sizeof(name), "memory@%d", i);
		snprintf(path, sizeof(path), "/memory@%d", i);
		add_node("/", name);
		set_string(path, "device_type", "memory");
	}
	assert_int_equal(patch_tree(), 0);
	int node, count = 0;
	fdt_for_each_subnode(node, written, 0)
	{
		if (fdt_getprop(written, node, "device_type", NULL))
			count++;
	}
	assert_int_equal(count, 1);
	find(written, "/soc");
	find(written, "/chosen");
}

/* Of a FIT's images, some are aligned to 4 only. */
static void test_patch_alignment(void **state)
{
	size_t fdt_size;
	char *copy;

	(void)state;
	build_given_tree();
	fdt_size = fdt_totalsize(tree);
	copy = malloc(fdt_size + 4);
	memcpy(copy + 4, tree, fdt_size);
	written = malloc(guest_fdt_patch_size(&info, fdt_size));
	assert_int_equal(guest_fdt_patch(written, guest_fdt_patch_size(&info, fdt_size), copy + 4,
					 fdt_size, &info),
			 0);
	free(copy);
}

static void test_patch_small_buffers(void **state)
{
	size_t fdt_size, needed;

	(void)state;
	build_given_tree();
	fdt_size = fdt_totalsize(tree);
	assert_int_equal(patch_tree(), 0);
	needed = fdt_totalsize(written);
	for (size_t size = 0; size < needed; size++) {
		void *buffer = malloc(size ? size : 1);

		assert_int_equal(guest_fdt_patch(buffer, size, tree, fdt_size, &info),
				 ERR_TOO_LARGE);
		expect_message("/configurations/web: fdt: ");
		free(buffer);
	}
}

static int patch_bytes(const void *fdt, size_t fdt_size)
{
	size_t size = guest_fdt_patch_size(&info, fdt_size);
	void *buffer = malloc(size);
	int error = guest_fdt_patch(buffer, size, fdt, fdt_size, &info);

	assert_false(allowed);
	if (error == 0)
		assert_int_equal(fdt_check_full(buffer, size), 0);
	free(buffer);
	messages[0] = '\0';
	return error;
}

static void test_patch_hostile(void **state)
{
	size_t size;
	uint8_t *copy;

	(void)state;
	build_given_tree();
	size = fdt_totalsize(tree);
	copy = malloc(size);
	for (size_t n = 0; n < size; n++) {
		memcpy(copy, tree, size);
		assert_int_equal(patch_bytes(copy, n), ERR_CORRUPT);
		fdt_set_totalsize(copy, (uint32_t)n);
		assert_int_equal(patch_bytes(copy, n), ERR_CORRUPT);
	}
	for (size_t at = 0; at < size; at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			memcpy(copy, tree, size);
			copy[at] ^= (uint8_t)(1 << bit);
			(void)patch_bytes(copy, size);
		}
	}
	srand(5);
	for (unsigned round = 0; round < 20000; round++) {
		memcpy(copy, tree, size);
		for (int i = rand() % 6; i >= 0; i--)
			copy[(size_t)rand() % size] = (uint8_t)rand();
		(void)patch_bytes(copy, size);
	}
	free(copy);
}

/* libfdt does not compare names of version 16 with where its strings end. */
static void test_patch_version_16(void **state)
{
	uint32_t strings;

	(void)state;
	build_given_tree();
	fdt_set_version(tree, 16);
	strings = fdt_size_dt_strings(tree);
	assert_int_equal(patch_bytes(tree, fdt_totalsize(tree)), 0);
	for (uint32_t size = 0; size < strings; size++) {
		fdt_set_size_dt_strings(tree, size);
		assert_int_equal(patch_bytes(tree, fdt_totalsize(tree)), ERR_CORRUPT);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_devices),       TEST(test_virtio_slots),     TEST(test_plic),
	    TEST(test_harts),         TEST(test_isa_strings),      TEST(test_chosen),
	    TEST(test_sizes),         TEST(test_small_buffers),    TEST(test_patch),
	    TEST(test_patch_bare),    TEST(test_patch_cells),      TEST(test_patch_memories),
	    TEST(test_flash),         TEST(test_patch_alignment),  TEST(test_patch_small_buffers),
	    TEST(test_patch_hostile), TEST(test_patch_version_16),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
