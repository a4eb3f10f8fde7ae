/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_VIRTIO_TEST_DEVICE_H
#define TESTS_UNIT_VIRTIO_TEST_DEVICE_H

/* A device of two queues that tells what was asked of it. For one source file of a test program. */

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

static inline int give_back(struct virtio_queue *queue)
{
	int error = vring_pop(&queue->ring, &chain);

	if (error)
		return error == ERR_NOENT ? 0 : error;
	error = vring_push(&queue->ring, chain.head, 1);
	return error ? error : ERR_AGAIN;
}

static inline int keep(struct virtio_queue *queue)
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

static inline int test_work(struct virtio_device *of, struct virtio_queue *queue)
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

static inline void test_reset(struct virtio_device *of, struct virtio_queue *queue)
{
	assert_ptr_equal(of, &device);
	assert_true(queue->work & QUEUE_BUSY);
	assert_int_equal(queue->in_flight, 0);
	resets[queue - device.queues]++;
	if (queue == &device.queues[1])
		keeps = false;
}

static inline void test_write_config(struct virtio_device *of, uint64_t offset, unsigned size,
				     uint32_t value)
{
	assert_ptr_equal(of, &device);
	written_offset = offset;
	written_size = size;
	written_value = value;
}

static const uint8_t config[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
static const struct virtio_ops ops = {
    .id = 42, .work = test_work, .reset = test_reset, .write_config = test_write_config};

static inline void init(bool legacy)
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

static inline void start(uint64_t features)
{
	begin_setup(features);
	memset(ram, 0, sizeof(ram));
	a = set_queue(0, RING_A, SIZE);
	b = set_queue(1, RING_B, SIZE);
	finish_setup();
	driver_describe(&a, 0, BUFFERS, 16, D_WRITE, 0);
	driver_describe(&b, 0, BUFFERS, 16, D_WRITE, 0);
}

static inline int setup(void **state)
{
	(void)state;
	a = driver_init(RING_A, SIZE);
	init(false);
	return 0;
}

static inline void notify(unsigned queue)
{
	wr(R_NOTIFY, queue);
}

#endif
