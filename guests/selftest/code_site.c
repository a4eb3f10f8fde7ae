/* SPDX-License-Identifier: MIT */
/*
 * Short runs of hot privileged instructions, each of which may be known by its address: several
 * addresses that are alike, what else happens at them, and sstatus, which kernels change most.
 */
#include "guests/selftest/code.h"

#define PAGES   4
#define SITES   (PAGES * 2)
#define ROUNDS  1500
#define SIE_SUM (SSTATUS_SIE | SSTATUS_SUM)

#define INSN_FENCE_I 0x0000100f

/* Addresses that differ by multiples of 2 KiB, in each of which another number is counted up to. */
static void alike(void)
{
	uint64_t frame = code_setup(PAGES), seed = test_seed * 23 + 7;
	const struct trap_frame *trap = &hart_self()->trap;
	const uint64_t x[32] = {[A0] = 0x1234, [A1] = 0x5678};

	for (uint64_t i = 0; i < SITES; i++) {
		struct code code = {.frame = frame, .at = 0x100 + i * 0x800};

		emit(&code, insn_csrw(CSR_STVAL, i & 1 ? A1 : A0));
		emit(&code, insn_csrr((uint32_t)(S2 + i / 2), CSR_STVAL));
		emit(&code, INSN_EBREAK);
	}
	__asm__ volatile("fence.i" ::: "memory");
	for (int round = 0; round < 60 * SITES; round++) {
		uint64_t i = (random_next(&seed) >> 8) % SITES, at = 0x100 + i * 0x800;

		code_run(CODE, at, x, false);
		expect_eq(trap->cause, EXC_BREAKPOINT, "cause at 0x%lx", at);
		expect_eq(trap->epc, CODE + at + 8, "sepc at 0x%lx", at);
		for (uint64_t r = 0; r < PAGES; r++)
			expect_eq(trap->x[S2 + r], r == i / 2 ? x[A0 + (i & 1)] : 0,
				  "s%lu at 0x%lx", 2 + r, at);
	}
}

/* What lies there is by turns a privileged instruction, a load that faults, and nothing. */
static void faults(void)
{
	const uint32_t insns[] = {insn_csrr(A0, CSR_SSCRATCH), insn_i(OP_LOAD, 3, A0, A1, 0)};
	uint64_t frames[2] = {code_setup(1), (uint64_t)heap_take(PAGE_SIZE)};
	const struct trap_frame *trap = &hart_self()->trap;
	const uint64_t x[32] = {[A0] = 77, [A1] = CODE_HOLE + 8}, at = CODE + 0x204;

	for (int i = 0; i < 2; i++) {
		struct code code = {.frame = frames[i], .at = 0x204};

		emit(&code, insns[i]);
		emit(&code, INSN_EBREAK);
	}
	__asm__ volatile("fence.i" ::: "memory");
	for (int round = 0; round < 120; round++) {
		int what = round % 3;

		paging_map(&code_tables, CODE, what < 2 ? frames[what] : 0, 0,
			   what < 2 ? PTE_RWX : 0);
		sfence_va(CODE);
		for (int again = 0; again < 4; again++) {
			code_run(at, 0, x, false);
			if (what == 0)
				expect_eq(trap->cause, EXC_BREAKPOINT, "cause behind csrr");
			else
				expect_trap(what == 1 ? EXC_LOAD_PAGE : EXC_INSN_PAGE,
					    what == 1 ? x[A1] : at, "round %d", round);
			expect_eq(trap->epc, what == 0 ? at + 4 : at, "sepc, round %d", round);
			expect_eq(trap->x[A0], what == 0 ? (uint64_t)hart_self() : 77,
				  "a0, round %d", round);
		}
	}
}

/* The same in two address spaces that the hart goes to and fro between, without a fence. */
static void spaces(void)
{
	const uint32_t insns[] = {insn_csrr(A0, CSR_SSCRATCH), insn_csrr(A0, CSR_SATP),
				  insn_i(OP_LOAD, 3, A0, A1, 0)};
	uint64_t first = code_setup(1);
	const struct trap_frame *trap = &hart_self()->trap;
	const uint64_t x[32] = {[A0] = 77, [A1] = CODE_HOLE + 8}, at = CODE + 0x304;
	static struct paging others[ARRAY_SIZE(insns)];

	for (size_t i = 0; i < ARRAY_SIZE(insns); i++) {
		struct code code = {.frame = i ? (uint64_t)heap_take(PAGE_SIZE) : first,
				    .at = 0x304};

		emit(&code, insns[i]);
		emit(&code, INSN_EBREAK);
		paging_init_identity(&others[i], 3);
		paging_map(&others[i], CODE, code.frame, 0, PTE_RWX);
		*paging_pte(&others[i], CODE_HOLE, 0) = 0;
	}
	sfence_all();
	__asm__ volatile("fence.i" ::: "memory");
	for (size_t round = 0; round < 100 * ARRAY_SIZE(insns); round++) {
		size_t i = round % ARRAY_SIZE(insns);
		uint64_t satp = paging_satp(&others[i], 10 + i);

		csr_write(CSR_SATP, satp);
		for (size_t again = 0; again < 1 + round % 4; again++) {
			code_run(at, 0, x, false);
			expect_eq(trap->cause, i == 2 ? EXC_LOAD_PAGE : EXC_BREAKPOINT,
				  "cause in space %lu", i);
			expect_eq(trap->epc, i == 2 ? at : at + 4, "sepc in space %lu", i);
			expect_eq(trap->x[A0],
				  i == 0   ? (uint64_t)hart_self()
				  : i == 1 ? satp
					   : x[A0],
				  "a0 in space %lu", i);
		}
	}
	csr_write(CSR_SATP, paging_satp(&code_tables, 1));
}

