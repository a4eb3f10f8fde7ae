/* SPDX-License-Identifier: MIT */
/* unit: vmm/gmem.c engine/gspace.c kernel/arena.c kernel/page.c kernel/pool.c vmm/copy.c */
#include "tests/unit/fake_kernel.h"

#include "kernel/page.h"
#include "kernel/pool.h"
#include "vmm/gmem_window.h"
#include "vmm/vm.h"

#define MEGAPAGES 16
#define COUNT     (MEGAPAGES << PAGE_ORDER_2M)
#define RAM_BASE  UINT64_C(0x80000000)
#define RAM_SIZE  MIB(8)

static struct page pages[COUNT];
static char *memory;
static struct vm vm;
static struct vcpu vcpu;
static uint8_t model[RAM_SIZE]; /* what the guest's RAM holds */
static unsigned mapped_calls, trapped_wfi;
static uint64_t mapped_last;

static void note_mapped(struct vcpu *of, gpa_t gpa)
{
	assert_ptr_equal(of, &vcpu);
	mapped_calls++;
	mapped_last = gpa.v;
}

void schedule_trap_wfi(void)
{
	trapped_wfi++;
}

static void ignore_mapped(struct vcpu *of, gpa_t gpa)
{
	(void)of;
	(void)gpa;
}

static const struct engine engine = {.mapped = note_mapped};
static const struct engine silent_engine = {.mapped = ignore_mapped};

static unsigned requested, waited;

void vcpu_request(struct vcpu *of, uint32_t requests)
{
	assert_ptr_equal(of, &vcpu);
	assert_int_equal(requests, VCPU_FENCE_I);
	requested++;
}

void vcpu_wait_request(struct vcpu *of, uint32_t requests)
{
	assert_ptr_equal(of, &vcpu);
	assert_int_equal(requests, VCPU_FENCE_I);
	waited++;
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	memory = aligned_alloc(MEGAPAGE_SIZE, COUNT * PAGE_SIZE);
	memset(memory, 0xdb, COUNT * PAGE_SIZE);
	page_init(memory, COUNT, pages);
	page_add(memory, COUNT);
	pool_begin();
	memset(&vm, 0, sizeof(vm));
	memset(&vcpu, 0, sizeof(vcpu));
	memset(model, 0, sizeof(model));
	arena_init(&vm.arena);
	vm.guest.engine = &engine;
	vm.ram_base = RAM_BASE;
	vm.ram_size = RAM_SIZE;
	vcpu.guest = &vm.guest;
	mapped_calls = trapped_wfi = requested = waited = 0;
	assert_int_equal(gspace_init(&vm.guest.space, &vm.arena, 2), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pool_reclaim();
	while (arena_destroy_step(&vm.arena) == ERR_AGAIN)
		;
	assert_int_equal(page_free_bytes(), page_total_bytes());
	free(memory);
	return 0;
}

static void check_all(void)
{
	static uint8_t found[RAM_SIZE];

	for (uint64_t done = 0; done < RAM_SIZE; done += KIB(64))
		assert_int_equal(gmem_read(&vm, GPA(RAM_BASE + done), found + done, KIB(64)), 0);
	assert_memory_equal(found, model, RAM_SIZE);
}

/* At any alignment, and often across the ends of pages. */
static void random_accesses(void)
{
	static uint8_t bytes[KIB(64)];

	for (unsigned i = 0; i < 2000; i++) {
		uint64_t size = fake_random_below(i % 10 ? 200 : KIB(64));
		uint64_t offset = fake_random_below(RAM_SIZE / MEGAPAGE_SIZE + 1) * MEGAPAGE_SIZE;

		offset = offset + fake_random_below(400) - 200;
		if (i % 2)
			offset = fake_random() % RAM_SIZE;
		if (!range_within(offset, size, 0, RAM_SIZE))
			continue;
		switch (fake_random_below(3)) {
		case 0:
			for (unsigned n = 0; n < size; n++)
				bytes[n] = (uint8_t)fake_random();
			assert_int_equal(gmem_write(&vm, GPA(RAM_BASE + offset), bytes, size), 0);
			memcpy(model + offset, bytes, size);
			break;
		case 1:
			assert_int_equal(gmem_clear(&vm, GPA(RAM_BASE + offset), size), 0);
			memset(model + offset, 0, size);
			break;
		default:
			assert_int_equal(gmem_read(&vm, GPA(RAM_BASE + offset), bytes, size), 0);
			assert_memory_equal(bytes, model + offset, size);
			break;
		}
	}
	check_all();
}

static void test_random_accesses(void **state)
{
	(void)state;
	random_accesses();
	assert_int_equal(vm.arena.pages[ARENA_RAM], RAM_SIZE >> PAGE_SHIFT);
}

static void test_range(void **state)
{
	static const struct {
		uint64_t address, size;
	} bad[] = {
	    {RAM_BASE - 1, 1},
	    {RAM_BASE + RAM_SIZE, 1},
	    {RAM_BASE + RAM_SIZE - 1, 2},
	    {RAM_BASE, RAM_SIZE + 1},
	    {RAM_BASE + 1, UINT64_MAX},
	    {UINT64_MAX, 1},
	    {0, 1},
	};
	char bytes[8] = "kept";

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		gpa_t gpa = GPA(bad[i].address);

		assert_int_equal(gmem_read(&vm, gpa, bytes, bad[i].size), ERR_RANGE);
		assert_int_equal(gmem_write(&vm, gpa, bytes, bad[i].size), ERR_RANGE);
		assert_int_equal(gmem_clear(&vm, gpa, bad[i].size), ERR_RANGE);
	}
	assert_string_equal(bytes, "kept");
	assert_int_equal(vm.arena.pages[ARENA_RAM], 0);
	assert_int_equal(gmem_write(&vm, GPA(RAM_BASE + RAM_SIZE - 4), "end", 4), 0);
	assert_int_equal(gmem_read(&vm, GPA(RAM_BASE + RAM_SIZE - 4), bytes, 4), 0);
	assert_string_equal(bytes, "end");
}

