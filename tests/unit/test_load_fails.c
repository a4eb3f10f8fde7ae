/* SPDX-License-Identifier: MIT */
/* unit: vmm/load.c vmm/image.c vmm/fit.c vmm/hash.c vmm/guest_fdt.c vmm/guest_fdt_host.c vmm/guest_fdt_patch.c vmm/tree_writer.c vmm/gmem.c vmm/copy.c engine/gspace.c kernel/arena.c kernel/page.c kernel/pool.c kernel/isa.c kernel/fdt.c */
/* libs: -lfdt -Wl,--wrap=page_alloc,--wrap=page_alloc_zeroed,--wrap=page_free,--wrap=gmem_write,--wrap=gmem_clear */

/* VMs that cannot be loaded: for what reason, and what is left then. */

#include "tests/unit/load_fixture.h"

static bool machine_asked;

static void note_machine(void)
{
	machine_asked = true;
}

static uint64_t backed(void)
{
	return vm.arena.pages[ARENA_RAM] << PAGE_SHIFT;
}

/* Refused before anything was written, or its devices asked. */
static void expect_refused(int error, const char *message)
{
	machine_asked = false;
	machine_writes = note_machine;
	assert_int_equal(load(), error);
	if (message)
		expect_message(message);
	expect_silence();
	assert_false(machine_asked);
	assert_int_equal(backed(), 0);
}

static void set_up_all(void)
{
	set_ramdisk(MIB(1));
	set_dtb();
	add_device(VMCONFIG_VIRTIO_RNG);
	add_disk("disk", 40000);
	add_device(VMCONFIG_VIRTIO_NET);
	add_disk("last", 30000);
}

static void test_hashes(void **state)
{
	static const char *const names[] = {"kernel", "ramdisk", "dtb", "disk", "last"};

	(void)state;
	set_up_all();
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		char path[64], message[128];
		uint8_t *value;

		snprintf(path, sizeof(path), "/images/%s/hash-1", names[i]);
		value = fdt_getprop_w(tree, node_at(path), "value", NULL);
		value[3] ^= 1;
		snprintf(message, sizeof(message), "/images/%s: its data do not match hash-1",
			 names[i]);
		expect_refused(ERR_CORRUPT, message);
		value[3] ^= 1;
	}
	/* Whose hash is of a kind that is not known is not taken on trust. */
	set_string("/images/last/hash-1", "algo", "md5");
	expect_refused(ERR_NOSYS, "/images/last/hash-1: algo = \"md5\": unknown");
	set_string("/images/last/hash-1", "algo", "crc32");
	machine_writes = NULL;
	expect_loaded();
}

/* Images that are not the VM's do not matter, though other VMs' are in the file. */
static void test_others_hashes(void **state)
{
	(void)state;
	set_up_all();
	set_string("/images/dtb/hash-1", "algo", "md5");
	set_string("/images/ramdisk/hash-1", "algo", "md5");
	set_string("/images/disk/hash-1", "algo", "md5");
	vm.config.ramdisk_name = vm.config.fdt_name = NULL;
	vm.config.device_count = 1;
	expect_loaded();
}

static void test_ram_that_is_set_apart(void **state)
{
	(void)state;
	prepare_steps = 3;
	prepare_error = ERR_NOMEM;
	expect_refused(ERR_NOMEM, "/configurations/web: no memory left to load it");
	assert_int_equal(prepare_steps, 0);
	prepare_error = ERR_EXIST;
	expect_refused(ERR_EXIST, NULL);
}

static void test_devices(void **state)
{
	(void)state;
	machine_steps = 3;
	machine_error = ERR_IO;
	assert_int_equal(load(), ERR_IO);
	assert_int_equal(machine_steps, 0);
	expect_silence();
	assert_int_equal(backed(), 0);
	assert_int_equal(vm.loader.plan.count, 0);
}

static void expect_not_loaded(int error, const char *message)
{
	assert_int_equal(load(), error);
	expect_message(message);
	expect_silence();
	assert_int_equal(backed(), 0);
}

static void test_no_room(void **state)
{
	(void)state;
	set_kernel(MIB(5), RAM_BASE + MIB(12));
	expect_not_loaded(ERR_TOO_LARGE,
			  "/configurations/web: kernel = \"kernel\": needs 5120 KiB");
	set_kernel(MIB(5), RAM_BASE - 2);
	expect_not_loaded(ERR_RANGE, "needs 5120 KiB");
	vm.config.memory = MIB(6);
	set_kernel(MIB(5), RAM_BASE);
	set_ramdisk(MIB(1));
	expect_not_loaded(ERR_TOO_LARGE, "ramdisk = \"ramdisk\": is too large for the VM");
	vm.config.ramdisk_name = NULL;
	set_kernel(MIB(6), RAM_BASE);
	expect_not_loaded(ERR_TOO_LARGE, "the kernel leaves no room for the device tree");
}

