/* SPDX-License-Identifier: MIT */
/* unit: engine/soft/walk.c engine/gspace.c kernel/arena.c kernel/page.c */
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

/* Entries as they are apt to lead somewhere, with every kind of fault among them. */
static uint64_t random_entry(void)
{
	static const uint64_t low_bits[] = {0, 0, 0, 0, 8, 0x1f8, 0x200, 0x40000, 0x8000000};
	uint64_t entry, ppn;

	switch (fake_random_below(16)) {
	case 0:
		return fake_random();
	case 1:
		return 0;
	default:
		entry = pointer_to_page(fake_random_below(RAM_PAGES));
		if (fake_random_below(8) == 0)
			entry |= BIT(G);
		if (fake_random_below(40) == 0)
			entry |= BIT(4 + fake_random_below(4));
		return entry;
	case 2 ... 7:
		ppn = fake_random() & BITS(43, 9 * fake_random_below(5));
		ppn |= low_bits[fake_random_below(ARRAY_SIZE(low_bits))];
		entry = ppn << 10 | (fake_random() & 0x3ff) | BIT(V);
		if (fake_random_below(4))
			entry |= BIT(R);
		if (fake_random_below(6) == 0)
			entry = (entry & ~BITS(13, 10)) | BIT(N_BIT) | BIT(13);
		if (fake_random_below(12) == 0)
			entry |= BIT(54 + fake_random_below(10));
		return entry;
	}
}

static uint64_t random_address(unsigned levels)
{
	unsigned shift = 64 - (12 + 9 * levels);
	uint64_t va = (uint64_t)((int64_t)(fake_random() << shift) >> shift);

	/* Somewhere outside, by one bit, now and then. */
	return fake_random_below(16) ? va : va ^ BIT(63 - fake_random_below(shift + 1));
}

static void fill_with_random_tables(void)
{
	for (unsigned page = 0; page < RAM_PAGES; page++) {
		for (unsigned i = 0; i < WORDS; i++)
			put(page, i, random_entry());
	}
}

static void randomize_context(unsigned levels)
{
	uint64_t bits = fake_random();

	context.satp = satp_of(levels, fake_random_below(RAM_PAGES));
	context.user = bits & 1;
	context.sum = bits & 2;
	context.mxr = bits & 4;
	context.svnapot = bits & 8;
}

/* Any tables: they are shared, cyclic, half missing, and partly nonsense. */
static void test_random_tables(void **state)
{
	unsigned results[4] = {0}, done[5] = {0}, napot = 0, updates = 0, global = 0;
	struct walk walk;

	(void)state;
	protected_page = RAM_PAGE + 3;
	for (unsigned round = 0; round < 12; round++) {
		fill_with_random_tables();
		for (unsigned i = 0; i < 20000; i++) {
			unsigned levels = 3 + fake_random_below(3);
			unsigned asked = protected_asked;
			enum walk_result result;

			randomize_context(levels);
			result = compare(random_address(levels), fake_random_below(3),
					 fake_random_below(4), &walk);
			results[result]++;
			if (result == WALK_DONE) {
				done[walk.level]++;
				napot += bit(walk.entry, N_BIT);
				global += walk.global;
				updates += protected_asked - asked;
			}
		}
		check_ram();
	}
	/* Nothing of what is to be tested was missed. */
	for (unsigned i = 0; i < 4; i++)
		assert_in_range(results[i], 200, 240000);
	for (unsigned i = 0; i < 5; i++)
		assert_in_range(done[i], 100, 240000);
	assert_in_range(napot, 100, 240000);
	assert_in_range(updates, 1000, 240000);
	assert_in_range(global, 1000, 240000);
}

/* A chain of tables in pages 0, 1, … down to `level`, at the last index of each. */
static void put_chain(unsigned levels, unsigned level, uint64_t entry)
{
	unsigned depth = levels - 1 - level;

	for (unsigned i = 0; i < depth; i++)
		put(i, 511, pointer_to_page(i + 1));
	put(depth, 511, entry);
	context.satp = satp_of(levels, 0);
}

#define LAST_PAGE UINT64_C(0xfffffffffffff123) /* an address that uses the last indices */

