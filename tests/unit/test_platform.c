/* SPDX-License-Identifier: MIT */
/* unit: kernel/platform.c kernel/fdt.c */
/* libs: -lfdt */
#include "kernel/error.h"
#include "tests/unit/host_tree.h"

#include <stdlib.h>

static int read_memory(void)
{
	memset(&platform, 0, sizeof(platform));
	return platform_read_memory(tree, FDT_AT);
}

static void read_all(void)
{
	assert_int_equal(read_memory(), 0);
	platform_read_devices();
	fdt_index(NULL);
	expect_silence();
}

static void expect_range(struct range range, uint64_t base, uint64_t size)
{
	assert_int_equal(range.base, base);
	assert_int_equal(range.size, size);
}

static void test_whole(void **state)
{
	uint32_t context;

	(void)state;
	set_string("/chosen", "bootargs", "pilae.loglevel=debug");
	set_bytes("/chosen", "rng-seed", "0123456789", 10);
	set_cell("/chosen", "linux,initrd-start", 0x88000000);
	set_u64("/chosen", "linux,initrd-end", 0x88001234);
	read_all();
	assert_ptr_equal(platform.fdt, tree);
	expect_range(platform.fdt_range, FDT_AT.v, fdt_totalsize(tree));
	assert_int_equal(platform.memory_count, 1);
	expect_range(platform.memory[0], RAM_BASE, 0x40000000);
	assert_string_equal(platform.bootargs, "pilae.loglevel=debug");
	assert_int_equal(platform.rng_seed_size, 10);
	assert_memory_equal(platform.rng_seed, "0123456789", 10);
	expect_range(platform.initrd, 0x88000000, 0x1234);
	assert_int_equal(platform.timebase, 10000000);
	expect_range(platform.uart.registers, 0x10000000, 0x100);
	assert_int_equal(platform.uart.stride, 1);
	assert_int_equal(platform.uart.width, 1);
	assert_int_equal(platform.uart.interrupt, 10);
	expect_range(platform.plic, 0xc000000, 0x600000);
	assert_int_equal(platform.plic_sources, 95);
	assert_int_equal(platform.plic_node, node_at(PLIC));
	assert_int_equal(platform_plic_context(4, &context), 0);
	assert_int_equal(context, 1);
	assert_int_equal(platform_plic_context(5, &context), 0);
	assert_int_equal(context, 3);
	assert_int_equal(platform_plic_context(0, &context), ERR_NOENT);
}

/* What the tree does not tell is not there. */
static void test_bare(void **state)
{
	uint32_t context = 7;

	(void)state;
	tree_clear();
	assert_int_equal(read_memory(), ERR_NOENT);
	platform_read_devices();
	assert_string_equal(platform.bootargs, "");
	assert_null(platform.rng_seed);
	assert_int_equal(platform.rng_seed_size, 0);
	assert_int_equal(platform.initrd.size, 0);
	assert_int_equal(platform.timebase, 0);
	assert_int_equal(platform.uart.registers.size, 0);
	assert_int_equal(platform.plic.size, 0);
	assert_int_equal(platform.finisher.size, 0);
	assert_int_equal(platform.rtc.size, 0);
	assert_int_equal(platform.virtio_count, 0);
	assert_int_equal(platform_mtime(), 0);
	assert_int_equal(platform_plic_context(0, &context), ERR_NOENT);
	assert_int_equal(context, 7);
	add_node("/", "chosen");
	add_node("/", "cpus");
	assert_int_equal(read_memory(), ERR_NOENT);
	platform_read_devices();
	assert_string_equal(platform.bootargs, "");
	assert_null(platform.rng_seed);
	assert_int_equal(platform.timebase, 0);
	expect_silence();
}

static void test_no_tree(void **state)
{
	uint8_t *bytes = tree;

	(void)state;
	bytes[0] ^= 1;
	assert_int_equal(read_memory(), ERR_INVAL);
	assert_null(platform.fdt);
	bytes[0] ^= 1;
	fdt_set_version(tree, 1);
	assert_int_equal(read_memory(), ERR_INVAL);
}

/* An empty ramdisk, and one that ends before it begins, are none. */
static void test_initrd(void **state)
{
	(void)state;
	set_cell("/chosen", "linux,initrd-start", 0x88000000);
	read_all();
	assert_int_equal(platform.initrd.size, 0);
	set_cell("/chosen", "linux,initrd-end", 0x88000000);
	read_all();
	assert_int_equal(platform.initrd.size, 0);
	set_cell("/chosen", "linux,initrd-end", 0x88000001);
	read_all();
	expect_range(platform.initrd, 0x88000000, 1);
	remove_property("/chosen", "linux,initrd-start");
	read_all();
	expect_range(platform.initrd, 0, 0x88000001);
}

