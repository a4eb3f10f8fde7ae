/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_PCI_FIXTURE_H
#define TESTS_UNIT_PCI_FIXTURE_H

/*
 * A host bridge with functions that a test adds, its node in a device tree, and the registers of a
 * virtio device behind BAR 4 of one of them. For one source file of a test program.
 */

#include "tests/unit/fake_kernel.h"

#include "driver/pci.h"
#include "driver/register.h"
#include "driver/virtio/transport.h"
#include "kernel/fdt.h"

#define ECAM      0x30000000
#define PLIC      7 /* phandles */
#define OTHER     8
#define FUNCTIONS 70

/* The buses' addresses, and where the processor sees them. */
#define LOW_PCI  0x40000000
#define LOW_CPU  0x50000000
#define LOW_SIZE 0x1000000
#define HIGH_PCI 0x400000000
#define HIGH_CPU 0x600000000

static struct {
	unsigned number;
	uint8_t config[4096];
	uint32_t mask[6]; /* bits of the BARs that can be written */
} functions[FUNCTIONS];
static unsigned function_count;
static bool decoded_while_sized;

/* What is behind BAR 4 of the virtio device. */
static struct {
	uint64_t features[2];
	uint32_t select[2];
	uint8_t status, generation, isr;
	uint16_t queue, enabled, size, offset;
	uint64_t places[3];
	uint64_t notified_at;
	uint16_t notified;
	uint64_t bar; /* address for the processor */
} device;

static char tree[8192];

volatile void *mmu_map_registers(hpa_t address, uint64_t size)
{
	assert_true(size > 0 && size <= MIB(1));
	return (volatile void *)address.v;
}

static int at_ecam(uint64_t address)
{
	for (unsigned i = 0; i < function_count; i++) {
		if (address >> 12 == (ECAM >> 12) + functions[i].number)
			return (int)i;
	}
	return -1;
}

static uint32_t read_device(uint64_t offset, unsigned size)
{
	switch (offset) {
	case 0x04:
		return (uint32_t)(device.features[0] >> 32 * device.select[0]);
	case 0x14:
		assert_int_equal(size, 1);
		return device.status;
	case 0x15:
		return device.generation;
	case 0x18:
		return device.queue < 2 ? device.size : 0;
	case 0x1c:
		return device.enabled;
	case 0x1e:
		return device.offset;
	case 0x1000:
		assert_int_equal(size, 1);
		return device.isr;
	case 0x2008:
		return 0x1234;
	default:
		assert_true(false);
		return 0;
	}
}

static void write_device(uint64_t offset, unsigned size, uint32_t value)
{
	if (offset >= 0x20 && offset < 0x38) {
		uint64_t *place = &device.places[(offset - 0x20) / 8];
		unsigned shift = offset & 4 ? 32 : 0;

		*place = (*place & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)value << shift;
		return;
	}
	if (offset >= 0x3000) {
		assert_int_equal(size, 2);
		device.notified_at = offset;
		device.notified = (uint16_t)value;
		return;
	}
	switch (offset) {
	case 0x00:
		device.select[0] = value;
		break;
	case 0x08:
		device.select[1] = value;
		break;
	case 0x0c:
		device.features[1] |= (uint64_t)value << 32 * device.select[1];
		break;
	case 0x14:
		device.status = (uint8_t)value;
		break;
	case 0x16:
		device.queue = (uint16_t)value;
		break;
	case 0x18:
		device.size = (uint16_t)value;
		break;
	case 0x1c:
		device.enabled = (uint16_t)value;
		break;
	default:
		assert_true(false);
	}
}

uint32_t register_read(const volatile void *address, unsigned size)
{
	int at = at_ecam((uint64_t)address);
	uint32_t value = 0;

	assert_true((uint64_t)address % size == 0);
	if (device.bar && (uint64_t)address - device.bar < 0x4000)
		return read_device((uint64_t)address - device.bar, size);
	if (at < 0)
		return UINT32_MAX >> (32 - 8 * size);
	memcpy(&value, functions[at].config + ((uint64_t)address & 0xfff), size);
	return value;
}

