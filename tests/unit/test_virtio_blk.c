/* SPDX-License-Identifier: MIT */
/* unit: device/virtio/blk.c device/virtio/blk_image.c device/virtio/device.c device/virtio/mmio.c device/virtio/vring.c vmm/copy.c */
#include "tests/unit/blk_fixture.h"

#include <stdlib.h>

static void test_config(void **state)
{
	const uint64_t transport = VIRTIO_F_VERSION_1 | VRING_F_INDIRECT_DESC | VRING_F_EVENT_IDX;

	(void)state;
	assert_int_equal(rd(R_DEVICE_ID), 2);
	assert_int_equal(rd_sized(R_CONFIG, 8), SECTORS);
	assert_int_equal(rd(R_CONFIG + 12), 254);
	assert_int_equal(rd(R_CONFIG + 20), 512);
	assert_int_equal(rd_sized(R_CONFIG + 24, 1), 3);
	assert_int_equal(rd_sized(R_CONFIG + 34, 2), 1);
	assert_int_equal(rd(R_CONFIG + 40), BLK_RANGES_MAX);
	assert_int_equal(rd(R_CONFIG + 44), 1);
	assert_int_equal(rd(R_CONFIG + 52), BLK_RANGES_MAX);
	assert_int_equal(rd(R_CONFIG + 60), UINT32_MAX);
	assert_int_equal(blk.device.features, transport | 0x6444);
	make_disk(true);
	assert_int_equal(blk.device.features, transport | 0x464);
	assert_int_equal(rd(R_CONFIG + 36), 0);
}

static void test_read(void **state)
{
	(void)state;
	assert_reads(0, 1);
	assert_reads(1, 1);
	assert_reads(7, 2);
	assert_reads(0, SECTORS);
	/* Behind the image's end there are zeroes. */
	assert_reads(SECTORS - 1, 1);
	assert_int_equal(pages_taken, 0);
	assert_true(line);
}

static void test_ends(void **state)
{
	uint32_t written;

	(void)state;
	expect(T_IN, SECTORS, 512, S_IOERR);
	expect(T_IN, SECTORS - 1, 1024, S_IOERR);
	expect(T_IN, UINT64_MAX, 512, S_IOERR);
	expect(T_IN, UINT64_MAX / 512, 1024, S_IOERR);
	expect(T_OUT, SECTORS, 512, S_IOERR);
	expect(T_OUT, SECTORS - 1, 1024, S_IOERR);
	expect(T_IN, 0, 511, S_IOERR);
	expect(T_IN, 0, 513, S_IOERR);
	expect(T_OUT, 0, 100, S_IOERR);
	assert_int_equal(request(T_IN, SECTORS, 512, &written), S_IOERR);
	/* 2.7.8: no byte of the buffer before the status has been written. */
	assert_int_equal(written, 0);
	assert_int_equal(request(T_OUT, SECTORS, 512, &written), S_IOERR);
	assert_int_equal(written, 1);
	expect(T_IN, 0, 0, S_OK);
	expect(T_OUT, SECTORS, 0, S_OK);
	expect(T_OUT, SECTORS + 1, 0, S_IOERR);
	assert_int_equal(pages_taken, 0);
}

static void test_write(void **state)
{
	(void)state;
	write_sectors(3, 1, 0x11);
	assert_int_equal(pages_taken, 1);
	assert_reads(0, SECTORS);
	write_sectors(7, 2, 0x22);
	assert_int_equal(pages_taken, 2);
	write_sectors(8, 9, 0x33);
	assert_int_equal(pages_taken, 3);
	/* The last page, part of which is behind the image. */
	write_sectors(SECTORS - 1, 1, 0x44);
	assert_reads(0, SECTORS);
	/* The image itself is as it was: others use it, too. */
	assert_int_equal(data[3 * 512], (uint8_t)(3 * 512 * 7 + 3 * 512 / 509));
}

static void test_read_only(void **state)
{
	(void)state;
	make_disk(true);
	assert_reads(0, SECTORS);
	expect(T_OUT, 0, 512, S_IOERR);
	expect(T_OUT, 0, 0, S_IOERR);
	put_range(0, 0, 1, 0);
	expect(T_DISCARD, 0, 16, S_UNSUPP);
	expect(T_WRITE_ZEROES, 0, 16, S_UNSUPP);
	assert_reads(0, SECTORS);
}

static void test_others(void **state)
{
	static const uint32_t types[] = {2, 3, T_FLUSH, 5, 9, 10, 12, 14, 0x80000000, UINT32_MAX};
	uint32_t written;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		assert_int_equal(request(types[i], 0, 0, &written), S_UNSUPP);
		assert_int_equal(written, 1);
	}
}

