/* SPDX-License-Identifier: MIT */
/* unit: device/virtio/mmio.c device/virtio/device.c device/virtio/vring.c vmm/bus.c */
#include "tests/unit/virtio_fixture.h"

#define SLOTS 8

static struct bus bus;
static struct virtio_slot slots[SLOTS];

static int setup(void **state)
{
	(void)state;
	bus = (struct bus){0};
	for (unsigned i = 0; i < SLOTS; i++) {
		virtio_slot_init(&slots[i], i, NULL);
		assert_int_equal(bus_add(&bus, &slots[i].mmio), 0);
	}
	return 0;
}

static uint64_t read_slot(uint64_t address, unsigned size)
{
	uint64_t value = ~UINT64_C(0);

	assert_int_equal(bus_read(&bus, GPA(address), size, &value), 0);
	return value;
}

/* What `virt` answers, seen with a probe. */
static void test_answers(void **state)
{
	static const struct {
		uint64_t offset, value;
		unsigned size;
	} answers[] = {
	    {0, 0x76, 1},
	    {1, 0, 1},
	    {4, 1, 1},
	    {0xc, 0x51, 1},
	    {0, 0x6976, 2},
	    {3, 0x100, 2},
	    {0xb, 0x5100, 2},
	    {0xc, 0x4551, 2},
	    {0xe, 0, 2},
	    {0, 0x74726976, 4},
	    {1, 0x1000000, 4},
	    {2, 0x10000, 4},
	    {4, 1, 4},
	    {8, 0, 4},
	    {0xa, 0x45510000, 4},
	    {0xc, 0x554d4551, 4},
	    {0x70, 0, 4},
	    {0, 0x174726976, 8},
	    {1, 0x1000000, 8},
	    {5, 0x5100000000000000, 8},
	    {6, 0x4551000000000000, 8},
	    {8, 0x554d455100000000, 8},
	    {0x1f8, 0, 8},
	};

	(void)state;
	for (unsigned n = 0; n < SLOTS; n++) {
		for (unsigned i = 0; i < ARRAY_SIZE(answers); i++) {
			uint64_t address = 0x10001000 + 0x1000 * (uint64_t)n;

			assert_int_equal(read_slot(address + answers[i].offset, answers[i].size),
					 answers[i].value);
		}
	}
}

static void test_the_rest_is_zero(void **state)
{
	(void)state;
	for (uint64_t offset = 0x10; offset < 0x200; offset++)
		assert_int_equal(read_slot(0x10003000 + offset, 1), 0);
}

static void test_writes_do_nothing(void **state)
{
	(void)state;
	for (unsigned size = 1; size <= 8; size *= 2) {
		for (uint64_t offset = 0; offset < 0x200; offset += size)
			assert_int_equal(bus_write(&bus, GPA(0x10001000 + offset), size, ~0U), 0);
	}
	assert_int_equal(read_slot(0x10001000, 4), 0x74726976);
	assert_int_equal(read_slot(0x10001070, 4), 0);
}

static void test_ends(void **state)
{
	uint64_t value;
	unsigned done;

	(void)state;
	assert_int_equal(bus_read(&bus, GPA(0x10001200), 4, &value), ERR_FAULT);
	assert_int_equal(bus_read(&bus, GPA(0x10001ffc), 4, &value), ERR_FAULT);
	assert_int_equal(bus_read(&bus, GPA(0x10009000), 4, &value), ERR_FAULT);
	assert_int_equal(bus_write_pieces(&bus, GPA(0x100011fe), 4, 0, &done), ERR_FAULT);
	assert_int_equal(done, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_answers, setup),
	    cmocka_unit_test_setup(test_the_rest_is_zero, setup),
	    cmocka_unit_test_setup(test_writes_do_nothing, setup),
	    cmocka_unit_test_setup(test_ends, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
