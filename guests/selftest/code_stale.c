/* SPDX-License-Identifier: MIT */
/*
 * Code that is not what it was at its address: by a fence, by SUM, by the mode that executes it, by
 * the address space, or by having no translation at all.
 */
#include "guests/selftest/code.h"

#define INSN_RET  0x00008067U
#define INSN_CALL (0x67U | REG_RA << 7 | S8 << 15) /* jalr ra, 0(s8) */

/* What runs is in pages of all address spaces, as a kernel is. */
static void make_identity_global(struct paging *tables)
{
	for (uint64_t va = 0; va < GIB(4); va += GIB(1))
		*paging_pte(tables, va, 2) |= PTE_G;
	sfence_all();
}

static void write_code(uint64_t frame, uint64_t offset, uint32_t first, uint32_t second)
{
	struct code code = {.frame = frame, .at = offset};

	emit(&code, first);
	emit(&code, second);
	__asm__ volatile("fence.i" ::: "memory");
}

static void put_at(uint64_t va, uint64_t frame, uint64_t flags)
{
	paging_map(&code_tables, va, frame, 0, flags);
	sfence_va(va);
}

/* Another frame, of which S-mode hears while SUM is set. */
static void fenced_with_sum(void)
{
	uint64_t frames[2] = {code_setup(1), (uint64_t)heap_take(PAGE_SIZE)};
	struct code code;

	for (size_t i = 0; i < 2; i++)
		code_emit_target(&code, frames[i], i);
	for (size_t round = 0; round < 40 && !test_failed(); round++) {
		size_t here = round & 1;

		put_at(CODE, frames[here], PTE_RWX);
		code_expect_target(&code, CODE, here, "a mapping");
		for (int i = 0; i < 4; i++) {
			csr_set(CSR_SSTATUS, SSTATUS_SUM);
			csr_clear(CSR_SSTATUS, SSTATUS_SUM);
		}
		code_expect_target(&code, CODE, here, "the same mapping");
		csr_set(CSR_SSTATUS, SSTATUS_SUM);
		put_at(CODE, frames[!here], PTE_RWX);
		code_expect_target(&code, CODE, !here, "a mapping, with SUM");
		csr_clear(CSR_SSTATUS, SSTATUS_SUM);
		code_expect_target(&code, CODE, !here, "the same mapping, without SUM");
	}
}

/*
 * A loop that calls the page at s8, with its PTE at s7 written meanwhile, in which no trap is taken
 * but those of who emulates it. Then, with SUM set, the PTE becomes s6, and after a fence the page
 * is called again; in U-mode if `user`.
 */
static void emit_caller(struct code *code, uint64_t frame, bool user)
{
	code_begin(code, frame, 0x100, HOT);
	emit(code, insn_csr(2, CSR_SSTATUS, 0, S2));
	emit(code, insn_s(OP_STORE, 3, S7, S5, 0));
	emit(code, insn_csr(3, CSR_SSTATUS, 0, S2));
	emit(code, INSN_CALL);
	emit(code, insn_addi(T5, T5, -1));
	emit(code, insn_branch(1, T5, 0, (int64_t)(code->loop - code->at)));
	emit(code, insn_csr(2, CSR_SSTATUS, 0, S2));
	emit(code, insn_addi(A0, 0, 0));
	emit(code, insn_s(OP_STORE, 3, S7, S6, 0));
	emit(code, INSN_SFENCE | S8 << 15);
	emit(code, insn_csrw(CSR_SEPC, S8));
	emit(code, insn_csr(3, CSR_SSTATUS, 0, S3));
	emit(code, user ? INSN_SRET : INSN_CALL);
	emit(code, INSN_EBREAK);
	__asm__ volatile("fence.i" ::: "memory");
}

static void call_replaced(uint32_t replacement, bool user, uint64_t cause)
{
	const struct trap_frame *trap = &hart_self()->trap;
	uint64_t caller = code_setup(1), frame = (uint64_t)heap_take(PAGE_SIZE);
	uint64_t other = (uint64_t)heap_take(PAGE_SIZE);
	const uint64_t x[32] = {
	    [S2] = SSTATUS_SUM,
	    [S3] = SSTATUS_SPP,
	    [S5] = pte_make(frame, PTE_V | PTE_R | PTE_X | PTE_A | PTE_D),
	    [S6] = pte_make(other, PTE_V | PTE_R | PTE_X | PTE_A | PTE_D | (user ? PTE_U : 0)),
	    [S7] = (uint64_t)paging_pte(&code_tables, CODE, 0),
	    [S8] = CODE,
	};
	struct code code;

	make_identity_global(&code_tables);
	write_code(frame, 0, insn_csrr(A0, CSR_SSCRATCH), INSN_RET);
	write_code(other, 0, replacement, INSN_EBREAK);
	emit_caller(&code, caller, user);
	for (int round = 0; round < 5; round++) {
		put_at(CODE, frame, PTE_RWX);
		code_run(caller, 0x100, x, false);
		csr_clear(CSR_SSTATUS, SSTATUS_SUM);
		expect_eq(trap->cause, cause, "cause, round %d, user %d", round, user);
		expect_eq(trap->epc,
			  cause == EXC_BREAKPOINT && replacement != INSN_EBREAK ? CODE + 4 : CODE,
			  "sepc, round %d, user %d", round, user);
		expect_eq(trap->x[A0], 0, "a0, round %d, user %d", round, user);
	}
}

