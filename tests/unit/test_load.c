/* SPDX-License-Identifier: MIT */
/* unit: vmm/load.c vmm/image.c vmm/fit.c vmm/hash.c vmm/guest_fdt.c vmm/guest_fdt_host.c vmm/guest_fdt_patch.c vmm/tree_writer.c vmm/gmem.c vmm/copy.c engine/gspace.c kernel/arena.c kernel/page.c kernel/pool.c kernel/isa.c kernel/fdt.c */
/* libs: -lfdt -Wl,--wrap=page_alloc,--wrap=page_alloc_zeroed,--wrap=page_free,--wrap=gmem_write,--wrap=gmem_clear */
#include "tests/unit/load_fixture.h"

static uint64_t backed(void)
{
	return vm.arena.pages[ARENA_RAM] << PAGE_SHIFT;
}

/* What an image fills wholly is copied when somebody touches it: the rest is there, and no more. */
static void test_kernel_alone(void **state)
{
	(void)state;
	assert_int_equal(load(), 0);
	/* Its last 3 MiB in two pages, of which the first is left out, and the device tree's. */
	assert_int_equal(backed(), 2 * MEGAPAGE_SIZE);
	assert_int_equal(vm.loader.plan.entry.v, RAM_BASE + MIB(2));
	check_ram();
	expect_property("/cpus/cpu@0", "riscv,isa", "rv64imafdc");
	expect_silence();
}

/* Nor is a piece of it copied into such a page from the one before. */
static void test_odd_start(void **state)
{
	(void)state;
	set_kernel(MIB(4) + KIB(24), RAM_BASE + MIB(2) - KIB(10));
	assert_int_equal(load(), 0);
	assert_int_equal(backed(), 3 * MEGAPAGE_SIZE);
	check_ram();
}

static void test_everything(void **state)
{
	(void)state;
	set_ramdisk(MIB(2) + 12345);
	set_dtb();
	add_disk("disk", 40000);
	add_device(VMCONFIG_VIRTIO_RNG);
	add_disk("other", 1);
	vm.config.bootargs = "console=hvc0";
	prepare_steps = 5;
	machine_steps = 7;
	expect_loaded();
	assert_int_equal(prepare_steps, 0);
	assert_int_equal(machine_steps, 0);
	/* And anew, as after a restart. */
	empty();
	expect_loaded();
}

static void test_small_pieces(void **state)
{
	(void)state;
	set_kernel(1, RAM_BASE + MIB(2) - 2);
	set_ramdisk(1);
	expect_loaded();
	empty();
	set_kernel(KIB(16), RAM_BASE + MIB(2) - KIB(3));
	set_ramdisk(KIB(16) + 1);
	expect_loaded();
}

/* As Linux' kernels are: behind what the file has, zeroes. */
static void test_kernel_with_zeroes(void **state)
{
	static const uint64_t image_size = MIB(7) + 5;

	(void)state;
	set_kernel(MIB(3) + 1, RAM_BASE + MIB(2));
	memset(kernel_bytes, 0, 64);
	fdt32_st(kernel_bytes + 56, 0x52534305); /* "RSC\5" */
	kernel_bytes[10] = 0x20;                 /* text_offset: 2 MiB */
	memcpy(kernel_bytes + 16, &image_size, sizeof(image_size));
	set_kernel(MIB(3) + 1, RAM_BASE + MIB(2));
	assert_int_equal(load(), 0);
	assert_int_equal(vm.loader.plan.count, 2);
	check_ram();
}

static void write_where_kernel_goes(void)
{
	static const uint64_t offsets[] = {MIB(2) + 100, MIB(3), MIB(4) - 7, MIB(8), 50};

	for (unsigned i = 0; i < ARRAY_SIZE(offsets); i++) {
		uint8_t bytes[20];

		fill(bytes, sizeof(bytes));
		memcpy(model + offsets[i], bytes, sizeof(bytes));
		assert_int_equal(gmem_write(&vm, GPA(RAM_BASE + offsets[i]), bytes, sizeof(bytes)),
				 0);
	}
}

