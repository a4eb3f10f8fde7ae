/* SPDX-License-Identifier: MIT */
/* unit: device/virtio/device.c device/virtio/mmio.c device/virtio/vring.c */
#include "tests/unit/virtio_test_device.h"

static void test_identity(void **state)
{
	(void)state;
	assert_int_equal(rd(R_MAGIC), 0x74726976);
	assert_int_equal(rd(R_VERSION), 2);
	assert_int_equal(rd(R_DEVICE_ID), 42);
	assert_int_equal(rd(R_VENDOR), 0x554d4551);
	init(true);
	assert_int_equal(rd(R_VERSION), 1);
}

/* As QEMU's `virt` has them: registers are 4 bytes, 8 are two of them, others read as zero. */
static void test_widths(void **state)
{
	(void)state;
	for (uint64_t offset = 0; offset < 0x100; offset++) {
		assert_int_equal(rd_sized(offset, 1), 0);
		assert_int_equal(try_wr(offset, 1, 0xff), 0);
		if (offset % 2)
			continue;
		assert_int_equal(rd_sized(offset, 2), 0);
		assert_int_equal(try_wr(offset, 2, 0xffff), 0);
	}
	assert_int_equal(rd(R_STATUS), 0);
	assert_int_equal(rd_sized(0, 8), 0x274726976);
	assert_int_equal(rd_sized(8, 8), 0x554d45510000002a);
	assert_int_equal(try_wr(R_QUEUE_DESC, 8, 0x123456789a), 0);
	assert_int_equal(device.queues[0].place.descriptors, 0x123456789a);
	assert_int_equal(vcpu_work, 0);
}

static void test_config(void **state)
{
	(void)state;
	assert_int_equal(rd_sized(R_CONFIG, 1), 1);
	assert_int_equal(rd_sized(R_CONFIG + 2, 2), 0x0403);
	assert_int_equal(rd_sized(R_CONFIG + 4, 4), 0x08070605);
	assert_int_equal(rd_sized(R_CONFIG, 8), 0x0807060504030201);
	assert_int_equal(rd_sized(R_CONFIG + 9, 1), 10);
	assert_int_equal(rd_sized(R_CONFIG + 8, 4), 0xffffffff);
	assert_int_equal(rd_sized(R_CONFIG + 10, 1), 0xff);
	assert_int_equal(rd_sized(R_CONFIG + 0xfe, 2), 0xffff);
	assert_int_equal(try_wr(R_CONFIG + 8, 2, 0xbeef), 0);
	assert_int_equal(written_offset, 8);
	assert_int_equal(written_size, 2);
	assert_int_equal(written_value, 0xbeef);
	written_size = 0;
	assert_int_equal(try_wr(R_CONFIG + 8, 4, 0), 0);
	assert_int_equal(try_wr(R_CONFIG + 0xfc, 4, 0), 0);
	assert_int_equal(written_size, 0);
}

static void test_features(void **state)
{
	(void)state;
	assert_int_equal(rd(R_FEATURES), (uint32_t)ALL);
	wr(R_FEATURES_SEL, 1);
	assert_int_equal(rd(R_FEATURES), 1);
	wr(R_FEATURES_SEL, 2);
	assert_int_equal(rd(R_FEATURES), 0);
	wr(R_FEATURES_SEL, UINT32_MAX);
	assert_int_equal(rd(R_FEATURES), 0);
	init(true);
	assert_int_equal(rd(R_FEATURES),
			 FEATURE | VRING_F_INDIRECT_DESC | VRING_F_EVENT_IDX | VIRTIO_F_ANY_LAYOUT);
	wr(R_FEATURES_SEL, 1);
	assert_int_equal(rd(R_FEATURES), 0);
}

static void assert_features_ok(uint64_t features, bool ok)
{
	wr(R_STATUS, 0);
	accept_features(features);
	wr(R_STATUS, S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK);
	assert_int_equal(rd(R_STATUS), S_ACKNOWLEDGE | S_DRIVER | (ok ? S_FEATURES_OK : 0));
}

static void test_features_ok(void **state)
{
	(void)state;
	assert_features_ok(ALL, true);
	assert_features_ok(VIRTIO_F_VERSION_1, true);
	assert_features_ok(0, false);
	assert_features_ok(FEATURE, false);
	assert_features_ok(ALL | BIT(0), false);
	assert_features_ok(ALL | BIT(34), false);
	assert_features_ok(ALL | BIT(63), false);
	/* What has been agreed on stays. */
	assert_features_ok(VIRTIO_F_VERSION_1, true);
	accept_features(ALL);
	assert_int_equal(device.driver_features, VIRTIO_F_VERSION_1);
	wr(R_ACCEPTED_SEL, 7);
	wr(R_ACCEPTED, UINT32_MAX);
	assert_int_equal(device.driver_features, VIRTIO_F_VERSION_1);
}

static void test_status(void **state)
{
	(void)state;
	wr(R_STATUS, S_ACKNOWLEDGE);
	wr(R_STATUS, S_NEEDS_RESET | 0x80);
	assert_int_equal(rd(R_STATUS), S_ACKNOWLEDGE | 0x80);
	wr(R_STATUS, 0xffffff00);
	assert_int_equal(rd(R_STATUS), S_ACKNOWLEDGE | 0x80);
	wr(R_STATUS, 0);
	assert_int_equal(rd(R_STATUS), 0);
	assert_int_equal(resets[0], 1);
	assert_int_equal(resets[1], 1);
}

