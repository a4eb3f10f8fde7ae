/* SPDX-License-Identifier: MIT */
/* unit: driver/virtio/queue.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "driver/virtio/queue.h"
#include "kernel/error.h"

#define SIZE 8

static _Alignas(4096) uint8_t memory[4096];
static struct virtqueue_slot slots[SIZE];
static struct virtqueue queue;
static uint16_t seen; /* by the device, of the available ring */
static int tokens[64];

static int setup(void **state)
{
	(void)state;
	memset(memory, 0, sizeof(memory));
	virtqueue_init(&queue, memory, SIZE, slots);
	seen = 0;
	return 0;
}

static int add(unsigned readable, unsigned writable, void *token)
{
	struct virtqueue_buffer buffers[SIZE + 1];

	for (unsigned i = 0; i <= SIZE; i++)
		buffers[i] = (struct virtqueue_buffer){HPA(0x1000 * (i + 1)), 100 + i};
	return virtqueue_add(&queue, buffers, readable, writable, token);
}

/* The device's side: the next chain that is offered. */
static uint16_t device_next(void)
{
	assert_int_not_equal(queue.avail->index, seen);
	return queue.avail->ring[seen++ % SIZE];
}

static void device_use(uint32_t id, uint32_t length)
{
	queue.used->ring[queue.used->index % SIZE].id = id;
	queue.used->ring[queue.used->index % SIZE].length = length;
	queue.used->index = (uint16_t)(queue.used->index + 1);
}

/* Virtio 1.3, 2.7.2: descriptors, the available ring, and from the next boundary the used one. */
static void test_layout(void **state)
{
	(void)state;
	assert_ptr_equal(queue.desc, memory);
	assert_ptr_equal(queue.avail, memory + 16 * SIZE);
	assert_ptr_equal(queue.used, memory + 192);
	assert_int_equal(virtqueue_bytes(SIZE), 320);
	assert_true(virtqueue_bytes(32) <= 1024);
}

static void test_chain(void **state)
{
	uint32_t written;
	uint16_t at;

	(void)state;
	assert_int_equal(add(2, 1, &tokens[0]), 0);
	at = device_next();
	assert_int_equal(queue.desc[at].address, 0x1000);
	assert_int_equal(queue.desc[at].flags, 1);
	at = queue.desc[at].next;
	assert_int_equal(queue.desc[at].length, 101);
	assert_int_equal(queue.desc[at].flags, 1);
	at = queue.desc[at].next;
	assert_int_equal(queue.desc[at].address, 0x3000);
	assert_int_equal(queue.desc[at].flags, 2);

	assert_false(virtqueue_has_used(&queue));
	assert_null(virtqueue_take(&queue, &written));
	device_use(queue.avail->ring[0], 77);
	assert_true(virtqueue_has_used(&queue));
	assert_ptr_equal(virtqueue_take(&queue, &written), &tokens[0]);
	assert_int_equal(written, 77);
	assert_null(virtqueue_take(&queue, &written));
}

static void test_full(void **state)
{
	uint32_t written;

	(void)state;
	assert_int_equal(add(SIZE, 1, &tokens[0]), ERR_INVAL);
	assert_int_equal(add(0, 0, &tokens[0]), ERR_INVAL);
	assert_int_equal(add(3, 3, &tokens[0]), 0);
	assert_int_equal(add(2, 1, &tokens[1]), ERR_AGAIN);
	assert_int_equal(add(2, 0, &tokens[1]), 0);
	assert_int_equal(add(1, 0, &tokens[2]), ERR_AGAIN);
	device_use(device_next(), 0);
	assert_ptr_equal(virtqueue_take(&queue, &written), &tokens[0]);
	assert_int_equal(add(6, 0, &tokens[2]), 0);
}