static void test_which_nodes_are_memory(void **state)
{
	(void)state;
	set_string("/memory@80000000", "status", "disabled");
	assert_int_equal(read_memory(), ERR_NOENT);
	set_string("/memory@80000000", "status", "okay");
	assert_int_equal(read_memory(), 0);
	set_string("/memory@80000000", "device_type", "memory2");
	assert_int_equal(read_memory(), ERR_NOENT);
	/* No string, though its bytes begin as one. */
	set_bytes("/memory@80000000", "device_type", "memory", 6);
	assert_int_equal(read_memory(), ERR_NOENT);
	remove_property("/memory@80000000", "device_type");
	assert_int_equal(read_memory(), ERR_NOENT);
	expect_silence();
}

#define TRIED_MAX 24

struct tried {
	struct range ranges[TRIED_MAX];
	unsigned count;
};

/* Few places, so that they meet; ends of the address space; and what is no range. */
static struct range random_range(void)
{
	switch (rand() % 8) {
	case 0:
		return (struct range){-(uint64_t)(rand() % 3), (uint64_t)(rand() % 3)};
	case 1:
		return (struct range){(uint64_t)(rand() % 64),
				      UINT64_MAX - (uint64_t)(rand() % 64)};
	default:
		return (struct range){(uint64_t)(rand() % 400), (uint64_t)(rand() % 8)};
	}
}

/* Ranges of a node, as cells of its reg. */
static void set_ranges(const char *path, const struct range *ranges, unsigned count)
{
	uint32_t cells[4 * TRIED_MAX];

	for (unsigned i = 0; i < count; i++) {
		cells[4 * i] = (uint32_t)(ranges[i].base >> 32);
		cells[4 * i + 1] = (uint32_t)ranges[i].base;
		cells[4 * i + 2] = (uint32_t)(ranges[i].size >> 32);
		cells[4 * i + 3] = (uint32_t)ranges[i].size;
	}
	set_cells(path, "reg", cells, 4 * (size_t)count);
}

static bool meet(struct range a, struct range b)
{
	return a.base <= b.base + (b.size - 1) && b.base <= a.base + (a.size - 1);
}

/* What is used of them, in the order in which they come. */
static struct tried used_of(const struct tried *tried)
{
	struct tried used = {.count = 0};

	for (unsigned i = 0; i < tried->count; i++) {
		struct range range = tried->ranges[i];
		bool good = range.size > 0 && range.size - 1 < UINT64_MAX - range.base;

		for (unsigned k = 0; k < used.count && good; k++)
			good = !meet(range, used.ranges[k]);
		if (good && used.count < PLATFORM_MEMORY_MAX)
			used.ranges[used.count++] = range;
	}
	return used;
}

static int by_base(const void *a, const void *b)
{
	const struct range *first = a, *second = b;

	return first->base < second->base ? -1 : first->base > second->base;
}

static void test_random_memory(void **state)
{
	(void)state;
	srand(1);
	for (unsigned round = 0; round < 3000; round++) {
		struct tried tried = {.count = (unsigned)rand() % TRIED_MAX + 1}, used;
		unsigned first = (unsigned)rand() % tried.count;

		for (unsigned i = 0; i < tried.count; i++)
			tried.ranges[i] = random_range();
		setup(NULL);
		/* Nodes that are added come before the others. */
		set_ranges("/memory@80000000", tried.ranges + first, tried.count - first);
		add_node("/", "memory@1");
		set_string("/memory@1", "device_type", "memory");
		set_ranges("/memory@1", tried.ranges, first);
		assert_true(node_at("/memory@1") < node_at("/memory@80000000"));
		used = used_of(&tried);
		assert_int_equal(read_memory(), used.count ? 0 : ERR_NOENT);
		assert_int_equal(platform.memory_count, used.count);
		qsort(used.ranges, used.count, sizeof(used.ranges[0]), by_base);
		assert_memory_equal(platform.memory, used.ranges,
				    used.count * sizeof(struct range));
	}
}

