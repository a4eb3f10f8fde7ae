/* SPDX-License-Identifier: MIT */
/* unit: device/virtio/device.c device/virtio/mmio.c device/virtio/vring.c */
#include "tests/unit/virtio_test_device.h"

/*
 * Work.
 */

static void test_notify(void **state)
{
	uint32_t head, written;

	(void)state;
	start(VIRTIO_F_VERSION_1);
	driver_offer(&a, 0);
	steps = 0;
	notify(0);
	/* The notification is nothing but a mark. */
	assert_int_equal(steps, 0);
	assert_int_equal(vcpu_work, 1);
	assert_false(line);
	run_all();
	assert_true(driver_take(&a, &head, &written));
	assert_true(line);
	assert_int_equal(rd(R_INTERRUPTS), 1);
	wr(R_ACK, 2);
	assert_true(line);
	wr(R_ACK, 1);
	assert_false(line);
	notify(2);
	notify(UINT32_MAX);
	run_all();
	assert_false(line);
}

/* 3.1.1: buffers are not used before DRIVER_OK; they are then, though nobody notifies again. */
static void test_not_before_driver_ok(void **state)
{
	uint32_t head, written;

	(void)state;
	begin_setup(ALL);
	a = set_queue(0, RING_A, SIZE);
	driver_describe(&a, 0, BUFFERS, 16, D_WRITE, 0);
	driver_offer(&a, 0);
	notify(0);
	run_all();
	assert_false(driver_take(&a, &head, &written));
	finish_setup();
	assert_true(driver_take(&a, &head, &written));
}

static void test_no_driver_ok_without_features(void **state)
{
	uint32_t head, written;

	(void)state;
	wr(R_STATUS, S_ACKNOWLEDGE | S_DRIVER | S_DRIVER_OK);
	a = set_queue(0, RING_A, SIZE);
	driver_describe(&a, 0, BUFFERS, 16, D_WRITE, 0);
	driver_offer(&a, 0);
	notify(0);
	run_all();
	assert_false(driver_take(&a, &head, &written));
	assert_int_equal(steps, 0);
}

/* What a vCPU does on its own way is bounded; the job goes on with it, some steps at a time. */
static void test_much_work(void **state)
{
	(void)state;
	start(VIRTIO_F_VERSION_1);
	steps = 0;
	next_error = ERR_AGAIN;
	notify(0);
	virtio_device_work(&device);
	assert_in_range(steps, 2, 64);
	assert_int_equal(job_count, 1);
	steps = 0;
	assert_true(run_job());
	assert_in_range(steps, 2, 16);
	assert_int_equal(job_count, 1);
	steps = 0;
	/* It is the job's: vCPUs do not do it at the same time. */
	notify(0);
	assert_int_equal(vcpu_work, 1);
	virtio_device_work(&device);
	assert_int_equal(steps, 0);
	/* A turn that is to end leaves all but a step to it. */
	next_error = 0;
	run_all();
	steps = 0;
	next_error = ERR_AGAIN;
	hart.reschedule = 1;
	notify(0);
	virtio_device_work(&device);
	assert_int_equal(steps, 1);
	next_error = 0;
}

static void notify_again(void)
{
	driver_offer(&a, 0);
	notify(0);
	/* On another hart: it finds the queue busy. */
	virtio_device_work(&device);
}

/* Two vCPUs notify at once: one works, and what the other offers is not forgotten. */
static void test_notified_while_busy(void **state)
{
	uint32_t head, written;

	(void)state;
	start(ALL);
	/* At the last look, which finds nothing. */
	during_work = notify_again;
	notify(0);
	virtio_device_work(&device);
	run_all();
	assert_true(driver_take(&a, &head, &written));
	assert_int_equal(device.queues[0].work, 0);
}

static void break_ring(void)
{
	guest_put(a.place.available + 2, 0x7777, 2);
}