/* Larger than any block of pages that it could be made in: nothing of it is read. */
static void test_huge_fdt(void **state)
{
	(void)state;
	set_dtb();
	remove_property("/images/dtb/hash-1", "value");
	vm.config.fdt.size = GIB(1) - 100;
	vm.config.memory = GIB(4);
	expect_not_loaded(ERR_TOO_LARGE, "/configurations/web: fdt: would be 1048576 KiB");
	/* This fits, where there is so much memory. */
	vm.config.fdt.size = GIB(1) - KIB(1);
	vm.config.kernel_name = NULL;
	vm.config.kernel.name = NULL;
	add_device(VMCONFIG_FLASH);
	expect_not_loaded(ERR_NOMEM, "/configurations/web: no memory left to load it");
}

/* A device tree of the user's that is none is found out when it is to be written. */
static void test_spoiled_fdt(void **state)
{
	uint8_t *fdt;

	(void)state;
	set_dtb();
	fdt = dtb_bytes + 1;
	for (unsigned i = 0; i < vm.config.fdt.size; i++) {
		uint8_t kept = fdt[i];
		int error;

		empty();
		fdt[i] ^= 0x55;
		remove_property("/images/dtb/hash-1", "value");
		error = load();
		if (error) {
			assert_true(error == ERR_CORRUPT || error == ERR_RANGE);
			expect_message("/configurations/web: fdt: ");
		} else {
			read_ram();
		}
		expect_silence();
		fdt[i] = kept;
		set_dtb();
	}
	/* Its cells are too small for where its RAM is. */
	set_dtb_with(1);
	vm.config.ram_base = BIT(32);
	set_kernel(100, BIT(32));
	empty();
	assert_int_equal(load(), ERR_RANGE);
	expect_message("/configurations/web: fdt: its #address-cells or #size-cells cannot hold");
}

/*
 * Each allocation fails in turn. With all after it: there is no memory, which is said. Alone: where
 * 2 MiB are not to be had small pages do, so that all is there that has to be, or nothing.
 */
static void allocations_fail(bool alone)
{
	unsigned n = 1, failed = 0;

	do {
		int error;

		empty();
		fail_from(n, alone);
		error = load();
		if (error) {
			assert_int_equal(error, ERR_NOMEM);
			expect_message("/configurations/web: no memory left to load it");
			assert_true(fail.done >= n);
			failed++;
		} else {
			assert_true(alone || fail.done < n);
		}
		n = fail.done < n ? 0 : n + 1;
		expect_silence();
		if (!error)
			check_ram();
	} while (n);
	/* Nothing else can be instead of a table of the guest's, and of what its tree is made in.
	 */
	if (alone)
		assert_int_equal(failed, 2);
	else
		assert_true(failed > 2);
}

static void set_up_for_failures(enum vmconfig_populate populate)
{
	set_kernel(MIB(5) + 3, RAM_BASE + MIB(1));
	set_ramdisk(MIB(3) + 5);
	vm.config.populate = populate;
}

static void test_allocations_fail(void **state)
{
	(void)state;
	set_up_for_failures(VMCONFIG_POPULATE_DEMAND);
	allocations_fail(false);
	allocations_fail(true);
}

static void test_allocations_fail_while_populating(void **state)
{
	(void)state;
	set_up_for_failures(VMCONFIG_POPULATE_EAGER);
	set_dtb();
	allocations_fail(false);
	allocations_fail(true);
}

/* It ends where all of memory is gone, and goes on where it is there again. */
static void test_started_anew(void **state)
{
	(void)state;
	set_up_for_failures(VMCONFIG_POPULATE_EAGER);
	begin();
	while (backed() < MIB(6))
		assert_int_equal(load_step(&vm), ERR_AGAIN);
	empty();
	/* What the last one had got to is forgotten. */
	expect_loaded();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_hashes),
	    TEST(test_others_hashes),
	    TEST(test_ram_that_is_set_apart),
	    TEST(test_devices),
	    TEST(test_no_room),
	    TEST(test_huge_fdt),
	    TEST(test_spoiled_fdt),
	    TEST(test_allocations_fail),
	    TEST(test_allocations_fail_while_populating),
	    TEST(test_started_anew),
	};

	return cmocka_run_group_tests_name("load_fails", tests, NULL, NULL);
}
