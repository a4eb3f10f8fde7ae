/* SPDX-License-Identifier: MIT */
/* unit: driver/virtio/queue.c driver/virtio/packed.c */
#include "tests/unit/virtqueue_fixture.h"

#define NEXT     1
#define WRITE    2
#define INDIRECT 4
#define AVAIL    0x80
#define USED     0x8000

/* The device's side (Virtio 1.3, 2.8): where it takes the next chain, and returns the next. */
static struct {
	unsigned avail, used;
	bool avail_wrap, used_wrap;
} device;

static void begin(uint64_t features)
{
	begin_queue(features | VIRTIO_F_RING_PACKED);
	device.avail = device.used = 0;
	device.avail_wrap = device.used_wrap = true;
}

static int setup(void **state)
{
	(void)state;
	begin(0);
	return 0;
}

static bool is_available(unsigned place, bool wrap)
{
	uint16_t flags = queue.ring[place].flags;

	return !!(flags & AVAIL) == wrap && !!(flags & USED) != wrap;
}

static void step(unsigned *place, bool *wrap, unsigned count)
{
	*place += count;
	if (*place >= SIZE) {
		*place -= SIZE;
		*wrap = !*wrap;
	}
}

/* Takes the next chain: its buffer id, and of how many descriptors it is. */
static uint16_t device_next(unsigned *count)
{
	uint16_t flags;

	*count = 0;
	do {
		assert_true(is_available(device.avail, device.avail_wrap));
		flags = queue.ring[device.avail].flags;
		++*count;
		step(&device.avail, &device.avail_wrap, 1);
	} while (flags & NEXT);
	return queue.ring[(device.avail + SIZE - 1) % SIZE].id;
}

static void device_use(uint16_t id, uint32_t length, unsigned count)
{
	queue.ring[device.used].id = id;
	queue.ring[device.used].length = length;
	queue.ring[device.used].flags = device.used_wrap ? AVAIL | USED : 0;
	step(&device.used, &device.used_wrap, count);
}

static void test_layout(void **state)
{
	const struct virtqueue_kind kind = {SIZE, 0, VIRTIO_F_RING_PACKED};

	(void)state;
	assert_int_equal(virtqueue_bytes(&kind), 192);
	assert_int_equal(virtqueue_desc(&queue).v, PLACE);
	assert_int_equal(virtqueue_driver_area(&queue).v, PLACE + 16 * SIZE);
	assert_int_equal(virtqueue_device_area(&queue).v, PLACE + 16 * SIZE + 4);
}

static void test_chain(void **state)
{
	uint32_t written;
	unsigned count;
	uint16_t id;

	(void)state;
	assert_int_equal(add(2, 1, &tokens[0]), 0);
	assert_int_equal(queue.ring[0].address, 0x1000);
	assert_int_equal(queue.ring[0].flags, NEXT | AVAIL);
	assert_int_equal(queue.ring[1].length, 101);
	assert_int_equal(queue.ring[1].flags, NEXT | AVAIL);
	assert_int_equal(queue.ring[2].address, 0x3000);
	assert_int_equal(queue.ring[2].flags, WRITE | AVAIL);
	assert_false(virtqueue_has_used(&queue));
	assert_null(virtqueue_take(&queue, &written));
	id = device_next(&count);
	assert_int_equal(count, 3);
	device_use(id, 77, count);
	assert_true(virtqueue_has_used(&queue));
	assert_ptr_equal(virtqueue_take(&queue, &written), &tokens[0]);
	assert_int_equal(written, 77);
	assert_int_equal(queue.free_count, SIZE);
	assert_null(virtqueue_take(&queue, &written));
}

static void test_full(void **state)
{
	uint32_t written;
	unsigned count;
	uint16_t id;

	(void)state;
	assert_int_equal(add(SIZE, 1, &tokens[0]), ERR_INVAL);
	assert_int_equal(add(3, 3, &tokens[0]), 0);
	assert_int_equal(add(2, 1, &tokens[1]), ERR_AGAIN);
	assert_int_equal(add(2, 0, &tokens[1]), 0);
	assert_int_equal(add(1, 0, &tokens[2]), ERR_AGAIN);
	id = device_next(&count);
	device_use(id, UINT32_MAX, count);
	assert_ptr_equal(virtqueue_take(&queue, &written), &tokens[0]);
	assert_int_equal(written, 103 + 104 + 105);
	assert_int_equal(add(6, 0, &tokens[2]), 0);
}

/* Many rounds, chains of different lengths that go around the ring's end, out of order. */
static void test_many(void **state)
{
	uint32_t written;

	(void)state;
	for (unsigned i = 0; i < 70000; i++) {
		unsigned first_count, second_count;
		uint16_t first, second;

		assert_int_equal(add(1 + i % 3, 1, &tokens[0]), 0);
		assert_int_equal(add(0, 1 + i % 4, &tokens[1]), 0);
		first = device_next(&first_count);
		second = device_next(&second_count);
		assert_int_equal(first_count, 2 + i % 3);
		device_use(second, 5, second_count);
		device_use(first, 6, first_count);
		assert_ptr_equal(virtqueue_take(&queue, &written), &tokens[1]);
		assert_ptr_equal(virtqueue_take(&queue, &written), &tokens[0]);
		assert_int_equal(written, 6);
		assert_false(virtqueue_has_used(&queue));
	}
	assert_int_equal(queue.free_count, SIZE);
}

