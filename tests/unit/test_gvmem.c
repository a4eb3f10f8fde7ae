/* SPDX-License-Identifier: MIT */
/* unit: vmm/gvmem.c vmm/gmem.c engine/soft/walk.c engine/gspace.c kernel/arena.c kernel/page.c kernel/pool.c vmm/copy.c */
#include "tests/unit/fake_kernel.h"

#include "engine/soft/code.h"
#include "engine/soft/walk.h"
#include "kernel/page.h"
#include "riscv/csr.h"
#include "riscv/pte.h"
#include "vmm/gmem.h"
#include "vmm/gvmem.h"
#include "vmm/vm.h"

#define MEGAPAGES 8
#define COUNT     (MEGAPAGES << PAGE_ORDER_2M)
#define RAM_BASE  UINT64_C(0x80000000)
#define RAM_SIZE  MIB(8) /* of which the first 4 MiB and the page at SMALL are backed */
#define SMALL     (RAM_BASE + MIB(6))
#define ROOT      (RAM_BASE + 0x10000)
#define LEAF_RWX  (PTE_V | PTE_R | PTE_W | PTE_X | PTE_A | PTE_D)

static struct page pages[COUNT];
static char *memory;
static struct vm vm;

void schedule_trap_wfi(void)
{
}

bool code_is_protected(const struct guest *of, gpa_t gpa)
{
	(void)of;
	(void)gpa;
	return false;
}

static const struct engine engine = {.name = "none"};

/* No image here. */
void vcpu_request(struct vcpu *vcpu, uint32_t requests)
{
	(void)vcpu;
	(void)requests;
	fail();
}