static void test_needs_reset(void **state)
{
	uint32_t generation;

	(void)state;
	start(ALL);
	generation = rd(R_GENERATION);
	break_ring();
	notify(0);
	run_all();
	assert_int_equal(rd(R_STATUS), S_READY | S_NEEDS_RESET);
	assert_int_equal(rd(R_INTERRUPTS), 2);
	assert_true(line);
	assert_int_not_equal(rd(R_GENERATION), generation);
	/* Nothing else happens, on no queue, until it is reset. */
	steps = 0;
	notify(0);
	notify(1);
	run_all();
	assert_int_equal(steps, 0);
	wr(R_STATUS, 0);
	assert_false(line);
	assert_int_equal(rd(R_INTERRUPTS), 0);
	start(ALL);
	assert_int_equal(rd(R_STATUS), S_READY);
}

static void test_legacy_just_stops(void **state)
{
	(void)state;
	init(true);
	wr(R_STATUS, S_ACKNOWLEDGE | S_DRIVER | S_DRIVER_OK);
	wr(R_PAGE_SIZE, 4096);
	wr(R_QUEUE_PFN, UINT32_MAX);
	notify(0);
	run_all();
	assert_int_equal(steps, 0);
	assert_int_equal(rd(R_STATUS), S_ACKNOWLEDGE | S_DRIVER | S_DRIVER_OK);
	assert_false(line);
	assert_true(device.broken);
}

/* Addresses are looked at when they are used. */
static void test_queue_outside_ram(void **state)
{
	(void)state;
	begin_setup(ALL);
	a = set_queue(0, RAM_BASE + RAM_SIZE, SIZE);
	assert_int_equal(rd(R_STATUS) & S_NEEDS_RESET, 0);
	finish_setup();
	assert_int_equal(rd(R_STATUS), S_READY | S_NEEDS_RESET);
	assert_int_equal(steps, 0);
}

/*
 * Resets.
 */

static int reset_error;

static void reset_meanwhile(void)
{
	reset_error = try_wr(R_STATUS, 4, 0);
	assert_int_equal(resets[0], 0);
}

/* The write is not done until nobody works on the device any more. */
static void test_reset_while_busy(void **state)
{
	uint32_t head, written;

	(void)state;
	start(ALL);
	resets[0] = 0;
	driver_offer(&a, 0);
	driver_offer(&a, 0);
	during_work = reset_meanwhile;
	notify(0);
	run_all();
	assert_int_equal(reset_error, ERR_AGAIN);
	/* What was begun may end, and nothing more begins. */
	assert_true(driver_take(&a, &head, &written));
	assert_false(driver_take(&a, &head, &written));
	assert_int_equal(rd(R_STATUS), S_READY);
	wr(R_STATUS, 0);
	assert_int_equal(resets[0], 1);
	assert_int_equal(rd(R_STATUS), 0);
	assert_int_equal(device.queues[0].work & QUEUE_BUSY, 0);
}

static void begin_in_flight(void)
{
	start(ALL);
	driver_offer(&b, 0);
	notify(1);
	run_all();
	assert_int_equal(device.queues[1].in_flight, 1);
}

static void test_in_flight(void **state)
{
	uint32_t head, written;

	(void)state;
	begin_in_flight();
	assert_false(driver_take(&b, &head, &written));
	virtio_queue_done(&device.queues[1]);
	/* The handler itself touches nothing of the guest's. */
	assert_false(driver_take(&b, &head, &written));
	run_all();
	assert_true(driver_take(&b, &head, &written));
	assert_int_equal(written, 2);
}

static void test_reset_in_flight(void **state)
{
	uint32_t head, written;

	(void)state;
	begin_in_flight();
	resets[1] = 0;
	assert_int_equal(try_wr(R_STATUS, 4, 0), ERR_AGAIN);
	wr(R_QUEUE_SEL, 1);
	assert_int_equal(try_wr(R_QUEUE_READY, 4, 0), ERR_AGAIN);
	assert_int_equal(resets[1], 0);
	/* The other queue has been stopped, too. */
	driver_offer(&a, 0);
	notify(0);
	run_all();
	assert_false(driver_take(&a, &head, &written));
	virtio_queue_done(&device.queues[1]);
	run_all();
	wr(R_STATUS, 0);
	assert_int_equal(resets[1], 1);
	run_all();
	assert_false(driver_take(&b, &head, &written));
	assert_false(line);
}

