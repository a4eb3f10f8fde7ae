/* SPDX-License-Identifier: MIT */
/* unit: vmm/guest_fdt.c vmm/guest_fdt_host.c vmm/tree_writer.c */
/* libs: -lfdt */
#include "tests/unit/guest_tree.h"

static int setup(void **state)
{
	(void)state;
	info = (struct guest_fdt_info){
	    .path = "/configurations/web",
	    .hart_count = 2,
	    .timebase = 10000000,
	    .isa = "rv64imafdc_zicsr_zifencei",
	    .mmu_type = "riscv,sv48",
	    .ram_base = 0x80000000,
	    .ram_size = MIB(512),
	};
	return 0;
}

static const struct range slot_2 = {0x10003000, 0x1000}, clock_range = {0x101000, 0x1000};
static const struct range elsewhere[] = {{0x30000000, 0x100}, {0x140000000, 0x200000}};
static const uint32_t interrupt_3 = 3, interrupt_11 = 11, many[] = {5, 20};

/* With all that must not be copied. */
static void build_host(void)
{
	tree_clear();
	add_node("/", "thing@30000000");
	set_string("/thing@30000000", "compatible", "vendor,thing");
	set_bytes("/thing@30000000", "reg", "wrong", 5);
	set_cell("/thing@30000000", "interrupts", 77);
	set_cell("/thing@30000000", "interrupt-parent", 7);
	set_cell("/thing@30000000", "phandle", 9);
	set_cell("/thing@30000000", "clocks", 7);
	set_string("/thing@30000000", "clock-names", "bus");
	set_cell("/thing@30000000", "vendor,reset-gpios", 7);
	set_cell("/thing@30000000", "vdd-supply", 7);
	set_cell("/thing@30000000", "pinctrl-0", 7);
	set_cell("/thing@30000000", "reg-shift", 2);
	set_flag("/thing@30000000", "dma-coherent");
	set_bytes("/thing@30000000", "vendor,odd", "\1\2\3", 3);
	add_node("/", "virtio_mmio@10003000");
	set_string("/virtio_mmio@10003000", "compatible", "virtio,mmio");
	set_flag("/virtio_mmio@10003000", "vendor,odd");
	add_node("/", "rtc@101000");
	set_string("/rtc@101000", "compatible", "vendor,clock");
}

static struct guest_fdt_device host_device(const char *path, const struct range *ranges,
					   unsigned range_count, const uint32_t *interrupts,
					   unsigned interrupt_count)
{
	return (struct guest_fdt_device){
	    .host = tree,
	    .node = node_at(path),
	    .ranges = ranges,
	    .range_count = range_count,
	    .interrupts = interrupts,
	    .interrupt_count = interrupt_count,
	};
}

static void test_host_devices(void **state)
{
	struct guest_fdt_device devices[3];
	static const char *const gone[] = {"phandle",    "clocks",    "vendor,reset-gpios",
					   "vdd-supply", "pinctrl-0", "status"};
	const char *slots[] = {"virtio_mmio@10001000", "virtio_mmio@10002000",
			       "virtio_mmio@10003000", "virtio_mmio@10004000",
			       "virtio_mmio@10006000"};
	const char *const path = "/soc/thing@30000000";
	int node;

	(void)state;
	build_host();
	devices[0] = host_device("/thing@30000000", elsewhere, 2, many, 2);
	devices[1] = host_device("/virtio_mmio@10003000", &slot_2, 1, &interrupt_3, 1);
	devices[2] = host_device("/rtc@101000", &clock_range, 1, &interrupt_11, 1);
	info.devices = devices;
	info.device_count = 3;
	write_tree();
	expect_bytes(written, path, "reg",
		     "\0\0\0\0\x30\0\0\0"
		     "\0\0\0\0\0\0\1\0"
		     "\0\0\0\1\x40\0\0\0"
		     "\0\0\0\0\0\x20\0\0",
		     32);
	expect_bytes(written, path, "interrupts", "\0\0\0\5\0\0\0\x14", 8);
	expect_bytes(written, path, "compatible", "vendor,thing", 13);
	expect_bytes(written, path, "vendor,odd", "\1\2\3", 3);
	expect_bytes(written, path, "dma-coherent", "", 0);
	expect_bytes(written, path, "reg-shift", "\0\0\0\2", 4);
	for (unsigned i = 0; i < ARRAY_SIZE(gone); i++)
		assert_null(fdt_getprop(written, find(written, path), gone[i], NULL));
	assert_int_equal(
	    fdt_get_phandle(written, find(written, "/soc/plic@c000000")),
	    fdt32_ld(fdt_getprop(written, find(written, path), "interrupt-parent", NULL)));
	expect_bytes(written, "/soc/virtio_mmio@10003000", "vendor,odd", "", 0);
	expect_bytes(written, "/soc/rtc@101000", "compatible", "vendor,clock", 13);
	/* In order, each once, without slot 4, whose interrupt is another's. */
	node = find(written, "/soc/virtio_mmio@10001000");
	for (unsigned i = 0; i < ARRAY_SIZE(slots); i++) {
		assert_string_equal(fdt_get_name(written, node, NULL), slots[i]);
		node = fdt_next_subnode(written, node);
	}
	assert_true(fdt_path_offset(written, "/soc/virtio_mmio@10005000") < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_host_devices, setup, teardown),
	};

	return cmocka_run_group_tests_name("guest_fdt_host", tests, NULL, NULL);
}