void vcpu_wait_request(struct vcpu *vcpu, uint32_t requests)
{
	(void)vcpu;
	(void)requests;
	fail();
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	memory = aligned_alloc(MEGAPAGE_SIZE, COUNT * PAGE_SIZE);
	memset(memory, 0xdb, COUNT * PAGE_SIZE);
	page_init(memory, COUNT, pages);
	page_add(memory, COUNT);
	memset(&vm, 0, sizeof(vm));
	arena_init(&vm.arena);
	vm.guest.engine = &engine;
	vm.ram_base = RAM_BASE;
	vm.ram_size = RAM_SIZE;
	assert_int_equal(gspace_init(&vm.guest.space, &vm.arena, 2), 0);
	assert_int_equal(gmem_back(&vm, GPA(RAM_BASE)), 0);
	assert_int_equal(gmem_back(&vm, GPA(RAM_BASE + MIB(2))), 0);

	void *page = arena_alloc_pages(&vm.arena, 0, ARENA_RAM);

	memset(page, 0x77, PAGE_SIZE);
	assert_int_equal(gspace_map(&vm.guest.space, GPA(SMALL), pointer_to_hpa(page), 0), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	while (arena_destroy_step(&vm.arena) == ERR_AGAIN)
		;
	free(memory);
	return 0;
}

static void put(uint64_t gpa, uint64_t value)
{
	assert_int_equal(gmem_write(&vm, GPA(gpa), &value, sizeof(value)), 0);
}

static uint64_t pointer_to(uint64_t gpa)
{
	return gpa >> PAGE_SHIFT << PTE_PPN_SHIFT | PTE_V;
}

static uint64_t leaf(uint64_t gpa, uint64_t flags)
{
	return gpa >> PAGE_SHIFT << PTE_PPN_SHIFT | flags;
}

static uint64_t satp_of(uint64_t mode)
{
	return mode << ATP_MODE_SHIFT | ROOT >> PAGE_SHIFT;
}

static void test_peek(void **state)
{
	uint64_t before = vm.arena.pages[ARENA_RAM];
	uint8_t bytes[64];

	(void)state;
	put(RAM_BASE + MIB(2) - 8, UINT64_C(0x1122334455667788));
	put(RAM_BASE + MIB(2), UINT64_C(0x99aabbccddeeff00));
	assert_int_equal(gmem_peek(&vm, GPA(RAM_BASE + MIB(2) - 1), bytes, 2), 0);
	assert_int_equal(bytes[0], 0x11);
	assert_int_equal(bytes[1], 0x00);
	assert_int_equal(gmem_peek(&vm, GPA(SMALL + PAGE_SIZE - 1), bytes, 1), 0);
	assert_int_equal(bytes[0], 0x77);
	/* Nothing is backed by it. */
	assert_int_equal(gmem_peek(&vm, GPA(SMALL + PAGE_SIZE - 1), bytes, 2), ERR_NOENT);
	assert_int_equal(gmem_peek(&vm, GPA(RAM_BASE + MIB(4)), bytes, 1), ERR_NOENT);
	assert_int_equal(gmem_peek(&vm, GPA(RAM_BASE - 1), bytes, 2), ERR_RANGE);
	assert_int_equal(gmem_peek(&vm, GPA(RAM_BASE + RAM_SIZE - 1), bytes, 2), ERR_RANGE);
	assert_int_equal(gmem_peek(&vm, GPA(UINT64_MAX), bytes, 64), ERR_RANGE);
	assert_int_equal(vm.arena.pages[ARENA_RAM], before);
}

static void expect_translation(uint64_t satp, uint64_t address, int result, uint64_t expected)
{
	gpa_t gpa = GPA(0);

	assert_int_equal(gvmem_translate(&vm, satp, GVA(address), &gpa), result);
	if (!result)
		assert_int_equal(gpa.v, expected);
}

static void test_modes(void **state)
{
	(void)state;
	expect_translation(0, 0x1234567, 0, 0x1234567);
	for (uint64_t mode = 1; mode < 16; mode++) {
		if (mode < ATP_MODE_SV39 || mode > ATP_MODE_SV57)
			expect_translation(satp_of(mode), 0, ERR_FAULT, 0);
	}
	/* A chain of tables, the root's first and last entry leading on. */
	for (unsigned i = 0; i < 4; i++) {
		put(ROOT + i * PAGE_SIZE, pointer_to(ROOT + (i + 1) * PAGE_SIZE));
		put(ROOT + i * PAGE_SIZE + 511 * 8, pointer_to(ROOT + (i + 1) * PAGE_SIZE));
	}
	for (unsigned levels = 3; levels <= 5; levels++) {
		uint64_t satp = satp_of(ATP_MODE_SV39 + levels - 3);
		uint64_t last = ROOT + (levels - 1) * PAGE_SIZE;
		uint64_t half = BIT(PAGE_SHIFT + 9 * levels - 1);
		uint64_t pointer = pointer_to(last + PAGE_SIZE);

		put(last, leaf(0x12345000, LEAF_RWX));
		put(last + 511 * 8, leaf(0x54321000, LEAF_RWX));
		expect_translation(satp, 0xabc, 0, 0x12345abc);
		expect_translation(satp, UINT64_MAX, 0, 0x54321fff);
		/* Not canonical. */
		expect_translation(satp, half, ERR_FAULT, 0);
		expect_translation(satp, ~half, ERR_FAULT, 0);
		expect_translation(satp, BIT(63), ERR_FAULT, 0);
		/* No entry; a pointer where leaves are. */
		expect_translation(satp, 0x1000, ERR_FAULT, 0);
		put(last, pointer);
		expect_translation(satp, 0, ERR_FAULT, 0);
		put(last + 511 * 8, pointer);
	}
}

static void test_leaves(void **state)
{
	uint64_t satp = satp_of(ATP_MODE_SV39);

	(void)state;
	put(ROOT, leaf(0xc0000000, LEAF_RWX));
	expect_translation(satp, 0x3abcdef1, 0, 0xfabcdef1);
	/* Permissions are not asked, nor A and D. */
	put(ROOT, leaf(0xc0000000, PTE_V | PTE_X));
	expect_translation(satp, 5, 0, 0xc0000005);
	put(ROOT, leaf(0xc0000000, PTE_V | PTE_R | PTE_U | PTE_G));
	expect_translation(satp, 5, 0, 0xc0000005);
	/* Reserved, misaligned, absent. */
	put(ROOT, leaf(0xc0000000, PTE_V | PTE_W));
	expect_translation(satp, 5, ERR_FAULT, 0);
	put(ROOT, leaf(0xc0200000, LEAF_RWX));
	expect_translation(satp, 5, ERR_FAULT, 0);
	put(ROOT, leaf(0xc0000000, LEAF_RWX) | PTE_N);
	expect_translation(satp, 5, ERR_FAULT, 0);
	put(ROOT, leaf(0xc0000000, LEAF_RWX & ~PTE_V));
	expect_translation(satp, 5, ERR_FAULT, 0);
	/* 64 KiB. */
	put(ROOT, pointer_to(ROOT + PAGE_SIZE));
	put(ROOT + PAGE_SIZE, pointer_to(ROOT + 2 * PAGE_SIZE));
	put(ROOT + 2 * PAGE_SIZE + 5 * 8, leaf(0x12348000, LEAF_RWX) | PTE_N);
	expect_translation(satp, 0x5678, 0, 0x12345678);
	put(ROOT + 2 * PAGE_SIZE + 5 * 8, leaf(0x12344000, LEAF_RWX) | PTE_N);
	expect_translation(satp, 0x5678, ERR_FAULT, 0);
	/* Tables in no RAM, and in RAM that nobody has touched. */
	put(ROOT + PAGE_SIZE, pointer_to(0x10000000));
	expect_translation(satp, 0x5678, ERR_CORRUPT, 0);
	put(ROOT + PAGE_SIZE, pointer_to(RAM_BASE + MIB(5)));
	expect_translation(satp, 0x5678, ERR_CORRUPT, 0);
	put(ROOT + PAGE_SIZE, PTE_PPN_MASK | PTE_V);
	expect_translation(satp, 0x5678, ERR_CORRUPT, 0);
	expect_translation((uint64_t)ATP_MODE_SV39 << ATP_MODE_SHIFT | BITS(43, 0), 0, ERR_CORRUPT,
			   0);
}

static void test_read(void **state)
{
	uint64_t satp = satp_of(ATP_MODE_SV39);
	uint64_t tables = ROOT + 2 * PAGE_SIZE;
	uint64_t value;

	(void)state;
	put(ROOT, pointer_to(ROOT + PAGE_SIZE));
	put(ROOT + 511 * 8, pointer_to(ROOT + PAGE_SIZE));
	put(ROOT + PAGE_SIZE, pointer_to(tables));
	put(ROOT + PAGE_SIZE + 511 * 8, pointer_to(tables));
	/* Two pages that are neighbours, from two that are not; the last page of the space. */
	put(tables, leaf(RAM_BASE + 0x100000, LEAF_RWX));
	put(tables + 8, leaf(RAM_BASE + 0x300000, LEAF_RWX));
	put(tables + 2 * 8, leaf(RAM_BASE + MIB(5), LEAF_RWX));
	put(tables + 3 * 8, leaf(0x10000000, LEAF_RWX));
	put(tables + 511 * 8, leaf(RAM_BASE + 0x100000, LEAF_RWX));
	put(RAM_BASE + 0x100ff8, UINT64_C(0x1122334455667788));
	put(RAM_BASE + 0x300000, UINT64_C(0x99aabbccddeeff00));
	assert_int_equal(gvmem_read(&vm, satp, GVA(0xffc), &value, 8), 0);
	assert_int_equal(value, UINT64_C(0xddeeff0011223344));
	assert_int_equal(gvmem_read(&vm, satp, GVA(0x1ffc), &value, 8), ERR_NOENT);
	assert_int_equal(gvmem_read(&vm, satp, GVA(0x3000), &value, 8), ERR_RANGE);
	assert_int_equal(gvmem_read(&vm, satp, GVA(0x4000), &value, 1), ERR_FAULT);
	/* Up to the last address, and not beyond. */
	assert_int_equal(gvmem_read(&vm, satp, GVA(UINT64_MAX - 7), &value, 8), 0);
	assert_int_equal(value, UINT64_C(0x1122334455667788));
	assert_int_equal(gvmem_read(&vm, satp, GVA(UINT64_MAX - 6), &value, 8), ERR_RANGE);
	assert_int_equal(gvmem_read(&vm, 0, GVA(UINT64_MAX), &value, 1), ERR_RANGE);
	assert_int_equal(gvmem_read(&vm, satp, GVA(0x4000), &value, 0), 0);
}

static uint64_t random_entry(void)
{
	uint64_t target = fake_random_below(4) ? ROOT + fake_random_below(8) * PAGE_SIZE
					       : fake_random() & BITS(55, 12);
	uint64_t entry = leaf(target, PTE_V);

	if (fake_random_below(3) == 0)
		entry |= fake_random() & 0xff;
	if (fake_random_below(20) == 0)
		entry ^= BIT(fake_random_below(64));
	return entry;
}

/* What an access of the guest's finds is found here, too, at the same place. */
static void test_as_a_guest(void **state)
{
	static struct gspace_cache backing;
	unsigned found = 0;

	(void)state;
	memset(&backing, 0, sizeof(backing));
	for (unsigned page = 0; page < 8; page++) {
		for (unsigned i = 0; i < 512; i++)
			put(ROOT + page * PAGE_SIZE + i * 8, random_entry());
	}
	for (unsigned i = 0; i < 200000; i++) {
		uint64_t mode = ATP_MODE_SV39 + fake_random_below(3);
		struct walk_context context = {
		    .guest = &vm.guest,
		    .backing = &backing,
		    .satp = satp_of(mode),
		    .user = i & 1,
		    .sum = i & 2,
		    .mxr = i & 4,
		    .svnapot = true,
		};
		unsigned bits = 39 + 9 * (unsigned)(mode - ATP_MODE_SV39);
		gva_t va = GVA((uint64_t)((int64_t)(fake_random() << (64 - bits)) >> (64 - bits)));
		struct walk walk;
		gpa_t gpa;

		if (walk_address(&context, va, ACCESS_LOAD, false, &walk) != WALK_DONE)
			continue;
		assert_int_equal(gvmem_translate(&vm, context.satp, va, &gpa), 0);
		assert_int_equal(gpa.v, walk.gpa.v);
		found++;
	}
	assert_true(found > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_peek, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_modes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_leaves, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_read, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_as_a_guest, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
