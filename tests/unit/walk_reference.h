/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_WALK_REFERENCE_H
#define TESTS_UNIT_WALK_REFERENCE_H

/* A guest's memory, and a walk of its tables by the letter, which the one under test must equal. */

#include "tests/unit/fake_kernel.h"

#include "engine/soft/code.h"
#include "engine/soft/walk.h"
#include "kernel/page.h"
#include "riscv/csr.h"

#define MEMORY_PAGES 1024
#define RAM_PAGES    24
#define RAM_PAGE     UINT64_C(0x80000) /* number of the first page */
#define WORDS        512               /* of a page */

/* Bits of entries, as Priv. 1.13, 12.3.1 and 12.4.1 number them. */
enum { V, R, W, X, U, G, A, D };
#define N_BIT 63

static struct page pages[MEMORY_PAGES];
static char *memory;
static struct arena arena;
static struct guest guest;
static struct gspace_cache backing;
static struct walk_context context;

/* Where the guest's pages lie in memory; NULL: not mapped. What the model thinks is in them. */
static uint64_t *ram[RAM_PAGES];
static uint64_t model_ram[RAM_PAGES][WORDS];

static uint64_t protected_page; /* its number; 0: none */
static unsigned protected_asked;
static void (*race)(void); /* what another vCPU does between check and update, once */

bool code_is_protected(const struct guest *of, gpa_t gpa)
{
	void (*now)(void) = race;

	assert_ptr_equal(of, &guest);
	protected_asked++;
	race = NULL;
	if (now)
		now();
	return gpa.v >> 12 == protected_page;
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	memory = aligned_alloc(MIB(4), MEMORY_PAGES * PAGE_SIZE);
	memset(memory, 0xdb, MEMORY_PAGES * PAGE_SIZE);
	page_init(memory, MEMORY_PAGES, pages);
	page_add(memory, MEMORY_PAGES);
	arena_init(&arena);
	memset(&guest, 0, sizeof(guest));
	assert_int_equal(gspace_init(&guest.space, &arena, 2), 0);
	/* Scattered, with two holes. */
	for (unsigned i = 0; i < RAM_PAGES; i++) {
		gpa_t gpa = GPA((RAM_PAGE + i) << 12);

		ram[i] = arena_alloc_pages(&arena, 0, ARENA_RAM);
		assert_non_null(arena_alloc_pages(&arena, 0, ARENA_RAM));
		if (i == 7 || i == 16)
			ram[i] = NULL;
		else
			assert_int_equal(gspace_map(&guest.space, gpa, pointer_to_hpa(ram[i]), 0),
					 0);
	}
	memset(model_ram, 0, sizeof(model_ram));
	protected_page = 0;
	protected_asked = 0;
	race = NULL;
	memset(&backing, 0, sizeof(backing));
	context = (struct walk_context){.guest = &guest, .backing = &backing};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	while (arena_destroy_step(&arena) == ERR_AGAIN)
		;
	free(memory);
	return 0;
}

static void put(unsigned page, unsigned index, uint64_t entry)
{
	model_ram[page][index] = entry;
	if (ram[page])
		ram[page][index] = entry;
}

static void check_ram(void)
{
	for (unsigned i = 0; i < RAM_PAGES; i++)
		assert_true(!ram[i] || memcmp(ram[i], model_ram[i], PAGE_SIZE) == 0);
}

/* The reference: the steps of 12.3.2, one after the other, over model_ram. */

struct reference {
	enum walk_result result;
	uint64_t gpa, entry;
	unsigned level;
	bool global;
	uint64_t *leaf; /* in model_ram */
};

static bool bit(uint64_t value, unsigned n)
{
	return value >> n & 1;
}

static uint64_t *model_word(uint64_t gpa)
{
	uint64_t page = (gpa >> 12) - RAM_PAGE;

	if (page >= RAM_PAGES || !ram[page])
		return NULL;
	return &model_ram[page][(gpa & 4095) / 8];
}

static bool reserved_set(uint64_t pte, bool svnapot)
{
	for (unsigned n = 54; n <= 62; n++) {
		if (bit(pte, n))
			return true;
	}
	return !svnapot && bit(pte, N_BIT);
}

static bool user_bit_allows(uint64_t pte, enum access_kind kind)
{
	if (context.user)
		return bit(pte, U);
	if (!bit(pte, U))
		return true;
	return kind != ACCESS_FETCH && context.sum;
}

