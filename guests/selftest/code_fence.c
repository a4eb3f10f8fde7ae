/* SPDX-License-Identifier: MIT */
/*
 * Many fences and many address spaces in one run of privileged instructions. Each does what it says
 * for itself; all of them together must not keep a hypervisor busy for long at a time, which is for
 * whoever measures that to see.
 */
#include "guests/selftest/code.h"

#define PAGES  62
#define WINDOW UINT64_C(0x2000000000) /* PAGES of them */
#define FENCES 600                    /* in a row */
#define SPACES 40                     /* address spaces, one after the other */

/* ASIDs of the spaces, which is all they differ in, begin here. */
#define FIRST_ASID 10

/* Frames that are in the window by turns. */
static uint64_t frames[2];

static uint64_t mark(size_t frame, uint64_t page)
{
	return (uint64_t)frame << 32 | (page + 1);
}

static uint64_t setup(void)
{
	uint64_t code = code_setup(1);

	for (size_t f = 0; f < 2; f++) {
		frames[f] = (uint64_t)heap_take(PAGES * PAGE_SIZE);
		for (uint64_t page = 0; page < PAGES; page++)
			*(volatile uint64_t *)(frames[f] + page * PAGE_SIZE) = mark(f, page);
	}
	/* What runs is in all address spaces. */
	for (uint64_t va = 0; va < GIB(4); va += GIB(1))
		*paging_pte(&code_tables, va, 2) |= PTE_G;
	*paging_pte(&code_tables, CODE, 0) |= PTE_G;
	sfence_all();
	return code;
}

/* Without a fence. */
static void map_window(size_t frame)
{
	for (uint64_t page = 0; page < PAGES; page++)
		paging_map(&code_tables, WINDOW + page * PAGE_SIZE,
			   frames[frame] + page * PAGE_SIZE, 0, PTE_RW);
}

static void expect_page(size_t frame, uint64_t page, const char *what)
{
	expect_eq(*(volatile uint64_t *)(WINDOW + page * PAGE_SIZE), mark(frame, page),
		  "page %lu after %s", page, what);
}

/* What the fences of a row name: s2 is an address, s3 an ASID. */
static const struct {
	uint32_t registers;
	bool all_pages;
	const char *name;
} rows[] = {
    {S2 << 15, false, "sfence.vma of an address"},
    {S2 << 15 | S3 << 20, false, "sfence.vma of an address and an ASID"},
    {S3 << 20, true, "sfence.vma of an ASID"},
    {0, true, "sfence.vma of everything"},
};

static void run_row(uint64_t address, uint64_t asid)
{
	const uint64_t x[32] = {[S2] = address, [S3] = asid};

	code_run(CODE, 0, x, false);
	expect_eq(hart_self()->trap.cause, EXC_BREAKPOINT, "cause");
	expect_eq(hart_self()->trap.epc, CODE + 4 * FENCES, "sepc");
}

/* The same fence again and again, of pages that are there, and of what never was. */
static void fence_in_a_row(size_t row)
{
	struct code code = {.frame = setup()};

	for (int f = 0; f < FENCES; f++)
		emit(&code, INSN_SFENCE | rows[row].registers);
	emit(&code, INSN_EBREAK);
	__asm__ volatile("fence.i" ::: "memory");
	map_window(0);
	sfence_all();
	for (uint64_t round = 0; round < 20 && !test_failed(); round++) {
		size_t f = round & 1;
		uint64_t page = round * 7 % PAGES;

		map_window(f);
		run_row(WINDOW + page * PAGE_SIZE, 1);
		expect_page(f, page, rows[row].name);
		for (page = 0; rows[row].all_pages && page < PAGES; page++)
			expect_page(f, page, rows[row].name);
		run_row(UINT64_C(0xffffffff12345000), 0x1234);
		sfence_all();
	}
}

static void row_of_address(void)
{
	fence_in_a_row(0);
}

static void row_of_address_and_asid(void)
{
	fence_in_a_row(1);
}

static void row_of_asid(void)
{
	fence_in_a_row(2);
}

static void row_of_everything(void)
{
	fence_in_a_row(3);
}

/* s7 becomes satp, SPACES times, the ASID growing by s6; and at last what it was at first. */
static void emit_spaces(struct code *code)
{
	emit(code, insn_addi(S5, S7, 0));
	for (int i = 0; i < SPACES; i++) {
		emit(code, insn_r(0x33, 0, 0, S7, S7, S6)); /* add */
		emit(code, insn_csrw(CSR_SATP, S7));
	}
	emit(code, insn_csrw(CSR_SATP, S5));
	emit(code, INSN_EBREAK);
	__asm__ volatile("fence.i" ::: "memory");
}

static void run_spaces(const struct code *code, uint64_t address)
{
	const uint64_t x[32] = {
	    [S2] = address,
	    [S6] = UINT64_C(1) << SATP_ASID_SHIFT,
	    [S7] = paging_satp(&code_tables, FIRST_ASID),
	};

	code_run(CODE, 0, x, false);
	expect_eq(hart_self()->trap.cause, EXC_BREAKPOINT, "cause");
	expect_eq(hart_self()->trap.epc, CODE + code->at - 4, "sepc");
	expect_eq(csr_read(CSR_SATP), x[S7], "satp");
}

/* Each space finds what has been fenced while it was not in use. */
static void check_spaces(size_t frame, uint64_t page, const char *what)
{
	for (uint64_t i = 0; i <= SPACES; i++) {
		csr_write(CSR_SATP, paging_satp(&code_tables, FIRST_ASID + i));
		expect_page(frame, page, what);
	}
}