/* Everything that the low ten bits can say, for every access in every context. */
static void test_all_permissions(void **state)
{
	struct walk walk;
	unsigned done = 0;

	(void)state;
	for (unsigned levels = 3; levels <= 5; levels++) {
		for (unsigned n = 0; n < levels * 0x400 * 48; n++) {
			unsigned rest = n / 0x400;
			uint64_t entry = (RAM_PAGE & ~UINT64_C(0x7ffff)) << 10 | n % 0x400;
			enum access_kind kind = rest / 16 % 3;

			context.user = rest & 1;
			context.sum = rest & 2;
			context.mxr = rest & 4;
			put_chain(levels, rest / 48, entry | (rest / 48 < 3 ? 0 : BIT(37 + 10)));
			done += compare(LAST_PAGE, kind, rest & 8, &walk) == WALK_DONE;
		}
	}
	check_ram();
	assert_true(done > 10000);
}

/* By hand, apart from the model. */
static enum walk_result try(uint64_t entry, enum access_kind kind, const char *how)
{
	struct walk walk;

	context.user = strchr(how, 'u');
	context.sum = strchr(how, 's');
	context.mxr = strchr(how, 'm');
	put_chain(3, 0, 0x12345ULL << 10 | entry);
	return walk_address(&context, GVA(LAST_PAGE), kind, false, &walk);
}

static void test_permissions_by_hand(void **state)
{
	const uint64_t v = BIT(V) | BIT(A) | BIT(D);
	const uint64_t rwx = v | BIT(R) | BIT(W) | BIT(X);

	(void)state;
	assert_int_equal(try(rwx, ACCESS_LOAD, ""), WALK_DONE);
	assert_int_equal(try(rwx, ACCESS_STORE, ""), WALK_DONE);
	assert_int_equal(try(rwx, ACCESS_FETCH, ""), WALK_DONE);
	assert_int_equal(try(rwx, ACCESS_LOAD, "u"), WALK_PAGE_FAULT);
	assert_int_equal(try(rwx | BIT(U), ACCESS_LOAD, "u"), WALK_DONE);
	assert_int_equal(try(rwx | BIT(U), ACCESS_LOAD, ""), WALK_PAGE_FAULT);
	assert_int_equal(try(rwx | BIT(U), ACCESS_LOAD, "s"), WALK_DONE);
	assert_int_equal(try(rwx | BIT(U), ACCESS_STORE, "s"), WALK_DONE);
	assert_int_equal(try(rwx | BIT(U), ACCESS_FETCH, "s"), WALK_PAGE_FAULT);
	assert_int_equal(try(rwx | BIT(U), ACCESS_FETCH, "us"), WALK_DONE);
	assert_int_equal(try(rwx, ACCESS_LOAD, "us"), WALK_PAGE_FAULT);
	assert_int_equal(try(v | BIT(X), ACCESS_LOAD, ""), WALK_PAGE_FAULT);
	assert_int_equal(try(v | BIT(X), ACCESS_LOAD, "m"), WALK_DONE);
	assert_int_equal(try(v | BIT(X), ACCESS_STORE, "m"), WALK_PAGE_FAULT);
	assert_int_equal(try(v | BIT(X), ACCESS_FETCH, ""), WALK_DONE);
	assert_int_equal(try(v | BIT(R), ACCESS_FETCH, "m"), WALK_PAGE_FAULT);
	assert_int_equal(try(v | BIT(W), ACCESS_STORE, ""), WALK_PAGE_FAULT);
	assert_int_equal(try(v | BIT(W) | BIT(X), ACCESS_FETCH, ""), WALK_PAGE_FAULT);
	assert_int_equal(try(v & ~BIT(V), ACCESS_LOAD, ""), WALK_PAGE_FAULT);
	assert_int_equal(try(rwx & ~BIT(A), ACCESS_LOAD, ""), WALK_PAGE_FAULT);
	assert_int_equal(try(rwx & ~BIT(D), ACCESS_LOAD, ""), WALK_DONE);
	assert_int_equal(try(rwx & ~BIT(D), ACCESS_STORE, ""), WALK_PAGE_FAULT);
}

static enum walk_result try_at(unsigned levels, unsigned level, uint64_t entry, struct walk *walk)
{
	put_chain(levels, level, entry);
	return compare(LAST_PAGE, ACCESS_LOAD, true, walk);
}