/* Faults until the page is there. */
static unsigned fault(uint64_t gpa)
{
	unsigned steps = 1;
	int error;

	while ((error = gmem_fault(&vcpu, GPA(gpa))) == ERR_AGAIN) {
		assert_int_equal(mapped_calls, 0);
		steps++;
	}
	assert_int_equal(error, 0);
	assert_int_equal(mapped_calls, 1);
	assert_int_equal(mapped_last, gpa);
	mapped_calls = 0;
	assert_null(vcpu.backing);
	return steps;
}

static void test_fault(void **state)
{
	(void)state;
	assert_int_equal(fault(RAM_BASE + 0x1234), MEGAPAGE_SIZE / page_clear_step());
	assert_int_equal(vm.arena.pages[ARENA_RAM], MEGAPAGE_SIZE >> PAGE_SHIFT);
	/* Another vCPU was quicker. */
	assert_int_equal(fault(RAM_BASE + 0x5678), 1);
	while (pool_refill_step())
		;
	assert_int_equal(trapped_wfi, 0);
	assert_int_equal(fault(RAM_BASE + MEGAPAGE_SIZE), 1);
	/* The pool can be filled up while the vCPU waits. */
	assert_int_equal(trapped_wfi, 1);
	assert_int_equal(vm.arena.pages[ARENA_RAM], 2 * MEGAPAGE_SIZE >> PAGE_SHIFT);
	check_all();
}

static void test_abandoned_fault(void **state)
{
	uint64_t before = page_free_bytes();

	(void)state;
	assert_int_equal(gmem_fault(&vcpu, GPA(RAM_BASE)), ERR_AGAIN);
	assert_true(page_free_bytes() < before);
	gmem_fault_abandon(&vcpu);
	assert_int_equal(page_free_bytes(), before);
	gmem_fault_abandon(&vcpu);
	assert_int_equal(page_free_bytes(), before);
	assert_int_equal(fault(RAM_BASE), MEGAPAGE_SIZE / page_clear_step());
}

