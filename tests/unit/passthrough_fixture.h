/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_PASSTHROUGH_FIXTURE_H
#define TESTS_UNIT_PASSTHROUGH_FIXTURE_H

/*
 * A host with devices and a PLIC, and a VM that is given some of them, with a PLIC of its own. For
 * one source file of a test program.
 */

#include "tests/unit/fit_tree.h"
#include "tests/unit/plic_fixture.h"

#include "device/passthrough.h"
#include "driver/host_device.h"
#include "driver/plic.h"
#include "kernel/start.h"
#include "kernel/trap.h"
#include "vmm/vm.h"

#define SOURCES 128
#define MAPS    16

struct platform platform;

/* The host's devices. */
static const struct known {
	const char *name;
	struct host_device device;
} known[] = {
    {"virtio-blk0",
     {.dma = HOST_DMA_DOES,
      .range_count = 1,
      .ranges = {{0x10001000, 0x1000}},
      .interrupt_count = 1,
      .interrupts = {1}}},
    {"/soc/same",
     {.dma = HOST_DMA_DOES,
      .range_count = 1,
      .ranges = {{0x10001000, 0x1000}},
      .interrupt_count = 1,
      .interrupts = {1}}},
    {"virtio-net0",
     {.dma = HOST_DMA_DOES,
      .range_count = 1,
      .ranges = {{0x10002000, 0x1000}},
      .interrupt_count = 2,
      .interrupts = {2, 20}}},
    {"/soc/rtc",
     {.range_count = 1, .ranges = {{0x101000, 0x1000}}, .interrupt_count = 1, .interrupts = {11}}},
    {"/soc/odd", {.range_count = 1, .ranges = {{0x20000ff8, 0x2010}}}},
    {"/soc/large", {.range_count = 1, .ranges = {{0x201ff000, 0x202000}}}},
    {"/soc/unknown", {.dma = HOST_DMA_UNKNOWN, .range_count = 1, .ranges = {{0x30000000, 16}}}},
    {"/soc/uart", {.range_count = 1, .ranges = {{0x10000000, 0x1000}}}},
    {"/soc/inram", {.range_count = 1, .ranges = {{0x80000000, 0x1000}}}},
    {"/soc/irq10",
     {.range_count = 1,
      .ranges = {{0x40000000, 0x1000}},
      .interrupt_count = 1,
      .interrupts = {10}}},
    {"/soc/irq11",
     {.range_count = 1,
      .ranges = {{0x40000000, 0x1000}},
      .interrupt_count = 1,
      .interrupts = {11}}},
    {"/soc/irq96",
     {.range_count = 1,
      .ranges = {{0x40000000, 0x1000}},
      .interrupt_count = 1,
      .interrupts = {96}}},
    {"/soc/irq1",
     {.range_count = 1, .ranges = {{0x40000000, 0x1000}}, .interrupt_count = 1, .interrupts = {1}}},
};

static const char *owners[ARRAY_SIZE(known)];
static unsigned resets, looked_up, mapped_pieces;
static bool stuck;
static uint64_t registers[4]; /* that are forwarded */
static bool faults;
static struct {
	uint64_t base;
	unsigned level;
} maps[MAPS];
static unsigned map_count;

/* The host's PLIC: what a source's line is, whether it is claimed, and who deals with it. */
static struct source {
	bool line, claimed, enabled;
	void (*handler)(void *argument);
	void *argument;
} sources[SOURCES];

static struct vm vm;
static struct passthrough pass;

void host_device_init(void)
{
}

int host_device_find(const char *name, struct host_device *device, char why[HOST_DEVICE_WHY_MAX])
{
	looked_up++;
	for (unsigned i = 0; i < ARRAY_SIZE(known); i++) {
		if (strcmp(known[i].name, name) == 0) {
			*device = known[i].device;
			device->node = (int)i;
			return 0;
		}
	}
	snprintf(why, HOST_DEVICE_WHY_MAX, "there is no such device");
	return ERR_NOENT;
}

void host_device_map(const struct host_device *device)
{
	(void)device;
	mapped_pieces++;
}

volatile void *host_device_register(uint64_t address, uint64_t size)
{
	assert_true(size <= sizeof(registers));
	return (char *)registers + address % 16;
}

int host_device_reset(const struct host_device *device)
{
	/* It can neither interrupt nor be waited for. */
	for (unsigned i = 0; i < device->interrupt_count; i++) {
		struct source *source = &sources[device->interrupts[i]];

		assert_false(source->enabled || source->claimed);
		source->line = false;
	}
	resets++;
	return stuck ? ERR_IO : 0;
}