static void test_reserved_bits_and_alignment(void **state)
{
	const uint64_t leaf = BIT(V) | BIT(R) | BIT(A);
	struct walk walk;

	(void)state;
	for (unsigned levels = 3; levels <= 5; levels++) {
		for (unsigned level = 0; level < levels; level++) {
			assert_int_equal(try_at(levels, level, leaf, &walk), WALK_DONE);
			assert_int_equal(walk.level, level);
			assert_int_equal(walk.gpa.v, LAST_PAGE & (BIT(12 + 9 * level) - 1));
			for (unsigned n = 10; n < 64; n++) {
				bool good = n < 54 && n >= 10 + 9 * level;

				assert_int_equal(try_at(levels, level, leaf | BIT(n), &walk),
						 good ? WALK_DONE : WALK_PAGE_FAULT);
			}
		}
		/* A pointer; what it points to is missing, which only a good one tells. */
		for (unsigned n = 1; n < 64; n++) {
			uint64_t entry = BIT(V) | BIT(n == 29 ? 10 : n) | BIT(53);
			bool good = (n >= 8 && n < 54) || n == G;
			enum walk_result result = try_at(levels, 1, entry, &walk);

			if (n != R && n != X)
				assert_int_equal(result, good ? WALK_MISSING : WALK_PAGE_FAULT);
		}
		assert_int_equal(try_at(levels, 0, pointer_to_page(5), &walk), WALK_PAGE_FAULT);
	}
}

static void test_napot(void **state)
{
	const uint64_t leaf = BIT(V) | BIT(R) | BIT(A) | BIT(N_BIT);
	struct walk walk;

	(void)state;
	for (unsigned ppn = 0; ppn < 32; ppn++) {
		context.svnapot = true;
		if (ppn % 16 != 8) {
			assert_int_equal(try_at(3, 0, leaf | ppn << 10, &walk), WALK_PAGE_FAULT);
		} else {
			assert_int_equal(try_at(3, 0, leaf | ppn << 10, &walk), WALK_DONE);
			assert_int_equal(walk.gpa.v, (ppn - 8 + 15) << 12 | 0x123);
			assert_int_equal(walk.level, 0);
			assert_int_equal(walk.entry, leaf | ppn << 10);
		}
		context.svnapot = false;
		assert_int_equal(try_at(3, 0, leaf | ppn << 10, &walk), WALK_PAGE_FAULT);
	}
	context.svnapot = true;
	assert_int_equal(try_at(3, 1, leaf, &walk), WALK_PAGE_FAULT);
	assert_int_equal(try_at(3, 1, leaf | 8 << 10, &walk), WALK_PAGE_FAULT);
	assert_int_equal(try_at(3, 1, pointer_to_page(5) | BIT(N_BIT), &walk), WALK_PAGE_FAULT);
}

static void test_canonical_addresses(void **state)
{
	static const unsigned bits[] = {[3] = 39, [4] = 48, [5] = 57};
	struct walk walk;

	(void)state;
	for (unsigned levels = 3; levels <= 5; levels++) {
		uint64_t low_end = BIT(bits[levels] - 1);

		for (unsigned i = 0; i < WORDS; i++)
			put(0, i, BIT(V) | BIT(R) | BIT(A));
		context.satp = satp_of(levels, 0);
		assert_int_equal(compare(0, ACCESS_LOAD, true, &walk), WALK_DONE);
		assert_int_equal(compare(low_end - 1, ACCESS_LOAD, true, &walk), WALK_DONE);
		assert_int_equal(compare(low_end, ACCESS_LOAD, true, &walk), WALK_PAGE_FAULT);
		assert_int_equal(compare(-low_end, ACCESS_LOAD, true, &walk), WALK_DONE);
		assert_int_equal(compare(-low_end - 1, ACCESS_LOAD, true, &walk), WALK_PAGE_FAULT);
		assert_int_equal(compare(UINT64_MAX, ACCESS_LOAD, true, &walk), WALK_DONE);
		assert_int_equal(compare(BIT(63), ACCESS_LOAD, true, &walk), WALK_PAGE_FAULT);
		assert_int_equal(compare(BIT(63) - 1, ACCESS_LOAD, true, &walk), WALK_PAGE_FAULT);
	}
}

