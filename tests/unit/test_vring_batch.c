/* SPDX-License-Identifier: MIT */
/* unit: device/virtio/vring.c */
#include "tests/unit/vring_fixture.h"

/* Buffers that are taken, filled and given back together. */

static struct vring_batch batch;

static void offer_buffers(unsigned count, uint32_t size)
{
	for (unsigned i = 0; i < count; i++) {
		driver_describe(&driver, i, BUFFERS + 0x100 * i, size, D_WRITE, 0);
		driver_offer(&driver, i);
	}
}

static void test_batch(void **state)
{
	uint32_t head, written;

	(void)state;
	offer_buffers(5, 100);
	assert_int_equal(vring_pop_batch(&ring, &batch, 250, 128), 0);
	assert_int_equal(batch.count, 3);
	assert_int_equal(batch.chain.writable_bytes, 300);
	/* Nothing is seen before all is. */
	assert_false(driver_take(&driver, &head, &written));
	assert_int_equal(vring_push_batch(&ring, &batch, 250), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(driver_take(&driver, &head, &written));
		assert_int_equal(head, i);
		assert_int_equal(written, i == 2 ? 50 : 100);
	}
	assert_int_equal(vring_pop(&ring, &chain), 0);
	assert_int_equal(chain.head, 3);
}

/* The used ring ends within some of them. */
static void test_batch_around_the_end(void **state)
{
	uint32_t head, written;

	(void)state;
	for (unsigned round = 0; round < 8; round++) {
		offer_buffers(5, 100);
		assert_int_equal(vring_pop_batch(&ring, &batch, 500, 128), 0);
		assert_int_equal(vring_push_batch(&ring, &batch, 410 + round), 0);
		for (unsigned i = 0; i < 5; i++) {
			assert_true(driver_take(&driver, &head, &written));
			assert_int_equal(head, i);
			assert_int_equal(written, i == 4 ? 10 + round : 100);
		}
		assert_false(driver_take(&driver, &head, &written));
	}
}

static void test_batch_undone(void **state)
{
	(void)state;
	offer_buffers(3, 100);
	assert_int_equal(vring_pop_batch(&ring, &batch, 301, 128), ERR_NOENT);
	assert_int_equal(vring_pop_batch(&ring, &batch, 201, 2), ERR_TOO_LARGE);
	assert_int_equal(vring_pop_batch(&ring, &batch, 300, 128), 0);
	vring_return_batch(&ring, &batch);
	assert_int_equal(vring_pop(&ring, &chain), 0);
	assert_int_equal(chain.head, 0);
	assert_int_equal(vring_pop_batch(&ring, &batch, 200, 2), 0);
	assert_int_equal(vring_pop(&ring, &chain), ERR_NOENT);
}

static void test_hostile_batches(void **state)
{
	(void)state;
	/* Buffers to read, and a loop. */
	offer_buffers(1, 100);
	driver_offer(&driver, 1);
	assert_int_equal(vring_pop(&ring, &chain), 0);
	driver_describe(&driver, 2, BUFFERS, 8, 0, 0);
	driver_offer(&driver, 2);
	assert_int_equal(vring_pop_batch(&ring, &batch, 300, 128), ERR_INVAL);
	begin(SIZE, VRING_F_INDIRECT_DESC);
	driver_describe(&driver, 0, BUFFERS, 8, D_WRITE | D_NEXT, 0);
	driver_offer(&driver, 0);
	assert_int_equal(vring_pop_batch(&ring, &batch, 300, 128), ERR_INVAL);
	/* A loop behind a good one: that stays. */
	begin(SIZE, VRING_F_INDIRECT_DESC);
	offer_buffers(1, 100);
	driver_describe(&driver, 1, BUFFERS, 8, D_WRITE | D_NEXT, 1);
	driver_offer(&driver, 1);
	assert_int_equal(vring_pop_batch(&ring, &batch, 300, 128), ERR_TOO_LARGE);
	assert_int_equal(vring_pop_batch(&ring, &batch, 100, 128), 0);
	assert_int_equal(batch.heads[0], 0);
	/* Buffers of nothing are not looked at without an end: here are 2048 descriptors. */
	begin(SIZE, VRING_F_INDIRECT_DESC);
	for (unsigned i = 0; i < 256; i++)
		put_descriptor(TABLE, i, BUFFERS, 0, D_WRITE | (i < 255 ? D_NEXT : 0), i + 1);
	for (unsigned i = 0; i < SIZE; i++) {
		driver_describe(&driver, i, TABLE, 16 * 256, D_INDIRECT, 0);
		driver_offer(&driver, i);
	}
	assert_int_equal(vring_pop_batch(&ring, &batch, 1, 128), ERR_TOO_LARGE);
	assert_in_range(batch.chain.looked_at, 256, 514);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_batch, setup),
	    cmocka_unit_test_setup(test_batch_around_the_end, setup),
	    cmocka_unit_test_setup(test_batch_undone, setup),
	    cmocka_unit_test_setup(test_hostile_batches, setup),
	    cmocka_unit_test_setup(test_batch, setup_in_one_piece),
	    cmocka_unit_test_setup(test_batch_around_the_end, setup_in_one_piece),
	    cmocka_unit_test_setup(test_batch_undone, setup_in_one_piece),
	    cmocka_unit_test_setup(test_hostile_batches, setup_in_one_piece),
	};

	return cmocka_run_group_tests_name("vring_batch", tests, NULL, NULL);
}
