/* SPDX-License-Identifier: MIT */
/* unit: device/passthrough.c device/plic.c vmm/bus.c vmm/guest_fdt_host.c vmm/vmconfig.c vmm/vmconfig_device.c vmm/vmconfig_property.c vmm/fit.c vmm/hash.c */
/* libs: -lfdt */
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

static void expect_refused(const char *part)
{
	assert_int_equal(build(), ERR_INVAL);
	expect_message(part);
	passthrough_release(&pass);
	for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
		assert_null(owners[i]);
	for (unsigned i = 0; i < SOURCES; i++) {
		assert_null(sources[i].handler);
		assert_false(sources[i].enabled);
	}
	for (unsigned i = 0; i < allocations; i++)
		free(allocated[i]);
	start(2);
	memset(&vm.forwarded, 0, sizeof(vm.forwarded));
}

static void test_none(void **state)
{
	(void)state;
	assert_int_equal(build(), 0);
	assert_int_equal(pass.count, 0);
	assert_false(passthrough_takes(&pass, 0, UINT64_MAX, 1));
	passthrough_quiet(&pass);
	passthrough_open(&pass);
	passthrough_release(&pass);
}

static void test_refused(void **state)
{
	struct vmconfig_device *device;

	(void)state;
	device = give("virtio-blk0");
	device->allow_dma = false;
	expect_refused(IT "/a: pilae,host = \"virtio-blk0\": it does DMA");
	device->allow_dma = true;
	vm.config.identity_map = false;
	expect_refused("there is no IOMMU");
	device->host = "virtio-blk7";
	set_string(IT "/a", "pilae,host", "virtio-blk7");
	expect_refused(IT "/a: pilae,host = \"virtio-blk7\": there is no such device");
	device->host = "/soc/unknown";
	set_string(IT "/a", "pilae,host", "/soc/unknown");
	device->allow_dma = false;
	expect_refused("it may be one that does DMA");
	device->allow_dma = true;
	assert_int_equal(build(), 0);
	passthrough_release(&pass);
	memset(&vm.forwarded, 0, sizeof(vm.forwarded));
}

static void test_places(void **state)
{
	static const struct {
		const char *host, *message;
	} wrong[] = {
	    {"/soc/uart", "0x10000000 are where the guest's UART is"},
	    {"/soc/inram", "0x80000000 are where the guest's RAM is"},
	    {"/soc/irq10", "interrupt 10 is that of another device"},
	    {"/soc/irq11", "interrupt 11 is that of another device"},
	    {"/soc/irq96", "interrupt 96 is beyond"},
	};
	struct vmconfig_device *device = give("none");

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		device->host = wrong[i].host;
		set_string(IT "/a", "pilae,host", wrong[i].host);
		expect_refused(wrong[i].message);
	}
	vm.ram_base = 0x10000000;
	device->host = "virtio-blk0";
	set_string(IT "/a", "pilae,host", "virtio-blk0");
	expect_refused("where the guest's RAM is");
}

static void test_used_twice(void **state)
{
	(void)state;
	give("virtio-blk0");
	give("/soc/same");
	expect_refused(IT "/b: pilae,host = \"/soc/same\": VM it has it");
	owners[0] = "other";
	vm.config.device_count = 1;
	assert_int_equal(build(), ERR_INVAL);
	expect_message("VM other has it");
	/* What is another's stays so. */
	passthrough_release(&pass);
	assert_string_equal(owners[0], "other");
	owners[0] = NULL;
	/* An interrupt of two devices. */
	vm.config.devices[1].host = "/soc/irq1";
	set_string(IT "/b", "pilae,host", "/soc/irq1");
	vm.config.device_count = 2;
	expect_refused(IT "/b: pilae,host = \"/soc/irq1\": its interrupt 1 is in use already");
}

static void test_stuck(void **state)
{
	(void)state;
	give("virtio-blk0");
	stuck = true;
	expect_refused("it does not stop when it is reset");
}

static void test_registers(void **state)
{
	uint64_t value;

	(void)state;
	give("/soc/odd");
	give("/soc/large");
	give("virtio-blk0");
	assert_int_equal(build(), 0);
	expect_silence();
	/* 0x20001000 to 0x20002fff; 0x201ff000, 0x20200000 to 0x203fffff, 0x20400000; 0x10001000 */
	assert_int_equal(map_count, 6);
	assert_int_equal(maps[0].base, 0x20001000);
	assert_int_equal(maps[1].base, 0x20002000);
	assert_int_equal(maps[2].base, 0x201ff000);
	assert_int_equal(maps[3].base, 0x20200000);
	assert_int_equal(maps[3].level, 1);
	assert_int_equal(maps[4].base, 0x20400000);
	assert_int_equal(maps[4].level, 0);
	assert_int_equal(maps[5].base, 0x10001000);
	/* And by trapping, at 0x20000ff8 and 0x20003000. */
	registers[0] = 0x1122334455667788;
	registers[1] = 0x99aabbccddeeff00;
	assert_int_equal(bus_read(&vm.forwarded, GPA(0x20000ffa), 2, &value), 0);
	assert_int_equal(value, 0xddee);
	assert_int_equal(bus_read(&vm.forwarded, GPA(0x20003000), 8, &value), 0);
	assert_int_equal(value, 0x1122334455667788);
	assert_int_equal(bus_write(&vm.forwarded, GPA(0x20003004), 4, 0xcafe), 0);
	assert_int_equal(registers[0], 0x0000cafe55667788);
	assert_int_equal(bus_read(&vm.forwarded, GPA(0x20003008), 4, &value), ERR_FAULT);
	assert_int_equal(bus_read(&vm.forwarded, GPA(0x20001000), 4, &value), ERR_FAULT);
	faults = true;
	assert_int_equal(bus_read(&vm.forwarded, GPA(0x20003000), 4, &value), ERR_FAULT);
	assert_int_equal(bus_write(&vm.forwarded, GPA(0x20003000), 4, 0), ERR_FAULT);
	assert_true(passthrough_takes(&pass, MACHINE_VIRTIO_BASE(0), 0x1000, 99));
	assert_true(passthrough_takes(&pass, 0x50000000, 0x1000, 1));
	assert_false(passthrough_takes(&pass, MACHINE_VIRTIO_BASE(1), 0x1000, 2));
	passthrough_release(&pass);
}

