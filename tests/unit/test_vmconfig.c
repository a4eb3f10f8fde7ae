/* SPDX-License-Identifier: MIT */
/* unit: vmm/vmconfig.c vmm/vmconfig_device.c vmm/vmconfig_property.c vmm/fit.c vmm/hash.c */
/* libs: -lfdt */
#include "tests/unit/vmconfig_fixture.h"

static void test_defaults(void **state)
{
	(void)state;
	expect_good();
	assert_string_equal(config.name, "web");
	assert_string_equal(config.path, WEB);
	assert_string_equal(config.kernel.name, "linux");
	assert_int_equal(config.kernel.size, 16);
	assert_null(config.ramdisk_name);
	assert_null(config.fdt_name);
	assert_null(config.bootargs);
	assert_int_equal(config.vcpus, 1);
	assert_int_equal(config.memory, MIB(512));
	assert_int_equal(config.ram_base, 0x80000000);
	assert_false(config.ram_base_given || config.identity_map || config.manual);
	assert_int_equal(config.engine, VMCONFIG_ENGINE_AUTO);
	assert_int_equal(config.cpu_count, 0);
	assert_true(vmconfig_allows_cpu(&config, 77));
	assert_int_equal(config.weight, 100);
	assert_int_equal(config.budget_us, 0);
	assert_int_equal(config.period_us, 0);
	assert_int_equal(config.populate, VMCONFIG_POPULATE_DEMAND);
	assert_int_equal(config.on_crash, VMCONFIG_ON_CRASH_STOP);
	assert_int_equal(config.device_count, 0);
	assert_int_equal(vmconfig_check_system(&fit), 0);
}

static void test_everything_set(void **state)
{
	fdt32_t cpus[] = {cpu_to_fdt32(3), cpu_to_fdt32(0)};

	(void)state;
	set_string(WEB, "description", "a web server");
	set_string(WEB, "ramdisk", "initrd");
	set_string(WEB, "fdt", "dtb");
	set_string(WEB, "bootargs", "console=ttyS0");
	set_cell(WEB, "pilae,vcpus", 512);
	set_u64(WEB, "pilae,ram-base", GIB(4));
	set_flag(WEB, "pilae,identity-map");
	set_string(WEB, "pilae,engine", "soft");
	set_bytes(WEB, "pilae,cpus", cpus, sizeof(cpus));
	set_cell(WEB, "pilae,weight", 1);
	set_cell(WEB, "pilae,budget-us", 2000);
	set_cell(WEB, "pilae,period-us", 10000);
	set_string(WEB, "pilae,populate", "eager");
	set_string(WEB, "pilae,on-crash", "pause");
	set_flag(WEB, "pilae,manual");
	expect_good();
	assert_string_equal(config.ramdisk.name, "initrd");
	assert_string_equal(config.fdt.name, "dtb");
	assert_string_equal(config.bootargs, "console=ttyS0");
	assert_int_equal(config.vcpus, 512);
	assert_int_equal(config.ram_base, GIB(4));
	assert_true(config.ram_base_given && config.identity_map && config.manual);
	assert_int_equal(config.engine, VMCONFIG_ENGINE_SOFT);
	assert_int_equal(config.cpu_count, 2);
	assert_int_equal(vmconfig_cpu(&config, 0), 3);
	assert_int_equal(vmconfig_cpu(&config, 1), 0);
	assert_true(vmconfig_allows_cpu(&config, 3) && vmconfig_allows_cpu(&config, 0));
	assert_false(vmconfig_allows_cpu(&config, 1));
	assert_false(vmconfig_allows_cpu(&config, UINT64_C(0x100000003)));
	assert_int_equal(config.weight, 1);
	assert_int_equal(config.budget_us, 2000);
	assert_int_equal(config.period_us, 10000);
	assert_int_equal(config.populate, VMCONFIG_POPULATE_EAGER);
	assert_int_equal(config.on_crash, VMCONFIG_ON_CRASH_PAUSE);
}

static void test_choices(void **state)
{
	(void)state;
	set_string(WEB, "pilae,engine", "hext");
	set_string(WEB, "pilae,on-crash", "restart");
	set_string(WEB, "pilae,populate", "eager");
	set_cell(WEB, "pilae,weight", 10000);
	set_flag(WEB, "pilae,manual");
	expect_good();
	assert_int_equal(config.engine, VMCONFIG_ENGINE_HEXT);
	assert_int_equal(config.on_crash, VMCONFIG_ON_CRASH_RESTART);
	assert_string_equal(messages, "");
}