static void test_indirect(void **state)
{
	const struct virtq_packed_desc *table;
	uint32_t written;
	unsigned count;
	uint16_t id;

	(void)state;
	begin(VIRTIO_F_INDIRECT_DESC);
	assert_int_equal(add(2, 3, &tokens[0]), 0);
	assert_int_equal(queue.free_count, SIZE - 1);
	assert_int_equal(queue.ring[0].flags, INDIRECT | AVAIL);
	assert_int_equal(queue.ring[0].length, 5 * 16);
	table = (const void *)(memory + (queue.ring[0].address - PLACE));
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(table[i].address, 0x1000 * (i + 1));
		assert_int_equal(table[i].length, 100 + i);
		assert_int_equal(table[i].flags, i >= 2 ? WRITE : 0);
	}
	for (unsigned i = 1; i < SIZE; i++)
		assert_int_equal(add(2, 3, &tokens[i]), 0);
	assert_int_equal(add(1, 0, &tokens[0]), ERR_AGAIN);
	id = device_next(&count);
	assert_int_equal(count, 1);
	device_use(id, 400, 1);
	assert_ptr_equal(virtqueue_take(&queue, &written), &tokens[0]);
	assert_int_equal(written, 102 + 103 + 104);
}

static void test_wrong_id(void **state)
{
	(void)state;
	assert_int_equal(add(1, 0, &tokens[0]), 0);
	device_use(SIZE, 0, 1);
	assert_breaks();
}

static void test_id_of_nothing(void **state)
{
	(void)state;
	assert_int_equal(add(1, 0, &tokens[0]), 0);
	device_use(1, 0, 1);
	assert_breaks();
}

static void test_nothing_was_given(void **state)
{
	(void)state;
	device_use(0, 0, 1);
	assert_breaks();
}

/* 2.8.10: an event for one descriptor, by its place and round. */
static bool passes(uint16_t event, unsigned before, bool wrap, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (event == (before | (wrap ? 0x8000 : 0)))
			return true;
		step(&before, &wrap, 1);
	}
	return false;
}

static void test_event_of_available(void **state)
{
	uint32_t written;

	(void)state;
	begin(VIRTIO_F_EVENT_IDX);
	queue.device_event->flags = 2;
	for (unsigned i = 0; i < 5000; i++) {
		unsigned before = queue.next_avail, chain = 1 + i % 3, count;
		bool wrap = queue.avail_wrap;
		uint16_t event = (uint16_t)((i * 7 % SIZE) | (i * 5 % 2 << 15)), id;

		queue.device_event->place = event;
		assert_false(virtqueue_wants_notice(&queue));
		assert_int_equal(add(chain, 0, &tokens[0]), 0);
		assert_int_equal(add(1, 0, &tokens[1]), 0);
		assert_int_equal(virtqueue_wants_notice(&queue),
				 passes(event, before, wrap, chain + 1));
		for (unsigned n = 0; n < 2; n++) {
			id = device_next(&count);
			device_use(id, 0, count);
			assert_ptr_equal(virtqueue_take(&queue, &written), &tokens[n]);
		}
	}
	queue.device_event->flags = 1;
	assert_int_equal(add(1, 0, &tokens[0]), 0);
	assert_false(virtqueue_wants_notice(&queue));
	queue.device_event->flags = 0;
	assert_int_equal(add(1, 0, &tokens[0]), 0);
	assert_true(virtqueue_wants_notice(&queue));
}

static void test_event_of_used(void **state)
{
	uint32_t written;

	(void)state;
	begin(VIRTIO_F_EVENT_IDX);
	for (unsigned i = 0; i < 5000; i++) {
		unsigned place = queue.next_used, count;
		bool wrap = queue.used_wrap;
		uint16_t id;

		virtqueue_set_interrupt(&queue, 3);
		assert_int_equal(queue.driver_event->flags, 2);
		assert_false(passes(queue.driver_event->place, place, wrap, 2));
		assert_true(passes(queue.driver_event->place, place, wrap, 3));
		virtqueue_set_interrupt(&queue, 1);
		assert_true(passes(queue.driver_event->place, place, wrap, 1));
		assert_int_equal(add(1 + i % 3, 0, &tokens[0]), 0);
		id = device_next(&count);
		device_use(id, 0, count);
		assert_ptr_equal(virtqueue_take(&queue, &written), &tokens[0]);
	}
	virtqueue_set_interrupt(&queue, 1000);
	virtqueue_set_interrupt(&queue, 0);
	assert_int_equal(queue.driver_event->flags, 1);
}

static void test_hints_without_events(void **state)
{
	(void)state;
	virtqueue_set_interrupt(&queue, 0);
	assert_int_equal(queue.driver_event->flags, 1);
	virtqueue_set_interrupt(&queue, 3);
	assert_int_equal(queue.driver_event->flags, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_layout, setup),
	    cmocka_unit_test_setup(test_chain, setup),
	    cmocka_unit_test_setup(test_full, setup),
	    cmocka_unit_test_setup(test_many, setup),
	    cmocka_unit_test_setup(test_indirect, setup),
	    cmocka_unit_test_setup(test_wrong_id, setup),
	    cmocka_unit_test_setup(test_id_of_nothing, setup),
	    cmocka_unit_test_setup(test_nothing_was_given, setup),
	    cmocka_unit_test_setup(test_event_of_available, setup),
	    cmocka_unit_test_setup(test_event_of_used, setup),
	    cmocka_unit_test_setup(test_hints_without_events, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
