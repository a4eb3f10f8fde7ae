/* SPDX-License-Identifier: MIT */
/* unit: driver/pci.c driver/pci_tree.c driver/virtio/pci.c driver/virtio/queue.c driver/virtio/packed.c kernel/fdt.c */
/* libs: -lfdt */
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
static void add_bar(unsigned i, uint32_t flags, uint64_t size, uint64_t address)
{
	uint8_t *config = functions[function_count - 1].config;

	put(config + 0x10 + 4 * i, 4, (uint32_t)address | flags);
	functions[function_count - 1].mask[i] = (uint32_t)-size & ~15U;
	if (flags & 4) {
		put(config + 0x14 + 4 * i, 4, address >> 32);
		functions[function_count - 1].mask[i + 1] = (uint32_t)(-size >> 32);
	}
}

static uint8_t *add_bridge(unsigned number, unsigned secondary)
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

static struct host_pci_function *find(const char *name)
{
	struct host_pci_function *function = NULL;

	while ((function = host_pci_next(function)) != NULL) {
		if (strcmp(function->name, name) == 0)
			return function;
	}
	return NULL;
}

static void test_nothing(void **state)
{
	(void)state;
	host_pci_init();
	assert_null(host_pci_next(NULL));
	fdt_create_empty_tree(tree, sizeof(tree));
	host_pci_init();
	assert_null(host_pci_next(NULL));
}

/* Functions in the order of their numbers; those beyond the first only if it says so. */
static void test_functions(void **state)
{
	struct host_pci_function *function;

	(void)state;
	add_function(2 << 3, 0x1af4, 0x1042);
	put(add_function(1 << 3, 1, 2) + 0x0e, 1, 0x80);
	add_function(1 << 3 | 5, 3, 4);
	add_function(2 << 3 | 1, 5, 6);
	add_function(31 << 3, 7, 8);
	host_pci_init();
	function = host_pci_next(NULL);
	assert_string_equal(function->name, "pci:00:01.0");
	assert_int_equal(function->interrupt, 33);
	function = host_pci_next(function);
	assert_string_equal(function->name, "pci:00:01.5");
	assert_int_equal(function->vendor, 3);
	function = host_pci_next(function);
	assert_string_equal(function->name, "pci:00:02.0");
	assert_int_equal(function->interrupt, 34);
	function = host_pci_next(function);
	assert_string_equal(function->name, "pci:00:1f.0");
	assert_null(host_pci_next(function));
}

/* Behind bridges: numbered ones, each bus once, none twice; pins turn on the way. */
static void test_bridges(void **state)
{
	(void)state;
	add_bridge(1 << 3, 3);
	add_bridge(2 << 3, 0);
	add_bridge(3 << 3, 3);
	add_bridge(3 << 8 | 1 << 3, 2);
	add_bridge(3 << 8 | 2 << 3, 5);
	add_bridge(3 << 8 | 3 << 3, 200);
	add_function(3 << 8 | 6 << 3, 1, 2);
	put(add_function(5 << 8 | 1 << 3, 1, 2) + 0x3d, 1, 4);
	add_function(2 << 8, 1, 2);
	host_pci_init();
	assert_non_null(find("pci:03:06.0"));
	/* Pin 1 of device 6 is pin 3 of device 1. */
	assert_int_equal(find("pci:03:06.0")->interrupt, 32 + (1 + 2) % 4);
	/* Pin 4 of device 1 is pin 1 of device 2 on bus 3, and pin 3 of device 1. */
	assert_int_equal(find("pci:05:01.0")->interrupt, 32 + (1 + 2) % 4);
	assert_null(find("pci:02:00.0"));
	assert_false(find("pci:05:01.0")->on_root_bus);
}

static uint64_t bar_of(const char *name, unsigned i)
{
	const struct host_pci_function *function = find(name);
	uint64_t value = host_pci_read(function, PCI_BAR + 4 * i, 4) & ~15U;

	if (function->bars[i].wide)
		value |= (uint64_t)host_pci_read(function, PCI_BAR + 4 * i + 4, 4) << 32;
	assert_int_equal(value, function->bars[i].address);
	return value;
}