static void test_numbers(void **state)
{
	static const struct {
		const char *name;
		uint32_t good[2], bad[2];
	} cells[] = {
	    {"pilae,vcpus", {1, 512}, {0, 513}},
	    {"pilae,weight", {1, 10000}, {0, 10001}},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cells); i++) {
		for (unsigned j = 0; j < 2; j++) {
			set_cell(WEB, cells[i].name, cells[i].good[j]);
			expect_good();
			set_cell(WEB, cells[i].name, cells[i].bad[j]);
			expect_bad(ERR_INVAL, cells[i].name);
		}
		set_cell(WEB, cells[i].name, UINT32_MAX);
		expect_bad(ERR_INVAL, cells[i].name);
		set_u64(WEB, cells[i].name, 1);
		expect_bad(ERR_INVAL, "must be one number of 32 bits");
		remove_property(WEB, cells[i].name);
	}
	set_cell(WEB, "pilae,vcpus", 0);
	expect_bad(ERR_INVAL, WEB ": pilae,vcpus = <0>: must be 1 to 512");
}

static void test_memory(void **state)
{
	(void)state;
	set_u64(WEB, "pilae,memory", MIB(2));
	expect_good();
	set_u64(WEB, "pilae,memory", MIB(1));
	expect_bad(ERR_INVAL, "pilae,memory = <0x100000>: must be 0x200000 to");
	set_u64(WEB, "pilae,memory", MIB(3));
	expect_bad(ERR_INVAL, "must be a multiple of 0x200000");
	set_u64(WEB, "pilae,memory", 0);
	expect_bad(ERR_INVAL, "pilae,memory");
	set_u64(WEB, "pilae,memory", UINT64_MAX);
	expect_bad(ERR_INVAL, "pilae,memory");
	set_cell(WEB, "pilae,memory", 0x20000000);
	expect_bad(ERR_INVAL, "pilae,memory = /bits/ 64 <0x20000000>");
	remove_property(WEB, "pilae,memory");
	expect_bad(ERR_NOENT, WEB ": pilae,memory: missing");
}

static void test_ram_range(void **state)
{
	(void)state;
	set_u64(WEB, "pilae,ram-base", BIT(56) - MIB(512));
	expect_good();
	set_u64(WEB, "pilae,ram-base", BIT(56) - MIB(510));
	expect_bad(ERR_RANGE, "ends beyond 2^56");
	set_u64(WEB, "pilae,ram-base", BIT(56));
	expect_bad(ERR_INVAL, "pilae,ram-base");
	set_u64(WEB, "pilae,ram-base", UINT64_MAX - MIB(2) + 1);
	expect_bad(ERR_INVAL, "pilae,ram-base");
	set_u64(WEB, "pilae,ram-base", UINT64_MAX);
	expect_bad(ERR_INVAL, "pilae,ram-base");
	set_u64(WEB, "pilae,ram-base", MIB(1));
	expect_bad(ERR_INVAL, "multiple of");
	remove_property(WEB, "pilae,ram-base");
	set_u64(WEB, "pilae,memory", BIT(56) - 0x80000000);
	expect_good();
	set_u64(WEB, "pilae,memory", BIT(56));
	expect_bad(ERR_RANGE, "ends beyond 2^56");
}

static void test_ram_beside_devices(void **state)
{
	static const struct {
		uint64_t base, size;
		const char *overlaps;
	} cases[] = {
	    {0, MIB(2), "test finisher"}, {MIB(2), MIB(190), NULL},   {MIB(2), MIB(192), "PLIC"},
	    {0xc400000, MIB(2), "PLIC"},  {0xc600000, MIB(58), NULL}, {0xc600000, MIB(60), "UART"},
	    {0x10000000, MIB(2), "UART"}, {0x10200000, GIB(1), NULL}, {0x20000000, MIB(512), NULL},
	    {0x40000000, GIB(4), NULL},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		set_u64(WEB, "pilae,ram-base", cases[i].base);
		set_u64(WEB, "pilae,memory", cases[i].size);
		if (cases[i].overlaps)
			expect_bad(ERR_EXIST, cases[i].overlaps);
		else
			expect_good();
	}
	add_device("flash", "pilae,flash");
	set_cell(WEB "/flash", "pilae,bank", 1);
	set_string(WEB "/flash", "pilae,image", "disk");
	set_u64(WEB, "pilae,memory", MIB(16));
	set_u64(WEB, "pilae,ram-base", 0x22000000);
	expect_bad(ERR_EXIST, "flash");
	set_u64(WEB, "pilae,ram-base", 0x20000000);
	expect_good();
}

