/* SPDX-License-Identifier: MIT */
/* unit: device/virtio/vring.c */
#include "tests/unit/vring_fixture.h"

#include <stdlib.h>

/* Describes a chain by its first descriptor, and gives what popping it gives. */
static int pop(unsigned head)
{
	driver_offer(&driver, head);
	return vring_pop(&ring, &chain);
}

static void assert_piece(bool writable, uint64_t offset, uint64_t size, uint64_t gpa,
			 uint32_t length)
{
	struct vring_cursor cursor = vring_seek(&chain, writable, offset), next = cursor;
	struct vring_segment piece = vring_next(&chain, &next, size);

	assert_int_equal(piece.gpa.v, gpa);
	assert_int_equal(piece.length, length);
	/* It is behind that: in the same segment, or at the beginning of the next. */
	if (cursor.offset + length < chain.lengths[cursor.segment]) {
		assert_int_equal(next.segment, cursor.segment);
		assert_int_equal(next.offset, cursor.offset + length);
	} else {
		assert_int_equal(next.segment, cursor.segment + 1);
		assert_int_equal(next.offset, 0);
	}
}

static void test_empty(void **state)
{
	(void)state;
	assert_int_equal(vring_pop(&ring, &chain), ERR_NOENT);
	assert_int_equal(vring_pop(&ring, &chain), ERR_NOENT);
}

static void test_chain(void **state)
{
	(void)state;
	driver_describe(&driver, 3, BUFFERS, 16, D_NEXT, 1);
	driver_describe(&driver, 1, BUFFERS + 0x100, 0, D_NEXT, 7);
	driver_describe(&driver, 7, BUFFERS + 0x200, 8, D_NEXT, 0);
	driver_describe(&driver, 0, BUFFERS + 0x300, 5, D_NEXT | D_WRITE, 2);
	driver_describe(&driver, 2, BUFFERS + 0x400, 1, D_WRITE, 2);
	assert_int_equal(pop(3), 0);
	assert_int_equal(chain.head, 3);
	assert_int_equal(chain.count, 4);
	assert_int_equal(chain.readable, 2);
	assert_int_equal(chain.readable_bytes, 24);
	assert_int_equal(chain.writable_bytes, 6);
	assert_piece(false, 0, 100, BUFFERS, 16);
	assert_piece(false, 15, 100, BUFFERS + 15, 1);
	assert_piece(false, 16, 3, BUFFERS + 0x200, 3);
	assert_piece(true, 4, 100, BUFFERS + 0x304, 1);
	assert_piece(true, 5, 100, BUFFERS + 0x400, 1);
	assert_int_equal(vring_pop(&ring, &chain), ERR_NOENT);
}

static void test_bytes(void **state)
{
	uint8_t bytes[24], expected[24];

	(void)state;
	for (unsigned i = 0; i < sizeof(expected); i++) {
		expected[i] = (uint8_t)(i + 1);
		guest_put(BUFFERS + i + (i < 16 ? 0 : 0x1f0), i + 1, 1);
	}
	test_chain(state);
	assert_int_equal(vring_read(&ring, &chain, 0, bytes, 24), 0);
	assert_memory_equal(bytes, expected, 24);
	assert_int_equal(vring_read(&ring, &chain, 15, bytes, 2), 0);
	assert_memory_equal(bytes, expected + 15, 2);
	assert_int_equal(vring_read(&ring, &chain, 24, bytes, 0), 0);
	assert_int_equal(vring_write(&ring, &chain, 3, expected, 3), 0);
	assert_int_equal(guest_get(BUFFERS + 0x303, 2), 0x0201);
	assert_int_equal(guest_get(BUFFERS + 0x400, 1), 3);
	assert_int_equal(guest_get(BUFFERS + 0x302, 1), 0);
	assert_int_equal(guest_get(BUFFERS + 0x401, 1), 0);
}