static void test_addresses(void **state)
{
	(void)state;
	add_function(1 << 3, 1, 1);
	add_bar(0, 0, 0x1000, 0);
	add_bar(1, 1, 0x20, 0);
	add_bar(2, 4, 0x4000, 0);
	/* What the firmware has placed stays, and is not given again. */
	add_function(2 << 3, 1, 1);
	functions[function_count - 1].config[4] = 3;
	add_bar(0, 0, 0x800000, LOW_PCI);
	add_bar(1, 4, 0x100000, HIGH_PCI + 0x100000);
	/* Not aligned, not in any window. */
	add_function(3 << 3, 1, 1);
	add_bar(0, 0, 0x1000, 0x1000);
	add_bar(1, 12, 0x100000000, 0);
	add_bar(3, 0, 0x1000000, 0);
	put(add_bridge(4 << 3, 1) + 0x20, 4, 0x40804080);
	host_pci_init();
	assert_false(decoded_while_sized);
	assert_int_equal(functions[1].config[4], 3);
	assert_int_equal(bar_of("pci:00:02.0", 0), LOW_PCI);
	assert_int_equal(bar_of("pci:00:02.0", 1), HIGH_PCI + 0x100000);
	/* Behind the bridge's own window, which ends at 0x408fffff. */
	assert_int_equal(bar_of("pci:00:01.0", 0), LOW_PCI + 0x900000);
	assert_int_equal(find("pci:00:01.0")->bars[1].size, 0);
	assert_int_equal(bar_of("pci:00:01.0", 2), LOW_PCI + 0x904000);
	assert_int_equal(bar_of("pci:00:03.0", 0), LOW_PCI + 0x901000);
	/* Prefetchable and wide: the other window; it does not fit there. */
	assert_int_equal(find("pci:00:03.0")->bars[1].size, 0x100000000);
	assert_int_equal(find("pci:00:03.0")->bars[1].address, 0);
	assert_int_equal(find("pci:00:03.0")->bars[3].address, 0);
	assert_non_null(strstr(messages, "pci:00:03.0: no address is left for its BAR 1"));
	assert_non_null(strstr(messages, "pci:00:03.0: no address is left for its BAR 3"));
	/* Where the processor finds it. */
	assert_ptr_equal(host_pci_map(find("pci:00:01.0"), 0, 0x10, 0x20),
			 LOW_CPU + 0x900000 + 0x10);
	assert_int_equal(find("pci:00:01.0")->config == NULL, 0);
	assert_int_equal(functions[0].config[4], 2);
	assert_ptr_equal(host_pci_map(find("pci:00:02.0"), 1, 0, 0x100000), HIGH_CPU + 0x100000);
	assert_null(host_pci_map(find("pci:00:01.0"), 0, 0xff0, 0x20));
	assert_null(host_pci_map(find("pci:00:01.0"), 0, UINT64_MAX, 2));
	assert_null(host_pci_map(find("pci:00:01.0"), 6, 0, 1));
	assert_null(host_pci_map(find("pci:00:03.0"), 1, 0, 1));
}

/* Of any bits: it neither hangs nor leaves the windows. */
static void test_random_bars(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		struct host_pci_function *function = NULL;

		setup(NULL);
		for (unsigned i = 0; i < 64; i++) {
			add_function(i / 8 << 3 | i % 8, 1, 1);
			for (unsigned n = 0; n < 0x40; n++)
				if (n != 0 && n != 4)
					functions[i].config[n] = (uint8_t)fake_random();
			functions[i].config[0x0e] = fake_random_below(8) ? 0x80 : 0x81;
			for (unsigned n = 0; n < 6; n++)
				functions[i].mask[n] = (uint32_t)fake_random()
						       << fake_random_below(32);
		}
		host_pci_init();
		while ((function = host_pci_next(function)) != NULL) {
			for (unsigned i = 0; i < HOST_PCI_BARS; i++)
				host_pci_map(function, i, 0, 1);
		}
	}
}

static void test_capabilities(void **state)
{
	uint8_t *config = add_function(0, 1, 2);
	struct host_pci_function *function;

	(void)state;
	put(config + 0x34, 1, 0x41);
	put(config + 0x40, 2, 0x5009);
	put(config + 0x50, 2, 0x6011);
	put(config + 0x60, 2, 0x5009);
	host_pci_init();
	function = host_pci_next(NULL);
	assert_int_equal(host_pci_capability(function, 9, 0), 0);
	put(config + 0x06, 2, 0x10);
	assert_int_equal(host_pci_capability(function, 9, 0), 0x40);
	assert_int_equal(host_pci_capability(function, 9, 0x40), 0x60);
	assert_int_equal(host_pci_capability(function, 0x11, 0), 0x50);
	/* Around in a circle. */
	assert_int_equal(host_pci_capability(function, 5, 0), 0);
	put(config + 0x34, 1, 0x3c);
	assert_int_equal(host_pci_capability(function, 9, 0), 0);
}

