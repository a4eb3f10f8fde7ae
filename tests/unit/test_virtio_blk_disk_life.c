/* SPDX-License-Identifier: MIT */
/* unit: device/disk_slice.c device/virtio/blk.c device/virtio/blk_disk.c device/virtio/blk_image.c device/virtio/device.c device/virtio/mmio.c device/virtio/vring.c driver/disk.c kernel/heap.c vmm/copy.c */
#include "tests/unit/blk_disk_fixture.h"

/* A slice comes and goes: opening it, resets, pauses, and a VM that ends. */

static void test_open_errors(void **state)
{
	struct host_virtio virtio = {.id = VIRTIO_ID_BLOCK, .owner = "other"};
	struct blk_disk first;

	(void)state;
	device_config.host = "virtio-blk1";
	assert_int_equal(open_slice(), ERR_NOENT);
	assert_non_null(strstr(message, "there is no such disk; there are 1, from virtio-blk0 up"));
	known = &virtio;
	snprintf(virtio.name, sizeof(virtio.name), "virtio-blk1");
	assert_int_equal(open_slice(), ERR_NOENT);
	assert_non_null(strstr(message, "VM other has it"));
	virtio.id = VIRTIO_ID_NET;
	assert_int_equal(open_slice(), ERR_NOENT);
	assert_non_null(strstr(message, "it is not a disk"));

	device_config.host = "/soc/virtio@1";
	device_config.size = 151 * 512;
	assert_int_equal(open_slice(), ERR_RANGE);
	assert_non_null(strstr(message, "it has 102400 bytes, in blocks of 512"));
	device_config.size = 0;
	assert_int_equal(blk_disk_open(&first, &ring_vm, &device_config), 0);
	assert_int_equal(first.backend.sectors, 150);
	device_config.offset = 0;
	assert_int_equal(open_slice(), ERR_EXIST);
	assert_non_null(strstr(message, "VM web has sectors of that slice"));
	blk_disk_close(&first);
	assert_int_equal(open_slice(), 0);
}

static void test_serial(void **state)
{
	(void)state;
	assert_int_equal(open_slice(), 0);
	assert_string_equal(blk_disk_serial(&slice, "disk"), "disk");
	blk_disk_close(&slice);
	device_config.offset = device_config.size = 0;
	assert_int_equal(open_slice(), 0);
	assert_string_equal(blk_disk_serial(&slice, "disk"), "theirs");
}

/* Offers `count` requests, each of one flush with a status of its own. */
static void offer(unsigned count)
{
	for (unsigned n = 0; n < count; n++) {
		put_header(T_FLUSH, 0);
		driver_describe(&driver, 2 * n, HEADER, 16, D_NEXT, 2 * n + 1);
		driver_describe(&driver, 2 * n + 1, STATUS + n, 1, D_WRITE, 0);
		driver_offer(&driver, 2 * n);
	}
	wr(R_NOTIFY, 0);
	run_all();
}

/* What the device has not got comes back at once when the VM ends; what it has when it is done. */
static void test_quiesce(void **state)
{
	(void)state;
	plug_slice(0);
	offer(20);
	assert_int_equal(disk_client_in_flight(&slice.client), 20);
	assert_in_range(has_count, 1, DEPTH);
	assert_int_equal(virtio_device_quiesce(&blk.device), ERR_AGAIN);
	run_all();
	assert_int_equal(disk_client_in_flight(&slice.client), has_count);
	assert_int_equal(quiesced, 0);
	while (has_count) {
		end(0, ERR_IO);
		run_all();
		assert_int_equal(quiesced > 0, has_count == 0);
	}
	assert_int_equal(virtio_device_quiesce(&blk.device), 0);
	assert_int_equal(disk_client_in_flight(&slice.client), 0);
	assert_int_equal(driver_used_index(&driver), 0);
}

static void test_reset(void **state)
{
	(void)state;
	plug_slice(0);
	offer(20);
	assert_int_equal(try_wr(R_STATUS, 4, 0), ERR_AGAIN);
	run_all();
	while (has_count)
		end(0, 0);
	assert_int_equal(try_wr(R_STATUS, 4, 0), 0);
	assert_int_equal(disk_client_in_flight(&slice.client), 0);
}

/* A second part is not begun when the VM ends after the first. */
static void test_end_between_parts(void **state)
{
	(void)state;
	plug_slice(0);
	describe(T_OUT, 0, 0, odd, ARRAY_SIZE(odd));
	notify();
	assert_int_equal(transfers, 1);
	assert_int_equal(virtio_device_quiesce(&blk.device), ERR_AGAIN);
	end_all();
	assert_int_equal(transfers, 1);
	assert_int_equal(virtio_device_quiesce(&blk.device), 0);
}

/* A VM that is paused gets what it has begun, and begins the rest when it goes on. */
static void test_pause(void **state)
{
	(void)state;
	plug_slice(0);
	offer(1);
	ring_vm.state = VM_PAUSING;
	offer(2);
	assert_int_equal(has_count, 1);
	end(0, 0);
	run_all();
	assert_int_equal(driver_used_index(&driver), 1);
	assert_int_equal(has_count, 0);
	ring_vm.state = VM_RUNNING;
	virtio_queue_wake(&blk.device.queues[0]);
	end_all();
	assert_int_equal(driver_used_index(&driver), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_open_errors),       TEST(test_serial), TEST(test_quiesce), TEST(test_reset),
	    TEST(test_end_between_parts), TEST(test_pause),
	};

	return cmocka_run_group_tests_name("virtio_blk_disk_life", tests, NULL, NULL);
}