/* What is not used is told. */
static void test_memory_messages(void **state)
{
	struct range ranges[PLATFORM_MEMORY_MAX + 2];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++)
		ranges[i] = (struct range){GIB(100 - i), GIB(1)};
	set_ranges("/memory@80000000", ranges, PLATFORM_MEMORY_MAX);
	assert_int_equal(read_memory(), 0);
	expect_silence();
	expect_range(platform.memory[0], GIB(100 - PLATFORM_MEMORY_MAX + 1), GIB(1));
	expect_range(platform.memory[PLATFORM_MEMORY_MAX - 1], GIB(100), GIB(1));
	set_ranges("/memory@80000000", ranges, PLATFORM_MEMORY_MAX + 1);
	assert_int_equal(read_memory(), 0);
	assert_int_equal(platform.memory_count, PLATFORM_MEMORY_MAX);
	expect_message("/memory: more than 16 ranges");
	ranges[1].size++;
	set_ranges("/memory@80000000", ranges, 2);
	assert_int_equal(read_memory(), 0);
	assert_int_equal(platform.memory_count, 1);
	expect_message("/memory: two ranges overlap");
}

static struct tried visited;
static bool visited_no_map[TRIED_MAX];

static void visit(struct range range, bool no_map)
{
	assert_true(visited.count < TRIED_MAX);
	visited_no_map[visited.count] = no_map;
	visited.ranges[visited.count++] = range;
}

static void expect_visited(unsigned index, uint64_t base, uint64_t size, bool no_map)
{
	assert_true(index < visited.count);
	expect_range(visited.ranges[index], base, size);
	assert_int_equal(visited_no_map[index], no_map);
}

static void test_reserved(void **state)
{
	static const struct range two[] = {{0x80000000, 0x40000}, {0x90000000, 0x1000}};

	(void)state;
	visited.count = 0;
	platform_for_reserved(tree, visit);
	assert_int_equal(visited.count, 0);
	CHECK(fdt_add_mem_rsv(tree, 0xa0000000, 0x2000));
	CHECK(fdt_add_mem_rsv(tree, 0xa1000000, 1));
	platform_for_reserved(tree, visit);
	assert_int_equal(visited.count, 2);
	expect_visited(0, 0xa0000000, 0x2000, false);
	expect_visited(1, 0xa1000000, 1, false);

	/* Without `ranges`, though its addresses are the root's. */
	add_node("/", "reserved-memory");
	set_sizes("/reserved-memory", 2, 2);
	add_node("/reserved-memory", "later");
	set_cell("/reserved-memory/later", "size", 0x1000);
	add_node("/reserved-memory", "off");
	set_ranges("/reserved-memory/off", two, 2);
	set_string("/reserved-memory/off", "status", "disabled");
	add_node("/reserved-memory", "kept");
	set_ranges("/reserved-memory/kept", two + 1, 1);
	add_node("/reserved-memory", "firmware");
	set_ranges("/reserved-memory/firmware", two, 2);
	set_flag("/reserved-memory/firmware", "no-map");
	visited.count = 0;
	platform_for_reserved(tree, visit);
	assert_int_equal(visited.count, 5);
	expect_visited(2, 0x80000000, 0x40000, true);
	expect_visited(3, 0x90000000, 0x1000, true);
	expect_visited(4, 0x90000000, 0x1000, false);
}

static void expect_no_uart(void)
{
	memset(&platform, 0, sizeof(platform));
	read_all();
	assert_int_equal(platform.uart.registers.size, 0);
}

static void test_uart_kinds(void **state)
{
	static const char *const kinds[] = {"ns16550a", "ns16550", "snps,dw-apb-uart"};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		set_string(UART, "compatible", kinds[i]);
		read_all();
		expect_range(platform.uart.registers, 0x10000000, 0x100);
	}
	set_string(UART, "compatible", "sifive,uart0");
	expect_no_uart();
}

static void test_uart_path(void **state)
{
	(void)state;
	set_string("/chosen", "stdout-path", UART ":115200n8");
	read_all();
	assert_int_equal(platform.uart.registers.size, 0x100);
	add_node("/", "aliases");
	set_string("/aliases", "serial0", UART);
	set_string("/chosen", "stdout-path", "serial0:115200n8");
	read_all();
	assert_int_equal(platform.uart.registers.size, 0x100);
	set_string("/chosen", "stdout-path", "serial1");
	expect_no_uart();
	set_string("/chosen", "stdout-path", ":");
	expect_no_uart();
	/* No string: it does not end. */
	set_bytes("/chosen", "stdout-path", UART, strlen(UART));
	expect_no_uart();
	remove_property("/chosen", "stdout-path");
	expect_no_uart();
}