static void test_flags_and_words(void **state)
{
	(void)state;
	set_string(WEB, "pilae,engine", "fast");
	expect_bad(ERR_INVAL,
		   "pilae,engine = \"fast\": must be one of \"auto\", \"hext\", \"soft\"");
	set_bytes(WEB, "pilae,engine", "hext", 4);
	expect_bad(ERR_INVAL, "must be one string");
	set_bytes(WEB, "pilae,engine", "hext\0soft", 10);
	expect_bad(ERR_INVAL, "must be one string");
	set_flag(WEB, "pilae,engine");
	expect_bad(ERR_INVAL, "must be one string");
	remove_property(WEB, "pilae,engine");
	set_cell(WEB, "pilae,manual", 1);
	expect_bad(ERR_INVAL, WEB ": pilae,manual: takes no value");
}

static void test_cpus(void **state)
{
	fdt32_t twice[] = {cpu_to_fdt32(5), cpu_to_fdt32(1), cpu_to_fdt32(5)};
	static fdt32_t many[513];

	(void)state;
	set_bytes(WEB, "pilae,cpus", twice, sizeof(twice));
	expect_bad(ERR_EXIST, "pilae,cpus: names hart 5 twice");
	set_bytes(WEB, "pilae,cpus", twice, 8);
	expect_good();
	set_bytes(WEB, "pilae,cpus", twice, 7);
	expect_bad(ERR_INVAL, "pilae,cpus");
	set_bytes(WEB, "pilae,cpus", twice, 0);
	expect_bad(ERR_INVAL, "pilae,cpus");
	set_bytes(WEB, "pilae,cpus", many, sizeof(many));
	expect_bad(ERR_TOO_LARGE, "more than 512 harts");
}

static void test_budget(void **state)
{
	(void)state;
	set_cell(WEB, "pilae,budget-us", 1000);
	expect_bad(ERR_INVAL, "give both or none");
	set_cell(WEB, "pilae,period-us", 1000);
	expect_good();
	set_cell(WEB, "pilae,budget-us", 1001);
	expect_bad(ERR_INVAL, "pilae,budget-us = <1001>: exceeds pilae,period-us = <1000>");
	set_cell(WEB, "pilae,period-us", 0);
	expect_bad(ERR_INVAL, "pilae,period-us");
}

static void test_unknown_properties(void **state)
{
	static const char *const suggestions[][2] = {
	    {"pilae,vcpu", "pilae,vcpus"},
	    {"vcpus", "pilae,vcpus"},
	    {"ramdisc", "ramdisk"},
	    {"initrd", NULL},
	    {"pilae,ram_base", "pilae,ram-base"},
	    {"bootarg", "bootargs"},
	    {"memory", "pilae,memory"},
	    {"pilae,frobnicate", NULL},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(suggestions); i++) {
		char expected[128];

		if (suggestions[i][1])
			snprintf(expected, sizeof(expected),
				 WEB ": %s: unknown property; did you mean %s?\n",
				 suggestions[i][0], suggestions[i][1]);
		else
			snprintf(expected, sizeof(expected),
				 WEB ": %s: unknown property: remove it\n", suggestions[i][0]);
		set_cell(WEB, suggestions[i][0], 1);
		expect_bad(ERR_INVAL, expected);
		remove_property(WEB, suggestions[i][0]);
	}
	set_cell(WEB, "a-name-longer-than-any-that-is-worth-being-compared", 1);
	expect_bad(ERR_INVAL, "unknown property: remove it");
}

/* One look at a file tells everything. */
static void test_all_is_reported(void **state)
{
	(void)state;
	set_cell(WEB, "pilae,vcpus", 0);
	set_cell(WEB, "pilae,wait", 0);
	set_string(WEB, "kernel", "linuz");
	set_string(WEB, "ramdisk", "initrf");
	add_device("net", "pilae,virtio-net");
	add_device("gpu", "pilae,virtio-gpu");
	assert_int_equal(read_node(WEB), ERR_INVAL);
	assert_non_null(strstr(messages, "pilae,vcpus = <0>"));
	assert_non_null(strstr(messages, "pilae,wait: unknown"));
	assert_non_null(strstr(messages, "kernel = \"linuz\": no such image; have: "));
	assert_non_null(strstr(messages, "ramdisk = \"initrf\": no such image"));
	assert_non_null(strstr(messages, WEB "/net: pilae,switch: missing"));
	assert_non_null(strstr(messages, WEB "/gpu: compatible = \"pilae,virtio-gpu\": no such"));
}

