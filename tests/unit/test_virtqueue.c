/* SPDX-License-Identifier: MIT */
/* unit: driver/virtio/queue.c driver/virtio/packed.c */
#include "tests/unit/virtqueue_fixture.h"

static uint16_t seen; /* by the device, of the available ring */

static void begin(uint64_t features)
{
	begin_queue(features);
	seen = 0;
}

static int setup(void **state)
{
	(void)state;
	begin(0);
	return 0;
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
	const struct virtqueue_kind kind = {SIZE, TABLE, 0}, larger = {32, 0, 0};
	const struct virtqueue_kind with_tables = {SIZE, TABLE, VIRTIO_F_INDIRECT_DESC};

	(void)state;
	assert_ptr_equal(queue.desc, memory);
	assert_ptr_equal(queue.avail, memory + 16 * SIZE);
	assert_ptr_equal(queue.used, memory + 192);
	assert_int_equal(virtqueue_desc(&queue).v, PLACE);
	assert_int_equal(virtqueue_driver_area(&queue).v, PLACE + 128);
	assert_int_equal(virtqueue_device_area(&queue).v, PLACE + 192);
	assert_int_equal(virtqueue_bytes(&kind), 320);
	assert_int_equal(virtqueue_bytes(&with_tables), 320 + 16 * SIZE * TABLE);
	assert_true(virtqueue_bytes(&larger) <= 1024);
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

/* 2.7.5.3: one descriptor, and the chain in a table that only it points to. */
static void test_indirect(void **state)
{
	const struct virtq_desc *table;
	uint32_t written;
	uint16_t at;

	(void)state;
	begin(VIRTIO_F_INDIRECT_DESC);
	assert_int_equal(add(1, 1, &tokens[0]), 0);
	assert_int_equal(queue.free_count, SIZE - 2);
	assert_int_equal(queue.desc[device_next()].flags, 1);

	assert_int_equal(add(2, 3, &tokens[1]), 0);
	assert_int_equal(queue.free_count, SIZE - 3);
	at = device_next();
	assert_int_equal(queue.desc[at].flags, 4);
	assert_int_equal(queue.desc[at].length, 5 * 16);
	assert_in_range(queue.desc[at].address, PLACE + 320, PLACE + 320 + 16 * TABLE * (SIZE - 1));
	table = (const void *)(memory + (queue.desc[at].address - PLACE));
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(table[i].address, 0x1000 * (i + 1));
		assert_int_equal(table[i].length, 100 + i);
		assert_int_equal(table[i].flags, (i >= 2 ? 2 : 0) | (i < 4 ? 1 : 0));
		assert_int_equal(table[i].next, i < 4 ? i + 1 : 0);
	}
	device_use(at, UINT32_MAX);
	assert_ptr_equal(virtqueue_take(&queue, &written), &tokens[1]);
	assert_int_equal(written, 102 + 103 + 104);
	assert_int_equal(queue.free_count, SIZE - 2);
	/* Longer than a table: in the ring itself, if it ever fits. */
	assert_int_equal(add(TABLE + 1, 0, &tokens[1]), ERR_AGAIN);
	assert_int_equal(add(SIZE + 1, 0, &tokens[1]), ERR_INVAL);
}

/* As many chains as there are descriptors, each with a table of its own. */
static void test_indirect_full(void **state)
{
	uint64_t places = 0;

	(void)state;
	begin(VIRTIO_F_INDIRECT_DESC);
	for (unsigned i = 0; i < SIZE; i++) {
		uint16_t at;

		assert_int_equal(add(1, 3, &tokens[i]), 0);
		at = device_next();
		places |= BIT((queue.desc[at].address - PLACE - 320) / (16 * TABLE));
	}
	assert_int_equal(places, BIT(SIZE) - 1);
	assert_int_equal(add(1, 3, &tokens[0]), ERR_AGAIN);
}

static uint16_t *avail_event(void)
{
	return (uint16_t *)(memory + 192 + 4 + 8 * SIZE);
}

static uint16_t used_event(void)
{
	return *(uint16_t *)(memory + 128 + 4 + 2 * SIZE);
}

/* 2.7.10: told once the index passes what the device waits for, also around the index's end. */
static void test_event_of_available(void **state)
{
	uint32_t written;

	(void)state;
	begin(VIRTIO_F_EVENT_IDX);
	for (unsigned i = 0; i < 70000; i++) {
		*avail_event() = (uint16_t)(queue.avail_index + 1);
		queue.used->flags = 1; /* is not looked at */
		assert_false(virtqueue_wants_notice(&queue));
		assert_int_equal(add(1, 0, &tokens[0]), 0);
		assert_false(virtqueue_wants_notice(&queue));
		assert_int_equal(add(1, 0, &tokens[1]), 0);
		assert_true(virtqueue_wants_notice(&queue));
		assert_false(virtqueue_wants_notice(&queue));
		/* Several at a time. */
		*avail_event() = queue.avail_index;
		assert_int_equal(add(1, 0, &tokens[2]), 0);
		assert_int_equal(add(1, 0, &tokens[3]), 0);
		assert_true(virtqueue_wants_notice(&queue));
		for (unsigned n = 0; n < 4; n++) {
			device_use(device_next(), 0);
			assert_ptr_equal(virtqueue_take(&queue, &written), &tokens[n]);
		}
	}
}

/* 2.7.7: the device interrupts when it steps over the index that is asked for. */
static bool interrupts(uint16_t from, uint16_t to)
{
	return (uint16_t)(to - used_event() - 1) < (uint16_t)(to - from);
}

static void test_event_of_used(void **state)
{
	uint32_t written;

	(void)state;
	begin(VIRTIO_F_EVENT_IDX);
	for (unsigned i = 0; i < 70000; i++) {
		uint16_t at = queue.used_index;

		virtqueue_set_interrupt(&queue, 1);
		assert_true(interrupts(at, (uint16_t)(at + 1)));
		virtqueue_set_interrupt(&queue, 3);
		assert_false(interrupts(at, (uint16_t)(at + 2)));
		assert_true(interrupts((uint16_t)(at + 2), (uint16_t)(at + 3)));
		assert_true(interrupts(at, (uint16_t)(at + 4)));
		virtqueue_set_interrupt(&queue, 0);
		assert_false(interrupts(at, (uint16_t)(at + SIZE)));
		assert_int_equal(queue.avail->flags, 0);
		assert_int_equal(add(1, 0, &tokens[0]), 0);
		device_use(device_next(), 0);
		assert_ptr_equal(virtqueue_take(&queue, &written), &tokens[0]);
	}
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
	    cmocka_unit_test_setup(test_indirect, setup),
	    cmocka_unit_test_setup(test_indirect_full, setup),
	    cmocka_unit_test_setup(test_event_of_available, setup),
	    cmocka_unit_test_setup(test_event_of_used, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
