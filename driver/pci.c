/* SPDX-License-Identifier: MIT */

/*
 * Offsets and bits are those of the PCI Local Bus Specification 3.0, chapter 6; the host bridge's
 * node is described by the device tree binding host-generic-pci.
 */

#include "driver/pci.h"

#include "driver/pci_tree.h"
#include "driver/register.h"
#include "kernel/error.h"
#include "kernel/log.h"
#include "kernel/mmu.h"

#include <stdio.h>

#define COMMAND_IO            1U
#define COMMAND_MEMORY        2U
#define COMMAND_MASTER        4U
#define COMMAND_NO_INTX       0x400U
#define STATUS_CAPABILITIES   0x10U
#define HEADER_MULTI_FUNCTION 0x80U
#define HEADER_KIND           0x7fU
#define HEADER_BRIDGE         1U
#define BAR_IO                1U
#define BAR_WIDE              4U
#define BAR_KIND              6U
#define BAR_PREFETCHABLE      8U
#define BAR_FLAGS             15U
#define BRIDGE_SECONDARY      0x19
#define BRIDGE_MEMORY         0x20 /* base and limit: bits 31..20 of addresses, in 15..4 */
#define BRIDGE_PREFETCHABLE   0x24

#define BUS_BYTES        (UINT64_C(1) << 20)
#define FUNCTION_BYTES   (UINT64_C(1) << 12)
#define CAPABILITIES_MAX 48 /* more do not fit */
#define FIRST_CAPABILITY 0x40
#define USED_MAX         (HOST_PCI_FUNCTIONS_MAX * 2)

/* A bus that is looked at. */
struct bus {
	unsigned number;
	const struct bus *parent; /* NULL: the host bridge's own */
	unsigned bridge;          /* number of the bridge's device there */
};

static struct host_pci_tree tree;
static struct bus buses[HOST_PCI_BUSES_MAX];
static unsigned bus_count;
static struct host_pci_function functions[HOST_PCI_FUNCTIONS_MAX];
static unsigned function_count;
static struct range used[USED_MAX]; /* addresses on the bus */
static unsigned used_count;

uint32_t host_pci_read(const struct host_pci_function *function, unsigned offset, unsigned size)
{
	return register_read(function->config + offset, size);
}

void host_pci_write(struct host_pci_function *function, unsigned offset, unsigned size,
		    uint32_t value)
{
	register_write(function->config + offset, size, value);
}

static void set_command(struct host_pci_function *function, uint32_t clear, uint32_t set)
{
	host_pci_write(function, PCI_COMMAND, 2,
		       (host_pci_read(function, PCI_COMMAND, 2) & ~clear) | set);
}

static void use(uint64_t base, uint64_t size)
{
	if (size && used_count < USED_MAX)
		used[used_count++] = (struct range){base, size};
}

/*
 * BARs.
 */

/* What the BAR's bits that can be changed are when all are written with ones. */
static uint32_t bar_mask(struct host_pci_function *function, unsigned offset, uint32_t value)
{
	uint32_t mask;

	host_pci_write(function, offset, 4, UINT32_MAX);
	mask = host_pci_read(function, offset, 4);
	host_pci_write(function, offset, 4, value);
	return mask;
}

/* Reads BAR `i`; returns of how many registers it is made. */
static unsigned read_bar(struct host_pci_function *function, unsigned i)
{
	struct host_pci_bar *bar = &function->bars[i];
	unsigned offset = PCI_BAR + 4 * i;
	uint32_t low = host_pci_read(function, offset, 4), high;
	uint64_t mask, address = low & ~BAR_FLAGS;

	if (low & BAR_IO)
		return 1;
	mask = bar_mask(function, offset, low) & ~BAR_FLAGS;
	bar->wide = (low & BAR_KIND) == BAR_WIDE && i + 1 < HOST_PCI_BARS;
	if (bar->wide) {
		high = host_pci_read(function, offset + 4, 4);
		address |= (uint64_t)high << 32;
		mask |= (uint64_t)bar_mask(function, offset + 4, high) << 32;
	}
	bar->prefetchable = low & BAR_PREFETCHABLE;
	bar->size = mask & -mask;
	/* One that is not behind the host bridge is as good as none. */
	if (bar->size && is_aligned(address, bar->size) &&
	    host_pci_window(&tree, address, bar->size))
		bar->address = address;
	return bar->wide ? 2 : 1;
}