static void test_uart_registers(void **state)
{
	(void)state;
	set_cell(UART, "reg-shift", 2);
	set_cell(UART, "reg-io-width", 4);
	set_cell(UART, "reg-offset", 0x40);
	remove_property(UART, "interrupts");
	read_all();
	expect_range(platform.uart.registers, 0x10000040, 0xc0);
	assert_int_equal(platform.uart.stride, 4);
	assert_int_equal(platform.uart.width, 4);
	assert_int_equal(platform.uart.interrupt, 0);
	set_cell(UART, "reg-io-width", 2);
	read_all();
	assert_int_equal(platform.uart.width, 1);
	/* Behind its own registers it has none. */
	set_cell(UART, "reg-offset", 0xff);
	read_all();
	expect_range(platform.uart.registers, 0x100000ff, 1);
	set_cell(UART, "reg-offset", 0x100);
	expect_no_uart();
	set_u64(UART, "reg-offset", UINT64_MAX);
	expect_no_uart();
	remove_property(UART, "reg");
	expect_no_uart();
}

/* Registers on a bus from which no address leads to the machine's are out of reach. */
static void test_untranslatable(void **state)
{
	(void)state;
	remove_property("/soc", "ranges");
	add_node("/soc", "end");
	set_string("/soc/end", "compatible", "sifive,test1");
	CELLS("/soc/end", "reg", 0, 0x100000, 0, 0x1000);
	read_all();
	assert_int_equal(platform.uart.registers.size, 0);
	assert_int_equal(platform.plic.size, 0);
	assert_int_equal(platform.finisher.size, 0);
}

/* What is disabled is somebody else's, or broken: another of its kind may be used. */
static void test_disabled(void **state)
{
	uint32_t context;

	(void)state;
	set_string(UART, "status", "disabled");
	expect_no_uart();
	set_string(PLIC, "status", "fail");
	read_all();
	assert_int_equal(platform.plic.size, 0);
	assert_true(platform.plic_node < 0);
	assert_int_equal(platform_plic_context(4, &context), ERR_NOENT);
	add_node("/soc", "plic@d000000");
	set_string("/soc/plic@d000000", "compatible", "thead,c900-plic");
	CELLS("/soc/plic@d000000", "reg", 0, 0xd000000, 0, 0x600000);
	read_all();
	assert_int_equal(platform.plic.base, 0xd000000);
	add_node("/soc", "end@2");
	add_node("/soc", "end@1");
	for (unsigned i = 1; i <= 2; i++) {
		char path[] = "/soc/end@1";

		path[9] = (char)('0' + i);
		set_string(path, "compatible", "sifive,test1");
		CELLS(path, "reg", 0, i << 20, 0, 0x1000);
		set_string(path, "status", "okay");
	}
	read_all();
	expect_range(platform.finisher, 0x100000, 0x1000);
	set_string("/soc/end@1", "status", "disabled");
	read_all();
	expect_range(platform.finisher, 0x200000, 0x1000);
	set_string("/soc/end@2", "status", "reserved");
	read_all();
	expect_range(platform.finisher, 0, 0);
}

static void test_plic_contexts(void **state)
{
	uint32_t context = 7;

	(void)state;
	/* Two of nobody's: no such controller, and one that is no hart's. */
	set_cell("/soc", "phandle", 9);
	CELLS(PLIC, "interrupts-extended", 77, 9, 9, 9, UINT32_MAX, 9, 2, 9, 1, 11, 0, 9, 1);
	read_all();
	assert_int_equal(platform_plic_context(5, &context), 0);
	assert_int_equal(context, 3);
	/* This one is cut off behind its controller. */
	assert_int_equal(platform_plic_context(4, &context), ERR_NOENT);
	assert_int_equal(context, 3);
	remove_property(PLIC, "interrupts-extended");
	read_all();
	assert_int_equal(platform_plic_context(5, &context), ERR_NOENT);
}

static void test_plic_sources(void **state)
{
	(void)state;
	set_cell(PLIC, "riscv,ndev", 1023);
	read_all();
	assert_int_equal(platform.plic_sources, 1023);
	/* More than the specification knows. */
	set_cell(PLIC, "riscv,ndev", UINT32_MAX);
	read_all();
	assert_int_equal(platform.plic_sources, 1023);
	remove_property(PLIC, "riscv,ndev");
	read_all();
	assert_int_equal(platform.plic_sources, 0);
}