/* The page was mapped by somebody else while a vCPU was clearing its own. */
static void test_race(void **state)
{
	uint64_t before;

	(void)state;
	assert_int_equal(gmem_fault(&vcpu, GPA(RAM_BASE)), ERR_AGAIN);
	before = page_free_bytes();
	assert_int_equal(gmem_back(&vm, GPA(RAM_BASE)), 0);
	assert_true(page_free_bytes() < before);
	assert_int_equal(gmem_fault(&vcpu, GPA(RAM_BASE)), 0);
	assert_int_equal(mapped_calls, 1);
	assert_int_equal(vm.arena.pages[ARENA_RAM], MEGAPAGE_SIZE >> PAGE_SHIFT);
	check_all();
	/* What it had begun is used for the next page, or given back when it stops. */
	gmem_fault_abandon(&vcpu);
}

static void back_meanwhile(void)
{
	assert_int_equal(gmem_back(&vm, GPA(RAM_BASE + 0x3000)), 0);
	memset(model, 0x77, 16);
	assert_int_equal(gmem_write(&vm, GPA(RAM_BASE), model, 16), 0);
}

/* The page is mapped by somebody else between the look and the mapping: that one stays. */
static void test_race_while_clearing(void **state)
{
	(void)state;
	preempt_hook = back_meanwhile;
	assert_int_equal(gmem_back(&vm, GPA(RAM_BASE)), 0);
	assert_null(preempt_hook);
	assert_int_equal(vm.arena.pages[ARENA_RAM], MEGAPAGE_SIZE >> PAGE_SHIFT);
	check_all();
}

/* vCPUs that begin to touch memory, and then do something else, hold no more than is promised. */
static void test_abandoned_by_many(void **state)
{
	static struct vcpu others[GMEM_BACKING_MAX + 3];
	uint64_t taken = page_free_bytes();

	(void)state;
	memset(others, 0, sizeof(others));
	/* None of them is the one that is told. */
	vm.guest.engine = &silent_engine;
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
		others[i].guest = &vm.guest;
		assert_int_equal(gmem_fault(&others[i], GPA(RAM_BASE)),
				 i < GMEM_BACKING_MAX ? ERR_AGAIN : 0);
		assert_true(!others[i].backing == (i >= GMEM_BACKING_MAX));
	}
	taken -= page_free_bytes();
	assert_in_range(taken, GMEM_BACKING_MAX * MEGAPAGE_SIZE,
			GMEM_BACKING_MAX * MEGAPAGE_SIZE + KIB(64));
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
		gmem_fault_abandon(&others[i]);
	/* And again as many. */
	assert_int_equal(gmem_fault(&others[0], GPA(RAM_BASE + MEGAPAGE_SIZE)), ERR_AGAIN);
	gmem_fault_abandon(&others[0]);
	assert_int_equal(vm.backing, 0);
}

/* No 2 MiB in one piece: small pages do. */
static void test_small_pages(void **state)
{
	static void *taken[COUNT];
	unsigned count = 0;

	(void)state;
	while ((taken[count] = page_alloc(0)) != NULL)
		count++;
	/* Of every two pages, one: no two are together, and enough for all of the RAM. */
	for (unsigned i = 0; i < count; i += 2) {
		page_free(taken[i], 0);
		taken[i] = NULL;
	}
	fault(RAM_BASE + 0x1234);
	assert_int_equal(vm.arena.pages[ARENA_RAM], 1);
	random_accesses();
	assert_int_equal(vm.arena.pages[ARENA_RAM], RAM_SIZE >> PAGE_SHIFT);
	for (unsigned i = 0; i < count; i++) {
		if (taken[i])
			page_free(taken[i], 0);
	}
}

