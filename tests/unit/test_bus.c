/* SPDX-License-Identifier: MIT */
/* unit: vmm/bus.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/error.h"
#include "vmm/bus.h"

/* A device that notes what is done to it; it reads as its offset's bytes, from `least` up. */
struct probe {
	struct mmio_device device;
	unsigned least; /* narrower accesses are refused */
};

struct access {
	const struct probe *probe;
	uint64_t offset, value;
	unsigned size;
	bool write;
};

static struct access accesses[32];
static unsigned access_count;
static struct bus bus;

static void note(struct probe *probe, struct access access)
{
	access.probe = probe;
	assert_true(is_aligned(access.offset, access.size));
	assert_true(access.offset + access.size <= probe->device.size);
	accesses[access_count++] = access;
}

static int probe_read(struct mmio_device *device, uint64_t offset, unsigned size, uint64_t *value)
{
	struct probe *probe = container_of(device, struct probe, device);

	if (size < probe->least)
		return ERR_FAULT;
	*value = 0;
	for (unsigned i = 0; i < size; i++)
		*value |= (uint64_t)(uint8_t)(0x10 + offset + i) << (8 * i);
	note(probe, (struct access){.offset = offset, .size = size});
	return 0;
}

static int probe_write(struct mmio_device *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct probe *probe = container_of(device, struct probe, device);

	if (size < probe->least)
		return ERR_FAULT;
	note(probe, (struct access){.offset = offset, .size = size, .value = value, .write = true});
	return 0;
}

static const struct mmio_ops probe_ops = {probe_read, probe_write};

static struct probe make(uint64_t base, uint64_t size)
{
	return (struct probe){.device = {"probe", &probe_ops, base, size}, .least = 1};
}

static int setup(void **state)
{
	(void)state;
	bus = (struct bus){0};
	access_count = 0;
	return 0;
}

static void test_empty(void **state)
{
	uint64_t value;

	(void)state;
	assert_null(bus_find(&bus, GPA(0)));
	assert_null(bus_find(&bus, GPA(UINT64_MAX)));
	assert_int_equal(bus_read(&bus, GPA(0x1000), 4, &value), ERR_FAULT);
	assert_int_equal(bus_write(&bus, GPA(0x1001), 4, 0), ERR_FAULT);
}