static void test_modes(void **state)
{
	unsigned levels;
	struct walk walk;

	(void)state;
	for (uint64_t mode = 0; mode < 16; mode++) {
		bool known = walk_mode_levels(mode << 60 | 0x123456789, &levels);

		assert_int_equal(known, mode == 0 || (mode >= 8 && mode <= 10));
		if (known)
			assert_int_equal(levels, mode ? mode - 5 : 0);
		context.satp = mode << 60;
		if (!known)
			assert_int_equal(walk_address(&context, GVA(0), ACCESS_LOAD, true, &walk),
					 WALK_PAGE_FAULT);
	}
	/* Bare: any address, any access, as user or not. */
	context.satp = 0;
	for (unsigned kind = 0; kind < 3; kind++) {
		context.user = kind & 1;
		memset(&walk, 0x55, sizeof(walk));
		assert_int_equal(walk_address(&context, GVA(UINT64_MAX - kind), kind, false, &walk),
				 WALK_DONE);
		assert_int_equal(walk.gpa.v, UINT64_MAX - kind);
		assert_int_equal(walk.entry, 0xdf);
		assert_int_equal(walk.level, 2);
		assert_true(walk.bare);
		assert_false(walk.global);
		assert_null(walk.leaf);
	}
}

static void test_missing_tables(void **state)
{
	struct walk walk;

	(void)state;
	/* The root. */
	context.satp = satp_of(3, 7);
	assert_int_equal(compare(LAST_PAGE, ACCESS_LOAD, true, &walk), WALK_MISSING);
	assert_int_equal(walk.gpa.v, ((RAM_PAGE + 7) << 12) + 511 * 8);
	context.satp = UINT64_C(9) << 60 | BITS(43, 0);
	assert_int_equal(compare(LAST_PAGE, ACCESS_LOAD, true, &walk), WALK_MISSING);
	assert_int_equal(walk.gpa.v, (BIT(56) - 1) & ~UINT64_C(7));
	/* A table below; one above all that the second stage translates; a leaf. */
	assert_int_equal(try_at(3, 1, pointer_to_page(16), &walk), WALK_MISSING);
	assert_int_equal(walk.gpa.v, ((RAM_PAGE + 16) << 12) + 511 * 8);
	assert_int_equal(try_at(4, 2, BITS(53, 10) | BIT(V), &walk), WALK_MISSING);
	assert_int_equal(walk.gpa.v, (BIT(56) - 1) & ~UINT64_C(7));
	assert_int_equal(try_at(3, 0, BITS(53, 10) | BIT(V) | BIT(R), &walk), WALK_DONE);
	assert_int_equal(walk.gpa.v, (BIT(56) - 4096) | 0x123);
}

static void test_protected_entries(void **state)
{
	const uint64_t leaf = BIT(V) | BIT(R) | BIT(W);
	struct walk walk;

	(void)state;
	protected_page = RAM_PAGE + 2;
	assert_int_equal(try_at(3, 0, leaf, &walk), WALK_PROTECTED);
	assert_int_equal(walk.gpa.v, ((RAM_PAGE + 2) << 12) + 511 * 8);
	assert_int_equal(ram[2][511], leaf);
	assert_int_equal(protected_asked, 1);
	/* Nothing is to be written. */
	assert_int_equal(try_at(3, 0, leaf | BIT(A), &walk), WALK_DONE);
	assert_int_equal(protected_asked, 1);
	assert_int_equal(compare(LAST_PAGE, ACCESS_STORE, true, &walk), WALK_PROTECTED);
	assert_int_equal(compare(LAST_PAGE, ACCESS_STORE, false, &walk), WALK_PAGE_FAULT);
	/* An access that is not allowed faults, whatever is protected. */
	assert_int_equal(compare(LAST_PAGE, ACCESS_FETCH, true, &walk), WALK_PAGE_FAULT);
	/* Another page. */
	protected_page = RAM_PAGE + 1;
	assert_int_equal(compare(LAST_PAGE, ACCESS_STORE, true, &walk), WALK_DONE);
	assert_int_equal(ram[2][511], leaf | BIT(A) | BIT(D));
}