static void read_bars(struct host_pci_function *function)
{
	uint32_t command = host_pci_read(function, PCI_COMMAND, 2);

	set_command(function, COMMAND_IO | COMMAND_MEMORY, 0);
	for (unsigned i = 0; i < HOST_PCI_BARS; i += read_bar(function, i))
		;
	host_pci_write(function, PCI_COMMAND, 2, command);
	for (unsigned i = 0; i < HOST_PCI_BARS; i++) {
		if (function->bars[i].address)
			use(function->bars[i].address, function->bars[i].size);
	}
}

/* The first free place in the window, or 0. */
static uint64_t find_place(const struct host_pci_window *window, uint64_t size)
{
	/* 0 would be no address. */
	uint64_t place = align_up(window->pci ? window->pci : 1, size);

	for (unsigned i = 0; i < used_count;) {
		if (!range_within(place, size, window->pci, window->size))
			return 0;
		if (ranges_overlap(place, size, used[i].base, used[i].size)) {
			place = align_up(used[i].base + used[i].size, size);
			i = 0;
		} else {
			i++;
		}
	}
	return range_within(place, size, window->pci, window->size) ? place : 0;
}

static void give_address(struct host_pci_function *function, unsigned i)
{
	struct host_pci_bar *bar = &function->bars[i];
	uint64_t place = 0;

	for (unsigned n = 0; n < tree.window_count && !place; n++) {
		const struct host_pci_window *window = &tree.windows[n];

		if (window->prefetchable && !bar->prefetchable)
			continue;
		place = find_place(window, bar->size);
		if (!bar->wide && place + bar->size > UINT64_C(1) << 32)
			place = 0;
	}
	if (!place) {
		log_warn("%s: no address is left for its BAR %u", function->name, i);
		return;
	}
	use(place, bar->size);
	bar->address = place;
	host_pci_write(function, PCI_BAR + 4 * i, 4, (uint32_t)place);
	if (bar->wide)
		host_pci_write(function, PCI_BAR + 4 * i + 4, 4, (uint32_t)(place >> 32));
}

static void give_addresses(struct host_pci_function *function)
{
	for (unsigned i = 0; i < HOST_PCI_BARS; i++) {
		if (!function->bars[i].size || function->bars[i].address)
			continue;
		set_command(function, COMMAND_MEMORY, 0);
		give_address(function, i);
	}
}

/*
 * Buses.
 */

static void add_bus(const struct bus *parent, unsigned number, unsigned bridge)
{
	for (unsigned i = 0; i < bus_count; i++) {
		if (buses[i].number == number)
			return;
	}
	if (number < tree.first_bus || number > tree.last_bus || bus_count == HOST_PCI_BUSES_MAX)
		return;
	buses[bus_count++] = (struct bus){number, parent, bridge};
}

static void use_bridge_window(const struct host_pci_function *bridge, unsigned offset)
{
	uint32_t value = host_pci_read(bridge, offset, 4);
	uint64_t base = (uint64_t)(value & 0xfff0) << 16;
	uint64_t end = (uint64_t)(value >> 16 & 0xfff0) << 16 | 0xfffff;

	if (base && end > base)
		use(base, end - base + 1);
}

/* Whether its secondary bus has a number: such are above the bus that the bridge is on. */
static void read_bridge(const struct bus *bus, struct host_pci_function *bridge)
{
	unsigned secondary = host_pci_read(bridge, BRIDGE_SECONDARY, 1);

	use_bridge_window(bridge, BRIDGE_MEMORY);
	use_bridge_window(bridge, BRIDGE_PREFETCHABLE);
	if (secondary > bus->number)
		add_bus(bus, secondary, bridge->number >> 3 & 31);
}

/* A bridge passes its devices' pins on, turned by the device's number (PCI-to-PCI Bridge 1.2, 9.1).
 */
static uint32_t interrupt_of(const struct bus *bus, const struct host_pci_function *function)
{
	unsigned pin = host_pci_read(function, PCI_INTERRUPT_PIN, 1);
	unsigned device = function->number >> 3 & 31;

	if (pin < 1 || pin > 4)
		return 0;
	for (; bus->parent; bus = bus->parent) {
		pin = (pin - 1 + device) % 4 + 1;
		device = bus->bridge;
	}
	return host_pci_interrupt(&tree, bus->number << 8 | device << 3, pin);
}

/* Keeps them ordered by number. */
static void add_function(const struct host_pci_function *function)
{
	unsigned i = function_count++;

	for (; i > 0 && functions[i - 1].number > function->number; i--)
		functions[i] = functions[i - 1];
	functions[i] = *function;
}

