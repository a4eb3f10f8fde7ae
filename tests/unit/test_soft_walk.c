/* SPDX-License-Identifier: MIT */
/* unit: engine/soft/walk.c engine/gspace.c kernel/arena.c kernel/page.c */
#include "tests/unit/walk_reference.h"

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

/* A table in memory that is not to be written: it is read, and A and D are not set. */
static void test_read_only_table(void **state)
{
	const uint64_t leaf = BIT(V) | BIT(R) | BIT(W);
	const gpa_t table = GPA(UINT64_C(0x20000) << 12);
	uint64_t *rom = arena_alloc_pages(&arena, 0, ARENA_RAM);
	struct walk walk;

	(void)state;
	assert_int_equal(gspace_map_rom(&guest.space, table, pointer_to_hpa(rom)), 0);
	put_chain(3, 0, 0);
	put(1, 511, table.v >> 2 | BIT(V));
	rom[511] = leaf;
	assert_int_equal(walk_address(&context, GVA(LAST_PAGE), ACCESS_LOAD, true, &walk),
			 WALK_READ_ONLY);
	assert_int_equal(walk.gpa.v, table.v + 511 * 8);
	assert_int_equal(walk_address(&context, GVA(LAST_PAGE), ACCESS_LOAD, false, &walk),
			 WALK_PAGE_FAULT);
	rom[511] = leaf | BIT(A);
	assert_int_equal(walk_address(&context, GVA(LAST_PAGE), ACCESS_LOAD, true, &walk),
			 WALK_DONE);
	assert_int_equal(walk_address(&context, GVA(LAST_PAGE), ACCESS_STORE, true, &walk),
			 WALK_READ_ONLY);
	assert_int_equal(walk_address(&context, GVA(LAST_PAGE), ACCESS_FETCH, true, &walk),
			 WALK_PAGE_FAULT);
	assert_int_equal(rom[511], leaf | BIT(A));
	assert_int_equal(protected_asked, 0);
	gspace_show_rom(&guest.space, table, MIB(2), false);
	assert_int_equal(walk_address(&context, GVA(LAST_PAGE), ACCESS_LOAD, true, &walk),
			 WALK_MISSING);
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
	    cmocka_unit_test_setup_teardown(test_read_only_table, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_races, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_race_with_split, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_entry_allows, setup, teardown),
	};

	return cmocka_run_group_tests_name("soft_walk", tests, NULL, NULL);
}