/* What was touched before is not found by and by: it is copied, and what lies beside it stays. */
static void test_touched_before(void **state)
{
	(void)state;
	machine_writes = write_where_kernel_goes;
	expect_loaded();
}

/* RAM that is set apart is mapped as a whole, in larger pages too, before anything is loaded. */
static void test_mapped_before(void **state)
{
	(void)state;
	for (uint64_t done = 0; done < RAM_SIZE; done += MEGAPAGE_SIZE)
		assert_int_equal(
		    gspace_map(&vm.guest.space, GPA(RAM_BASE + done), HPA(BASE + OWN + done), 1),
		    0);
	set_ramdisk(MIB(3));
	vm.config.populate = VMCONFIG_POPULATE_EAGER;
	expect_loaded();
	assert_int_equal(backed(), 0);
}

static void expect_populated(void)
{
	assert_int_equal(load(), 0);
	assert_int_equal(backed(), RAM_SIZE);
	check_ram();
	assert_int_equal(backed(), RAM_SIZE);
}

static void test_populate(void **state)
{
	static void *taken[OWN_PAGES];
	unsigned count = 0;

	(void)state;
	vm.config.populate = VMCONFIG_POPULATE_EAGER;
	expect_populated();
	empty();
	/* No two pages in one piece: small ones do, once there is what the tree is made in. */
	set_ramdisk(MIB(4));
	while ((taken[count] = page_alloc(0)) != NULL)
		count++;
	for (unsigned i = 0; i < count; i++) {
		if (i % 2 && i > 8) {
			page_free(taken[i], 0);
			taken[i] = NULL;
		}
	}
	for (unsigned i = 0; i <= 8; i++) {
		page_free(taken[i], 0);
		taken[i] = NULL;
	}
	begin();
	while (load_step(&vm) == ERR_AGAIN)
		assert_true(++steps < STEPS_MAX);
	assert_int_equal(backed(), RAM_SIZE);
	check_ram();
	expect_silence();
	for (unsigned i = 0; i < count; i++) {
		if (taken[i])
			page_free(taken[i], 0);
	}
}

/* It starts in its flash, and its devices are in the tree. */
static void test_flash(void **state)
{
	(void)state;
	vm.config.kernel_name = NULL;
	vm.config.kernel.name = NULL;
	add_device(VMCONFIG_FLASH);
	expect_loaded();
	assert_int_equal(vm.loader.plan.entry.v, MACHINE_FLASH_BASE(0));
	assert_int_equal(fdt64_ld(property("/flash@20000000", "reg", -1)), 0x20000000);
}

static void expect_mmu(unsigned bits, const char *type)
{
	vm.guest.isa.virtual_address_bits = (uint8_t)bits;
	empty();
	assert_int_equal(load(), 0);
	read_ram();
	expect_property("/cpus/cpu@1", "mmu-type", type);
}

static bool has_property(const char *path, const char *name)
{
	return fdt_getprop(guest_tree, fdt_path_offset(guest_tree, path), name, NULL);
}

static void test_harts(void **state)
{
	struct isa *isa = &vm.guest.isa;

	(void)state;
	isa->cbom_block_size = 32;
	isa->cboz_block_size = 64;
	isa->cbop_block_size = 128;
	expect_mmu(39, "riscv,sv39");
	/* Of what it does not have, it has no sizes. */
	assert_false(has_property("/cpus/cpu@0", "riscv,cbom-block-size"));
	assert_false(has_property("/cpus/cpu@0", "riscv,cboz-block-size"));
	assert_false(has_property("/cpus/cpu@0", "riscv,cbop-block-size"));
	isa_add(isa, ISA_zicbom);
	isa_add(isa, ISA_zicbop);
	isa_add(isa, ISA_zicboz);
	expect_mmu(48, "riscv,sv48");
	expect_mmu(57, "riscv,sv57");
	assert_int_equal(fdt32_ld(property("/cpus/cpu@0", "riscv,cbom-block-size", 4)), 32);
	assert_int_equal(fdt32_ld(property("/cpus/cpu@0", "riscv,cboz-block-size", 4)), 64);
	assert_int_equal(fdt32_ld(property("/cpus/cpu@0", "riscv,cbop-block-size", 4)), 128);
	assert_int_equal(fdt32_ld(property("/cpus", "timebase-frequency", 4)), 10000000);
	assert_int_equal(fdt64_ld(property("/memory@80000000", "reg", 16)), RAM_BASE);
	assert_false(has_property("/cpus/cpu@2", "reg"));
}