/* So often something else, with a fence each time, that whatever numbers these comes round again.
 */
static void changes(void)
{
	uint64_t frames[2] = {code_setup(1), (uint64_t)heap_take(PAGE_SIZE)};
	const struct trap_frame *trap = &hart_self()->trap;
	uint64_t seed = test_seed * 29 + 11;

	for (uint32_t i = 0; i < 2; i++) {
		struct code code = {.frame = frames[i], .at = 0x408};

		emit(&code, insn_csrr(A0 + i, CSR_SSCRATCH));
		emit(&code, INSN_EBREAK);
	}
	__asm__ volatile("fence.i" ::: "memory");
	for (int round = 0; round < ROUNDS && !test_failed(); round++) {
		uint64_t i = random_next(&seed) >> 20 & 1;

		paging_map(&code_tables, CODE, frames[i], 0, PTE_RWX);
		sfence_va(CODE);
		for (int again = 0; again < 3; again++) {
			code_run(CODE, 0x408, NULL, false);
			expect_eq(trap->x[A0 + i], hart_self(), "a%lu, round %d", i, round);
			expect_eq(trap->x[A0 + !i], 0, "a%d, round %d", !i, round);
		}
	}
}

/*
 * The same with that many fences in a row and little else: what was known before the first of them
 * may be in nobody's way until the last. Both pages are called in turns. `odd`: by halves of words.
 */
static void turn(uint64_t odd)
{
	uint64_t frames[2] = {code_setup(2), (uint64_t)heap_take(PAGE_SIZE)}, looping = frames[0];
	const uint64_t called = CODE + PAGE_SIZE, at = called + 0x40a - odd;
	const struct trap_frame *trap = &hart_self()->trap;
	struct code code;

	frames[0] += PAGE_SIZE;
	for (uint32_t i = 0; i < 2; i++) {
		code = (struct code){.frame = frames[i], .at = 0x40a - odd};
		emit(&code, insn_csrr(A0 + i, CSR_SSCRATCH));
		emit(&code, INSN_EBREAK);
	}
	code = (struct code){.frame = looping, .at = 0x100 + odd, .loop = 0x100 + odd};
	emit(&code, INSN_SFENCE | A2 << 15);
	emit(&code, INSN_FENCE_I); /* nobody who emulates the one goes on to the other */
	code_end(&code);
	for (uint64_t round = 0; round < 100 && !test_failed(); round++) {
		uint64_t i = round & 1, x[32] = {[A2] = called, [T5] = 465 + round};

		for (int again = 0; again < 3; again++)
			code_run(at, 0, NULL, false);
		paging_map(&code_tables, called, frames[i], 0, PTE_RWX);
		code_run(CODE, 0x100 + odd, x, false);
		code_expect_end(&code, CODE, "fences");
		code_run(at, 0, NULL, false);
		expect_eq(trap->x[A0 + i], hart_self(), "a%lu, round %lu", i, round);
		expect_eq(trap->x[A0 + !i], 0, "a%d, round %lu", !i, round);
	}
}

static void turns(void)
{
	turn(0);
	turn(2);
}

/*
 * Of sstatus: SIE off and what it was; SIE on again by what it was; a bit set and cleared. All
 * by register n, with `bits` in it at the end.
 */
