/* SPDX-License-Identifier: MIT */
/* unit: vmm/identity.c vmm/fit.c vmm/hash.c vmm/vmconfig.c vmm/vmconfig_device.c vmm/vmconfig_property.c kernel/boot_memory.c engine/gspace.c kernel/arena.c kernel/page.c */
/* libs: -lfdt */
#include "kernel/error.h"
#include "tests/unit/fit_tree.h"

#include <stdlib.h>

#include "kernel/boot_memory.h"
#include "kernel/mmu.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "kernel/start.h"
#include "kernel/trap.h"
#include "tests/unit/machine_memory.h"
#include "vmm/identity.h"
#include "vmm/vm.h"

/* Pilae's own: the first of it for tables in these tests. */
#define OWN       MIB(16)
#define OWN_PAGES (OWN >> PAGE_SHIFT)
#define INITRD    (BASE + MIB(258))

uint64_t direct_map_offset;
struct platform platform;

static struct page pages[OWN_PAGES];
static struct vm vm;

void preempt_point(void)
{
}

void panic(const char *format, ...)
{
	fprintf(stderr, "panic: %s\n", format);
	abort();
}

bool mmu_is_mapped(hpa_t address, uint64_t size)
{
	return range_within(address.v, size, BASE, SIZE);
}

struct range mmu_unmapped_range(struct range range)
{
	return range;
}

void platform_for_reserved(const void *fdt, void (*visit)(struct range range, bool no_map))
{
	(void)fdt;
	visit((struct range){BASE + MIB(128), MIB(1)}, false);
}

bool kernel_initrd(const void **start, uint64_t *size)
{
	*start = hpa_to_pointer(HPA(platform.initrd.base));
	*size = platform.initrd.size;
	return platform.initrd.size > 0;
}

static int setup(void **state)
{
	(void)state;
	tree_clear();
	add_node("/", "configurations");
	memory_map();
	platform = (struct platform){
	    .memory_count = 1,
	    .memory = {{BASE, SIZE}},
	    .initrd = {INITRD, TREE_MAX},
	    .fdt_range = {END - MIB(2), PAGE_SIZE},
	};
	page_init(memory, OWN_PAGES, pages);
	page_add(memory, OWN_PAGES);
	memset(&vm, 0, sizeof(vm));
	arena_init(&vm.arena);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	while (arena_destroy_step(&vm.arena) == ERR_AGAIN)
		;
	assert_int_equal(page_free_bytes(), page_total_bytes());
	memory_unmap();
	return 0;
}

static void path_of(const char *name, char path[64])
{
	snprintf(path, 64, "/configurations/%s", name);
}

/* A base of 0: none is given. What is added last comes first in the file. */
static void add_vm(const char *name, uint64_t base, uint64_t size)
{
	char path[64];

	add_node("/configurations", name);
	path_of(name, path);
	set_string(path, "compatible", "pilae,vm");
	set_u64(path, "pilae,memory", size);
	set_flag(path, "pilae,identity-map");
	if (base)
		set_u64(path, "pilae,ram-base", base);
}

static void boot(void)
{
	memcpy(hpa_to_pointer(HPA(INITRD)), tree, TREE_MAX);
	boot_memory_begin((struct range){BASE, OWN});
	hypervisor_reserve();
}

static uint64_t fdt_u64(const char *path, const char *name)
{
	const fdt64_t *value = fdt_getprop(tree, node_at(path), name, NULL);

	return value ? fdt64_ld(value) : BASE;
}

/* As the VM is built. */
static int begin(const char *name)
{
	char path[64];

	path_of(name, path);
	vm.config.node = node_at(path);
	vm.config.memory = fdt_u64(path, "pilae,memory");
	vm.config.ram_base = fdt_u64(path, "pilae,ram-base");
	vm.config.identity_map = true;
	snprintf(vm.config.path, sizeof(vm.config.path), "%s", path);
	return identity_find(&vm);
}

static void expect_at(const char *name, uint64_t base)
{
	assert_int_equal(begin(name), 0);
	if (vm.ram_base != base)
		fail_msg("%s is at %#lx", name, vm.ram_base);
}

static void expect_refused(const char *name, const char *part)
{
	assert_int_equal(begin(name), ERR_INVAL);
	assert_null(vm.identity);
	expect_message(part);
}

static void test_none(void **state)
{
	(void)state;
	add_vm("plain", 0, MIB(64));
	remove_property("/configurations/plain", "pilae,identity-map");
	boot();
	assert_int_equal(identity_total_bytes(), 0);
	assert_int_equal(identity_find(&vm), 0);
	assert_int_equal(identity_prepare_step(&vm), 0);
	assert_int_equal(identity_scrub_step(&vm), 0);
	platform.initrd.size = 0;
	hypervisor_reserve();
	assert_int_equal(identity_total_bytes(), 0);
}

