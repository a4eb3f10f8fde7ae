/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_VIRTQUEUE_FIXTURE_H
#define TESTS_UNIT_VIRTQUEUE_FIXTURE_H

/*
 * A virtqueue, and its driver's side, for tests of driver/virtio/queue.c and packed.c: what the
 * device does is the test's. For one source file of a test program.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "driver/virtio/queue.h"
#include "kernel/error.h"

#define SIZE  8
#define TABLE 6
#define PLACE 0x123450000 /* where the device finds the queue */

static _Alignas(4096) uint8_t memory[4096];
static struct virtqueue_slot slots[SIZE];
static struct virtqueue queue;
static int tokens[SIZE];

static void begin_queue(uint64_t features)
{
	const struct virtqueue_kind kind = {SIZE, TABLE, features};

	assert_true(virtqueue_bytes(&kind) <= sizeof(memory));
	memset(memory, 0, sizeof(memory));
	virtqueue_init(&queue, &kind, memory, HPA(PLACE), slots);
}

/* A chain of buffers at 0x1000, 0x2000 and so on, of 100 bytes, 101 and so on. */
static int add(unsigned readable, unsigned writable, void *token)
{
	struct virtqueue_buffer buffers[SIZE + 1];

	for (unsigned i = 0; i <= SIZE; i++)
		buffers[i] = (struct virtqueue_buffer){HPA(0x1000 * (i + 1)), 100 + i};
	return virtqueue_add(&queue, buffers, readable, writable, token);
}

/* The device has done what it may not: the queue is not used any more. */
static void assert_breaks(void)
{
	uint32_t written;

	assert_null(virtqueue_take(&queue, &written));
	assert_true(queue.broken);
	assert_false(virtqueue_has_used(&queue));
	assert_false(virtqueue_wants_notice(&queue));
	assert_int_equal(add(1, 0, &tokens[0]), ERR_INVAL);
}

#endif