static void status_by(uint32_t n, uint64_t bits, bool apart)
{
	const uint32_t other = n == A0 ? A1 : A0, more = n == A2 ? A3 : A2;
	const uint32_t last = n == A4 ? A5 : A4, kept = n == A6 ? A7 : A6;
	const uint32_t insns[] = {
	    insn_csr(6, CSR_SSTATUS, 0, SSTATUS_SIE), /* csrsi */
	    insn_csr(7, CSR_SSTATUS, n, SSTATUS_SIE), /* csrrci n */
	    insn_csrr(other, CSR_SSTATUS),
	    insn_i(0x13, 7, n, n, SSTATUS_SIE), /* andi n */
	    insn_csr(2, CSR_SSTATUS, 0, n),     /* csrs n */
	    insn_csr(3, CSR_SSTATUS, more, n),  /* csrrc more, n */
	    insn_i(0x13, 0, n, kept, 0),        /* mv n */
	    insn_csr(2, CSR_SSTATUS, 0, n),     /* csrs n */
	    insn_csrr(last, CSR_SSTATUS),
	    insn_csr(3, CSR_SSTATUS, 0, n), /* csrc n */
	    insn_csrr(n, CSR_SSTATUS),
	};
	const struct trap_frame *trap = &hart_self()->trap;
	uint64_t x[32] = {0}, frame = code_setup(1), off;
	struct code code;

	x[kept] = bits;
	csr_clear(CSR_SSTATUS, SIE_SUM);
	off = csr_read(CSR_SSTATUS);
	code_begin(&code, frame, 0x80, HOT);
	for (size_t i = 0; i < ARRAY_SIZE(insns); i++) {
		emit(&code, insns[i]);
		if (apart)
			emit(&code, 0x0001); /* c.nop */
	}
	code_end(&code);
	/* It begins and ends with interrupts on: none is enabled. */
	code_run(CODE, 0x80, x, false);
	code_expect_end(&code, CODE, "row");
	off = (off & ~(uint64_t)(SSTATUS_SPIE | SSTATUS_SPP)) |
	      (trap->x[other] & (SSTATUS_SPIE | SSTATUS_SPP));
	expect_eq(trap->x[other], off, "sstatus after csrci, x%u", n);
	expect_eq(trap->x[more], off | SSTATUS_SIE, "sstatus after csrs of SIE, x%u", n);
	expect_eq(trap->x[last], off | bits, "sstatus after csrs of 0x%lx, x%u", bits, n);
	expect_eq(trap->x[n], off, "sstatus after csrc of 0x%lx, x%u", bits, n);
	expect_eq(trap->x[T5], 0, "x%u beside x%u", T5, n);
	for (uint32_t r = 1; r < 32; r++)
		if (r != n && r != other && r != more && r != last && r != kept)
			expect_eq(trap->x[r], x[r], "x%u beside x%u", r, n);
	csr_clear(CSR_SSTATUS, SIE_SUM);
	paging_off();
}

static void status(void)
{
	const uint64_t bits[] = {0, SSTATUS_SIE, SSTATUS_SUM, SIE_SUM};
	uint64_t sie = csr_read(CSR_SIE), before = csr_read(CSR_SSTATUS);

	csr_write(CSR_SIE, 0);
	for (uint32_t n = 1; n < 32; n++)
		for (size_t i = 0; i < 2 * ARRAY_SIZE(bits) && n != T5; i++)
			status_by(n, bits[i / 2], i & 1);
	csr_write(CSR_SSTATUS, before);
	csr_write(CSR_SIE, sie);
}

static uint64_t taken, taken_at;

static void note_interrupt(struct trap_frame *frame)
{
	taken++;
	taken_at = frame->epc;
	csr_clear(CSR_SIP, BIT(IRQ_S_SOFT));
}

/* An interrupt that is pending is taken right behind what lets it be, not later. */
static void pending(void)
{
	static const struct {
		uint32_t insn;
		const char *name;
	} lets[] = {
	    {0x10016073, "csrsi"},
	    {0x1005a073, "csrs of SIE"},
	    {0x10062073, "csrs of SIE and SUM"},
	    {0x1006a6f3, "csrrs"},
	};
	uint64_t frame = code_setup(1);
	const struct trap_frame *trap = &hart_self()->trap;
	uint64_t x[32] = {[A1] = SSTATUS_SIE, [A2] = SIE_SUM, [A3] = SSTATUS_SIE, [A7] = SIE_SUM};

	hart_self()->on_interrupt = note_interrupt;
	for (size_t i = 0; i < ARRAY_SIZE(lets); i++) {
		struct code code = {.frame = frame, .at = 0x100 + 0x100 * i};

		emit(&code, insn_csr(3, CSR_SSTATUS, 0, A7));
		emit(&code, insn_csr(2, CSR_SIP, 0, A4));
		/* Nobody who emulates the one goes on to the other. */
		emit(&code, INSN_FENCE_I);
		emit(&code, lets[i].insn);
		emit(&code, insn_addi(S2, S2, 1));
		emit(&code, insn_csr(3, CSR_SSTATUS, 0, A7));
		emit(&code, INSN_EBREAK);
	}
	__asm__ volatile("fence.i" ::: "memory");
	csr_write(CSR_SIE, BIT(IRQ_S_SOFT));
	for (int round = 0; round < 60; round++)
		for (size_t i = 0; i < ARRAY_SIZE(lets); i++) {
			uint64_t at = CODE + 0x100 + 0x100 * i;
			bool raised = round & 1;

			taken = taken_at = 0;
			x[A4] = raised ? BIT(IRQ_S_SOFT) : 0;
			code_run(at, 0, x, false);
			csr_clear(CSR_SSTATUS, SIE_SUM);
			expect_eq(trap->epc, at + 24, "sepc after %s", lets[i].name);
			expect_eq(trap->x[S2], 1, "s2 after %s", lets[i].name);
			expect_eq(taken, raised, "interrupts by %s", lets[i].name);
			expect_eq(taken_at, raised ? at + 16 : 0, "sepc by %s", lets[i].name);
		}
	csr_write(CSR_SIE, 0);
}

static const struct test tests[] = {
    {"alike", alike}, {"faults", faults}, {"spaces", spaces},   {"changes", changes},
    {"turns", turns}, {"status", status}, {"pending", pending},
};
TEST_GROUP(code_site, tests);