static void put_interrupts(uint32_t controller, unsigned cut)
{
	uint32_t map[6] = {0, 0, 0, cpu_to_fdt32(1), cpu_to_fdt32(controller), cpu_to_fdt32(50)};
	int node = fdt_path_offset(tree, "/pci");

	fdt_open_into(tree, tree, sizeof(tree));
	fdt_setprop(tree, node, "interrupt-map", map, (int)(sizeof(map) - cut));
	platform.plic_node = fdt_node_offset_by_phandle(tree, PLIC);
}

static void test_other_interrupts(void **state)
{
	(void)state;
	add_function(0, 1, 2);
	put_interrupts(PLIC, 0);
	host_pci_init();
	assert_int_equal(host_pci_next(NULL)->interrupt, 50);
	put_interrupts(OTHER, 0);
	host_pci_init();
	assert_int_equal(host_pci_next(NULL)->interrupt, 0);
	put_interrupts(99, 0);
	host_pci_init();
	assert_int_equal(host_pci_next(NULL)->interrupt, 0);
	for (unsigned cut = 4; cut <= 24; cut += 4) {
		put_interrupts(PLIC, cut);
		host_pci_init();
		assert_int_equal(host_pci_next(NULL)->interrupt, 0);
	}
	functions[0].config[0x3d] = 5;
	put_interrupts(PLIC, 0);
	host_pci_init();
	assert_int_equal(host_pci_next(NULL)->interrupt, 0);
}

/*
 * A virtio device.
 */

static void add_capability(uint8_t *config, unsigned at, unsigned next, unsigned kind, unsigned bar,
			   uint32_t offset, uint32_t length)
{
	put(config + at, 1, 9);
	put(config + at + 1, 1, next);
	put(config + at + 3, 1, kind);
	put(config + at + 4, 1, bar);
	put(config + at + 8, 4, offset);
	put(config + at + 12, 4, length);
}

static uint8_t *add_virtio(void)
{
	uint8_t *config = add_function(1 << 3, 0x1af4, 0x1042);

	put(config + 0x06, 2, 0x10);
	put(config + 0x34, 1, 0x40);
	add_bar(4, 12, 0x4000, 0);
	/* The first is of a kind to come, the second is not where it says; these are passed over.
	 */
	add_capability(config, 0x40, 0x50, 1, 7, 0, 0x38);
	add_capability(config, 0x50, 0x60, 1, 4, 0x3fd0, 0x38);
	add_capability(config, 0x60, 0x70, 1, 4, 0, 0x1000);
	add_capability(config, 0x70, 0x80, 3, 4, 0x1000, 0x1000);
	add_capability(config, 0x80, 0x90, 4, 4, 0x2000, 12);
	add_capability(config, 0x90, 0, 2, 4, 0x3000, 0x1000);
	put(config + 0xa0, 4, 4);
	return config;
}

static int probe(struct host_virtio *virtio)
{
	struct host_pci_function *function;
	int error;

	host_pci_init();
	function = host_pci_next(NULL);
	error = host_virtio_pci_probe(virtio, function);
	device.bar = function->bars[4].address - LOW_PCI + LOW_CPU;
	return error;
}