static void replaced_with_sum(void)
{
	call_replaced(INSN_EBREAK, false, EXC_BREAKPOINT);
	call_replaced(INSN_NOP, false, EXC_BREAKPOINT);
}

static void replaced_for_user(void)
{
	call_replaced(INSN_EBREAK, true, EXC_BREAKPOINT);
	call_replaced(INSN_NOP, true, EXC_BREAKPOINT);
	call_replaced(insn_csrr(A0, CSR_SSCRATCH), true, EXC_ILLEGAL_INSN);
}

/* By turns S-mode's page and U-mode's, in which breakpoints are where S-mode has its CSRs. */
static void user_breakpoints(void)
{
	uint64_t frames[2] = {code_setup(1), (uint64_t)heap_take(PAGE_SIZE)};
	const struct trap_frame *trap = &hart_self()->trap;
	struct code code;

	code_emit_target(&code, frames[0], 0);
	for (uint64_t i = 0; i < PAGE_SIZE; i += 8)
		write_code(frames[1], i, INSN_NOP, INSN_NOP);
	write_code(frames[1], code.loop, INSN_EBREAK, INSN_EBREAK);
	make_identity_global(&code_tables);
	for (int round = 0; round < 60 && !test_failed(); round++) {
		put_at(CODE, frames[0], PTE_RWX);
		for (int i = 0; i < round % 3; i++) {
			csr_set(CSR_SSTATUS, SSTATUS_SUM);
			csr_clear(CSR_SSTATUS, SSTATUS_SUM);
		}
		code_expect_target(&code, CODE, 0, "S-mode's page");
		csr_set(CSR_SSTATUS, round & 1 ? SSTATUS_SUM : 0);
		put_at(CODE, frames[1], PTE_RWX | PTE_U);
		code_run(CODE, code.loop - 16, NULL, true);
		csr_clear(CSR_SSTATUS, SSTATUS_SUM);
		expect_eq(trap->cause, EXC_BREAKPOINT, "cause in U-mode");
		expect_eq(trap->epc, CODE + code.loop, "sepc of U-mode's breakpoint");
		expect_eq(trap->x[A0], 0, "a0 in U-mode");
	}
}

/* In one address space S-mode's page, in another one U-mode's, the same frame. */
static void user_space(void)
{
	uint64_t frame = code_setup(1);
	const struct trap_frame *trap = &hart_self()->trap;
	struct paging other;
	struct code code;

	code_emit_target(&code, frame, 0);
	paging_init_identity(&other, 3);
	paging_map(&other, CODE, frame, 0, PTE_RWX | PTE_U);
	make_identity_global(&other);
	make_identity_global(&code_tables);
	for (int round = 0; round < 60 && !test_failed(); round++) {
		csr_write(CSR_SATP, paging_satp(&code_tables, 1));
		code_expect_target(&code, CODE, 0, "S-mode's space");
		csr_write(CSR_SATP, paging_satp(&other, 2));
		code_run(CODE, code.loop, NULL, true);
		expect_trap(EXC_ILLEGAL_INSN, insn_csrr(A0, CSR_SCAUSE), "csrr in U-mode");
		expect_eq(trap->epc, CODE + code.loop, "sepc of csrr in U-mode");
		expect_eq(trap->x[A0], 0, "a0 in U-mode");
	}
}

