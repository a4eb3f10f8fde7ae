/* SPDX-License-Identifier: MIT */
/* unit: device/virtio/blk.c device/virtio/blk_image.c device/virtio/device.c device/virtio/mmio.c device/virtio/vring.c vmm/copy.c */
#include "tests/unit/blk_fixture.h"

/*
 * A backend whose requests a driver of the host's has.
 */

static struct blk_request *begun[4];
static unsigned begun_count;

static int begin_request(struct blk_backend *backend, struct blk_request *of)
{
	(void)backend;
	blk_request_begin(of);
	assert_in_range(begun_count, 0, 3);
	begun[begun_count++] = of;
	return BLK_BEGUN;
}

static const struct blk_backend_ops slow_ops = {.perform = begin_request};
static struct blk_backend slow = {
    .ops = &slow_ops,
    .sectors = 100,
    .block_size = 4096,
    .can_flush = true,
    .can_write_zeroes = true,
    .range_sectors = 50,
    .depth = 4,
};

static void end(unsigned n, int result)
{
	struct blk_request *of = begun[n];

	begun_count--;
	for (; n < begun_count; n++)
		begun[n] = begun[n + 1];
	blk_request_end(of, result);
}

static void set_up_slow(void)
{
	begun_count = 0;
	assert_int_equal(
	    blk_init(&blk, &slow, "slow", &ring_vm, (struct irq_line){0}, false, &arena), 0);
	memset(ram, 0, 0x3000);
	begin(false);
}

/* Offers one of 8 flushes; each has a status of its own. */
static void offer_flush(unsigned n)
{
	put_header(T_FLUSH, 0);
	guest_put(STATUS + n, 0xee, 1);
	driver_describe(&driver, 2 * n, HEADER, 16, D_NEXT, 2 * n + 1);
	driver_describe(&driver, 2 * n + 1, STATUS + n, 1, D_WRITE, 0);
	driver_offer(&driver, 2 * n);
	wr(R_NOTIFY, 0);
	run_all();
}

static void test_slow_backend(void **state)
{
	uint32_t head, written;

	(void)state;
	set_up_slow();
	for (unsigned n = 0; n < 6; n++)
		offer_flush(n);
	/* As many as it takes; none has ended. */
	assert_int_equal(begun_count, 4);
	assert_int_equal(driver_used_index(&driver), 0);
	/* They end in any order, and each makes room for one more. */
	end(2, 0);
	end(0, ERR_IO);
	run_all();
	assert_int_equal(begun_count, 4);
	assert_true(driver_take(&driver, &head, &written));
	assert_true(driver_take(&driver, &head, &written));
	assert_false(driver_take(&driver, &head, &written));
	assert_int_equal(guest_get(STATUS + 2, 1), S_OK);
	assert_int_equal(guest_get(STATUS, 1), S_IOERR);
	assert_int_equal(guest_get(STATUS + 1, 1), 0xee);
	while (begun_count)
		end(begun_count - 1, ERR_NOSYS);
	run_all();
	for (unsigned n = 0; n < 4; n++)
		assert_true(driver_take(&driver, &head, &written));
	assert_int_equal(guest_get(STATUS + 5, 1), S_UNSUPP);
}

/* Ranges are one request of the backend's each, one after the other, up to one that fails. */
static void test_slow_ranges(void **state)
{
	uint32_t head, written;

	(void)state;
	for (unsigned failing = 0; failing < 4; failing++) {
		set_up_slow();
		put_header(T_WRITE_ZEROES, 0);
		for (unsigned i = 0; i < 3; i++)
			put_range(i, 10 * i, 5 + i, 0);
		driver_describe(&driver, 0, HEADER, 16, D_NEXT, 1);
		driver_describe(&driver, 1, BUFFERS, 48, D_NEXT, 2);
		driver_describe(&driver, 2, STATUS, 1, D_WRITE, 0);
		driver_offer(&driver, 0);
		wr(R_NOTIFY, 0);
		run_all();
		for (unsigned i = 0; i < 3 && i <= failing; i++) {
			assert_int_equal(begun_count, 1);
			assert_int_equal(begun[0]->sector, 10 * i);
			assert_int_equal(begun[0]->size, (5 + i) * 512);
			end(0, i == failing ? ERR_IO : 0);
			run_all();
		}
		assert_int_equal(begun_count, 0);
		assert_true(driver_take(&driver, &head, &written));
		assert_int_equal(guest_get(STATUS, 1), failing < 3 ? S_IOERR : S_OK);
	}
	/* And more than the backend takes at once is refused. */
	put_range(0, 0, 51, 0);
	expect(T_WRITE_ZEROES, 0, 16, S_IOERR);
}

static void test_slow_read(void **state)
{
	uint32_t head, written;

	(void)state;
	set_up_slow();
	put_header(T_IN, 9);
	driver_describe(&driver, 0, HEADER, 16, D_NEXT, 1);
	driver_describe(&driver, 1, BUFFERS, 1000, D_NEXT | D_WRITE, 2);
	driver_describe(&driver, 2, BUFFERS + 0x1000, 25, D_WRITE, 0);
	driver_offer(&driver, 0);
	wr(R_NOTIFY, 0);
	run_all();
	assert_int_equal(begun_count, 1);
	assert_int_equal(begun[0]->sector, 9);
	assert_int_equal(begun[0]->size, 1024);
	/* In two parts, of which it says so. */
	begun[0]->done = begun[0]->given = 512;
	end(0, ERR_AGAIN);
	assert_int_equal(noted_bytes, 0);
	run_all();
	assert_int_equal(noted_bytes, 512);
	assert_int_equal(begun_count, 1);
	assert_int_equal(driver_used_index(&driver), 0);
	begun[0]->done = begun[0]->given = 1024;
	end(0, 0);
	run_all();
	assert_int_equal(noted_bytes, 1024);
	assert_true(driver_take(&driver, &head, &written));
	assert_int_equal(written, 1025);
	assert_int_equal(guest_get(BUFFERS + 0x1018, 1), S_OK);
}

static void test_slow_reset(void **state)
{
	(void)state;
	set_up_slow();
	offer_flush(0);
	offer_flush(1);
	end(1, 0);
	/* One has ended, and is not told of any more; one has not. */
	assert_int_equal(try_wr(R_STATUS, 4, 0), ERR_AGAIN);
	run_all();
	end(0, 0);
	wr(R_STATUS, 0);
	run_all();
	assert_int_equal(driver_used_index(&driver), 0);
	assert_null(blk.ended);
	memset(ram, 0, 0x3000);
	begin(false);
	for (unsigned n = 0; n < 4; n++)
		offer_flush(n);
	assert_int_equal(begun_count, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_slow_backend, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_slow_ranges, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_slow_read, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_slow_reset, setup, teardown),
	};

	return cmocka_run_group_tests_name("virtio_blk_host", tests, NULL, NULL);
}
