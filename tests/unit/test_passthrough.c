/* SPDX-License-Identifier: MIT */
/* unit: device/passthrough.c device/plic.c vmm/bus.c vmm/guest_fdt_host.c vmm/vmconfig.c vmm/vmconfig_device.c vmm/vmconfig_property.c vmm/fit.c vmm/hash.c */
/* libs: -lfdt */

/* Which devices a VM can have, and their registers. */

#include "tests/unit/passthrough_fixture.h"

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
	};

	return cmocka_run_group_tests_name("passthrough", tests, NULL, NULL);
}