/* A property that is there twice, which neither dtc nor libfdt's editing makes. */
static void test_property_twice(void **state)
{
	(void)state;
	set_cell(WEB, "pilae,vcpus", 1);
	set_cell(WEB, "pilae,vcpuz", 2);
	for (char *p = tree; p < (char *)tree + fdt_totalsize(tree) - 11; p++) {
		if (memcmp(p, "pilae,vcpuz", 11) == 0)
			p[10] = 's';
	}
	expect_bad(ERR_INVAL, WEB ": pilae,vcpus: is there twice");
}

static void test_images(void **state)
{
	(void)state;
	set_string(WEB, "kernel", "initrd");
	expect_bad(ERR_INVAL, "kernel = \"initrd\": an image of type = \"ramdisk\"");
	set_string(WEB, "kernel", "disk");
	expect_good();
	set_string(WEB, "ramdisk", "linux");
	expect_bad(ERR_INVAL, "ramdisk = \"linux\": an image of type = \"kernel\"");
	remove_property(WEB, "ramdisk");
	set_string(WEB, "fdt", "none");
	expect_bad(ERR_NOENT, WEB ": fdt = \"none\": no such image");
	remove_property(WEB, "fdt");
	remove_property(WEB, "kernel");
	expect_bad(ERR_NOENT, WEB ": kernel: missing");
	set_bytes(WEB, "kernel", "linux\0disk", 11);
	expect_bad(ERR_INVAL, WEB ": kernel: must be one string");
}

static void test_names(void **state)
{
	char name[80];
	char path[100];

	(void)state;
	CHECK(fdt_set_name(tree, node_at(WEB), "vm@1,2._+-"));
	assert_int_equal(read_node("/configurations/vm@1,2._+-"), 0);
	assert_string_equal(config.name, "vm@1,2._+-");
	memset(name, 'n', sizeof(name));
	name[63] = '\0';
	CHECK(fdt_set_name(tree, node_at("/configurations/vm@1,2._+-"), name));
	snprintf(path, sizeof(path), "/configurations/%s", name);
	assert_int_equal(read_node(path), 0);
	assert_string_equal(config.name, name);
	CHECK(fdt_set_name(tree, node_at(path), "nn"));
	name[63] = 'n';
	name[64] = '\0';
	CHECK(fdt_set_name(tree, node_at("/configurations/nn"), name));
	snprintf(path, sizeof(path), "/configurations/%s", name);
	assert_int_equal(read_node(path), ERR_INVAL);
	assert_non_null(strstr(messages, "at most 63 characters"));
	CHECK(fdt_set_name(tree, node_at(path), "a\033[2J"));
	assert_int_equal(read_node("/configurations/a\033[2J"), ERR_INVAL);
	/* Nothing of it comes to a terminal, */
	assert_string_equal(config.name, "a?[2J");
	assert_string_equal(config.path, "/configurations/a?[2J");
	/* nor is it offered there. */
	assert_true(vmconfig_is_name("vm@1,2._+-"));
	assert_true(vmconfig_is_name(name + 1));
	assert_false(vmconfig_is_name(name));
	assert_false(vmconfig_is_name("a\033[2J"));
	assert_false(vmconfig_is_name("a b"));
	assert_false(vmconfig_is_name("a/b"));
	assert_false(vmconfig_is_name("a\xc3\xa4"));
}

static void test_same_names(void **state)
{
	int first, second;

	(void)state;
	add_node("/configurations", "wea");
	set_string("/configurations/wea", "compatible", "pilae,vm");
	set_string("/configurations/wea", "kernel", "linux");
	set_u64("/configurations/wea", "pilae,memory", MIB(2));
	CHECK(fdt_set_name(tree, node_at("/configurations/wea"), "web"));
	assert_int_equal(fit_open(&fit, tree, fdt_totalsize(tree)), 0);
	first = vmconfig_next(&fit, 0);
	second = vmconfig_next(&fit, first);
	assert_true(first > 0 && second > 0);
	assert_int_equal(vmconfig_read(&config, &fit, first), 0);
	assert_int_equal(vmconfig_read(&config, &fit, second), ERR_EXIST);
	assert_non_null(strstr(messages, WEB ": there is another VM of this name"));
	assert_true(vmconfig_next(&fit, second) < 0);
}

