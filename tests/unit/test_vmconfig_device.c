/* SPDX-License-Identifier: MIT */
/* unit: vmm/vmconfig.c vmm/vmconfig_device.c vmm/vmconfig_property.c vmm/fit.c vmm/hash.c */
/* libs: -lfdt */
#include <stdlib.h>

#include "tests/unit/vmconfig_fixture.h"

static void test_network(void **state)
{
	static const uint8_t mac[] = {0x52, 0x54, 0, 1, 2, 3, 4};

	(void)state;
	add_device("net", "pilae,virtio-net");
	expect_bad(ERR_INVAL, WEB "/net: pilae,switch: missing");
	set_string(WEB "/net", "pilae,switch", "lan1");
	expect_bad(ERR_NOENT, "pilae,switch = \"lan1\": no such switch; have: none");
	add_node("/", "lan0");
	set_string("/lan0", "compatible", "pilae,switch");
	expect_bad(ERR_NOENT, "have: lan0");
	set_string(WEB "/net", "pilae,switch", "lan0");
	set_bytes(WEB "/net", "local-mac-address", mac, 6);
	set_cell(WEB "/net", "pilae,slot", 7);
	set_flag(WEB "/net", "pilae,legacy");
	expect_good();
	assert_int_equal(config.device_count, 1);
	assert_int_equal(config.devices[0].kind, VMCONFIG_VIRTIO_NET);
	assert_string_equal(config.devices[0].name, "net");
	assert_string_equal(config.devices[0].switch_name, "lan0");
	assert_memory_equal(config.devices[0].mac, mac, 6);
	assert_int_equal(config.devices[0].slot, 7);
	assert_true(config.devices[0].legacy);
	set_cell(WEB "/net", "pilae,slot", 8);
	expect_bad(ERR_INVAL, WEB "/net: pilae,slot = <8>: must be 0 to 7");
	set_cell(WEB "/net", "pilae,slot", 0);
	set_bytes(WEB "/net", "local-mac-address", mac, 7);
	expect_bad(ERR_INVAL, "local-mac-address");
	set_bytes(WEB "/net", "local-mac-address", "\001\0\0\0\0\0", 6);
	expect_bad(ERR_INVAL, "unicast");
	set_bytes(WEB "/net", "local-mac-address", "\0\0\0\0\0\0", 6);
	expect_bad(ERR_INVAL, "unicast");
	set_bytes(WEB "/net", "local-mac-address", mac, 6);
	set_flag(WEB "/net", "pilae,read-only");
	expect_bad(ERR_INVAL, WEB "/net: pilae,read-only: unknown property");
}

static void test_disk(void **state)
{
	(void)state;
	add_device("disk", "pilae,virtio-blk");
	expect_bad(ERR_INVAL, WEB "/disk: must have one of pilae,host and pilae,image");
	set_string(WEB "/disk", "pilae,image", "disk");
	set_cell(WEB "/disk", "pilae,offset", 512);
	set_u64(WEB "/disk", "pilae,size", 1536);
	set_flag(WEB "/disk", "pilae,read-only");
	expect_good();
	assert_int_equal(config.devices[0].kind, VMCONFIG_VIRTIO_BLK);
	assert_int_equal(config.devices[0].image.size, 2048);
	assert_int_equal(config.devices[0].offset, 512);
	assert_int_equal(config.devices[0].size, 1536);
	assert_int_equal(config.devices[0].slot, VMCONFIG_SLOT_ANY);
	assert_true(config.devices[0].read_only);
	set_u64(WEB "/disk", "pilae,size", 2048);
	expect_bad(ERR_RANGE, "the slice exceeds \"disk\", which has 2048 bytes");
	set_u64(WEB "/disk", "pilae,size", 1000);
	expect_bad(ERR_INVAL, "multiple of 0x200");
	set_u64(WEB "/disk", "pilae,size", UINT64_MAX);
	expect_bad(ERR_INVAL, "pilae,size");
	remove_property(WEB "/disk", "pilae,size");
	set_cell(WEB "/disk", "pilae,offset", 2048);
	expect_bad(ERR_RANGE, "the slice exceeds");
	set_string(WEB "/disk", "pilae,host", "virtio-blk0");
	expect_bad(ERR_INVAL, "must have one of");
	remove_property(WEB "/disk", "pilae,image");
	expect_good();
	set_string(WEB "/disk", "pilae,image", "dosk");
	remove_property(WEB "/disk", "pilae,host");
	expect_bad(ERR_NOENT, WEB "/disk: pilae,image = \"dosk\": no such image");
}

static void test_host_names(void **state)
{
	static const char *const good[] = {"/soc/virtio_mmio@10008000", "virtio-blk0",
					   "virtio-net17", "pci:00:02.0", "pci:ff:1f.7"};
	static const char *const bad[] = {
	    "",          "soc/rtc",   "virtio-blk",   "virtio-blkx", "virtio-gpu0",
	    "pci:0:2.0", "pci:00:02", "pci:00:02.0x", "pci:00-02.0", "pci:0g:02.0"};

	(void)state;
	add_device("thing", "pilae,passthrough");
	expect_bad(ERR_INVAL, WEB "/thing: pilae,host: missing");
	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		set_string(WEB "/thing", "pilae,host", good[i]);
		expect_good();
		assert_string_equal(config.devices[0].host, good[i]);
	}
	set_flag(WEB "/thing", "pilae,allow-dma");
	expect_good();
	assert_true(config.devices[0].allow_dma);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		set_string(WEB "/thing", "pilae,host", bad[i]);
		expect_bad(ERR_INVAL, WEB "/thing: pilae,host = ");
	}
}

