/* SPDX-License-Identifier: MIT */
/* unit: device/disk_slice.c device/flash.c device/flash_disk.c engine/gspace.c kernel/arena.c kernel/page.c vmm/bus.c vmm/copy.c */

/* Flash on a disk of the host's. */

#include "tests/unit/flash_fixture.h"

static uint8_t on_disk(uint64_t offset)
{
	return offset < DISK_SIZE ? disk_bytes[DISK_FIRST * DISK_SECTOR + offset] : 0xff;
}

static void make_on_disk(bool read_only)
{
	for (unsigned i = 0; i < sizeof(disk_bytes); i++)
		disk_bytes[i] = (uint8_t)(i * 5 + i / 777);
	memset(disk_bytes + DISK_FIRST * DISK_SECTOR + KIB(256), 0xff, KIB(256));
	disk_info = (struct host_disk_info){
	    .sectors = sizeof(disk_bytes) / DISK_SECTOR,
	    .block_size = 512,
	    .can_flush = true,
	    .sectors_max = UINT32_MAX,
	    .segments_max = 20,
	    .piece_max = UINT32_MAX,
	};
	flushes = clients = quiesced = 0;
	disk_is_dirty = false;
	while (arena_destroy_step(&vm.arena) == ERR_AGAIN)
		;
	arena_init(&vm.arena);
	memset(&vm.forwarded, 0, sizeof(vm.forwarded));
	assert_int_equal(gspace_init(&vm.guest.space, &vm.arena, 2), 0);
	config = (struct vmconfig_device){.kind = VMCONFIG_FLASH,
					  .bank = 1,
					  .read_only = read_only,
					  .host = "virtio-blk0",
					  .name = "bank",
					  .offset = DISK_FIRST * DISK_SECTOR};
	assert_int_equal(flash_build(&flash, &vm, &config), 0);
}

static void load_from_disk(void)
{
	int error;

	while ((error = flash_disk_load(&flash.disk)) == ERR_AGAIN) {
		assert_int_equal(flash_disk_load(&flash.disk), ERR_AGAIN);
		disk_works(0);
	}
	assert_int_equal(error, 0);
	/* And not again after a reset. */
	assert_int_equal(flash_disk_load(&flash.disk), 0);
}

static void test_disk_contents(void **state)
{
	(void)state;
	make_on_disk(false);
	load_from_disk();
	for (uint64_t i = 0; i < DISK_SIZE + KIB(16); i++)
		assert_int_equal(rd(i, 1), on_disk(i));
	/* What is erased there takes nothing. */
	assert_ptr_equal(flash.pages[KIB(256) / PAGE_SIZE], flash.blank);
	assert_ptr_equal(flash.pages[KIB(508) / PAGE_SIZE], flash.blank);
	command(0, 0x98);
	assert_int_equal(rd(0x23 * 4, 1), 0x0d);
	command(0, 0xff);
	flash_unbuild(&flash);
	assert_int_equal(clients, 0);
	flash_unbuild(&flash);
}

/* While it is not on the disk it is not ready, and takes no commands. */
static void test_disk_writes(void **state)
{
	uint64_t last = DISK_SIZE - 4;

	(void)state;
	make_on_disk(false);
	load_from_disk();
	command(0, 0x40);
	assert_null(asked_of_disk);
	wr(last, 4, 0);
	assert_int_equal(rd(0, 4), 0);
	assert_int_equal(bus_write(&vm.forwarded, GPA(BASE), 4, 0xff), ERR_AGAIN);
	assert_int_equal(asked_of_disk->sectors, 1);
	disk_works(0);
	assert_int_equal(rd(0, 4), 0);
	assert_int_equal(bus_write(&vm.forwarded, GPA(BASE), 8, 0xff), ERR_AGAIN);
	disk_works(0);
	assert_int_equal(rd(0, 4), 0x800080);
	assert_false(disk_is_dirty);
	assert_int_equal(flushes, 1);
	assert_int_equal(on_disk(last), 0);
	/* A sector, in several requests. */
	command(0, 0x20);
	command(0, 0xd0);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(rd(0, 4), 0);
		disk_works(0);
	}
	assert_int_equal(rd(0, 4), 0x800080);
	for (uint64_t i = 0; i < KIB(256); i++)
		assert_int_equal(on_disk(i), 0xff);
	assert_false(disk_is_dirty);
	/* A buffer; and behind the slice nothing is kept. */
	fill(KIB(300), 3, 7);
	command(0, 0xd0);
	disk_works(0);
	disk_works(0);
	assert_int_equal(on_disk(KIB(300) + 8), 9);
	command(0, 0x40);
	wr(MIB(2), 4, 0);
	assert_null(asked_of_disk);
	assert_int_equal(rd(0, 4), 0x800080);
	/* One of eight bytes is busy after its first half. */
	command(0, 0xff);
	command(0, 0x40);
	wr(KIB(400), 8, 0xff00000000);
	disk_works(0);
	disk_works(0);
	assert_int_equal(rd(0, 4), 0x800080);
	assert_int_equal(quiesced, (DISK_SIZE + 20 * PAGE_SIZE - 1) / (20 * PAGE_SIZE) + 4);
}

static void test_disk_errors(void **state)
{
	(void)state;
	make_on_disk(false);
	load_from_disk();
	command(0, 0x40);
	wr(0, 4, 0);
	disk_works(ERR_IO);
	assert_int_equal(rd(0, 4), 0x900090);
	command(0, 0x50);
	command(0, 0x20);
	command(0, 0xd0);
	for (unsigned i = 0; i < 4; i++)
		disk_works(0);
	/* The flush. */
	disk_works(ERR_IO);
	assert_int_equal(rd(0, 4), 0xa000a0);
	make_on_disk(true);
	assert_int_equal(flash_disk_load(&flash.disk), ERR_AGAIN);
	disk_works(ERR_IO);
	assert_int_equal(flash_disk_load(&flash.disk), ERR_IO);
	assert_non_null(strstr(messages, "its contents cannot be read"));
}

static void test_disk_refused(void **state)
{
	(void)state;
	make_on_disk(false);
	assert_int_equal(flash_disk_open(&flash.disk, &flash, &config), ERR_EXIST);
	config.host = "virtio-blk1";
	assert_int_equal(flash_disk_open(&flash.disk, &flash, &config), ERR_NOENT);
	assert_non_null(strstr(messages, "/bank: pilae,host = \"virtio-blk1\": there is no"));
	config.host = "virtio-blk0";
	clients = 0;
	disk_info.block_size = 8192;
	assert_int_equal(flash_disk_open(&flash.disk, &flash, &config), ERR_RANGE);
	assert_false(flash.disk.open);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_disk_contents, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_disk_writes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_disk_errors, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_disk_refused, setup, teardown),
	};

	return cmocka_run_group_tests_name("flash_disk", tests, NULL, NULL);
}