static void test_no_memory(void **state)
{
	static void *taken[COUNT];
	unsigned count = 0;
	char byte = 1;

	(void)state;
	/* A page of a guest's table that is there already, and one in the pool. */
	assert_int_equal(gmem_back(&vm, GPA(RAM_BASE)), 0);
	for (uint64_t done = 0; done < MEGAPAGE_SIZE; done += page_clear_step())
		assert_true(pool_refill_step());
	while ((taken[count] = page_alloc(0)) != NULL)
		count++;
	/* What the pool keeps is used before anything fails. */
	assert_int_equal(gmem_write(&vm, GPA(RAM_BASE + MEGAPAGE_SIZE), &byte, 1), 0);
	assert_int_equal(gmem_write(&vm, GPA(RAM_BASE + 2 * MEGAPAGE_SIZE), &byte, 1), ERR_NOMEM);
	assert_int_equal(gmem_fault(&vcpu, GPA(RAM_BASE + 2 * MEGAPAGE_SIZE)), ERR_NOMEM);
	assert_int_equal(gmem_fault(&vcpu, GPA(RAM_BASE + MEGAPAGE_SIZE)), 0);
	while (count)
		page_free(taken[--count], 0);
}

/* What the soft engine is told of writes. */
static struct {
	unsigned begun, ended;
	uint64_t gpa, size;
} writes;

static void note_begin_write(struct guest *guest, gpa_t gpa, uint64_t size)
{
	assert_ptr_equal(guest, &vm.guest);
	assert_int_equal(writes.begun, writes.ended);
	writes.begun++;
	writes.gpa = gpa.v;
	writes.size = size;
}

static void note_end_write(struct guest *guest)
{
	(void)guest;
	writes.ended++;
	assert_int_equal(writes.begun, writes.ended);
}

static void note_noted(struct guest *guest, gpa_t gpa, uint64_t size)
{
	note_begin_write(guest, gpa, size);
	note_end_write(guest);
}

static const struct engine writing_engine = {
    .note_written = note_noted,
    .mapped = note_mapped,
    .begin_write = note_begin_write,
    .end_write = note_end_write,
};

static void assert_write_noted(uint64_t gpa, uint64_t size)
{
	assert_int_equal(writes.ended, 1);
	assert_int_equal(writes.gpa, gpa);
	assert_int_equal(writes.size, size);
	memset(&writes, 0, sizeof(writes));
}