static void test_enumeration(void **state)
{
	int node, count = 0;

	(void)state;
	add_node("/configurations", "uboot");
	add_node("/configurations", "other");
	set_string("/configurations/other", "compatible", "vendor,board");
	add_node("/configurations", "list");
	set_bytes("/configurations/list", "compatible", "a\0pilae,vm", 11);
	assert_int_equal(fit_open(&fit, tree, fdt_totalsize(tree)), 0);
	for (node = 0; (node = vmconfig_next(&fit, node)) >= 0;)
		count++;
	assert_int_equal(count, 2);
	assert_int_equal(vmconfig_check_system(&fit), 0);
	assert_string_equal(messages, "");
}

static void test_system(void **state)
{
	(void)state;
	add_node("/configurations", "typo");
	set_string("/configurations/typo", "compatible", "pilae,vn");
	assert_int_equal(fit_open(&fit, tree, fdt_totalsize(tree)), 0);
	assert_int_equal(vmconfig_check_system(&fit), ERR_INVAL);
	assert_non_null(strstr(messages, "/configurations/typo: compatible = \"pilae,vn\""));
	CHECK(fdt_del_node(tree, node_at("/configurations/typo")));
	add_node("/", "lan0");
	set_string("/lan0", "compatible", "pilae,hub");
	assert_int_equal(fit_open(&fit, tree, fdt_totalsize(tree)), 0);
	assert_int_equal(vmconfig_check_system(&fit), ERR_INVAL);
	assert_non_null(strstr(messages, "/lan0: compatible = \"pilae,hub\""));
	CHECK(fdt_del_node(tree, node_at(WEB)));
	assert_int_equal(fit_open(&fit, tree, fdt_totalsize(tree)), 0);
	assert_int_equal(vmconfig_check_system(&fit), ERR_NOENT);
	assert_non_null(strstr(messages, "/configurations: has no VM"));
}

static void test_switches(void **state)
{
	struct vmconfig_switch lan;
	int node;

	(void)state;
	add_node("/", "lan0");
	set_string("/lan0", "compatible", "pilae,switch");
	set_string("/lan0", "pilae,uplink", "virtio-net0");
	assert_int_equal(fit_open(&fit, tree, fdt_totalsize(tree)), 0);
	node = vmconfig_next_switch(&fit, 0);
	assert_true(node > 0);
	assert_int_equal(vmconfig_read_switch(&lan, &fit, node), 0);
	assert_string_equal(lan.name, "lan0");
	assert_string_equal(lan.uplink, "virtio-net0");
	assert_true(vmconfig_next_switch(&fit, node) < 0);
	set_cell("/lan0", "pilae,uplinks", 1);
	assert_int_equal(fit_open(&fit, tree, fdt_totalsize(tree)), 0);
	assert_int_equal(vmconfig_read_switch(&lan, &fit, node_at("/lan0")), ERR_INVAL);
	assert_non_null(strstr(messages, "/lan0: pilae,uplinks: unknown property; did you mean "
					 "pilae,uplink?"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_defaults, build_tree),
	    cmocka_unit_test_setup(test_everything_set, build_tree),
	    cmocka_unit_test_setup(test_choices, build_tree),
	    cmocka_unit_test_setup(test_numbers, build_tree),
	    cmocka_unit_test_setup(test_memory, build_tree),
	    cmocka_unit_test_setup(test_ram_range, build_tree),
	    cmocka_unit_test_setup(test_ram_beside_devices, build_tree),
	    cmocka_unit_test_setup(test_flags_and_words, build_tree),
	    cmocka_unit_test_setup(test_cpus, build_tree),
	    cmocka_unit_test_setup(test_budget, build_tree),
	    cmocka_unit_test_setup(test_unknown_properties, build_tree),
	    cmocka_unit_test_setup(test_all_is_reported, build_tree),
	    cmocka_unit_test_setup(test_property_twice, build_tree),
	    cmocka_unit_test_setup(test_images, build_tree),
	    cmocka_unit_test_setup(test_names, build_tree),
	    cmocka_unit_test_setup(test_same_names, build_tree),
	    cmocka_unit_test_setup(test_enumeration, build_tree),
	    cmocka_unit_test_setup(test_system, build_tree),
	    cmocka_unit_test_setup(test_switches, build_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