static void test_virtio(void **state)
{
	static struct virtqueue_slot slots[8];
	static _Alignas(4096) uint8_t memory[4096];
	const struct virtqueue_kind kind = {.size = 8};
	const struct host_virtio_transport *transport;
	struct host_virtio virtio;
	struct virtqueue queue;

	(void)state;
	add_virtio();
	assert_int_equal(probe(&virtio), 0);
	transport = virtio.transport;
	assert_int_equal(virtio.id, VIRTIO_ID_BLOCK);
	assert_false(virtio.legacy);
	assert_int_equal(functions[0].config[4], 2);
	transport->let_use_memory(&virtio, true);
	assert_int_equal(functions[0].config[4], 6);
	transport->let_use_memory(&virtio, false);
	assert_int_equal(functions[0].config[4], 2);

	device.features[0] = 0x1234567890;
	assert_int_equal(transport->offered(&virtio), 0x1234567890);
	virtio.features = 0x1000000010;
	transport->accept(&virtio);
	assert_int_equal(device.features[1], 0x1000000010);
	transport->set_status(&virtio, 15);
	assert_int_equal(transport->status(&virtio), 15);

	virtqueue_init(&queue, &kind, memory, HPA(0x123456000), slots);
	device.size = 64;
	assert_int_equal(transport->queue_max(&virtio, 2), 0);
	assert_int_equal(transport->queue_max(&virtio, 1), 64);
	queue.index = 1;
	device.offset = 5;
	assert_int_equal(transport->set_queue(&virtio, &queue), 0);
	assert_int_equal(device.size, 8);
	assert_int_equal(device.places[0], 0x123456000);
	assert_int_equal(device.places[1], 0x123456080);
	assert_int_equal(device.places[2], 0x1234560c0);
	assert_int_equal(device.enabled, 1);
	assert_int_equal(transport->set_queue(&virtio, &queue), ERR_EXIST);
	transport->notify(&virtio, &queue);
	assert_int_equal(device.notified_at, 0x3000 + 4 * 5);
	assert_int_equal(device.notified, 1);
	device.enabled = 0;
	device.offset = 0x400;
	assert_int_equal(transport->set_queue(&virtio, &queue), ERR_RANGE);
	assert_int_equal(device.enabled, 0);

	device.isr = 1;
	assert_int_equal(transport->take_events(&virtio), 1);
	assert_int_equal(transport->config(&virtio, 8, 4), 0x1234);
	assert_int_equal(transport->config(&virtio, 12, 4), 0);
	assert_int_equal(transport->config(&virtio, 10, 4), 0);
}

static void test_virtio_kinds(void **state)
{
	struct host_virtio virtio;
	uint8_t *config = add_virtio();

	(void)state;
	put(config + 2, 2, 0x1001);
	put(config + 0x2e, 2, 4);
	assert_int_equal(probe(&virtio), 0);
	assert_int_equal(virtio.id, VIRTIO_ID_ENTROPY);
	put(config + 2, 2, 0x1080);
	assert_int_equal(probe(&virtio), ERR_NOENT);
	put(config, 2, 0x1af5);
	assert_int_equal(probe(&virtio), ERR_NOENT);
	put(config, 4, 0x10421af4);
	/* One structure that is not where it says, after the other. */
	put(config + 0x68, 4, 0x4000);
	assert_int_equal(probe(&virtio), ERR_INVAL);
	put(config + 0x68, 4, 2);
	assert_int_equal(probe(&virtio), ERR_INVAL);
	put(config + 0x68, 4, 0);
	put(config + 0x6c, 4, 0x37);
	assert_int_equal(probe(&virtio), ERR_INVAL);
	put(config + 0x6c, 4, 0x38);
	put(config + 0x78, 4, UINT32_MAX);
	assert_int_equal(probe(&virtio), ERR_INVAL);
	put(config + 0x78, 4, 0x1000);
	put(config + 0x93, 1, 77);
	assert_int_equal(probe(&virtio), ERR_INVAL);
	put(config + 0x93, 1, 2);
	/* It need not have a configuration; and the list may be a circle. */
	put(config + 0x83, 1, 77);
	put(config + 0x91, 1, 0x40);
	assert_int_equal(probe(&virtio), 0);
	assert_int_equal(virtio.transport->config(&virtio, 0, 4), 0);
	put(config + 0x06, 2, 0);
	assert_int_equal(probe(&virtio), ERR_NOSYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_nothing, setup),
	    cmocka_unit_test_setup(test_functions, setup),
	    cmocka_unit_test_setup(test_bridges, setup),
	    cmocka_unit_test_setup(test_addresses, setup),
	    cmocka_unit_test_setup(test_random_bars, setup),
	    cmocka_unit_test_setup(test_capabilities, setup),
	    cmocka_unit_test_setup(test_other_interrupts, setup),
	    cmocka_unit_test_setup(test_virtio, setup),
	    cmocka_unit_test_setup(test_virtio_kinds, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
