/* SPDX-License-Identifier: MIT */
/* unit: device/virtio/device.c device/virtio/mmio.c device/virtio/vring.c */
#include "tests/unit/virtio_fixture.h"

#define RING_A  (RAM_BASE + 0x1000)
#define RING_B  (RAM_BASE + 0x3000)
#define BUFFERS (RAM_BASE + 0x10000)
#define SIZE    8
#define FEATURE BIT(3)
#define ALL     (FEATURE | VRING_F_INDIRECT_DESC | VRING_F_EVENT_IDX | VIRTIO_F_VERSION_1)

/*
 * A device that gives chains of queue 0 back at once, one a step, and keeps those of queue 1 until
 * the test has a driver of the host's be done with them.
 */
static struct virtio_device device;
static struct vring_chain chain, kept;
static bool keeps;
static unsigned steps, resets[2], written_size;
static uint64_t written_offset;
static uint32_t written_value;
static int next_error;            /* of `work`, or 0 */
static void (*during_work)(void); /* what others do meanwhile, once, or NULL */
static struct ring_driver a, b;

static int give_back(struct virtio_queue *queue)
{
	int error = vring_pop(&queue->ring, &chain);

	if (error)
		return error == ERR_NOENT ? 0 : error;
	error = vring_push(&queue->ring, chain.head, 1);
	return error ? error : ERR_AGAIN;
}

static int keep(struct virtio_queue *queue)
{
	int error;

	if (queue->in_flight)
		return 0;
	if (keeps) {
		keeps = false;
		error = vring_push(&queue->ring, kept.head, 2);
		return error ? error : ERR_AGAIN;
	}
	error = vring_pop(&queue->ring, &kept);
	if (error)
		return error == ERR_NOENT ? 0 : error;
	keeps = true;
	virtio_queue_begun(queue);
	return ERR_AGAIN;
}

static int test_work(struct virtio_device *of, struct virtio_queue *queue)
{
	void (*meanwhile)(void) = during_work;
	int error = next_error;

	assert_ptr_equal(of, &device);
	assert_true(queue->work & QUEUE_BUSY);
	steps++;
	during_work = NULL;
	if (meanwhile)
		meanwhile();
	if (error)
		return error;
	return queue == &device.queues[0] ? give_back(queue) : keep(queue);
}

static void test_reset(struct virtio_device *of, struct virtio_queue *queue)
{
	assert_ptr_equal(of, &device);
	assert_true(queue->work & QUEUE_BUSY);
	assert_int_equal(queue->in_flight, 0);
	resets[queue - device.queues]++;
	if (queue == &device.queues[1])
		keeps = false;
}

static void test_write_config(struct virtio_device *of, uint64_t offset, unsigned size,
			      uint32_t value)
{
	assert_ptr_equal(of, &device);
	written_offset = offset;
	written_size = size;
	written_value = value;
}

static const uint8_t config[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
static const struct virtio_ops ops = {42, test_work, test_reset, test_write_config};

static void init(bool legacy)
{
	struct virtio_type type = {&ops, FEATURE, 2, config, sizeof(config)};

	guest_reset();
	steps = resets[0] = resets[1] = written_size = 0;
	next_error = 0;
	keeps = false;
	during_work = NULL;
	/* Nobody looks at the lock before there is a slot. */
	slot.device = &device;
	device.lock = (struct spinlock){1, 0};
	virtio_device_init(&device, &type, &ring_vm, (struct irq_line){0}, legacy);
	device.irq = test_line();
	plug(&device);
	driver_describe(&a, 0, BUFFERS, 16, D_WRITE, 0);
}

static void start(uint64_t features)
{
	begin_setup(features);
	memset(ram, 0, sizeof(ram));
	a = set_queue(0, RING_A, SIZE);
	b = set_queue(1, RING_B, SIZE);
	finish_setup();
	driver_describe(&a, 0, BUFFERS, 16, D_WRITE, 0);
	driver_describe(&b, 0, BUFFERS, 16, D_WRITE, 0);
}

static int setup(void **state)
{
	(void)state;
	a = driver_init(RING_A, SIZE);
	init(false);
	return 0;
}

static void notify(unsigned queue)
{
	wr(R_NOTIFY, queue);
}

/*
 * Registers.
 */

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

/* What a vCPU does on its own way is bounded; the job goes on with it, step by step. */
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
	assert_int_equal(steps, 1);
	assert_int_equal(job_count, 1);
	/* It is the job's: vCPUs do not do it at the same time. */
	notify(0);
	assert_int_equal(vcpu_work, 1);
	virtio_device_work(&device);
	assert_int_equal(steps, 1);
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