static void test_used(void **state)
{
	uint32_t head, written;

	(void)state;
	test_chain(state);
	assert_int_equal(vring_push(&ring, chain.head, 77), 0);
	assert_true(driver_take(&driver, &head, &written));
	assert_int_equal(head, 3);
	assert_int_equal(written, 77);
	assert_false(driver_take(&driver, &head, &written));
}

/* The place of a legacy ring, by the formula of 2.7.2. */
static void test_legacy_place(void **state)
{
	struct vring_place place = vring_legacy_place(0x80005000, 256, 4096);

	(void)state;
	assert_int_equal(place.descriptors, 0x80005000);
	assert_int_equal(place.available, 0x80006000);
	assert_int_equal(place.used, 0x80007000);
	assert_int_equal(place.size, 256);
	assert_int_equal(vring_legacy_place(0x80005000, 8, 16).used, 0x800050a0);
}

static void test_places_that_cannot_be(void **state)
{
	const uint64_t end = RAM_BASE + RAM_SIZE;
	static const uint64_t offs[] = {1, 2, 4, 8};
	const struct {
		struct vring_place place;
		int error;
	} cases[] = {
	    {{0, RING, RING + 0x1000, RING + 0x2000}, ERR_INVAL},
	    {{3, RING, RING + 0x1000, RING + 0x2000}, ERR_INVAL},
	    {{512, RING, RING + 0x1000, RING + 0x2000}, ERR_INVAL},
	    {{0x10000, RING, RING + 0x1000, RING + 0x2000}, ERR_INVAL},
	    {{0x80000000, RING, RING + 0x1000, RING + 0x2000}, ERR_INVAL},
	    {{8, RING, RING + 0x1001, RING + 0x2000}, ERR_INVAL},
	    {{8, RING, RING + 0x1000, RING + 0x2002}, ERR_INVAL},
	    {{8, 0, RING, RING}, ERR_RANGE},
	    {{8, RING, 0, RING}, ERR_RANGE},
	    {{8, RING, RING, 0}, ERR_RANGE},
	    {{8, end - 112, RING, RING}, ERR_RANGE},
	    {{8, end - 128, end - 20, RING}, ERR_RANGE},
	    {{8, end - 128, end - 22, end - 68}, ERR_RANGE},
	    {{8, end - 128, end - 22, end - 72}, 0},
	    {{8, UINT64_MAX - 15, RING, RING}, ERR_RANGE},
	    {{8, RING, UINT64_MAX - 1, RING}, ERR_RANGE},
	    {{8, RING, RING, UINT64_MAX - 3}, ERR_RANGE},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(vring_init(&ring, &ring_vm, &cases[i].place, 0), cases[i].error);
	for (unsigned i = 0; i < ARRAY_SIZE(offs); i++) {
		struct vring_place place = {8, RING + offs[i], RING + 0x1000, RING + 0x2000};

		assert_int_equal(vring_init(&ring, &ring_vm, &place, 0), ERR_INVAL);
	}
}

/* Chains that make no sense: each is refused, and nothing but the ring is touched. */
static void test_hostile_chains(void **state)
{
	const uint64_t end = RAM_BASE + RAM_SIZE;
	const struct {
		uint64_t gpa;
		uint32_t length;
		unsigned flags, next;
		int error;
	} cases[] = {
	    {BUFFERS, 1, D_NEXT, 0, ERR_TOO_LARGE}, /* a loop of itself */
	    {BUFFERS, 0, D_NEXT, 0, ERR_TOO_LARGE},
	    {BUFFERS, 1, D_NEXT, SIZE, ERR_RANGE},
	    {BUFFERS, 1, D_NEXT, 0xffff, ERR_RANGE},
	    {RAM_BASE - 1, 2, 0, 0, ERR_RANGE},
	    {end - 1, 2, 0, 0, ERR_RANGE},
	    {end, 1, D_WRITE, 0, ERR_RANGE},
	    {BUFFERS, UINT32_MAX, D_WRITE, 0, ERR_RANGE},
	    {UINT64_MAX, 2, 0, 0, ERR_RANGE},
	    {UINT64_MAX - 0xfff, 0x1000, D_WRITE, 0, ERR_RANGE},
	    {TABLE, 0, D_INDIRECT, 0, ERR_INVAL},
	    {TABLE, 15, D_INDIRECT, 0, ERR_INVAL},
	    {TABLE, 24, D_INDIRECT, 0, ERR_INVAL},
	    {TABLE, 16, D_INDIRECT | D_NEXT, 1, ERR_INVAL},
	    {end - 16, 32, D_INDIRECT, 0, ERR_RANGE},
	    {UINT64_MAX - 15, 16, D_INDIRECT, 0, ERR_RANGE},
	    {RAM_BASE - 16, 16, D_INDIRECT, 0, ERR_RANGE},
	    {TABLE, 0xfffffff0, D_INDIRECT, 0, ERR_RANGE},
	    {TABLE + 0x100, 16, D_INDIRECT, 0, ERR_INVAL},     /* nested */
	    {TABLE + 0x200, 16, D_INDIRECT, 0, ERR_RANGE},     /* leaves its table */
	    {TABLE + 0x300, 32, D_INDIRECT, 0, ERR_TOO_LARGE}, /* a loop within it */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		put_descriptor(TABLE + 0x100, 0, TABLE, 16, D_INDIRECT, 0);
		put_descriptor(TABLE + 0x200, 0, BUFFERS, 16, D_NEXT, 1);
		put_descriptor(TABLE + 0x300, 0, BUFFERS, 16, D_NEXT, 1);
		put_descriptor(TABLE + 0x300, 1, BUFFERS, 16, D_NEXT, 0);
		driver_describe(&driver, 0, cases[i].gpa, cases[i].length, cases[i].flags,
				cases[i].next);
		assert_int_equal(pop(0), cases[i].error);
		assert_int_equal(driver_used_index(&driver), 0);
	}
}

static void test_readable_after_writable(void **state)
{
	(void)state;
	driver_describe(&driver, 0, BUFFERS, 8, D_NEXT | D_WRITE, 1);
	driver_describe(&driver, 1, BUFFERS, 8, 0, 0);
	assert_int_equal(pop(0), ERR_INVAL);
}

static void test_more_than_4_gib(void **state)
{
	(void)state;
	/* As if there were that much RAM: nothing of it is touched. */
	ring_vm.ram_size = GIB(8);
	driver_describe(&driver, 0, BUFFERS, UINT32_MAX, D_NEXT | D_WRITE, 1);
	driver_describe(&driver, 1, BUFFERS, 1, D_NEXT | D_WRITE, 2);
	driver_describe(&driver, 2, BUFFERS, 0, D_WRITE, 0);
	assert_int_equal(pop(0), 0);
	assert_int_equal(chain.writable_bytes, GIB(4));
	driver_describe(&driver, 2, BUFFERS, 1, D_WRITE, 0);
	assert_int_equal(pop(0), ERR_TOO_LARGE);
}

static void test_heads(void **state)
{
	(void)state;
	driver_describe(&driver, 7, BUFFERS, 8, 0, 0);
	assert_int_equal(pop(7), 0);
	assert_int_equal(pop(8), ERR_RANGE);
	assert_int_equal(pop(0xffff), ERR_RANGE);
}

static void test_indexes(void **state)
{
	(void)state;
	driver_describe(&driver, 0, BUFFERS, 8, 0, 0);
	guest_put(driver.place.available + 2, SIZE + 1, 2);
	assert_int_equal(vring_pop(&ring, &chain), ERR_INVAL);
	setup(state);
	driver_describe(&driver, 0, BUFFERS, 8, 0, 0);
	guest_put(driver.place.available + 2, 0xffff, 2);
	assert_int_equal(vring_pop(&ring, &chain), ERR_INVAL);
	setup(state);
	driver_describe(&driver, 0, BUFFERS, 8, 0, 0);
	guest_put(driver.place.available + 2, SIZE, 2);
	for (unsigned i = 0; i < SIZE; i++)
		assert_int_equal(vring_pop(&ring, &chain), 0);
	assert_int_equal(vring_pop(&ring, &chain), ERR_NOENT);
	/* Back by one. */
	guest_put(driver.place.available + 2, SIZE - 1, 2);
	assert_int_equal(vring_pop(&ring, &chain), ERR_INVAL);
}

static void test_indirect(void **state)
{
	(void)state;
	put_descriptor(TABLE, 0, BUFFERS, 16, D_NEXT, 2);
	put_descriptor(TABLE, 2, BUFFERS + 0x100, 512, D_NEXT | D_WRITE, 1);
	put_descriptor(TABLE, 1, BUFFERS + 0x400, 1, D_WRITE, 77);
	driver_describe(&driver, 5, TABLE, 48, D_INDIRECT, 0);
	assert_int_equal(pop(5), 0);
	assert_int_equal(chain.head, 5);
	assert_int_equal(chain.count, 3);
	assert_int_equal(chain.readable, 1);
	assert_int_equal(chain.writable_bytes, 513);
	/* 2.7.5.3.2: after normal ones, and with a WRITE flag that means nothing. */
	driver_describe(&driver, 1, BUFFERS + 0x800, 4, D_NEXT, 5);
	driver_describe(&driver, 5, TABLE, 48, D_INDIRECT | D_WRITE, 0);
	assert_int_equal(pop(1), 0);
	assert_int_equal(chain.count, 4);
	assert_int_equal(chain.readable_bytes, 20);
}

/* 2.7.5.3 asks for no alignment of a table. */
static void test_indirect_not_aligned(void **state)
{
	(void)state;
	for (unsigned odd = 1; odd < 16; odd++) {
		put_descriptor(TABLE + odd, 0, BUFFERS + odd, 16, D_NEXT, 1);
		put_descriptor(TABLE + odd, 1, BUFFERS + 0x100, 512 + odd, D_WRITE, 0);
		driver_describe(&driver, 5, TABLE + odd, 32, D_INDIRECT, 0);
		assert_int_equal(pop(5), 0);
		assert_int_equal(chain.count, 2);
		assert_int_equal(chain.gpas[0], BUFFERS + odd);
		assert_int_equal(chain.readable_bytes, 16);
		assert_int_equal(chain.writable_bytes, 512 + odd);
	}
}

static void test_indirect_not_negotiated(void **state)
{
	(void)state;
	begin(SIZE, 0);
	put_descriptor(TABLE, 0, BUFFERS, 16, 0, 0);
	driver_describe(&driver, 0, TABLE, 16, D_INDIRECT, 0);
	assert_int_equal(pop(0), ERR_INVAL);
}

/* As many as a chain may have, the one that names the table not counted; and one more. */
static void test_longest_indirect(void **state)
{
	const unsigned last = VRING_SIZE_MAX - 1;

	(void)state;
	for (unsigned i = 0; i <= last; i++)
		put_descriptor(TABLE, i, BUFFERS + i, 1, i < last ? D_NEXT : 0, i + 1);
	driver_describe(&driver, 0, TABLE, 16 * (VRING_SIZE_MAX + 1), D_INDIRECT, 0);
	assert_int_equal(pop(0), 0);
	assert_int_equal(chain.count, VRING_SIZE_MAX);
	/* With normal ones before, too, it has no more buffers than that. */
	driver_describe(&driver, 1, BUFFERS, 0, D_NEXT, 0);
	assert_int_equal(pop(1), 0);
	assert_int_equal(chain.count, VRING_SIZE_MAX);
	driver_describe(&driver, 1, BUFFERS, 1, D_NEXT, 0);
	assert_int_equal(pop(1), ERR_TOO_LARGE);
	put_descriptor(TABLE, last, BUFFERS, 1, D_NEXT, last + 1);
	put_descriptor(TABLE, last + 1, BUFFERS, 1, 0, 0);
	assert_int_equal(pop(0), ERR_TOO_LARGE);
	/* Nor may it be made longer by empty ones. */
	put_descriptor(TABLE, 3, BUFFERS, 0, D_NEXT, 3);
	assert_int_equal(pop(0), ERR_TOO_LARGE);
}

static bool must_interrupt(void)
{
	bool must, again;

	assert_int_equal(vring_must_interrupt(&ring, &must), 0);
	/* Until the driver is told, it is to be. */
	assert_int_equal(vring_must_interrupt(&ring, &again), 0);
	assert_int_equal(again, must);
	assert_int_equal(vring_untold(&ring) > 0, must);
	vring_told(&ring);
	return must;
}

static void use(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(vring_push(&ring, 0, 0), 0);
}

static void test_flags(void **state)
{
	(void)state;
	assert_false(must_interrupt());
	use(1);
	assert_true(must_interrupt());
	assert_false(must_interrupt());
	guest_put(driver.place.available, 1, 2);
	use(2);
	assert_false(must_interrupt());
	guest_put(driver.place.available, 0, 2);
	assert_false(must_interrupt());
	use(1);
	assert_true(must_interrupt());
	/* Nobody asks for notifications that way. */
	assert_int_equal(guest_get(driver.place.used, 2), 0);
}

/* 2.7.7.2: for every event, and every number of entries used at once, at every index. */
static void test_used_event(void **state)
{
	(void)state;
	begin(SIZE, VRING_F_EVENT_IDX);
	for (unsigned round = 0; round < 70000; round++) {
		unsigned count = 1 + round % 7;
		uint16_t before = ring.used_index;
		uint16_t event = (uint16_t)(before + round % 23 - 8);
		bool expected = false;

		driver_set_used_event(&driver, event);
		use(count);
		for (unsigned i = 0; i < count; i++)
			expected |= (uint16_t)(before + i) == event;
		assert_int_equal(must_interrupt(), expected);
		assert_false(must_interrupt());
	}
}

/* 2.7.10: the device asks for a notification when it has taken all, and no earlier. */
static void test_available_event(void **state)
{
	(void)state;
	begin(SIZE, VRING_F_EVENT_IDX);
	driver_describe(&driver, 0, BUFFERS, 8, 0, 0);
	for (unsigned round = 0; round < 20000; round++) {
		unsigned count = 1 + round % SIZE;
		uint16_t before = driver.available;

		for (unsigned i = 0; i < count; i++)
			driver_offer(&driver, 0);
		for (unsigned i = 0; i < count; i++) {
			assert_int_equal(vring_pop(&ring, &chain), 0);
			assert_int_equal(driver_available_event(&driver), before);
		}
		assert_int_equal(vring_pop(&ring, &chain), ERR_NOENT);
		assert_int_equal(driver_available_event(&driver), driver.available);
	}
}

static uint16_t offered_before;

/* The driver does not see the event yet, and so does not notify. */
static void offer_behind_the_look(void)
{
	if (driver_available_event(&driver) != offered_before || driver.available != 5)
		return;
	access_hook = NULL;
	driver_offer(&driver, 0);
}

/* What becomes available between the look and the request to be notified is found. */
static void test_no_notification_is_lost(void **state)
{
	(void)state;
	begin(SIZE, VRING_F_EVENT_IDX);
	driver_describe(&driver, 0, BUFFERS, 8, 0, 0);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(pop(0), 0);
	offered_before = 5;
	access_hook = offer_behind_the_look;
	assert_int_equal(vring_pop(&ring, &chain), 0);
	assert_null(access_hook);
}

static void test_no_memory(void **state)
{
	bool must;

	(void)state;
	driver_describe(&driver, 0, BUFFERS, 8, 0, 0);
	driver_offer(&driver, 0);
	short_of_memory = true;
	assert_int_equal(vring_pop(&ring, &chain), ERR_NOMEM);
	assert_int_equal(vring_push(&ring, 0, 0), ERR_NOMEM);
	short_of_memory = false;
	use(1);
	short_of_memory = true;
	assert_int_equal(vring_must_interrupt(&ring, &must), ERR_NOMEM);
	assert_false(must);
}

/* Random chains, against what the driver knows of them. */
static void test_random_chains(void **state)
{
	(void)state;
	srand(1);
	begin(64, VRING_F_INDIRECT_DESC | VRING_F_EVENT_IDX);
	for (unsigned round = 0; round < 20000; round++) {
		unsigned count = 1 + (unsigned)rand() % 20,
			 readable = (unsigned)rand() % (count + 1);
		bool indirect = rand() % 2;
		uint64_t table = indirect ? TABLE : driver.place.descriptors;
		unsigned first = (unsigned)rand() % (64 - count), segments = 0;
		uint64_t bytes[2] = {0, 0};
		uint64_t gpas[20];
		uint32_t head, written, lengths[20];

		for (unsigned i = 0; i < count; i++) {
			unsigned n = indirect ? i : first + i;
			unsigned flags =
			    (i + 1 < count ? D_NEXT : 0) | (i >= readable ? D_WRITE : 0);
			uint32_t length = (uint32_t)rand() % 5 ? (uint32_t)rand() % 2000 : 0;
			uint64_t gpa = BUFFERS + (unsigned)rand() % 10000;

			put_descriptor(table, n, gpa, length, flags, n + 1);
			bytes[i >= readable] += length;
			if (length) {
				gpas[segments] = gpa;
				lengths[segments++] = length;
			}
		}
		if (indirect)
			driver_describe(&driver, first, TABLE, 16 * count, D_INDIRECT, 0);
		assert_int_equal(pop(first), 0);
		assert_int_equal(chain.count, segments);
		assert_int_equal(chain.readable_bytes, bytes[0]);
		assert_int_equal(chain.writable_bytes, bytes[1]);
		assert_memory_equal(chain.gpas, gpas, segments * sizeof(*gpas));
		assert_memory_equal(chain.lengths, lengths, segments * sizeof(*lengths));
		assert_int_equal(vring_push(&ring, chain.head, round), 0);
		assert_true(driver_take(&driver, &head, &written));
		assert_int_equal(head, first);
		assert_int_equal(written, round);
	}
}

#define TESTS(setup)                                                                             \
	cmocka_unit_test_setup(test_empty, setup), cmocka_unit_test_setup(test_chain, setup),    \
	    cmocka_unit_test_setup(test_bytes, setup), cmocka_unit_test_setup(test_used, setup), \
	    cmocka_unit_test_setup(test_hostile_chains, setup),                                  \
	    cmocka_unit_test_setup(test_readable_after_writable, setup),                         \
	    cmocka_unit_test_setup(test_more_than_4_gib, setup),                                 \
	    cmocka_unit_test_setup(test_heads, setup),                                           \
	    cmocka_unit_test_setup(test_indexes, setup),                                         \
	    cmocka_unit_test_setup(test_indirect, setup),                                        \
	    cmocka_unit_test_setup(test_indirect_not_aligned, setup),                            \
	    cmocka_unit_test_setup(test_indirect_not_negotiated, setup),                         \
	    cmocka_unit_test_setup(test_longest_indirect, setup),                                \
	    cmocka_unit_test_setup(test_flags, setup),                                           \
	    cmocka_unit_test_setup(test_used_event, setup),                                      \
	    cmocka_unit_test_setup(test_available_event, setup),                                 \
	    cmocka_unit_test_setup(test_random_chains, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_legacy_place, setup),
	    cmocka_unit_test_setup(test_places_that_cannot_be, setup),
	    cmocka_unit_test_setup(test_no_notification_is_lost, setup),
	    cmocka_unit_test_setup(test_no_memory, setup),
	    TESTS(setup),
	    TESTS(setup_in_one_piece),
	};

	return cmocka_run_group_tests_name("vring", tests, NULL, NULL);
}