int host_device_claim(const struct host_device *device, const char *name,
		      char why[HOST_DEVICE_WHY_MAX])
{
	for (unsigned i = 0; i < ARRAY_SIZE(known); i++) {
		if (owners[i] && known[i].device.ranges[0].base == device->ranges[0].base) {
			snprintf(why, HOST_DEVICE_WHY_MAX, "VM %s has it", owners[i]);
			return ERR_EXIST;
		}
	}
	if (host_device_reset(device) != 0) {
		snprintf(why, HOST_DEVICE_WHY_MAX, "it does not stop when it is reset");
		return ERR_IO;
	}
	owners[device->node] = name;
	return 0;
}

void host_device_release(const struct host_device *device)
{
	assert_non_null(owners[device->node]);
	owners[device->node] = NULL;
}

int host_register_read(volatile void *at, unsigned size, uint64_t *value)
{
	*value = 0;
	memcpy(value, (const void *)(uintptr_t)at, size);
	return faults ? ERR_FAULT : 0;
}

int host_register_write(volatile void *at, unsigned size, uint64_t value)
{
	memcpy((void *)(uintptr_t)at, &value, size);
	return faults ? ERR_FAULT : 0;
}

/* What handle_external() does, as long as there is something to do. */
static void deliver(uint32_t number)
{
	struct source *source = &sources[number];

	if (source->line && source->enabled && !source->claimed) {
		source->claimed = true;
		source->handler(source->argument);
	}
}

int host_plic_forward(uint32_t source, void (*handler)(void *argument), void *argument)
{
	if (sources[source].handler)
		return ERR_EXIST;
	sources[source].handler = handler;
	sources[source].argument = argument;
	return 0;
}

void host_plic_complete(uint32_t source)
{
	if (!sources[source].claimed)
		return;
	assert_true(sources[source].enabled);
	sources[source].claimed = false;
	deliver(source);
}

void host_plic_mask(uint32_t source)
{
	struct source *it = &sources[source];

	it->claimed = false;
	it->enabled = false;
}

void host_plic_unmask(uint32_t source)
{
	sources[source].enabled = true;
	deliver(source);
}

void host_plic_release(uint32_t source)
{
	host_plic_mask(source);
	sources[source].handler = NULL;
}

int gspace_map_device(struct gspace *space, gpa_t gpa, hpa_t hpa, unsigned level)
{
	assert_ptr_equal(space, &vm.guest.space);
	assert_int_equal(gpa.v, hpa.v);
	assert_true(map_count < MAPS || level == 0);
	if (map_count < MAPS) {
		maps[map_count].base = gpa.v;
		maps[map_count].level = level;
	}
	map_count++;
	return gpa.v >> 40 ? ERR_RANGE : 0;
}

void preempt_point(void)
{
	for (unsigned i = 0; i < SOURCES; i++)
		deliver(i);
}

bool kernel_initrd(const void **begin, uint64_t *size)
{
	*begin = tree;
	*size = TREE_MAX;
	return true;
}

#define IT "/configurations/it"

static int setup(void **state)
{
	(void)state;
	start(2);
	tree_clear();
	add_node("/", "configurations");
	add_node("/configurations", "it");
	set_string(IT, "compatible", "pilae,vm");
	memset(owners, 0, sizeof(owners));
	memset(sources, 0, sizeof(sources));
	memset(&vm, 0, sizeof(vm));
	memset(&pass, 0, sizeof(pass));
	resets = map_count = 0;
	stuck = faults = false;
	snprintf(vm.config.path, sizeof(vm.config.path), IT);
	snprintf(vm.config.name, sizeof(vm.config.name), "it");
	vm.config.identity_map = true;
	vm.ram_base = 0x80000000;
	vm.ram_size = MIB(64);
	return 0;
}

static struct vmconfig_device *give(const char *host)
{
	static const char *const nodes[] = {"a", "b", "c", "d"};
	struct vmconfig_device *device = &vm.config.devices[vm.config.device_count];
	char path[64];

	device->name = nodes[vm.config.device_count++];
	device->kind = VMCONFIG_PASSTHROUGH;
	device->host = host;
	device->allow_dma = true;
	add_node(IT, device->name);
	snprintf(path, sizeof(path), IT "/%s", device->name);
	set_string(path, "compatible", "pilae,passthrough");
	set_string(path, "pilae,host", host);
	return device;
}

static int build(void)
{
	passthrough_init();
	return passthrough_build(&pass, &vm, &plic);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