/* Without translation both modes execute the same addresses. */
static void user_bare(void)
{
	static const uint32_t insns[] = {
	    0x14002573,            /* csrr a0, sscratch */
	    0x14051573,            /* csrrw a0, sscratch, a0 */
	    0x14151073,            /* csrw sepc, a0 */
	    0x10002573,            /* csrr a0, sstatus */
	    0x18002573,            /* csrr a0, satp */
	    INSN_SFENCE | A1 << 15 /* sfence.vma a1 */
	};
	uint64_t frame = code_setup(1);
	const struct trap_frame *trap = &hart_self()->trap;
	const uint64_t x[32] = {[A0] = (uint64_t)hart_self()};

	paging_off();
	for (uint64_t i = 0; i < ARRAY_SIZE(insns); i++) {
		write_code(frame, 0x100 * i, insns[i], insn_csrw(CSR_STVAL, A1));
		write_code(frame, 0x100 * i + 8, INSN_EBREAK, INSN_EBREAK);
	}
	for (uint64_t round = 0; round < 60 * ARRAY_SIZE(insns); round++) {
		uint64_t i = round % ARRAY_SIZE(insns);

		code_run(frame, 0x100 * i, x, false);
		expect_eq(trap->cause, EXC_BREAKPOINT, "cause in S-mode of %08x", insns[i]);
		expect_eq(trap->epc, frame + 0x100 * i + 8, "sepc in S-mode of %08x", insns[i]);
		code_run(frame, 0x100 * i, x, true);
		expect_trap(EXC_ILLEGAL_INSN, insns[i], "in U-mode");
		expect_eq(trap->epc, frame + 0x100 * i, "sepc in U-mode of %08x", insns[i]);
		expect_eq(trap->x[A0], x[A0], "a0 in U-mode after %08x", insns[i]);
	}
}

/* Identity, in pages of 4 KiB and 2 MiB, but the one page `va` is at `frame`; all of them global.
 */
static void map_all_but(struct paging *tables, uint64_t va, uint64_t frame)
{
	uint64_t giga = align_down(va, GIB(1)), mega = align_down(va, MIB(2));

	paging_map(tables, giga, 0, 2, 0);
	for (uint64_t at = giga; at < giga + GIB(1); at += MIB(2))
		if (at != mega)
			paging_map(tables, at, at, 1, PTE_RWX | PTE_G);
	for (uint64_t at = mega; at < mega + MIB(2); at += PAGE_SIZE)
		paging_map(tables, at, at == va ? frame : at, 0, PTE_RWX | PTE_G);
	make_identity_global(tables);
}

/* As many as translations may be kept for: nothing is known of any other one. */
static void use_many_spaces(const struct paging *tables)
{
	for (uint64_t asid = 100; asid < 400; asid++)
		csr_write(CSR_SATP, paging_satp(tables, asid));
}

/* Calls s8 HOT times, writes satp from s6, and calls it once more. */
static void emit_switcher(struct code *code, uint64_t frame)
{
	code_begin(code, frame, 0x100, HOT);
	emit(code, insn_csrr(A2, CSR_SSCRATCH));
	emit(code, INSN_CALL);
	emit(code, insn_addi(T5, T5, -1));
	emit(code, insn_branch(1, T5, 0, (int64_t)(code->loop - code->at)));
	emit(code, insn_addi(A0, 0, 0));
	emit(code, insn_csrw(CSR_SATP, S6));
	emit(code, INSN_CALL);
	emit(code, INSN_EBREAK);
	__asm__ volatile("fence.i" ::: "memory");
}

/* One address with translation and without: to another page each. */
static void translation_off_and_on(void)
{
	uint64_t switcher = code_setup(1), physical = (uint64_t)heap_take(PAGE_SIZE);
	uint64_t frame = (uint64_t)heap_take(PAGE_SIZE);
	const struct trap_frame *trap = &hart_self()->trap;
	struct paging tables;
	struct code code;

	paging_init_identity(&tables, 3);
	map_all_but(&tables, physical, frame);
	emit_switcher(&code, switcher);
	for (int round = 0; round < 10 && !test_failed(); round++) {
		bool on = round & 1;
		uint64_t satp = paging_satp(&tables, 3);
		const uint64_t x[32] = {[S6] = on ? 0 : satp, [S8] = physical};

		paging_off();
		write_code(on ? frame : physical, 0, insn_csrr(A0, CSR_SSCRATCH), INSN_RET);
		write_code(on ? physical : frame, 0, INSN_EBREAK, INSN_RET);
		use_many_spaces(&tables);
		csr_write(CSR_SATP, on ? satp : 0);
		code_run(switcher, 0x100, x, false);
		paging_off();
		expect_eq(trap->cause, EXC_BREAKPOINT, "cause, translation %d before", on);
		expect_eq(trap->epc, physical, "sepc, translation %d before", on);
		expect_eq(trap->x[A0], 0, "a0, translation %d before", on);
	}
}

static void emit_number(uint64_t frame, int number)
{
	struct code code = {.frame = frame, .at = 0};

	emit(&code, insn_csrr(A2, CSR_SCOUNTEREN));
	emit(&code, insn_addi(A0, 0, number));
	emit(&code, insn_csrr(A2, CSR_SCOUNTEREN));
	emit(&code, INSN_EBREAK);
	code.at = 0x204;
	emit(&code, insn_csrr(A2, CSR_SCOUNTEREN));
	emit(&code, INSN_EBREAK);
	__asm__ volatile("fence.i" ::: "memory");
}

