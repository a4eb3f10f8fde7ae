/* SPDX-License-Identifier: MIT */
/* unit: device/disk_slice.c device/flash.c device/flash_disk.c engine/gspace.c kernel/arena.c kernel/page.c vmm/bus.c vmm/copy.c */
#include "tests/unit/flash_fixture.h"

static void test_array(void **state)
{
	(void)state;
	assert_false(is_mapped(0));
	assert_int_equal(rd(0, 1), original(0));
	assert_true(is_mapped(0) && is_mapped(0xfff));
	assert_false(is_mapped(0x1000));
	assert_int_equal(rd(0x1ffe, 2), original(0x1ffe) | original(0x1fff) << 8);
	assert_int_equal(rd_exit(0x1000, 1), original(0x1000));
	for (uint64_t i = IMAGE_SIZE - 100; i < IMAGE_SIZE + 5000; i++)
		assert_int_equal(rd(i, 1), original(i));
	assert_int_equal(rd(MACHINE_FLASH_SIZE - 8, 8), UINT64_MAX);
	assert_int_equal(flash_map(&flash, GPA(BASE + 0x5000)), 0);
	assert_true(is_mapped(0x5000));
}

static void test_slice(void **state)
{
	(void)state;
	assert_int_equal(arena_destroy_step(&vm.arena), 0);
	make(false, 512, 0x1200);
	assert_int_equal(rd(0, 1), original(512));
	assert_int_equal(rd(0x11ff, 1), original(512 + 0x11ff));
	assert_int_equal(rd(0x1200, 1), 0xff);
}

/* JESD68.01, and what `virt` answers. */
static void test_query(void **state)
{
	(void)state;
	command(0x55 * 4, 0x98);
	assert_int_equal(rd(0x10 * 4, 4), 'Q' | 'Q' << 16);
	assert_int_equal(rd(0x11 * 4, 4), 'R' | 'R' << 16);
	assert_int_equal(rd(0x12 * 4, 2), 'Y');
	assert_int_equal(rd(0x13 * 4, 1), 1);
	assert_int_equal(rd(0x27 * 4, 1), 24);
	assert_int_equal(rd(0x2a * 4, 1), 11);
	assert_int_equal(rd(0x2c * 4, 8), 0x0000007f00010001 | UINT64_C(0x7f) << 48);
	assert_int_equal(rd(0x2f * 4, 1) << 8 | rd(0x30 * 4, 1) << 16, KIB(128));
	assert_int_equal(rd(0x31 * 4, 1), 'P');
	assert_int_equal(rd(0x0f * 4, 4), 0);
	assert_int_equal(rd(0x40 * 4, 4), 0);
	assert_int_equal(rd(MACHINE_FLASH_SIZE - 4, 4), 0);
	command(0, 0x90);
	assert_int_equal(rd(0, 4), 0x890089);
	assert_int_equal(rd(4, 4), 0x180018);
	assert_int_equal(rd(SECTOR + 8, 4), 0);
	command(0, 0x70);
	assert_int_equal(rd(0, 4), 0x800080);
	assert_int_equal(rd(0, 8), UINT64_C(0x0080008000800080));
	command(0, 0xff);
	assert_int_equal(rd(0, 1), original(0));
}

static void test_hiding(void **state)
{
	(void)state;
	vm.config.vcpus = VCPUS;
	rd(0, 4);
	command(0, 0x70);
	assert_int_equal(asked, VCPUS);
	assert_int_equal(preemptions, 4);
	assert_false(is_mapped(0));
	assert_int_equal(flash_map(&flash, GPA(BASE)), ERR_FAULT);
	command(0, 0x90);
	assert_int_equal(asked, 0);
	command(0, 0xff);
	assert_int_equal(asked, 0);
	/* It is all there again. */
	assert_true(is_mapped(0));
	assert_false(is_mapped(0x1000));
}

static void test_program(void **state)
{
	(void)state;
	command(0x2000, 0x40);
	wr(0x2004, 4, 0x0f0f0f0f);
	assert_int_equal(rd(0, 4), 0x800080);
	command(0, 0x10);
	wr(MIB(20) + 1, 1, 0x42);
	command(0, 0x40);
	wr(MIB(20) + 8, 8, 0x1122334455667788);
	/* The lower half was programmed, the upper one began with a command that is none. */
	command(0, 0xff);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(rd(0x2004 + i, 1), original(0x2004 + i) & 0x0f);
	assert_int_equal(rd(0x2008, 1), original(0x2008));
	assert_int_equal(rd(MIB(20), 4), 0xffff42ff);
	assert_int_equal(rd(MIB(20) + 8, 8), 0xffffffff55667788);
	/* Nothing makes ones again but erasing. */
	command(0, 0x40);
	wr(MIB(20), 4, 0xffffffff);
	command(0, 0xff);
	assert_int_equal(rd(MIB(20), 4), 0xffff42ff);
}