/* Many times around, chains of different lengths, returned out of order. */
static void test_many(void **state)
{
	uint32_t written;

	(void)state;
	for (unsigned i = 0; i < 70000; i++) {
		uint16_t first, second;

		assert_int_equal(add(1 + i % 3, 1, &tokens[0]), 0);
		assert_int_equal(add(0, 1 + i % 4, &tokens[1]), 0);
		first = device_next();
		second = device_next();
		device_use(second, 5);
		device_use(first, 6);
		assert_ptr_equal(virtqueue_take(&queue, &written), &tokens[1]);
		assert_ptr_equal(virtqueue_take(&queue, &written), &tokens[0]);
		assert_int_equal(written, 6);
	}
	assert_int_equal(queue.free_count, SIZE);
	assert_false(queue.broken);
}

/* The device claims more than it had room for, or anything at all for what it only read. */
static void test_length(void **state)
{
	uint32_t written;

	(void)state;
	assert_int_equal(add(1, 1, &tokens[0]), 0);
	device_use(device_next(), UINT32_MAX);
	assert_ptr_equal(virtqueue_take(&queue, &written), &tokens[0]);
	assert_int_equal(written, 101);
	assert_int_equal(add(1, 0, &tokens[0]), 0);
	device_use(device_next(), 100);
	assert_ptr_equal(virtqueue_take(&queue, &written), &tokens[0]);
	assert_int_equal(written, 0);
}

static void assert_breaks(void)
{
	uint32_t written;

	assert_null(virtqueue_take(&queue, &written));
	assert_true(queue.broken);
	assert_false(virtqueue_has_used(&queue));
	assert_false(virtqueue_wants_notice(&queue));
	assert_int_equal(add(1, 0, &tokens[0]), ERR_INVAL);
}

static void test_wrong_id(void **state)
{
	(void)state;
	assert_int_equal(add(1, 0, &tokens[0]), 0);
	device_use(SIZE, 0);
	assert_breaks();
}

/* In the middle of a chain. */
static void test_id_of_no_chain(void **state)
{
	uint16_t head;

	(void)state;
	assert_int_equal(add(2, 0, &tokens[0]), 0);
	head = device_next();
	device_use(queue.desc[head].next, 0);
	assert_breaks();
}

static void test_returned_twice(void **state)
{
	uint32_t written;

	(void)state;
	assert_int_equal(add(1, 0, &tokens[0]), 0);
	device_use(device_next(), 0);
	device_use(0, 0);
	assert_ptr_equal(virtqueue_take(&queue, &written), &tokens[0]);
	assert_breaks();
}

static void test_index_that_jumps(void **state)
{
	(void)state;
	assert_int_equal(add(1, 0, &tokens[0]), 0);
	queue.used->index = SIZE + 1;
	assert_breaks();
}

/* The table is the device's to read: what it writes there is not believed. */
static void test_table_overwritten(void **state)
{
	uint32_t written;

	(void)state;
	assert_int_equal(add(3, 0, &tokens[0]), 0);
	memset(memory, 0xff, 16 * SIZE);
	device_use(device_next(), 0);
	assert_ptr_equal(virtqueue_take(&queue, &written), &tokens[0]);
	assert_int_equal(queue.free_count, SIZE);
	assert_int_equal(add(SIZE, 0, &tokens[0]), 0);
}

static void test_hints(void **state)
{
	(void)state;
	assert_true(virtqueue_wants_notice(&queue));
	queue.used->flags = 1;
	assert_false(virtqueue_wants_notice(&queue));
	virtqueue_set_interrupt(&queue, false);
	assert_int_equal(queue.avail->flags, 1);
	virtqueue_set_interrupt(&queue, true);
	assert_int_equal(queue.avail->flags, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_layout, setup),
	    cmocka_unit_test_setup(test_chain, setup),
	    cmocka_unit_test_setup(test_full, setup),
	    cmocka_unit_test_setup(test_many, setup),
	    cmocka_unit_test_setup(test_length, setup),
	    cmocka_unit_test_setup(test_wrong_id, setup),
	    cmocka_unit_test_setup(test_id_of_no_chain, setup),
	    cmocka_unit_test_setup(test_returned_twice, setup),
	    cmocka_unit_test_setup(test_index_that_jumps, setup),
	    cmocka_unit_test_setup(test_table_overwritten, setup),
	    cmocka_unit_test_setup(test_hints, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