static void test_words(void **state)
{
	uint64_t last = RAM_BASE + RAM_SIZE - 2;
	uint16_t value = 0x7777;
	uint8_t bytes[2];

	(void)state;
	vm.guest.engine = &writing_engine;
	memset(&writes, 0, sizeof(writes));
	assert_int_equal(gmem_load_u16(&vm, GPA(last), &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(writes.begun, 0);
	assert_int_equal(gmem_store_u16(&vm, GPA(last), 0x1234), 0);
	assert_write_noted(last, 2);
	assert_int_equal(gmem_load_u16(&vm, GPA(last), &value), 0);
	assert_int_equal(value, 0x1234);
	assert_int_equal(gmem_read(&vm, GPA(last), bytes, 2), 0);
	assert_int_equal(bytes[0], 0x34);

	assert_int_equal(gmem_load_u16(&vm, GPA(RAM_BASE + 1), &value), ERR_RANGE);
	assert_int_equal(gmem_store_u16(&vm, GPA(RAM_BASE + 1), 1), ERR_RANGE);
	assert_int_equal(gmem_load_u16(&vm, GPA(last + 2), &value), ERR_RANGE);
	assert_int_equal(gmem_store_u16(&vm, GPA(RAM_BASE - 2), 1), ERR_RANGE);
	assert_int_equal(value, 0x1234);
	assert_int_equal(writes.begun, 0);
}

/* Pieces for DMA: they hold what gmem_read() finds there. */
static void test_find(void **state)
{
	uint64_t gpa = RAM_BASE + MEGAPAGE_SIZE - 100;
	uint64_t piece = 0;
	hpa_t hpa;

	(void)state;
	vm.guest.engine = &writing_engine;
	memset(&writes, 0, sizeof(writes));
	assert_int_equal(gmem_find(&vm, GPA(gpa), 300, &hpa, &piece), 0);
	assert_int_equal(piece, 100);
	memset(hpa_to_pointer(hpa), 0x11, piece);
	memset(model + MEGAPAGE_SIZE - 100, 0x11, 100);
	assert_int_equal(gmem_find(&vm, GPA(gpa + piece), 300 - piece, &hpa, &piece), 0);
	assert_int_equal(piece, 200);
	memset(hpa_to_pointer(hpa), 0x22, piece);
	memset(model + MEGAPAGE_SIZE, 0x22, 200);
	assert_int_equal(writes.begun, 0);
	gmem_note_written(&vm, GPA(gpa), 300);
	assert_write_noted(gpa, 300);
	check_all();

	assert_int_equal(gmem_find(&vm, GPA(RAM_BASE), 0, &hpa, &piece), ERR_RANGE);
	assert_int_equal(gmem_find(&vm, GPA(RAM_BASE + RAM_SIZE - 1), 2, &hpa, &piece), ERR_RANGE);
	assert_int_equal(gmem_find(&vm, GPA(RAM_BASE), UINT64_MAX, &hpa, &piece), ERR_RANGE);
}

/* What is done to a window is done to RAM, wherever it lies. */
static void check_window(uint64_t gpa, bool in_one_piece)
{
	static const uint32_t words[] = {0x11223344, 0x55667788, 0x99aabbcc, 0xddeeff00};
	struct gmem_window window;
	uint64_t pair[2];
	uint16_t value;

	memset(&writes, 0, sizeof(writes));
	assert_int_equal(gmem_window_open(&window, &vm, GPA(gpa), 64, 8), 0);
	assert_int_equal(window.host != NULL, in_one_piece);
	assert_int_equal(writes.begun, 0);

	gmem_window_begin_write(&window);
	assert_int_equal(writes.begun, in_one_piece);
	assert_int_equal(gmem_window_store_words(&window, 8, words, 4), 0);
	assert_int_equal(gmem_window_store_u16(&window, 24, 0x4321), 0);
	gmem_window_end_write(&window);
	assert_int_equal(writes.ended, in_one_piece ? 1 : 2);
	if (in_one_piece)
		assert_write_noted(gpa, 64);
	memcpy(model + gpa - RAM_BASE + 8, words, sizeof(words));
	memcpy(model + gpa - RAM_BASE + 24, &(uint16_t){0x4321}, 2);
	check_all();

	assert_int_equal(gmem_window_load_pair(&window, 8, pair), 0);
	assert_memory_equal(pair, words, sizeof(pair));
	assert_int_equal(gmem_window_load_u16(&window, 24, &value), 0);
	assert_int_equal(value, 0x4321);
}

static void test_windows(void **state)
{
	struct gmem_window window;
	const uint64_t end = RAM_BASE + RAM_SIZE;

	(void)state;
	vm.guest.engine = &writing_engine;
	check_window(RAM_BASE, true);
	check_window(RAM_BASE + 0x1008, true);
	check_window(RAM_BASE + 0x2004, false);
	check_window(RAM_BASE + MEGAPAGE_SIZE - 32, false);
	check_window(RAM_BASE + 2 * MEGAPAGE_SIZE - 64, true);
	check_window(end - 64, true);

	/* Found before, too. */
	assert_int_equal(gmem_window_open(&window, &vm, GPA(end - 56), 64, 8), ERR_RANGE);
	assert_int_equal(gmem_window_open(&window, &vm, GPA(end), 1, 8), ERR_RANGE);
	assert_int_equal(gmem_window_open(&window, &vm, GPA(RAM_BASE - 8), 16, 8), ERR_RANGE);
	assert_int_equal(gmem_window_open(&window, &vm, GPA(RAM_BASE), UINT64_MAX, 8), ERR_RANGE);
	assert_int_equal(gmem_window_open(&window, &vm, GPA(UINT64_MAX - 7), 8, 8), ERR_RANGE);
}

/* An image from 1 MiB of RAM to 7 MiB, at any alignment, and zeroes in the last page. */
static void set_plan(void)
{
	static struct vcpu *vcpus[] = {&vcpu};
	static uint8_t image[MIB(6) + 3];
	struct load_plan *plan = &vm.loader.plan;

	for (size_t i = 0; i < sizeof(image); i++)
		image[i] = (uint8_t)(i * 7 + (i >> 11));
	plan->segments[0] =
	    (struct load_segment){image + 3, GPA(RAM_BASE + MIB(1)), MIB(5) + KIB(4)};
	plan->segments[1] = (struct load_segment){NULL, GPA(RAM_BASE + MIB(6) + KIB(4)), MIB(1)};
	plan->count = 2;
	memcpy(model + MIB(2), image + 3 + MIB(1), MIB(4));
	vm.guest.vcpus = vcpus;
	vm.guest.vcpu_count = 1;
}

/* Nobody has loaded anything yet: pages that are wholly the image's are found with its bytes. */
static void test_image(void **state)
{
	(void)state;
	set_plan();
	assert_null(gmem_segment(&vm, GPA(RAM_BASE + MIB(1))));
	assert_ptr_equal(gmem_segment(&vm, GPA(RAM_BASE + MIB(2))), &vm.loader.plan.segments[0]);
	assert_ptr_equal(gmem_segment(&vm, GPA(RAM_BASE + MIB(6) - 1)),
			 &vm.loader.plan.segments[0]);
	assert_null(gmem_segment(&vm, GPA(RAM_BASE + MIB(6))));
	while (pool_refill_step())
		;
	/* What is cleared already would be of no use. */
	assert_int_equal(fault(RAM_BASE + MIB(2) + 0x1234), MEGAPAGE_SIZE / KIB(16));
	assert_int_equal(requested, 1);
	assert_int_equal(waited, 1);
	assert_int_equal(trapped_wfi, 0);
	check_all();
	/* By the hypervisor, there is no waiting. */
	assert_int_equal(requested, 2);
	assert_int_equal(waited, 1);
	random_accesses();
}

/* A vCPU that goes elsewhere half-way, and comes back. */
static void test_image_interrupted(void **state)
{
	(void)state;
	set_plan();
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(gmem_fault(&vcpu, GPA(RAM_BASE + MIB(2))), ERR_AGAIN);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(gmem_fault(&vcpu, GPA(RAM_BASE + MIB(4))), ERR_AGAIN);
	assert_int_equal(fault(RAM_BASE), MEGAPAGE_SIZE / page_clear_step());
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(gmem_fault(&vcpu, GPA(RAM_BASE + MIB(6))), ERR_AGAIN);
	fault(RAM_BASE + MIB(4));
	fault(RAM_BASE + MIB(2));
	check_all();
}

static void write_meanwhile(void)
{
	memset(model + MIB(2), 0x77, 16);
	assert_int_equal(gmem_write(&vm, GPA(RAM_BASE + MIB(2)), model + MIB(2), 16), 0);
}

/* What another has written in the meantime stays. */
static void test_image_race(void **state)
{
	(void)state;
	set_plan();
	preempt_hook = write_meanwhile;
	assert_int_equal(gmem_back(&vm, GPA(RAM_BASE + MIB(2))), 0);
	assert_null(preempt_hook);
	check_all();
}

static void test_image_in_small_pages(void **state)
{
	set_plan();
	test_small_pages(state);
	assert_int_equal(requested, MIB(4) / PAGE_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_random_accesses, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_range, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_fault, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_abandoned_fault, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_abandoned_by_many, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_race, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_race_while_clearing, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_small_pages, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_words, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_find, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_windows, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_image, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_image_interrupted, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_image_race, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_image_in_small_pages, setup, teardown),
	};

	return cmocka_run_group_tests_name("gmem", tests, NULL, NULL);
}