static bool permission_allows(uint64_t pte, enum access_kind kind)
{
	switch (kind) {
	case ACCESS_FETCH:
		return bit(pte, X);
	case ACCESS_STORE:
		return bit(pte, W);
	default:
		return bit(pte, R) || (context.mxr && bit(pte, X));
	}
}

static enum walk_result reference_leaf(struct reference *ref, uint64_t va, enum access_kind kind,
				       bool update, uint64_t at)
{
	uint64_t pte = ref->entry;
	uint64_t ppn = pte >> 10 & ((UINT64_C(1) << 44) - 1);
	uint64_t low_pages = UINT64_C(1) << 9 * ref->level;

	if (ppn % low_pages != 0)
		return WALK_PAGE_FAULT;
	if (bit(pte, N_BIT)) {
		if (ref->level > 0 || ppn % 16 != 8)
			return WALK_PAGE_FAULT;
		low_pages = 16;
	}
	if (!user_bit_allows(pte, kind) || !permission_allows(pte, kind))
		return WALK_PAGE_FAULT;
	if (!bit(pte, A) || (kind == ACCESS_STORE && !bit(pte, D))) {
		if (!update)
			return WALK_PAGE_FAULT;
		ref->gpa = at;
		if (at >> 12 == protected_page)
			return WALK_PROTECTED;
		pte |= 1 << A | (kind == ACCESS_STORE ? 1 << D : 0);
		*model_word(at) = pte;
	}
	ref->entry = pte;
	ref->leaf = model_word(at);
	ref->gpa = ((ppn - ppn % low_pages) + (va >> 12) % low_pages) * 4096 + va % 4096;
	return WALK_DONE;
}

static enum walk_result reference_walk(struct reference *ref, uint64_t va, enum access_kind kind,
				       bool update)
{
	uint64_t mode = context.satp >> 60;
	int levels = mode == 8 ? 3 : mode == 9 ? 4 : 5;
	uint64_t a = (context.satp & ((UINT64_C(1) << 44) - 1)) * 4096;
	uint64_t upper = va >> (9 * levels + 11); /* from the sign bit up */

	memset(ref, 0, sizeof(*ref));
	if (upper != 0 && upper != UINT64_MAX >> (9 * levels + 11))
		return WALK_PAGE_FAULT;
	for (int i = levels - 1;; i--) {
		uint64_t at = a + (va >> (12 + 9 * i)) % 512 * 8;
		uint64_t pte;

		ref->gpa = at;
		if (!model_word(at))
			return WALK_MISSING;
		pte = *model_word(at);
		if (!bit(pte, V) || (!bit(pte, R) && bit(pte, W)) ||
		    reserved_set(pte, context.svnapot))
			return WALK_PAGE_FAULT;
		ref->global |= bit(pte, G);
		if (bit(pte, R) || bit(pte, X)) {
			ref->level = (unsigned)i;
			ref->entry = pte;
			return reference_leaf(ref, va, kind, update, at);
		}
		if (bit(pte, D) || bit(pte, A) || bit(pte, U) || bit(pte, N_BIT) || i == 0)
			return WALK_PAGE_FAULT;
		a = (pte >> 10 & ((UINT64_C(1) << 44) - 1)) * 4096;
	}
}

/* Walks in both ways, and returns what came out. */
static enum walk_result compare(uint64_t va, enum access_kind kind, bool update, struct walk *walk)
{
	struct reference ref;
	enum walk_result result = walk_address(&context, GVA(va), kind, update, walk);

	ref.result = reference_walk(&ref, va, kind, update);
	assert_int_equal(result, ref.result);
	if (result != WALK_PAGE_FAULT)
		assert_int_equal(walk->gpa.v, ref.gpa);
	if (result == WALK_DONE) {
		assert_int_equal(walk->entry, ref.entry);
		assert_int_equal(walk->level, ref.level);
		assert_int_equal(walk->global, ref.global);
		assert_false(walk->bare);
		assert_int_equal(*walk->leaf, *ref.leaf);
		/* The same place of the same page. */
		size_t word = (size_t)(ref.leaf - &model_ram[0][0]);

		assert_ptr_equal(walk->leaf, &ram[word / WORDS][word % WORDS]);
	}
	return result;
}

static uint64_t pointer_to_page(unsigned page)
{
	return (RAM_PAGE + page) << 10 | 1 << V;
}

static uint64_t satp_of(unsigned levels, unsigned page)
{
	return (uint64_t)(levels + 5) << 60 | (fake_random() & 0xffff) << 44 | (RAM_PAGE + page);
}

#endif