/* Another vCPU writes the entry after it was checked: A and D are not set in what is now there. */

#define RACED (&ram[2][511])

static void race_invalidate(void)
{
	*RACED = 0;
}

static void race_write_protect(void)
{
	*RACED &= ~BIT(W);
}

static void race_move(void)
{
	*RACED = UINT64_C(0x777) << 10 | BIT(G) | BIT(9) | (*RACED & 0xff);
}

static void race_move_twice(void)
{
	*RACED = UINT64_C(0x333) << 10 | (*RACED & 0xff);
	race = race_move;
}

static void race_same_update(void)
{
	*RACED |= BIT(A) | BIT(D);
}

static void race_table(void)
{
	ram[1][511] = 0; /* too late: that was read already */
}

static enum walk_result run_race(void (*what)(void), struct walk *walk)
{
	put_chain(3, 0, UINT64_C(0x111) << 10 | BIT(V) | BIT(R) | BIT(W));
	race = what;
	return walk_address(&context, GVA(LAST_PAGE), ACCESS_STORE, true, walk);
}

static void test_races(void **state)
{
	const uint64_t flags = BIT(V) | BIT(R) | BIT(W) | BIT(A) | BIT(D);
	struct walk walk;

	(void)state;
	assert_int_equal(run_race(race_invalidate, &walk), WALK_PAGE_FAULT);
	assert_int_equal(*RACED, 0);
	assert_int_equal(run_race(race_write_protect, &walk), WALK_PAGE_FAULT);
	assert_int_equal(*RACED, UINT64_C(0x111) << 10 | BIT(V) | BIT(R));
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(run_race(i ? race_move_twice : race_move, &walk), WALK_DONE);
		assert_int_equal(*RACED, UINT64_C(0x777) << 10 | BIT(G) | BIT(9) | flags);
		assert_int_equal(walk.entry, *RACED);
		assert_int_equal(walk.gpa.v, 0x777123);
		assert_true(walk.global);
	}
	assert_int_equal(run_race(race_same_update, &walk), WALK_DONE);
	assert_int_equal(*RACED, UINT64_C(0x111) << 10 | flags);
	assert_false(walk.global);
	assert_int_equal(run_race(race_table, &walk), WALK_DONE);
	assert_int_equal(*RACED, UINT64_C(0x111) << 10 | flags);
}

/* The entry of a middle level was a leaf, and points to a table when it is looked at again. */
static void race_split(void)
{
	ram[1][511] = pointer_to_page(2);
}

static void test_race_with_split(void **state)
{
	const uint64_t flags = BIT(V) | BIT(R) | BIT(W) | BIT(A) | BIT(D);
	struct walk walk;

	(void)state;
	put_chain(3, 0, UINT64_C(0x111) << 10 | flags);
	put(1, 511, BIT(V) | BIT(R) | BIT(W));
	race = race_split;
	assert_int_equal(walk_address(&context, GVA(LAST_PAGE), ACCESS_STORE, true, &walk),
			 WALK_DONE);
	assert_int_equal(walk.level, 0);
	assert_int_equal(walk.gpa.v, 0x111123);
	assert_int_equal(ram[1][511], pointer_to_page(2));
}

/* What walk_entry_allows() says of an entry is what a walk that ends at it would find. */
static void test_entry_allows(void **state)
{
	unsigned allowed = 0;
	struct walk walk;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		uint64_t entry = random_entry();
		enum access_kind kind = fake_random_below(3);
		bool expected;

		randomize_context(3);
		put_chain(3, 0, entry);
		expected =
		    compare(LAST_PAGE, kind, false, &walk) == WALK_DONE && !bit(entry, N_BIT);
		assert_int_equal(walk_entry_allows(&context, entry, kind), expected);
		allowed += expected;
	}
	assert_true(allowed > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_random_tables, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_all_permissions, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_permissions_by_hand, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_reserved_bits_and_alignment, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_napot, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_canonical_addresses, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_modes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_missing_tables, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_protected_entries, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_races, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_race_with_split, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_entry_allows, setup, teardown),
	};

	return cmocka_run_group_tests_name("soft_walk", tests, NULL, NULL);
}
