/* SPDX-License-Identifier: MIT */
/* unit: device/virtio/device.c device/virtio/mmio.c device/virtio/vring.c */
#include "tests/unit/virtio_test_device.h"

/* A queue whose driver is told later. */

#define PATIENCE 50
#define MUCH     KIB(16)

static struct virtio_queue *queue = &device.queues[0];

static void begin(uint64_t features)
{
	now = 1000;
	wfi_trapped = 0;
	ring_vm.puts_off = 0;
	memset(timers, 0, sizeof(timers));
	virtio_queue_be_patient(queue, PATIENCE);
	start(features);
}

/* Makes `count` available, and has them used. */
static void use(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		driver_offer(&a, 0);
	notify(0);
	run_all();
}

static void test_later(void **state)
{
	(void)state;
	begin(ALL);
	use(1);
	assert_int_equal(a.available, guest_get(a.place.used + 2, 2));
	assert_false(line);
	assert_true(is_set(&queue->timer));
	assert_int_equal(queue->timer.node.key, 1000 + PATIENCE);
	/* What is used meanwhile does not make it later. */
	now += PATIENCE / 2;
	driver_offer(&b, 0);
	notify(1);
	notify(0);
	run_all();
	assert_false(line);
	fire(&queue->timer);
	assert_int_equal(job_count, 1);
	run_all();
	assert_true(line);
	assert_int_equal(now, 1000 + PATIENCE);
	assert_false(is_set(&queue->timer));
	assert_int_equal(wfi_trapped, 0);
}

/* It finds what has been used when it makes more available, and wants to be told of the next. */
static void test_seen_meanwhile(void **state)
{
	(void)state;
	begin(ALL);
	for (unsigned i = 0; i < 300; i++) {
		use(1);
		assert_false(line);
		driver_set_used_event(&a, a.available);
		now += PATIENCE / 3;
		/* The timer is not set anew for each. */
		if (now >= queue->timer.node.key)
			fire(&queue->timer);
		assert_true(is_set(&queue->timer) || job_count == 1);
	}
	/* The last one was seen, too. */
	while (is_set(&queue->timer))
		fire(&queue->timer);
	run_all();
	assert_false(line);
	assert_false(is_set(&queue->timer));
	use(1);
	fire(&queue->timer);
	run_all();
	assert_true(line);
}

/* Without events it can only say that it wants to be told of none. */
static void test_flags(void **state)
{
	(void)state;
	begin(ALL & ~VRING_F_EVENT_IDX);
	guest_put(a.place.available, 1, 2);
	use(1);
	assert_false(line || is_set(&queue->timer));
	guest_put(a.place.available, 0, 2);
	use(1);
	assert_true(!line && is_set(&queue->timer));
	fire(&queue->timer);
	run_all();
	assert_true(line);
}

/* Its ring may be full: a quarter of it is not kept from it. */
static void test_quarter(void **state)
{
	(void)state;
	begin(ALL);
	use(SIZE / 4 - 1);
	assert_false(line);
	use(1);
	assert_true(line);
	/* The timer is there still, and finds nothing. */
	fire(&queue->timer);
	assert_int_equal(job_count, 0);
}

/* One that sleeps may wait for much, but not for little. */
static void test_idle(void **state)
{
	(void)state;
	begin(ALL);
	queue->untold_bytes = MUCH - 1;
	use(1);
	assert_int_equal(ring_vm.puts_off, 0);
	assert_int_equal(wfi_trapped, 0);
	virtio_device_idle(&device);
	assert_false(line);
	driver_set_used_event(&a, a.available);
	use(0);
	assert_int_equal(queue->untold_bytes, 0);
	queue->untold_bytes = MUCH;
	use(1);
	assert_int_equal(ring_vm.puts_off, 1);
	assert_int_equal(wfi_trapped, 1);
	assert_false(line);
	virtio_device_idle(&device);
	assert_true(line);
	assert_int_equal(queue->untold_bytes, 0);
	wr(R_ACK, 1);
	virtio_device_idle(&device);
	assert_false(line);
}

/* Somebody has the queue: it is told by the timer. */
static void test_idle_while_busy(void **state)
{
	(void)state;
	begin(ALL);
	queue->untold_bytes = MUCH;
	use(1);
	assert_true(virtio_queue_take(queue));
	virtio_device_idle(&device);
	assert_false(line);
	virtio_queue_end(queue, 0);
	run_all();
	assert_false(line);
	fire(&queue->timer);
	run_all();
	assert_true(line);
}

/* A ring that makes no sense when it is looked back at. */
static void test_broken(void **state)
{
	(void)state;
	begin(ALL);
	queue->untold_bytes = MUCH;
	use(1);
	queue->ring.available.gpa = GPA(0);
	virtio_device_idle(&device);
	assert_true(rd(R_STATUS) & S_NEEDS_RESET);
	fire(&queue->timer);
	run_all();
	assert_int_equal(rd(R_INTERRUPTS), VIRTIO_INTERRUPT_CONFIG);
}

static void test_status_reset(void **state)
{
	(void)state;
	begin(ALL);
	use(1);
	wr(R_STATUS, 0);
	fire(&queue->timer);
	run_all();
	assert_false(line);
	start(ALL);
	use(1);
	assert_false(line);
	now += PATIENCE;
	use(0);
	assert_true(line);
}

static void test_power_up(void **state)
{
	(void)state;
	begin(ALL);
	use(1);
	assert_int_equal(virtio_device_quiesce(&device), 0);
	virtio_device_power_up(&device);
	assert_false(is_set(&queue->timer));
	assert_int_equal(job_count, 0);
	start(ALL);
	use(1);
	assert_true(is_set(&queue->timer));
	fire(&queue->timer);
	run_all();
	assert_true(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_later, setup),
	    cmocka_unit_test_setup(test_seen_meanwhile, setup),
	    cmocka_unit_test_setup(test_flags, setup),
	    cmocka_unit_test_setup(test_quarter, setup),
	    cmocka_unit_test_setup(test_idle, setup),
	    cmocka_unit_test_setup(test_idle_while_busy, setup),
	    cmocka_unit_test_setup(test_broken, setup),
	    cmocka_unit_test_setup(test_status_reset, setup),
	    cmocka_unit_test_setup(test_power_up, setup),
	};

	return cmocka_run_group_tests_name("virtio_patience", tests, NULL, NULL);
}