/* Fences of one page, as many as given, and then all address spaces in turn. */
static void spaces_behind(uint64_t fences)
{
	struct code code = {.frame = setup()};

	for (uint64_t f = 0; f < fences; f++)
		emit(&code, INSN_SFENCE | S2 << 15);
	emit_spaces(&code);
	map_window(0);
	sfence_all();
	for (uint64_t round = 1; round <= 20 && !test_failed(); round++) {
		uint64_t page = round * 5 % PAGES;

		/* All of them have the pages. */
		map_window(round & 1);
		sfence_all();
		check_spaces(round & 1, page, "a fence of everything");
		map_window(!(round & 1));
		run_spaces(&code, WINDOW + page * PAGE_SIZE);
		if (fences)
			check_spaces(!(round & 1), page, "a fence in one space");
	}
}

static void spaces(void)
{
	spaces_behind(0);
	spaces_behind(1);
}

/* Each may follow the fences, or be emptied. */
static void spaces_somewhat_behind(void)
{
	spaces_behind(30);
	spaces_behind(60);
	spaces_behind(95);
	spaces_behind(99);
}

static void spaces_far_behind(void)
{
	spaces_behind(300);
}

#define SWITCHED 40 /* pages that all spaces have, and that are fenced */

/* satp is written by instructions with nothing between them, and no space is up to date. */
static void spaces_without_a_pause(void)
{
	static const uint8_t registers[] = {A1, A2, A3, A4, A5, A6, A7, S2,
					    S3, S4, S5, S6, S7, S8, 24, 25};
	struct code code = {.frame = setup()};
	uint64_t x[32] = {0};

	emit(&code, insn_csrr(A0, CSR_SSCRATCH));
	for (uint64_t i = 0; i < ARRAY_SIZE(registers); i++) {
		x[registers[i]] = paging_satp(&code_tables, FIRST_ASID + i);
		emit(&code, insn_csrw(CSR_SATP, registers[i]));
	}
	emit(&code, INSN_EBREAK);
	__asm__ volatile("fence.i" ::: "memory");
	for (uint64_t round = 0; round < 20 && !test_failed(); round++) {
		size_t f = round & 1;

		map_window(f);
		for (uint64_t i = 0; i < SWITCHED + 2 * round; i++)
			sfence_va(WINDOW + i % PAGES * PAGE_SIZE);
		code_run(CODE, 0, x, false);
		expect_eq(hart_self()->trap.cause, EXC_BREAKPOINT, "cause");
		expect_eq(hart_self()->trap.x[A0], hart_self(), "sscratch");
		expect_eq(csr_read(CSR_SATP), x[25], "satp");
		for (uint64_t i = 0; i < ARRAY_SIZE(registers); i++) {
			csr_write(CSR_SATP, x[registers[i]]);
			for (uint64_t page = 0; page < SWITCHED; page++)
				expect_page(f, page, "fences in another space");
		}
	}
}

/* The other hart's. */
static struct {
	volatile uint64_t frame, rounds, stop;
} other;

/* In the address space given, or in none, it does not trap. */
static void look_on(void *argument)
{
	if (argument)
		csr_write(CSR_SATP, paging_satp(&code_tables, (uint64_t)argument));
	while (!other.stop) {
		uint64_t rounds = __atomic_load_n(&other.rounds, __ATOMIC_SEQ_CST);

		for (uint64_t page = 0; argument && page < PAGES; page++) {
			uint64_t value = *(volatile uint64_t *)(WINDOW + page * PAGE_SIZE);
			uint64_t frame = other.frame;
			bool same = __atomic_load_n(&other.rounds, __ATOMIC_SEQ_CST) == rounds;

			if (same && !(rounds & 1))
				expect_eq(value, mark(frame, page), "page %lu, round %lu", page,
					  rounds);
		}
	}
	paging_off();
}

/* While `rounds` is even, the window is as it was fenced. */
static void fence_for_other(uint64_t argument)
{
	if (machine.hart_count < 2) {
		test_skip("one hart");
		return;
	}
	setup();
	map_window(0);
	sfence_all();
	memset((void *)&other, 0, sizeof(other));
	expect_eq(hart_run(1, look_on, (void *)argument), 0, "start");
	for (uint64_t round = 0; round < 12 && !test_failed(); round++) {
		test_delay(25);
		__atomic_fetch_add(&other.rounds, 1, __ATOMIC_SEQ_CST);
		map_window(round & 1);
		other.frame = round & 1;
		for (uint64_t i = 0; i < 4; i++) {
			struct sbi_ret ret =
			    sbi_call(SBI_EXT_RFENCE,
				     i & 1 ? SBI_RFENCE_SFENCE_VMA_ASID : SBI_RFENCE_SFENCE_VMA, 1,
				     harts[1].id, WINDOW, PAGES * PAGE_SIZE, argument);

			expect_eq(ret.error, 0, "remote fence");
		}
		__atomic_fetch_add(&other.rounds, 1, __ATOMIC_SEQ_CST);
	}
	other.stop = 1;
	expect(hart_join(1, 20000), "did not finish");
}

static void other_hart(void)
{
	fence_for_other(5);
}

static void other_hart_bare(void)
{
	fence_for_other(0);
}

static const struct test tests[] = {
    {"row-of-address", row_of_address},
    {"row-of-address-and-asid", row_of_address_and_asid},
    {"row-of-asid", row_of_asid},
    {"row-of-everything", row_of_everything},
    {"spaces", spaces},
    {"spaces-somewhat-behind", spaces_somewhat_behind},
    {"spaces-far-behind", spaces_far_behind},
    {"spaces-without-a-pause", spaces_without_a_pause},
    {"other-hart", other_hart},
    {"other-hart-bare", other_hart_bare},
};
TEST_GROUP(code_fence, tests);