static void test_erase(void **state)
{
	uint64_t left;

	(void)state;
	rd(SECTOR, 4);
	rd(SECTOR - 4, 4);
	left = page_free_bytes();
	command(SECTOR + 0x300, 0x20);
	assert_int_equal(rd(SECTOR, 4), 0x800080);
	command(SECTOR + 0x300, 0xd0);
	assert_int_equal(rd(SECTOR, 4), 0x800080);
	command(0, 0xff);
	for (uint64_t i = SECTOR; i < 2 * SECTOR; i += 4)
		assert_int_equal(rd(i, 4), UINT32_MAX);
	assert_int_equal(rd(SECTOR - 1, 1), original(SECTOR - 1));
	assert_int_equal(rd(2 * SECTOR, 1), original(2 * SECTOR));
	/* What is erased takes nothing, and pages are used again. */
	command(0, 0x40);
	wr(SECTOR, 4, 0);
	assert_int_equal(page_free_bytes(), left - PAGE_SIZE);
	command(0, 0x20);
	command(0, 0x12);
	assert_int_equal(rd(0, 1), original(0));
	assert_int_equal(rd(SECTOR, 8), 0xffffffff00000000);
}

static void test_buffer(void **state)
{
	(void)state;
	fill(MIB(1), 1024, 0xabc00000);
	/* Not before it is confirmed. */
	assert_ptr_equal(flash.pages[MIB(1) / PAGE_SIZE], NULL);
	command(MIB(1), 0xd0);
	assert_int_equal(rd(0, 4), 0x800080);
	command(0, 0xff);
	for (unsigned i = 0; i < 1024; i++)
		assert_int_equal(rd(MIB(1) + 4 * i, 4), 0xabc00000 + i);
	/* A part, of what is programmed already. */
	fill(MIB(1) + 16, 2, 0xf0000000);
	command(MIB(1), 0xd0);
	command(0, 0xff);
	assert_int_equal(rd(MIB(1) + 12, 4), 0xabc00003);
	assert_int_equal(rd(MIB(1) + 16, 4), 0xa0000000);
	assert_int_equal(rd(MIB(1) + 20, 4), 0xa0000001);
	assert_int_equal(rd(MIB(1) + 24, 4), 0xabc00006);
}

static void test_bad_buffer(void **state)
{
	(void)state;
	fill(MIB(1) - 8, 3, 5);
	assert_int_equal(rd(0, 4), 0x900090);
	command(0, 0xd0);
	assert_int_equal(rd(MIB(1) - 8, 8), UINT64_MAX);
	command(0, 0x70);
	assert_int_equal(rd(0, 4), 0x900090);
	command(0, 0x50);
	command(0, 0x70);
	assert_int_equal(rd(0, 4), 0x800080);
	/* And one that is not confirmed. */
	command(0, 0xff);
	fill(MIB(1), 3, 5);
	command(0, 0xff);
	assert_int_equal(rd(MIB(1), 8), UINT64_MAX);
	/* No word of it is for a buffer that has ended. */
	command(0, 0xe8);
	wr(0, 4, 0xffffffff);
	for (unsigned i = 0; i < 65536; i++)
		wr(MIB(2), 4, i);
	command(0, 0xd0);
	command(0, 0xff);
	assert_int_equal(rd(MIB(2), 4), 65535);
}

static void test_lock(void **state)
{
	(void)state;
	command(0, 0x60);
	command(0, 0xd0);
	assert_int_equal(rd(0, 4), 0x800080);
	command(0, 0x60);
	command(0, 0x01);
	assert_int_equal(rd(0, 4), 0x800080);
	command(0, 0x60);
	command(0, 0x2f);
	assert_int_equal(rd(0, 1), original(0));
}

static void test_read_only(void **state)
{
	(void)state;
	assert_int_equal(arena_destroy_step(&vm.arena), 0);
	make(true, 0, 0);
	command(0, 0x40);
	wr(0, 4, 0);
	assert_int_equal(rd(0, 4), 0x900090);
	command(0, 0x20);
	command(0, 0xd0);
	assert_int_equal(rd(0, 4), 0xb000b0);
	command(0, 0x50);
	fill(0, 2, 0);
	assert_int_equal(rd(0, 4), 0x900090);
	command(0, 0xd0);
	command(0, 0xff);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(rd(i, 1), original(i));
	assert_int_equal(flash_bytes(&config) >> 20, 0);
}

static void test_reset(void **state)
{
	(void)state;
	command(0, 0x40);
	wr(0, 4, 0);
	flash_reset(&flash);
	assert_int_equal(rd(0, 4), 0);
	assert_int_equal(rd(4, 1), original(4));
	command(0, 0x20);
	flash_reset(&flash);
	command(0, 0xd0);
	assert_int_equal(rd(4, 1), original(4));
}

static void test_no_memory(void **state)
{
	void *taken[MEMORY_PAGES];
	uint64_t value;
	unsigned count = 0;

	(void)state;
	rd(0x3000, 4);
	while ((taken[count] = page_alloc(0)) != NULL)
		count++;
	assert_int_equal(bus_read(&vm.forwarded, GPA(BASE), 4, &value), ERR_FAULT);
	assert_int_equal(flash_map(&flash, GPA(BASE)), ERR_FAULT);
	assert_int_equal(rd(0x3000, 1), original(0x3000));
	command(0, 0x40);
	wr(MIB(3), 4, 0);
	assert_int_equal(rd(0, 4), 0x900090);
	command(0, 0xff);
	while (count)
		page_free(taken[--count], 0);
	assert_int_equal(rd(MIB(3), 4), UINT32_MAX);
	/* It may take what it says, and no more. */
	assert_in_range(flash_bytes(&config), MACHINE_FLASH_SIZE, MACHINE_FLASH_SIZE + KIB(256));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_array, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_slice, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_query, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_hiding, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_program, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_erase, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_buffer, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_bad_buffer, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_lock, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
	};

	return cmocka_run_group_tests_name("flash", tests, NULL, NULL);
}