static void test_get_id(void **state)
{
	uint32_t written;

	(void)state;
	memset(ram + (BUFFERS - RAM_BASE), 0x55, 32);
	assert_int_equal(request(T_GET_ID, 77, 20, &written), S_OK);
	assert_int_equal(written, 21);
	assert_memory_equal(ram + (BUFFERS - RAM_BASE), "system\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	assert_int_equal(guest_get(BUFFERS + 20, 1), 0x55);
	assert_int_equal(request(T_GET_ID, 0, 3, &written), S_OK);
	assert_int_equal(written, 4);
	assert_int_equal(request(T_GET_ID, 0, 30, &written), S_OK);
	assert_int_equal(written, 20);
}

static void test_zeroes(void **state)
{
	(void)state;
	write_sectors(8, 8, 0x11);
	/* Parts of pages, a page that is the VM's own, and one that is not. */
	put_range(0, 6, 20, 0);
	expect(T_WRITE_ZEROES, 0, 16, S_OK);
	memset(model + 6 * 512, 0, 20 * 512);
	assert_reads(0, SECTORS);
	assert_int_equal(pages_taken, 3);
	put_range(0, 0, 1, 1);
	put_range(1, SECTORS - 1, 1, 0);
	put_range(2, 5, 0, 0);
	expect(T_WRITE_ZEROES, 0, 48, S_OK);
	memset(model, 0, 512);
	memset(model + (SECTORS - 1) * 512, 0, 512);
	assert_reads(0, SECTORS);
	put_range(0, 16, 2, 0);
	expect(T_DISCARD, 0, 16, S_OK);
	memset(model + 16 * 512, 0, 1024);
	assert_reads(0, SECTORS);
	/* A page that was cleared without memory of its own is written to. */
	write_sectors(18, 1, 0x77);
	assert_reads(0, SECTORS);
}

static void test_bad_ranges(void **state)
{
	(void)state;
	expect(T_WRITE_ZEROES, 0, 0, S_IOERR);
	expect(T_WRITE_ZEROES, 0, 15, S_IOERR);
	expect(T_WRITE_ZEROES, 0, 17, S_IOERR);
	for (unsigned i = 0; i <= BLK_RANGES_MAX; i++)
		put_range(i, 0, 1, 0);
	expect(T_WRITE_ZEROES, 0, 16 * (BLK_RANGES_MAX + 1), S_IOERR);
	put_range(0, 0, 1, 2);
	expect(T_WRITE_ZEROES, 0, 16, S_UNSUPP);
	put_range(0, 0, 1, 0x80000001);
	expect(T_WRITE_ZEROES, 0, 16, S_UNSUPP);
	/* 5.2.6.2: discarding takes no flag at all. */
	put_range(0, 0, 1, 1);
	expect(T_DISCARD, 0, 16, S_UNSUPP);
	put_range(0, SECTORS, 1, 0);
	expect(T_DISCARD, 0, 16, S_IOERR);
	put_range(0, UINT64_MAX, 2, 0);
	expect(T_DISCARD, 0, 16, S_IOERR);
	put_range(0, 0, UINT32_MAX, 0);
	expect(T_DISCARD, 0, 16, S_IOERR);
	/* All are looked at before the first is done. */
	put_range(0, 0, 1, 0);
	put_range(1, 0, SECTORS + 1, 0);
	expect(T_WRITE_ZEROES, 0, 32, S_IOERR);
	assert_reads(0, SECTORS);
	assert_int_equal(pages_taken, 0);
}

/* 2.7.4: buffers may be cut anywhere. */
static void test_framing(void **state)
{
	uint32_t written;

	(void)state;
	put_header(T_IN, 1);
	driver_describe(&driver, 0, HEADER, 3, D_NEXT, 1);
	driver_describe(&driver, 1, HEADER + 3, 13, D_NEXT, 2);
	driver_describe(&driver, 2, BUFFERS, 1, D_NEXT | D_WRITE, 3);
	driver_describe(&driver, 3, BUFFERS + 1, 600, D_NEXT | D_WRITE, 4);
	driver_describe(&driver, 4, BUFFERS + 601, 424, D_WRITE, 0);
	driver_offer(&driver, 0);
	wr(R_NOTIFY, 0);
	run_all();
	assert_true(driver_take(&driver, &(uint32_t){0}, &written));
	assert_int_equal(written, 1025);
	assert_memory_equal(ram + (BUFFERS - RAM_BASE), model + 512, 1024);
	assert_int_equal(guest_get(BUFFERS + 1024, 1), S_OK);

	put_header(T_OUT, 1);
	memset(ram + (HEADER - RAM_BASE) + 16, 0x99, 512);
	driver_describe(&driver, 0, HEADER, 200, D_NEXT, 1);
	driver_describe(&driver, 1, HEADER + 200, 328, D_NEXT, 2);
	driver_describe(&driver, 2, BUFFERS, 1, D_WRITE, 0);
	perform(&written);
	memset(model + 512, 0x99, 512);
	assert_int_equal(written, 1);
	assert_reads(0, SECTORS);
}

static void expect_needs_reset(void)
{
	driver_offer(&driver, 0);
	wr(R_NOTIFY, 0);
	run_all();
	assert_true(rd(R_STATUS) & S_NEEDS_RESET);
	assert_int_equal(driver_used_index(&driver), 0);
}

static void test_no_room_for_header_or_status(void **state)
{
	(void)state;
	put_header(T_IN, 0);
	driver_describe(&driver, 0, HEADER, 15, D_NEXT, 1);
	driver_describe(&driver, 1, STATUS, 1, D_WRITE, 0);
	expect_needs_reset();
	make_disk(false);
	put_header(T_OUT, 0);
	driver_describe(&driver, 0, HEADER, 16, D_NEXT, 1);
	driver_describe(&driver, 1, BUFFERS, 512, 0, 0);
	expect_needs_reset();
	/* It is of use again after a reset. */
	memset(ram, 0, 0x3000);
	begin(false);
	assert_reads(0, 1);
}

static void test_no_memory(void **state)
{
	(void)state;
	pages_left = 1;
	write_sectors(0, 1, 0x11);
	expect(T_OUT, 8, 512, S_IOERR);
	write_sectors(1, 1, 0x22);
	assert_reads(0, SECTORS);
}

/* Written pages outlive a reset, by the guest or of the machine. */
static void test_resets(void **state)
{
	(void)state;
	write_sectors(5, 3, 0x66);
	memset(ram, 0, 0x3000);
	begin(false);
	assert_reads(0, SECTORS);
	virtio_device_power_up(&blk.device);
	memset(ram, 0, 0x3000);
	begin(false);
	assert_reads(0, SECTORS);
	assert_int_equal(pages_taken, 1);
}

static void test_legacy(void **state)
{
	(void)state;
	assert_int_equal(
	    blk_init(&blk, &image.backend, "old", &ring_vm, (struct irq_line){0}, true, &arena), 0);
	begin(true);
	write_sectors(4, 2, 0x12);
	assert_reads(0, SECTORS);
}

/* A request is cut up, and one that is half done is forgotten by a reset. */
static void test_reset_in_the_midst(void **state)
{
	(void)state;
	put_header(T_IN, 0);
	driver_describe(&driver, 0, HEADER, 16, D_NEXT, 1);
	driver_describe(&driver, 1, BUFFERS, SECTORS * 512, D_NEXT | D_WRITE, 2);
	driver_describe(&driver, 2, STATUS, 1, D_WRITE, 0);
	driver_offer(&driver, 0);
	hart.reschedule = 1;
	wr(R_NOTIFY, 0);
	vcpu_work = 0;
	virtio_device_work(&blk.device);
	hart.reschedule = 0;
	assert_non_null(blk.current);
	assert_int_equal(driver_used_index(&driver), 0);
	wr(R_STATUS, 0);
	assert_null(blk.current);
	run_all();
	assert_int_equal(driver_used_index(&driver), 0);
	memset(ram, 0, 0x3000);
	begin(false);
	assert_reads(0, SECTORS);
}

/* Random requests in random pieces, against a model. */
static void test_random(void **state)
{
	(void)state;
	srand(7);
	for (unsigned round = 0; round < 3000; round++) {
		uint64_t sector = (unsigned)rand() % SECTORS;
		unsigned count = 1 + (unsigned)rand() % (SECTORS - (unsigned)sector);

		switch (rand() % 4) {
		case 0:
			write_sectors(sector, count, (uint8_t)rand());
			break;
		case 1:
			put_range(0, sector, count, 0);
			expect(T_WRITE_ZEROES, 0, 16, S_OK);
			memset(model + sector * 512, 0, count * 512);
			break;
		case 2:
			memset(ram, 0, 0x3000);
			begin(false);
			break;
		default:
			assert_reads(sector, count);
			break;
		}
	}
	assert_reads(0, SECTORS);
	assert_in_range(pages_taken, 1, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_config, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_read, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_write, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_others, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_get_id, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_zeroes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_bad_ranges, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_framing, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_room_for_header_or_status, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_resets, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_legacy, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_reset_in_the_midst, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_random, setup, teardown),
	};

	return cmocka_run_group_tests_name("virtio_blk", tests, NULL, NULL);
}