/* Places for virtio devices: by address, however the tree has them, and no more than there are. */
static void test_virtio(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PLATFORM_VIRTIO_MAX + 3; i++) {
		unsigned place = i * 11 % (PLATFORM_VIRTIO_MAX + 3);
		char path[64];

		snprintf(path, sizeof(path), "/soc/virtio@%u", place);
		add_node("/soc", path + 5);
		set_string(path, "compatible", "virtio,mmio");
		CELLS(path, "reg", 0, 0x10001000 + place * 0x1000, 0, 0x1000);
		if (place != 5)
			CELLS(path, "interrupts", place + 1);
		if (place == 7)
			set_string(path, "status", "disabled");
		if (place == 8)
			remove_property(path, "reg");
		if (place == 9)
			CELLS(path, "reg", 0, 0x10001000, 0, 0);
	}
	read_all();
	assert_int_equal(platform.virtio_count, PLATFORM_VIRTIO_MAX);
	for (unsigned i = 0; i < PLATFORM_VIRTIO_MAX; i++) {
		const struct platform_virtio *at = &platform.virtio[i];
		unsigned place = i < 7 ? i : i + 3;
		char path[64];

		snprintf(path, sizeof(path), "/soc/virtio@%u", place);
		expect_range(at->registers, 0x10001000 + place * 0x1000, 0x1000);
		assert_int_equal(at->interrupt, place == 5 ? 0 : place + 1);
		assert_int_equal(at->node, node_at(path));
	}
	add_node("/soc", "virtio@99");
	set_string("/soc/virtio@99", "compatible", "virtio,mmio");
	CELLS("/soc/virtio@99", "reg", 0, 0x20000000, 0, 0x1000);
	read_all();
	assert_int_equal(platform.virtio_count, PLATFORM_VIRTIO_MAX);
	assert_int_equal(platform.virtio[PLATFORM_VIRTIO_MAX - 1].registers.base, 0x20000000);
}

static void test_mtime(void **state)
{
	(void)state;
	add_node("/soc", "clint");
	set_bytes("/soc/clint", "compatible", "sifive,clint0\0riscv,clint0", 27);
	CELLS("/soc/clint", "reg", 0, 0x2000000, 0, 0x10000);
	read_all();
	assert_int_equal(platform_mtime(), 0x200bff8);
	/* Not all of it is there. */
	CELLS("/soc/clint", "reg", 0, 0x2000000, 0, 0xbfff);
	assert_int_equal(platform_mtime(), 0);
	CELLS("/soc/clint", "reg", 0, 0x2000000, 0, 0xc000);
	assert_int_equal(platform_mtime(), 0x200bff8);
	add_node("/soc", "mtimer");
	set_string("/soc/mtimer", "compatible", "riscv,aclint-mtimer");
	CELLS("/soc/mtimer", "reg", 0, 0x200bff8, 0, 8, 0, 0x2004000, 0, 0x7ff8);
	assert_int_equal(platform_mtime(), 0x200bff8);
	CELLS("/soc/mtimer", "reg", 0, 0x3000000, 0, 8);
	assert_int_equal(platform_mtime(), 0x3000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_whole, setup),
	    cmocka_unit_test_setup(test_bare, setup),
	    cmocka_unit_test_setup(test_no_tree, setup),
	    cmocka_unit_test_setup(test_initrd, setup),
	    cmocka_unit_test_setup(test_which_nodes_are_memory, setup),
	    cmocka_unit_test_setup(test_random_memory, setup),
	    cmocka_unit_test_setup(test_memory_messages, setup),
	    cmocka_unit_test_setup(test_reserved, setup),
	    cmocka_unit_test_setup(test_uart_kinds, setup),
	    cmocka_unit_test_setup(test_uart_path, setup),
	    cmocka_unit_test_setup(test_uart_registers, setup),
	    cmocka_unit_test_setup(test_untranslatable, setup),
	    cmocka_unit_test_setup(test_disabled, setup),
	    cmocka_unit_test_setup(test_plic_contexts, setup),
	    cmocka_unit_test_setup(test_plic_sources, setup),
	    cmocka_unit_test_setup(test_virtio, setup),
	    cmocka_unit_test_setup(test_mtime, setup),
	};

	return cmocka_run_group_tests_name("platform", tests, NULL, NULL);
}