void register_write(volatile void *address, unsigned size, uint32_t value)
{
	int at = at_ecam((uint64_t)address);
	unsigned offset = (uint64_t)address & 0xfff;

	if (device.bar && (uint64_t)address - device.bar < 0x4000) {
		write_device((uint64_t)address - device.bar, size, value);
		return;
	}
	assert_true(at >= 0);
	if (offset >= 0x10 && offset < 0x28 && (functions[at].config[0x0e] & 0x7f) == 0) {
		uint32_t *bar = (uint32_t *)(functions[at].config + offset);
		uint32_t mask = functions[at].mask[(offset - 0x10) / 4];

		assert_int_equal(size, 4);
		decoded_while_sized |= functions[at].config[4] & 3;
		*bar = (*bar & ~mask) | (value & mask);
		return;
	}
	memcpy(functions[at].config + offset, &value, size);
}

static void put(uint8_t *at, unsigned size, uint64_t value)
{
	memcpy(at, &value, size);
}

static uint8_t *add_function(unsigned number, uint16_t vendor, uint16_t id)
{
	uint8_t *config = functions[function_count].config;

	functions[function_count++].number = number;
	put(config, 2, vendor);
	put(config + 2, 2, id);
	put(config + 0x3d, 1, 1);
	return config;
}

/* `flags`: of BAR i, as they are read. */
static inline void add_bar(unsigned i, uint32_t flags, uint64_t size, uint64_t address)
{
	uint8_t *config = functions[function_count - 1].config;

	put(config + 0x10 + 4 * i, 4, (uint32_t)address | flags);
	functions[function_count - 1].mask[i] = (uint32_t)-size & ~15U;
	if (flags & 4) {
		put(config + 0x14 + 4 * i, 4, address >> 32);
		functions[function_count - 1].mask[i + 1] = (uint32_t)(-size >> 32);
	}
}

static inline uint8_t *add_bridge(unsigned number, unsigned secondary)
{
	uint8_t *config = add_function(number, 0x1b36, 1);

	put(config + 0x0e, 1, 1);
	put(config + 0x19, 1, secondary);
	return config;
}

static void cells(const char *name, unsigned count, const uint32_t *values)
{
	fdt32_t big[64];

	for (unsigned i = 0; i < count; i++)
		big[i] = cpu_to_fdt32(values[i]);
	assert_int_equal(fdt_property(tree, name, big, (int)count * 4), 0);
}

#define CELLS(name, ...) \
	cells(name, sizeof((uint32_t[]){__VA_ARGS__}) / 4, (const uint32_t[]){__VA_ARGS__})

static void put_controller(const char *name, uint32_t phandle)
{
	fdt_begin_node(tree, name);
	CELLS("phandle", phandle);
	CELLS("#interrupt-cells", 1);
	CELLS("#address-cells", 0);
	fdt_end_node(tree);
}

/* As QEMU writes it: pin p of device d has source 32 + (d + p - 1) % 4. */
static void put_interrupt_map(void)
{
	uint32_t map[16 * 6], *entry = map;

	for (uint32_t d = 0; d < 4; d++) {
		for (uint32_t pin = 1; pin <= 4; pin++, entry += 6)
			memcpy(entry,
			       (uint32_t[]){d << 11, 0, 0, pin, PLIC, 32 + (d + pin - 1) % 4}, 24);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(map); i++)
		map[i] = cpu_to_fdt32(map[i]);
	fdt_property(tree, "interrupt-map", map, sizeof(map));
	CELLS("interrupt-map-mask", 0x1800, 0, 0, 7);
}

static void build_tree(void)
{
	fdt_create(tree, sizeof(tree));
	fdt_finish_reservemap(tree);
	fdt_begin_node(tree, "");
	CELLS("#address-cells", 2);
	CELLS("#size-cells", 2);
	put_controller("plic", PLIC);
	put_controller("other", OTHER);
	fdt_begin_node(tree, "pci");
	fdt_property_string(tree, "compatible", "pci-host-ecam-generic");
	CELLS("reg", 0, ECAM, 0, 0x1000000);
	CELLS("bus-range", 0, 15);
	CELLS("#address-cells", 3);
	CELLS("#size-cells", 2);
	CELLS("ranges", 0x1000000, 0, 0, 0, 0x3000000, 0, 0x10000, 0x2000000, 0, LOW_PCI, 0,
	      LOW_CPU, 0, LOW_SIZE, 0x43000000, 4, 0, 6, 0, 1, 0);
	put_interrupt_map();
	fdt_end_node(tree);
	fdt_end_node(tree);
	assert_int_equal(fdt_finish(tree), 0);
	platform.fdt = tree;
	platform.plic_node = fdt_node_offset_by_phandle(tree, PLIC);
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	memset(functions, 0, sizeof(functions));
	memset(&device, 0, sizeof(device));
	function_count = 0;
	decoded_while_sized = false;
	build_tree();
	return 0;
}

#endif