static void test_queue_registers(void **state)
{
	(void)state;
	for (unsigned queue = 0; queue < 2; queue++) {
		wr(R_QUEUE_SEL, queue);
		assert_int_equal(rd(R_QUEUE_MAX), VRING_SIZE_MAX);
		assert_int_equal(rd(R_QUEUE_READY), 0);
		assert_int_equal(rd(R_QUEUE_PFN), 0);
	}
	wr(R_QUEUE_SEL, 2);
	assert_int_equal(rd(R_QUEUE_MAX), 0);
	wr(R_QUEUE_READY, 1);
	assert_int_equal(rd(R_QUEUE_READY), 0);
	wr(R_QUEUE_READY, 0);
	wr(R_QUEUE_SEL, UINT32_MAX);
	assert_int_equal(rd(R_QUEUE_MAX), 0);
	for (unsigned i = 0; i < 16; i += 4)
		assert_int_equal(rd(R_SHM_LENGTH + i), UINT32_MAX);
	/* A modern device has no legacy registers. */
	wr(R_QUEUE_SEL, 0);
	wr(R_PAGE_SIZE, 4096);
	wr(R_QUEUE_PFN, 0x80001);
	assert_int_equal(rd(R_QUEUE_PFN), 0);
	assert_false(device.queues[0].ready);
}

/* While a queue is ready nobody moves it. */
static void test_queue_stays(void **state)
{
	(void)state;
	start(ALL);
	wr(R_QUEUE_SEL, 0);
	assert_int_equal(rd(R_QUEUE_READY), 1);
	set_address(R_QUEUE_DESC, 0);
	set_address(R_QUEUE_DRIVER, 0);
	set_address(R_QUEUE_DEVICE, 0);
	wr(R_QUEUE_SIZE, 3);
	wr(R_QUEUE_READY, 1);
	assert_int_equal(device.queues[0].place.size, SIZE);
	assert_int_equal(device.queues[0].place.descriptors, a.place.descriptors);
	assert_int_equal(device.queues[0].place.available, a.place.available);
	assert_int_equal(device.queues[0].place.used, a.place.used);
	wr(R_QUEUE_READY, 0);
	assert_int_equal(rd(R_QUEUE_READY), 0);
	assert_int_equal(resets[0], 2);
	assert_int_equal(resets[1], 1);
	wr(R_QUEUE_SIZE, 4);
	assert_int_equal(device.queues[0].place.size, 4);
}

static void test_legacy_queue(void **state)
{
	uint32_t head, written;

	(void)state;
	init(true);
	wr(R_STATUS, S_ACKNOWLEDGE | S_DRIVER);
	wr(R_PAGE_SIZE, 4096);
	wr(R_QUEUE_SIZE, 16);
	wr(R_QUEUE_ALIGN, 4096);
	wr(R_QUEUE_PFN, RING_A >> 12);
	assert_int_equal(rd(R_QUEUE_PFN), RING_A >> 12);
	assert_int_equal(rd(R_QUEUE_READY), 0);
	a.place = vring_legacy_place(RING_A, 16, 4096);
	a.available = a.used = 0;
	driver_describe(&a, 0, BUFFERS, 16, D_WRITE, 0);
	driver_offer(&a, 0);
	/* Legacy drivers use a device before they set DRIVER_OK. */
	notify(0);
	run_all();
	assert_true(driver_take(&a, &head, &written));
	assert_true(line);
	wr(R_QUEUE_PFN, 0);
	assert_int_equal(rd(R_QUEUE_PFN), 0);
	driver_offer(&a, 0);
	notify(0);
	run_all();
	assert_false(driver_take(&a, &head, &written));
}

/* As Linux's driver begins: it sets the page size, then resets the device. */
static void test_legacy_page_size_stays(void **state)
{
	(void)state;
	init(true);
	wr(R_PAGE_SIZE, 4096);
	wr(R_STATUS, 0);
	wr(R_QUEUE_PFN, RING_A >> 12);
	assert_int_equal(device.queues[0].place.descriptors, RING_A);
	virtio_device_power_up(&device);
	wr(R_QUEUE_PFN, 0x1234);
	assert_int_equal(device.queues[0].place.descriptors, 0x1234);
}

static void test_legacy_features(void **state)
{
	(void)state;
	init(true);
	accept_features(UINT64_MAX);
	assert_int_equal(device.driver_features, device.features);
	wr(R_STATUS, S_ACKNOWLEDGE | S_DRIVER | S_DRIVER_OK);
	assert_int_equal(rd(R_STATUS), S_ACKNOWLEDGE | S_DRIVER | S_DRIVER_OK);
	assert_int_equal(rd(R_GENERATION), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_identity, setup),
	    cmocka_unit_test_setup(test_widths, setup),
	    cmocka_unit_test_setup(test_config, setup),
	    cmocka_unit_test_setup(test_features, setup),
	    cmocka_unit_test_setup(test_features_ok, setup),
	    cmocka_unit_test_setup(test_status, setup),
	    cmocka_unit_test_setup(test_queue_registers, setup),
	    cmocka_unit_test_setup(test_queue_stays, setup),
	    cmocka_unit_test_setup(test_legacy_queue, setup),
	    cmocka_unit_test_setup(test_legacy_page_size_stays, setup),
	    cmocka_unit_test_setup(test_legacy_features, setup),
	};

	return cmocka_run_group_tests_name("virtio_registers", tests, NULL, NULL);
}