/* Reading the host's tree takes long, and so it is done but once. */
static void test_names_are_looked_up_once(void **state)
{
	(void)state;
	give("/soc/rtc");
	give("/soc/odd");
	give("/soc/nothing");
	looked_up = mapped_pieces = 0;
	passthrough_init();
	assert_int_equal(looked_up, 3);
	assert_int_equal(mapped_pieces, 2);
	vm.config.device_count = 1;
	assert_int_equal(passthrough_build(&pass, &vm, &plic), 0);
	assert_int_equal(looked_up, 3);
	passthrough_release(&pass);
}

/*
 * Interrupts.
 */

static void enable(unsigned source)
{
	wr(4 * source, 1);
	wr(REG_ENABLE(S(0), source / 32), 1U << source % 32);
	wr(REG_THRESHOLD(S(0)), 0);
}

static void interrupt(unsigned source)
{
	sources[source].line = true;
	deliver(source);
}

static void build_interrupting(void)
{
	give("virtio-blk0");
	give("virtio-net0");
	assert_int_equal(build(), 0);
	assert_int_equal(resets, 2);
	enable(1);
}

static void test_interrupt(void **state)
{
	(void)state;
	build_interrupting();
	interrupt(1);
	assert_true(notified[0]);
	assert_true(sources[1].claimed);
	assert_int_equal(rd(REG_CLAIM(S(0))), 1);
	assert_false(notified[0]);
	/* The device is served, and the guest completes. */
	sources[1].line = false;
	wr(REG_CLAIM(S(0)), 1);
	assert_false(sources[1].claimed);
	assert_false(notified[0]);
	/* It is not: it interrupts again at once. */
	interrupt(1);
	assert_int_equal(rd(REG_CLAIM(S(0))), 1);
	wr(REG_CLAIM(S(0)), 1);
	assert_true(sources[1].claimed);
	assert_true(notified[0]);
	assert_int_equal(rd(REG_CLAIM(S(0))), 1);
	sources[1].line = false;
	wr(REG_CLAIM(S(0)), 1);
	assert_false(sources[1].claimed);
	/* One that the guest does not want stays claimed, and waits. */
	interrupt(20);
	assert_true(sources[20].claimed);
	assert_false(notified[0]);
	wr(REG_CLAIM(S(0)), 20);
	assert_true(sources[20].claimed);
	passthrough_quiet(&pass);
	passthrough_release(&pass);
}

/* At any moment of an interrupt, the VM is reset or ends: the host's goes on. */
static void reach(unsigned moment)
{
	if (moment > 0)
		interrupt(1);
	if (moment > 1)
		assert_int_equal(rd(REG_CLAIM(S(0))), 1);
	if (moment > 2)
		wr(REG_CLAIM(S(0)), 1);
}

static void test_reset_at_any_moment(void **state)
{
	(void)state;
	build_interrupting();
	for (unsigned moment = 0; moment < 4; moment++) {
		enable(1);
		reach(moment);
		/* Another device asks while they are made quiet. */
		sources[2].line = true;
		passthrough_quiet(&pass);
		plic_reset(&plic);
		for (unsigned i = 0; i < SOURCES; i++)
			assert_false(sources[i].enabled || sources[i].claimed);
		assert_false(notified[0]);
		passthrough_open(&pass);
		enable(1);
		interrupt(1);
		assert_true(notified[0]);
		assert_int_equal(rd(REG_CLAIM(S(0))), 1);
		sources[1].line = false;
		wr(REG_CLAIM(S(0)), 1);
		assert_false(sources[1].claimed);
	}
	assert_int_equal(resets, 2 + 8);
	passthrough_quiet(&pass);
	passthrough_release(&pass);
}

static void test_end_at_any_moment(void **state)
{
	for (unsigned moment = 0; moment < 4; moment++) {
		setup(state);
		build_interrupting();
		reach(moment);
		passthrough_quiet(&pass);
		plic_reset(&plic);
		passthrough_open(&pass);
		passthrough_release(&pass);
		for (unsigned i = 0; i < SOURCES; i++) {
			assert_false(sources[i].enabled || sources[i].claimed);
			assert_null(sources[i].handler);
		}
		assert_null(owners[0]);
		teardown(state);
	}
}

static void test_rtc_takes_its_interrupt(void **state)
{
	(void)state;
	give("/soc/rtc");
	assert_int_equal(build(), 0);
	assert_true(passthrough_takes(&pass, MACHINE_RTC_BASE, MACHINE_RTC_SIZE, 0));
	assert_true(sources[11].enabled);
	assert_int_equal(pass.described[0].node, 3);
	assert_int_equal(pass.described[0].interrupts[0], 11);
	passthrough_release(&pass);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_none),
	    TEST(test_refused),
	    TEST(test_places),
	    TEST(test_used_twice),
	    TEST(test_stuck),
	    TEST(test_registers),
	    TEST(test_names_are_looked_up_once),
	    TEST(test_interrupt),
	    TEST(test_reset_at_any_moment),
	    cmocka_unit_test(test_end_at_any_moment),
	    TEST(test_rtc_takes_its_interrupt),
	};

	return cmocka_run_group_tests_name("passthrough", tests, NULL, NULL);
}