/* A VM ends: nothing is begun, and the end waits for what is in flight. */
static void test_quiesce(void **state)
{
	(void)state;
	begin_in_flight();
	assert_int_equal(virtio_device_quiesce(&device), ERR_AGAIN);
	steps = quiesced = 0;
	driver_offer(&a, 0);
	notify(0);
	run_all();
	assert_int_equal(steps, 0);
	virtio_queue_done(&device.queues[1]);
	assert_int_equal(quiesced, 1);
	assert_int_equal(virtio_device_quiesce(&device), 0);
	/* Its job is queued, and must not be when memory is given back. */
	assert_int_equal(job_count, 1);
	virtio_device_power_up(&device);
	assert_int_equal(job_count, 0);
	assert_int_equal(rd(R_STATUS), 0);
	assert_int_equal(device.queues[0].work, 0);
	start(ALL);
	driver_offer(&a, 0);
	notify(0);
	run_all();
	assert_true(line);
}

/* A driver that sets the queue up anew, while another vCPU has it stopped half-way. */
static void test_ready_again_in_flight(void **state)
{
	uint32_t head, written;

	(void)state;
	begin_in_flight();
	wr(R_QUEUE_SEL, 1);
	assert_int_equal(try_wr(R_QUEUE_READY, 4, 0), ERR_AGAIN);
	wr(R_QUEUE_READY, 1);
	assert_int_equal(rd(R_QUEUE_READY), 1);
	virtio_queue_done(&device.queues[1]);
	run_all();
	/* The ring is read anew; what comes back is a head that its driver knows of. */
	assert_true(driver_take(&b, &head, &written));
	assert_int_equal(device.queues[1].work, 0);
}

/* Any writes in any order: the device stays in one piece, and can be reset and used afterwards. */
static void test_random_writes(void **state)
{
	static const uint32_t values[] = {
	    0,      1,       2,          4,          8,          15,         0x40,       0x80,
	    0x1000, 0x80001, 0x80001000, 0x80003000, 0x80003fff, 0xffffffff, 0x10000000, 3};
	uint64_t random = 88172645463325252;

	(void)state;
	for (unsigned legacy = 0; legacy < 2; legacy++) {
		init(legacy);
		for (unsigned i = 0; i < 200000; i++) {
			uint64_t offset;

			random ^= random << 13, random ^= random >> 7, random ^= random << 17;
			offset = (random >> 8) % 0x40 * 4;
			if (random % 7 == 0)
				offset = R_NOTIFY;
			try_wr(offset, 4, values[(random >> 20) % ARRAY_SIZE(values)]);
			rd(offset);
			if (random % 5 == 0)
				guest_put(RING_A + (random >> 32) % 0x3000, random, 2);
			if (random % 11 == 0 && device.queues[1].in_flight)
				virtio_queue_done(&device.queues[1]);
			if (random % 3 == 0)
				run_all();
		}
		while (device.queues[1].in_flight)
			virtio_queue_done(&device.queues[1]);
		run_all();
		wr(R_STATUS, 0);
		memset(ram, 0, sizeof(ram));
	}
	init(false);
	start(ALL);
	driver_offer(&a, 0);
	notify(0);
	run_all();
	assert_true(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_notify, setup),
	    cmocka_unit_test_setup(test_not_before_driver_ok, setup),
	    cmocka_unit_test_setup(test_no_driver_ok_without_features, setup),
	    cmocka_unit_test_setup(test_much_work, setup),
	    cmocka_unit_test_setup(test_notified_while_busy, setup),
	    cmocka_unit_test_setup(test_needs_reset, setup),
	    cmocka_unit_test_setup(test_legacy_just_stops, setup),
	    cmocka_unit_test_setup(test_queue_outside_ram, setup),
	    cmocka_unit_test_setup(test_reset_while_busy, setup),
	    cmocka_unit_test_setup(test_in_flight, setup),
	    cmocka_unit_test_setup(test_reset_in_flight, setup),
	    cmocka_unit_test_setup(test_quiesce, setup),
	    cmocka_unit_test_setup(test_ready_again_in_flight, setup),
	    cmocka_unit_test_setup(test_random_writes, setup),
	};

	return cmocka_run_group_tests_name("virtio_device", tests, NULL, NULL);
}