static void test_add_refuses(void **state)
{
	struct probe first = make(0x1000, 0x100);
	struct probe bad[] = {
	    make(0x1000, 0x100), make(0x10f8, 8),     make(0xff8, 9),
	    make(0x1008, 1),     make(0x800, 0x1000),
	};
	struct probe empty = make(0x3000, 0), wraps = make(UINT64_MAX - 7, 9),
		     odd = make(0x3004, 8);

	(void)state;
	assert_int_equal(bus_add(&bus, &first.device), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(bus_add(&bus, &bad[i].device), ERR_EXIST);
	assert_int_equal(bus_add(&bus, &empty.device), ERR_INVAL);
	assert_int_equal(bus_add(&bus, &wraps.device), ERR_INVAL);
	assert_int_equal(bus_add(&bus, &odd.device), ERR_INVAL);
	assert_int_equal(bus.count, 1);
}

static void test_neighbours_and_ends(void **state)
{
	struct probe middle = make(0x1000, 0x100), below = make(0xff0, 0x10),
		     above = make(0x1100, 0x10), top = make(UINT64_MAX - 7, 8), zero = make(0, 8);

	(void)state;
	assert_int_equal(bus_add(&bus, &middle.device), 0);
	assert_int_equal(bus_add(&bus, &top.device), 0);
	assert_int_equal(bus_add(&bus, &above.device), 0);
	assert_int_equal(bus_add(&bus, &below.device), 0);
	assert_int_equal(bus_add(&bus, &zero.device), 0);
	assert_ptr_equal(bus_find(&bus, GPA(0)), &zero.device);
	assert_null(bus_find(&bus, GPA(8)));
	assert_null(bus_find(&bus, GPA(0xfef)));
	assert_ptr_equal(bus_find(&bus, GPA(0xff0)), &below.device);
	assert_ptr_equal(bus_find(&bus, GPA(0xfff)), &below.device);
	assert_ptr_equal(bus_find(&bus, GPA(0x1000)), &middle.device);
	assert_ptr_equal(bus_find(&bus, GPA(0x10ff)), &middle.device);
	assert_ptr_equal(bus_find(&bus, GPA(0x110f)), &above.device);
	assert_null(bus_find(&bus, GPA(0x1110)));
	assert_ptr_equal(bus_find(&bus, GPA(UINT64_MAX)), &top.device);
}

/* Every number of devices up to the most, added in changing orders. */
static void test_find_all(void **state)
{
	struct probe probes[BUS_DEVICES_MAX + 1];

	(void)state;
	for (unsigned count = 1; count <= BUS_DEVICES_MAX; count++) {
		bus = (struct bus){0};
		for (unsigned i = 0; i < count; i++)
			probes[i] = make(0x10000 + 0x1000 * (uint64_t)i, 0x20);
		for (unsigned i = 0; i < count; i++) {
			struct probe *next = &probes[count % 2 ? i : count - 1 - i];

			assert_int_equal(bus_add(&bus, &next->device), 0);
		}
		for (unsigned i = 0; i < count; i++) {
			uint64_t base = probes[i].device.base;

			assert_ptr_equal(bus_find(&bus, GPA(base)), &probes[i].device);
			assert_ptr_equal(bus_find(&bus, GPA(base + 0x1f)), &probes[i].device);
			assert_null(bus_find(&bus, GPA(base + 0x20)));
			assert_null(bus_find(&bus, GPA(base - 1)));
		}
	}
	probes[BUS_DEVICES_MAX] = make(0x100, 8);
	assert_int_equal(bus_add(&bus, &probes[BUS_DEVICES_MAX].device), ERR_NOMEM);
}

static void test_aligned(void **state)
{
	struct probe probe = make(0x1000, 0x10);
	uint64_t value;

	(void)state;
	bus_add(&bus, &probe.device);
	for (unsigned size = 1; size <= 8; size *= 2) {
		access_count = 0;
		assert_int_equal(bus_read(&bus, GPA(0x1008), size, &value), 0);
		assert_int_equal(value, 0x1f1e1d1c1b1a1918 & BITS(8 * size - 1, 0));
		assert_int_equal(bus_write(&bus, GPA(0x1008), size, 0x8877665544332211), 0);
		assert_int_equal(access_count, 2);
		assert_int_equal(accesses[0].size, size);
		assert_int_equal(accesses[1].size, size);
		assert_int_equal(accesses[1].offset, 8);
		assert_int_equal(accesses[1].value, 0x8877665544332211 & BITS(8 * size - 1, 0));
	}
}

/* An aligned access that only begins in a device is refused as a whole. */
static void test_overhang(void **state)
{
	struct probe probe = make(0x1000, 0x24);
	uint64_t value;

	(void)state;
	bus_add(&bus, &probe.device);
	assert_int_equal(bus_read(&bus, GPA(0x1020), 8, &value), ERR_FAULT);
	assert_int_equal(bus_write(&bus, GPA(0x1020), 8, 0), ERR_FAULT);
	assert_int_equal(access_count, 0);
	assert_int_equal(bus_read(&bus, GPA(0x1020), 4, &value), 0);
}

static void test_pieces(void **state)
{
	struct probe probe = make(0x1000, 0x100);

	(void)state;
	bus_add(&bus, &probe.device);
	for (unsigned size = 2; size <= 8; size *= 2) {
		for (unsigned at = 1; at < 16; at++) {
			unsigned piece = (at | size) & -(at | size), done = 99;
			uint64_t value = 0, expected = 0;

			access_count = 0;
			assert_int_equal(
			    bus_read_pieces(&bus, GPA(0x1000 + at), size, &value, &done), 0);
			assert_int_equal(done, size);
			assert_int_equal(access_count, size / piece);
			for (unsigned i = 0; i < size; i++)
				expected |= (uint64_t)(0x10 + at + i) << (8 * i);
			assert_int_equal(value, expected);
			value = 0;
			assert_int_equal(bus_read(&bus, GPA(0x1000 + at), size, &value), 0);
			assert_int_equal(value, expected);

			access_count = 0;
			assert_int_equal(
			    bus_write(&bus, GPA(0x1000 + at), size, 0x8877665544332211), 0);
			assert_int_equal(access_count, size / piece);
			for (unsigned i = 0; i < access_count; i++) {
				assert_int_equal(accesses[i].size, piece);
				assert_int_equal(accesses[i].offset, at + i * piece);
				assert_int_equal(accesses[i].value,
						 0x8877665544332211 >> (8 * i * piece) &
						     BITS(8 * piece - 1, 0));
			}
		}
	}
}

/* As on virt, what precedes the fault has been done. */
static void test_fault_in_the_middle(void **state)
{
	struct probe uart = make(0x1000, 8);
	uint64_t value = 0x55;
	unsigned done;

	(void)state;
	bus_add(&bus, &uart.device);
	assert_int_equal(bus_write_pieces(&bus, GPA(0x1004), 8, 0x1122334455667788, &done),
			 ERR_FAULT);
	assert_int_equal(done, 4);
	assert_int_equal(access_count, 1);
	assert_int_equal(accesses[0].value, 0x55667788);
	assert_int_equal(bus_read_pieces(&bus, GPA(0x1007), 4, &value, &done), ERR_FAULT);
	assert_int_equal(done, 1);
	assert_int_equal(value, 0x55);
	assert_int_equal(bus_read_pieces(&bus, GPA(0xfff), 2, &value, &done), ERR_FAULT);
	assert_int_equal(done, 0);
}

static void test_pieces_over_two_devices(void **state)
{
	struct probe low = make(0x1000, 8), high = make(0x1008, 8);
	uint64_t value;

	(void)state;
	bus_add(&bus, &high.device);
	bus_add(&bus, &low.device);
	assert_int_equal(bus_read(&bus, GPA(0x1004), 8, &value), 0);
	assert_int_equal(value, 0x1312111017161514);
	assert_ptr_equal(accesses[0].probe, &low);
	assert_ptr_equal(accesses[1].probe, &high);
}

static void test_device_refuses(void **state)
{
	struct probe plic = make(0x1000, 0x1000);
	uint64_t value;
	unsigned done;

	(void)state;
	plic.least = 4;
	bus_add(&bus, &plic.device);
	assert_int_equal(bus_read(&bus, GPA(0x1000), 2, &value), ERR_FAULT);
	assert_int_equal(bus_read_pieces(&bus, GPA(0x1002), 4, &value, &done), ERR_FAULT);
	assert_int_equal(done, 0);
	assert_int_equal(bus_write(&bus, GPA(0x1006), 8, 0), ERR_FAULT);
	assert_int_equal(bus_write(&bus, GPA(0x1004), 8, 0), 0);
	assert_int_equal(access_count, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_empty, setup),
	    cmocka_unit_test_setup(test_add_refuses, setup),
	    cmocka_unit_test_setup(test_neighbours_and_ends, setup),
	    cmocka_unit_test_setup(test_find_all, setup),
	    cmocka_unit_test_setup(test_aligned, setup),
	    cmocka_unit_test_setup(test_overhang, setup),
	    cmocka_unit_test_setup(test_pieces, setup),
	    cmocka_unit_test_setup(test_fault_in_the_middle, setup),
	    cmocka_unit_test_setup(test_pieces_over_two_devices, setup),
	    cmocka_unit_test_setup(test_device_refuses, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