/* So many that their tree is copied in several pieces. */
static void test_many_harts(void **state)
{
	(void)state;
	vm.config.vcpus = 120;
	expect_loaded();
	assert_true(fdt_totalsize(guest_tree) > 2 * STEP_MOST);
	assert_int_equal(fdt32_ld(property("/cpus/cpu@77", "reg", 4)), 119);
}

/* A device of the host's that the VM has is in its tree. */
static void test_host_device(void **state)
{
	static const struct range range = {0x40000000, 0x1000};

	(void)state;
	add_node("/", "sensor@40000000");
	set_string("/sensor@40000000", "compatible", "a,sensor");
	host_device = (struct guest_fdt_device){
	    .host = tree,
	    .node = node_at("/sensor@40000000"),
	    .range_count = 1,
	    .ranges = &range,
	};
	host_device_count = 1;
	assert_int_equal(load(), 0);
	read_ram();
	assert_true(fdt_node_offset_by_compatible(guest_tree, -1, "a,sensor") > 0);
}

static void random_writes(void)
{
	for (unsigned i = 0; i < 4; i++) {
		uint8_t bytes[100];
		uint64_t offset = (uint64_t)rand() % (RAM_SIZE - sizeof(bytes));

		if (rand() % 2)
			continue;
		fill(bytes, sizeof(bytes));
		memcpy(model + offset, bytes, sizeof(bytes));
		assert_int_equal(gmem_write(&vm, GPA(RAM_BASE + offset), bytes, sizeof(bytes)), 0);
	}
}

/* A size or an offset, often at or beside the end of a page. */
static uint64_t random_size(uint64_t most)
{
	uint64_t size = (uint64_t)rand() % most;

	if (rand() % 2)
		size = align_down(size, rand() % 2 ? MEGAPAGE_SIZE : PAGE_SIZE) +
		       (uint64_t)(rand() % 3);
	return size ? size : 1;
}

static void test_random(void **state)
{
	unsigned loaded = 0;

	(void)state;
	machine_writes = random_writes;
	for (unsigned i = 0; i < 150; i++) {
		int error;

		vm.config.ramdisk_name = vm.config.fdt_name = NULL;
		vm.config.ramdisk.name = vm.config.fdt.name = NULL;
		set_kernel(random_size(sizeof(kernel_bytes)),
			   RAM_BASE + align_down(random_size(MIB(7)), 2));
		if (rand() % 2)
			set_ramdisk(random_size(sizeof(ramdisk_bytes)));
		if (rand() % 2)
			set_dtb();
		vm.config.populate = rand() % 2;
		empty();
		error = load();
		if (error) {
			/* Both are large, and it lies in the midst. */
			assert_int_equal(error, ERR_TOO_LARGE);
			assert_non_null(vm.config.ramdisk_name);
			expect_message("is too large for the VM");
			continue;
		}
		loaded++;
		if (vm.config.populate)
			assert_int_equal(backed(), RAM_SIZE);
		/* What is written over was there before. */
		check_ram();
	}
	assert_true(loaded > 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_kernel_alone),  TEST(test_odd_start),          TEST(test_everything),
	    TEST(test_small_pieces),  TEST(test_kernel_with_zeroes), TEST(test_touched_before),
	    TEST(test_mapped_before), TEST(test_populate),           TEST(test_flash),
	    TEST(test_harts),         TEST(test_many_harts),         TEST(test_host_device),
	    TEST(test_random),
	};

	return cmocka_run_group_tests_name("load", tests, NULL, NULL);
}