static void test_places(void **state)
{
	(void)state;
	add_vm("other", 0, MIB(32));
	add_vm("low", BASE + MIB(16), MIB(64));
	add_vm("any", 0, MIB(64));
	boot();
	assert_int_equal(identity_total_bytes(), MIB(160));
	expect_at("low", BASE + MIB(16));
	/* Below the device tree, which need not be moved. */
	expect_at("any", END - MIB(2 + 64));
	expect_at("other", END - MIB(2 + 64 + 32));
	assert_int_equal(platform.fdt_range.base, END - MIB(2));
	expect_silence();
}

/* What is given goes before what is not, and the system file out of the way. */
static void test_moves(void **state)
{
	(void)state;
	add_vm("here", BASE + MIB(256), MIB(256));
	add_vm("any", 0, MIB(96));
	boot();
	expect_at("here", BASE + MIB(256));
	/* Below what had to move. */
	expect_at("any", BASE + MIB(256 - 2 - 96));
	assert_true(platform.initrd.base < BASE + MIB(256));
	assert_true(platform.fdt_range.base < BASE + MIB(256));
	assert_memory_equal(hpa_to_pointer(HPA(platform.initrd.base)), tree, TREE_MAX);
	expect_silence();
}

static void test_refused(void **state)
{
	(void)state;
	add_vm("most", BASE + MIB(130), SIZE - MIB(130));
	add_vm("large", 0, MIB(400));
	add_vm("nowhere", BASE + SIZE - MIB(2), MIB(4));
	add_vm("firmware", BASE + MIB(128), MIB(2));
	add_vm("own", BASE + MIB(8), MIB(16));
	add_vm("second", BASE + MIB(62), MIB(4));
	add_vm("first", BASE + MIB(32), MIB(32));
	boot();
	assert_int_equal(identity_total_bytes(), MIB(32 + 382));
	expect_at("first", BASE + MIB(32));
	expect_at("most", BASE + MIB(130));
	expect_silence();
	expect_refused("second", "/configurations/second: pilae,ram-base: 0x83e00000 to 0x841fffff "
				 "overlaps RAM of VM first, 0x82000000 to 0x83ffffff; free: "
				 "0x81000000 to 0x81ffffff, 0x84000000 to 0x87ffffff");
	expect_refused("own", "overlaps Pilae itself, 0x80000000 to 0x80ffffff");
	expect_refused("firmware", "overlaps the firmware, or reserved memory, 0x88000000");
	expect_refused("nowhere", "0x9fe00000 to 0xa01fffff is not one piece");
	expect_refused("large", "/configurations/large: pilae,identity-map: there is no room for "
				"400 MiB in one piece; free: 0x81000000");
}

static void test_outside(void **state)
{
	(void)state;
	add_vm("e", BASE + MIB(130), SIZE - MIB(130));
	add_vm("d", BASE + MIB(16), MIB(112));
	add_vm("c", END - MIB(2), MIB(4));
	add_vm("b", BASE - MIB(2), MIB(2));
	add_vm("a", END, MIB(2));
	boot();
	expect_refused("a", "0xa0000000 to 0xa01fffff is not one piece of the machine's memory");
	expect_refused("b", "is not one piece");
	expect_refused("c", "is not one piece");
	expect_at("d", BASE + MIB(16));
	expect_refused("e", "too little would be left for Pilae itself; free: 0x88200000 to");
}

/* Their descriptions are refused elsewhere, with words. */
static void test_nonsense(void **state)
{
	(void)state;
	add_vm("a", BASE + MIB(32), MIB(2) + 1);
	add_vm("b", BASE + MIB(32) + 4096, MIB(2));
	add_vm("c", 0, 0);
	add_vm("d", UINT64_MAX - MIB(2) + 1, MIB(2));
	add_vm("e", 0, UINT64_MAX - MIB(2) + 1);
	add_vm("f", 0, MIB(2));
	set_cell("/configurations/f", "pilae,memory", MIB(2));
	add_vm("g", 0, MIB(2));
	set_cell("/configurations/g", "pilae,ram-base", BASE + MIB(32));
	boot();
	assert_int_equal(identity_total_bytes(), 0);
	memset(hpa_to_pointer(HPA(INITRD)), 0, 64);
	hypervisor_reserve();
	assert_int_equal(identity_total_bytes(), 0);
}