/* What was executed between a change and its fence does not outlive the fence. */
static void between_fences(void)
{
	uint64_t frames[2] = {code_setup(1), (uint64_t)heap_take(PAGE_SIZE)}, between;

	for (int i = 0; i < 2; i++)
		emit_number(frames[i], i + 1);
	for (int round = 0; round < 20 && !test_failed(); round++) {
		uint64_t here = frames[round & 1], other = frames[!(round & 1)];

		put_at(CODE, here, PTE_RWX);
		for (int i = 0; i < 20; i++) {
			code_run(CODE, 0, NULL, false);
			expect_eq(hart_self()->trap.x[A0], 1 + (round & 1), "round %d", round);
			code_run(CODE, 0x204, NULL, false);
		}
		paging_map(&code_tables, CODE, other, 0, PTE_RWX);
		code_run(CODE, 0, NULL, false);
		between = hart_self()->trap.x[A0];
		expect(between == 1 || between == 2, "a0 = %lu without a fence", between);
		put_at(CODE, here, PTE_RWX);
		code_run(CODE, 0, NULL, false);
		expect_eq(hart_self()->trap.x[A0], 1 + (round & 1),
			  "round %d, after the fence, with %lu before", round, between);
		code_run(CODE, 0x204, NULL, false);
		expect_eq(hart_self()->trap.epc, CODE + 0x208, "sepc, round %d", round);
	}
}

#define LARGE UINT64_C(0x1800000000)

/*
 * Code in a large page of all address spaces, as a kernel's is, with data beside it that is used
 * first. Fences of everything find it as it was, or another page there, or the same with other
 * rights or in smaller pages.
 */
static void large_and_global(void)
{
	volatile uint64_t *pte;
	uint64_t regions[2];
	struct code code;

	code_setup(1);
	paging_map(&code_tables, LARGE + MIB(2), 0, 1, 0); /* the tables above */
	pte = paging_pte(&code_tables, LARGE, 1);
	for (size_t i = 0; i < 2; i++) {
		regions[i] = heap_reserve(MIB(2), MIB(2));
		code_emit_target(&code, regions[i] + 5 * PAGE_SIZE, i);
		*(volatile uint64_t *)(regions[i] + PAGE_SIZE) = regions[i];
	}
	for (size_t round = 0; round < 40 && !test_failed(); round++) {
		size_t here = round & 1;

		*pte = pte_make(regions[here], PTE_RWX | PTE_G);
		sfence_all();
		expect_eq(*(volatile uint64_t *)(LARGE + PAGE_SIZE), regions[here], "data");
		code_expect_target(&code, LARGE + 5 * PAGE_SIZE, here, "a mapping");
		sfence_all();
		expect_eq(*(volatile uint64_t *)(LARGE + PAGE_SIZE), regions[here], "same data");
		code_expect_target(&code, LARGE + 5 * PAGE_SIZE, here, "the same mapping");
		if (round % 4 == 1) {
			*pte &= ~(uint64_t)PTE_X;
			sfence_all();
			expect_eq(*(volatile uint64_t *)(LARGE + PAGE_SIZE), regions[here], "data");
			code_run(LARGE + 5 * PAGE_SIZE, 0x100, NULL, false);
			expect_trap(EXC_INSN_PAGE, LARGE + 5 * PAGE_SIZE + 0x100, "without X");
		} else if (round % 4 == 2) {
			/* A single page of the other region, the rest as before. */
			uint64_t *small = heap_take(PAGE_SIZE);

			for (size_t i = 0; i < 512; i++)
				small[i] = pte_make(regions[i == 5 ? !here : here] + i * PAGE_SIZE,
						    PTE_RWX | PTE_G);
			*pte = pte_make((uint64_t)small, PTE_V);
			sfence_all();
			expect_eq(*(volatile uint64_t *)(LARGE + PAGE_SIZE), regions[here], "data");
			code_expect_target(&code, LARGE + 5 * PAGE_SIZE, !here, "a small page");
		}
	}
}

static const struct test tests[] = {
    {"large-and-global", large_and_global},
    {"fenced-with-sum", fenced_with_sum},
    {"replaced-with-sum", replaced_with_sum},
    {"replaced-for-user", replaced_for_user},
    {"user-breakpoints", user_breakpoints},
    {"user-space", user_space},
    {"user-bare", user_bare},
    {"translation-off-and-on", translation_off_and_on},
    {"between-fences", between_fences},
};
TEST_GROUP(code_stale, tests);