/* Returns whether the function is there; `header`: its header type. */
static bool read_function(const struct bus *bus, volatile char *config, unsigned number,
			  uint32_t *header)
{
	struct host_pci_function function = {.number = number, .config = config};

	function.vendor = (uint16_t)host_pci_read(&function, PCI_VENDOR_ID, 2);
	if (function.vendor == UINT16_MAX || function_count == HOST_PCI_FUNCTIONS_MAX)
		return false;
	*header = host_pci_read(&function, PCI_HEADER_TYPE, 1);
	function.device = (uint16_t)host_pci_read(&function, PCI_DEVICE_ID, 2);
	function.is_bridge = (*header & HEADER_KIND) == HEADER_BRIDGE;
	function.on_root_bus = !bus->parent;
	snprintf(function.name, sizeof(function.name), "pci:%02x:%02x.%x", number >> 8 & 0xff,
		 number >> 3 & 31, number & 7);
	if (function.is_bridge) {
		read_bridge(bus, &function);
	} else if ((*header & HEADER_KIND) == 0) {
		function.interrupt = interrupt_of(bus, &function);
		read_bars(&function);
	}
	add_function(&function);
	return true;
}

static void read_device(const struct bus *bus, volatile char *config, unsigned number)
{
	uint32_t header = 0, ignored;

	if (!read_function(bus, config, number, &header) || !(header & HEADER_MULTI_FUNCTION))
		return;
	for (unsigned i = 1; i < 8; i++)
		read_function(bus, config + i * FUNCTION_BYTES, number + i, &ignored);
}

/* A bus a time: all of ECAM would not fit where registers are mapped. */
static void read_bus(const struct bus *bus)
{
	uint64_t offset = (bus->number - tree.first_bus) * BUS_BYTES;
	volatile char *config;

	if (!range_within(offset, BUS_BYTES, 0, tree.ecam.size))
		return;
	config = mmu_map_registers(HPA(tree.ecam.base + offset), BUS_BYTES);
	for (unsigned i = 0; i < 32; i++)
		read_device(bus, config + i * (8 * FUNCTION_BYTES), bus->number << 8 | i << 3);
}

void host_pci_init(void)
{
	bus_count = function_count = used_count = 0;
	if (host_pci_tree_read(&tree) != 0)
		return;
	add_bus(NULL, tree.first_bus, 0);
	for (unsigned i = 0; i < bus_count; i++)
		read_bus(&buses[i]);
	for (unsigned i = 0; i < function_count; i++) {
		if (functions[i].on_root_bus)
			give_addresses(&functions[i]);
	}
	log_debug("PCI: %u functions on %u buses", function_count, bus_count);
}

/*
 * Functions.
 */

struct host_pci_function *host_pci_next(const struct host_pci_function *function)
{
	unsigned index = function ? (unsigned)(function - functions) + 1 : 0;

	return index < function_count ? &functions[index] : NULL;
}

unsigned host_pci_capability(const struct host_pci_function *function, uint8_t kind, unsigned after)
{
	unsigned offset;

	if (!(host_pci_read(function, PCI_STATUS, 2) & STATUS_CAPABILITIES))
		return 0;
	offset = host_pci_read(function, after ? after + 1 : PCI_CAPABILITIES, 1) & 0xfc;
	for (unsigned i = 0; i < CAPABILITIES_MAX && offset >= FIRST_CAPABILITY; i++) {
		if (host_pci_read(function, offset, 1) == kind)
			return offset;
		offset = host_pci_read(function, offset + 1, 1) & 0xfc;
	}
	return 0;
}

volatile void *host_pci_map(struct host_pci_function *function, unsigned bar, uint64_t offset,
			    uint64_t size)
{
	const struct host_pci_bar *its = &function->bars[bar < HOST_PCI_BARS ? bar : 0];
	const struct host_pci_window *window;

	if (bar >= HOST_PCI_BARS || !its->address || !range_within(offset, size, 0, its->size))
		return NULL;
	window = host_pci_window(&tree, its->address, its->size);
	if (!window)
		return NULL;
	set_command(function, COMMAND_NO_INTX, COMMAND_MEMORY);
	return mmu_map_registers(HPA(its->address - window->pci + window->cpu + offset), size);
}

void host_pci_let_use_memory(struct host_pci_function *function, bool may)
{
	set_command(function, COMMAND_MASTER, may ? COMMAND_MASTER : 0);
}
