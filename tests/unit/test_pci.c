/* SPDX-License-Identifier: MIT */
/* unit: driver/pci.c driver/pci_tree.c kernel/fdt.c */
/* libs: -lfdt */
#include "tests/unit/pci_fixture.h"

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