static void test_many(void **state)
{
	char name[16];

	(void)state;
	for (unsigned i = 65; i-- > 0;) {
		snprintf(name, sizeof(name), "vm%u", i);
		add_vm(name, 0, MIB(2));
	}
	boot();
	assert_int_equal(identity_total_bytes(), MIB(128));
	assert_int_equal(begin("vm63"), 0);
	expect_refused("vm64", "more VMs have it than");
}

/* The system is another file than the ramdisk, with nodes at the same places. */
static void test_other_system(void **state)
{
	(void)state;
	add_vm("a", 0, MIB(2));
	boot();
	assert_int_equal(identity_total_bytes(), MIB(2));
	assert_int_equal(begin("a"), 0);
	vm.config.memory = MIB(4);
	assert_int_equal(identity_find(&vm), ERR_INVAL);
	expect_message("memory is set apart at boot");
	assert_null(vm.identity);
	vm.config.memory = MIB(2);
	assert_int_equal(identity_find(&vm), 0);
	assert_non_null(vm.identity);
}

static bool is_zero(uint64_t base, uint64_t size)
{
	const char *bytes = hpa_to_pointer(HPA(base));

	return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

static void prepare(void)
{
	int error;

	while ((error = identity_prepare_step(&vm)) == ERR_AGAIN)
		;
	assert_int_equal(error, 0);
}

static void scrub(void)
{
	while (identity_scrub_step(&vm) == ERR_AGAIN)
		;
	assert_null(vm.identity);
}

static void test_life(void **state)
{
	unsigned level;
	hpa_t hpa;

	(void)state;
	add_vm("a", BASE + MIB(32), MIB(64));
	boot();
	memset(hpa_to_pointer(HPA(BASE + MIB(30))), 'x', MIB(70));
	for (unsigned life = 0; life < 3; life++) {
		expect_at("a", BASE + MIB(32));
		assert_int_equal(gspace_init(&vm.guest.space, &vm.arena, 2), 0);
		prepare();
		assert_true(is_zero(BASE + MIB(32), MIB(64)));
		assert_int_equal(identity_used_bytes(&vm), MIB(64));
		for (uint64_t at = BASE + MIB(32); at < BASE + MIB(96); at += MIB(2)) {
			assert_int_equal(gspace_lookup(&vm.guest.space, GPA(at), &hpa, &level), 0);
			assert_int_equal(hpa.v, at);
			assert_int_equal(level, 1);
		}
		/* The guest writes, and restarts: its memory stays. */
		memset(hpa_to_pointer(HPA(BASE + MIB(40))), 'g', MIB(4));
		prepare();
		assert_false(is_zero(BASE + MIB(40), MIB(4)));
		while (arena_destroy_step(&vm.arena) == ERR_AGAIN)
			;
		scrub();
		assert_true(is_zero(BASE + MIB(32), MIB(64)));
		assert_false(is_zero(BASE + MIB(30), MIB(4)));
		assert_int_equal(*(char *)hpa_to_pointer(HPA(BASE + MIB(96))), 'x');
	}
}

/* Ended before it has begun: what was cleared is not cleared again. */
static void test_early_end(void **state)
{
	(void)state;
	add_vm("a", BASE + MIB(32), MIB(4));
	boot();
	memset(hpa_to_pointer(HPA(BASE + MIB(32))), 'x', MIB(4));
	expect_at("a", BASE + MIB(32));
	assert_int_equal(gspace_init(&vm.guest.space, &vm.arena, 2), 0);
	assert_int_equal(identity_prepare_step(&vm), ERR_AGAIN);
	assert_int_equal(identity_scrub_step(&vm), 0);
	assert_int_equal(*(char *)hpa_to_pointer(HPA(BASE + MIB(36) - 1)), 'x');
	expect_at("a", BASE + MIB(32));
	prepare();
	assert_true(is_zero(BASE + MIB(32), MIB(4)));
	scrub();
}

static void test_no_memory_for_tables(void **state)
{
	int error;

	(void)state;
	add_vm("a", BASE + MIB(32), MIB(4));
	boot();
	expect_at("a", BASE + MIB(32));
	assert_int_equal(gspace_init(&vm.guest.space, &vm.arena, 2), 0);
	while (arena_alloc_pages(&vm.arena, 0, ARENA_RAM))
		;
	while ((error = identity_prepare_step(&vm)) == ERR_AGAIN)
		;
	assert_int_equal(error, ERR_NOMEM);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_none),
	    TEST(test_places),
	    TEST(test_moves),
	    TEST(test_refused),
	    TEST(test_outside),
	    TEST(test_nonsense),
	    TEST(test_many),
	    TEST(test_life),
	    TEST(test_other_system),
	    TEST(test_early_end),
	    TEST(test_no_memory_for_tables),
	};

	return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