static void test_flash(void **state)
{
	(void)state;
	remove_property(WEB, "kernel");
	add_device("flash", "pilae,flash");
	set_string(WEB "/flash", "pilae,image", "disk");
	expect_bad(ERR_INVAL, "pilae,bank: missing");
	set_cell(WEB "/flash", "pilae,bank", 1);
	expect_bad(ERR_NOENT, "kernel: missing");
	set_cell(WEB "/flash", "pilae,bank", 2);
	expect_bad(ERR_INVAL, "pilae,bank = <2>: must be 0 to 1");
	set_cell(WEB "/flash", "pilae,bank", 0);
	expect_good();
	assert_null(config.kernel_name);
	add_device("more", "pilae,flash");
	set_cell(WEB "/more", "pilae,bank", 0);
	set_string(WEB "/more", "pilae,host", "virtio-blk1");
	set_cell(WEB "/more", "pilae,size", 0x2000000);
	expect_bad(ERR_EXIST, "pilae,bank: the same as in");
	set_cell(WEB "/more", "pilae,bank", 1);
	expect_good();
	set_cell(WEB "/more", "pilae,size", 0x2000200);
	expect_bad(ERR_TOO_LARGE, "exceed a bank's");
}

static void test_device_clashes(void **state)
{
	char name[16];

	(void)state;
	add_device("rng", "pilae,virtio-rng");
	add_device("console", "pilae,virtio-console");
	expect_good();
	assert_int_equal(config.device_count, 2);
	set_cell(WEB "/rng", "pilae,slot", 3);
	set_cell(WEB "/console", "pilae,slot", 3);
	expect_bad(ERR_EXIST, "pilae,slot: the same as in");
	set_cell(WEB "/rng", "pilae,slot", 4);
	expect_good();
	for (int i = 2; i < 8; i++) {
		snprintf(name, sizeof(name), "rng%d", i);
		add_device(name, "pilae,virtio-rng");
	}
	expect_good();
	assert_int_equal(config.device_count, 8);
	add_device("ninth", "pilae,virtio-rng");
	expect_bad(ERR_TOO_LARGE, "has 9 virtio devices, but 8 slots");
	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "more%d", i);
		add_device(name, "pilae,virtio-rng");
	}
	expect_bad(ERR_TOO_LARGE, "has more than 32 devices");
}

static void test_device_used_twice(void **state)
{
	(void)state;
	add_device("a", "pilae,passthrough");
	add_device("b", "pilae,virtio-blk");
	set_string(WEB "/a", "pilae,host", "virtio-blk0");
	set_string(WEB "/b", "pilae,host", "virtio-blk0");
	expect_bad(ERR_EXIST, "pilae,host: the same as in");
	set_string(WEB "/a", "pilae,host", "virtio-blk1");
	expect_good();
	add_node(WEB, "blank");
	expect_bad(ERR_INVAL, WEB "/blank: compatible: missing");
}

static void build_full_tree(void)
{
	fdt32_t cpus[] = {cpu_to_fdt32(3), cpu_to_fdt32(0)};

	build_tree(NULL);
	add_node("/", "lan0");
	set_string("/lan0", "compatible", "pilae,switch");
	set_string("/lan0", "pilae,uplink", "virtio-net0");
	set_string(WEB, "ramdisk", "initrd");
	set_string(WEB, "bootargs", "console=ttyS0");
	set_string(WEB, "pilae,engine", "soft");
	set_bytes(WEB, "pilae,cpus", cpus, sizeof(cpus));
	add_device("net", "pilae,virtio-net");
	set_string(WEB "/net", "pilae,switch", "lan0");
	set_bytes(WEB "/net", "local-mac-address", "RT\0\1\2\3", 6);
	add_device("blk", "pilae,virtio-blk");
	set_string(WEB "/blk", "pilae,image", "disk");
	set_cell(WEB "/blk", "pilae,size", 512);
	CHECK(fdt_pack(tree));
}

static void read_everything(const void *file, size_t size)
{
	struct vmconfig_switch lan;

	messages[0] = '\0';
	if (fit_open(&fit, file, size))
		return;
	(void)vmconfig_check_system(&fit);
	for (int node = 0; (node = vmconfig_next_switch(&fit, node)) >= 0;)
		(void)vmconfig_read_switch(&lan, &fit, node);
	for (int node = 0; (node = vmconfig_next(&fit, node)) >= 0;) {
		if (vmconfig_read(&config, &fit, node))
			continue;
		assert_true(range_within(config.ram_base, config.memory, 0, BIT(56)));
		assert_true(config.vcpus >= 1 && config.vcpus <= 512);
	}
}

/* Damaged trees in memory of exactly their size; the sanitizers look on. */
static void test_damaged(void **state)
{
	size_t size;
	uint8_t *file;

	(void)state;
	build_full_tree();
	expect_good();
	size = fdt_totalsize(tree);
	file = malloc(size);
	assert_non_null(file);
	for (size_t at = 0; at < size; at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			memcpy(file, tree, size);
			file[at] ^= (uint8_t)(1 << bit);
			read_everything(file, size);
		}
	}
	srand(2);
	for (unsigned round = 0; round < 20000; round++) {
		memcpy(file, tree, size);
		for (int i = rand() % 6; i >= 0; i--)
			file[(size_t)rand() % size] = (uint8_t)rand();
		read_everything(file, size);
	}
	free(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_network, build_tree),
	    cmocka_unit_test_setup(test_disk, build_tree),
	    cmocka_unit_test_setup(test_host_names, build_tree),
	    cmocka_unit_test_setup(test_flash, build_tree),
	    cmocka_unit_test_setup(test_device_clashes, build_tree),
	    cmocka_unit_test_setup(test_device_used_twice, build_tree),
	    cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
