/* SPDX-License-Identifier: MIT */
/* Exceptions, jumps, borders of pages and interrupts amid runs of privileged instructions. */
#include "guests/selftest/code.h"

static void fill_registers(uint64_t x[32])
{
	for (uint64_t i = 1; i < 32; i++)
		x[i] = i << 40 | (0x5000 + i);
}

/* Breakpoints that are the guest's own look like anywhere else. */
static void breakpoints(void)
{
	uint64_t frame = code_setup(1), offsets[2];
	const struct trap_frame *trap = &hart_self()->trap;
	bool names_itself;

	insn_exec(INSN_EBREAK, NULL, false);
	names_itself = trap->tval == trap->epc;
	for (int compressed = 0; compressed < 2; compressed++) {
		struct code code = {.frame = frame, .at = 0x100 + 0x100 * (uint64_t)compressed};

		offsets[compressed] = code.at;
		emit(&code, insn_csrr(A0, CSR_SSCRATCH));
		emit(&code, insn_csrw(CSR_SSCRATCH, A0));
		emit(&code, compressed ? INSN_C_EBREAK : INSN_EBREAK);
		emit(&code, insn_csrr(A1, CSR_SSCRATCH));
		emit(&code, insn_addi(A2, A2, 1));
		emit(&code, compressed ? INSN_EBREAK : INSN_C_EBREAK);
		__asm__ volatile("fence.i" ::: "memory");
	}
	for (int round = 0; round < 200; round++) {
		uint64_t start = CODE + offsets[round & 1], first = start + 8;
		uint64_t second = first + (round & 1 ? 2 : 4) + 8;

		code_run(start, 0, NULL, false);
		expect_trap(EXC_BREAKPOINT, names_itself ? first : 0, "first");
		expect_eq(trap->epc, first, "sepc of the first");
		expect_eq(trap->x[A0], hart_self(), "sscratch");
		expect_eq(trap->x[A1], 0, "register of what comes after");
		code_run(first, second - 8 - first, NULL, false);
		expect_trap(EXC_BREAKPOINT, names_itself ? second : 0, "second");
		expect_eq(trap->epc, second, "sepc of the second");
		expect_eq(trap->x[A1], hart_self(), "sscratch");
		expect_eq(trap->x[A2], 1, "plain instruction");
		expect(trap->status & SSTATUS_SPP, "SPP");
	}
}

/* An instruction that faults between privileged ones, with a0 the address. */
static const struct {
	uint32_t insn;
	uint64_t address, cause;
	const char *name;
} faulty[] = {
    {0x00053603, CODE_HOLE + 8, EXC_LOAD_PAGE, "ld"},
    {0x00b53023, CODE_HOLE + 16, EXC_STORE_PAGE, "sd"},
    {0x00052603, NOWHERE, EXC_LOAD_ACCESS, "lw from nowhere"},
    {0x00b52023, NOWHERE + 4, EXC_STORE_ACCESS, "sw to nowhere"},
    {0x00b5362f, CODE_HOLE + 24, EXC_STORE_PAGE, "amoadd.d"},
    {0x1005362f, CODE_HOLE + 32, EXC_LOAD_PAGE, "lr.d"},
    {0x6110, CODE_HOLE + 40, EXC_LOAD_PAGE, "c.ld"},
    {0xe10c, CODE_HOLE + 48, EXC_STORE_PAGE, "c.sd"},
    {0x0005b603, CODE_USER, EXC_LOAD_PAGE, "ld from a U page"},
    {0x80002673, 0, EXC_ILLEGAL_INSN, "csrr of a CSR that is not there"},
    {0xc0159673, 0, EXC_ILLEGAL_INSN, "csrrw of time"},
    {0x30002673, 0, EXC_ILLEGAL_INSN, "csrr of mstatus"},
    {0x10200173, 0, EXC_ILLEGAL_INSN, "sret with rd"},
    {0x00000000, 0, EXC_ILLEGAL_INSN, "zeroes"},
    {0xffffffff, 0, EXC_ILLEGAL_INSN, "ones"},
};

static void fault_between(uint64_t frame, size_t i)
{
	const struct trap_frame *trap = &hart_self()->trap;
	struct code code = {.frame = frame, .at = 0x100};
	uint64_t x[32], at;
	uint32_t insn = faulty[i].insn;

	emit(&code, insn_csrr(S2, CSR_SSCRATCH));
	emit(&code, insn_csrw(CSR_STVAL, S3));
	emit(&code, insn_addi(S4, S3, 1));
	emit(&code, insn_csrr(S5, CSR_STVAL));
	at = CODE + code.at;
	emit(&code, insn);
	emit(&code, insn_csrr(S6, CSR_SSCRATCH));
	emit(&code, insn_addi(S7, S3, 2));
	emit(&code, INSN_EBREAK);
	__asm__ volatile("fence.i" ::: "memory");
	for (int round = 0; round < 40; round++) {
		fill_registers(x);
		x[A0] = x[A1] = faulty[i].address;
		code_run(CODE, 0x100, x, false);
		expect_trap(faulty[i].cause,
			    faulty[i].cause == EXC_ILLEGAL_INSN ? insn : faulty[i].address, "%s",
			    faulty[i].name);
		expect_eq(trap->epc, at, "sepc of %s", faulty[i].name);
		x[S2] = (uint64_t)hart_self();
		x[S4] = x[S3] + 1;
		x[S5] = x[S3];
		for (int r = 1; r < 32; r++)
			expect_eq(trap->x[r], x[r], "x%d after %s", r, faulty[i].name);
	}
}

static void faults_between(void)
{
	uint64_t frame = code_setup(1);

	for (size_t i = 0; i < ARRAY_SIZE(faulty); i++)
		fault_between(frame, i);
}

/* An SBI call and accesses that are not aligned, within the run; all registers are as they should.
 */
static void calls_between(void)
{
	uint64_t frame = code_setup(1), x[32], data = CODE_ALIAS + PAGE_SIZE / 2 + 3;
	struct code code;

	code_begin(&code, frame, 0x100, HOT);
	emit(&code, insn_csrr(S2, CSR_SSCRATCH));
	emit(&code, insn_addi(A7, 0, SBI_EXT_BASE));
	emit(&code, insn_addi(A6, 0, SBI_BASE_GET_SPEC_VERSION));
	emit(&code, INSN_ECALL);
	emit(&code, insn_csrw(CSR_STVAL, A1));
	emit(&code, insn_s(OP_STORE, 3, S3, T5, 0));
	emit(&code, insn_csrr(S4, CSR_STVAL));
	emit(&code, insn_i(OP_LOAD, 3, S5, S3, 0));
	emit(&code, insn_csrr(S6, CSR_SSCRATCH));
	emit(&code, insn_i(OP_LOAD, 2, S7, S3, 2));
	code_end(&code);
	fill_registers(x);
	x[S3] = data;
	code_run(CODE, 0x100, x, false);
	code_expect_end(&code, CODE, "loop");
	x[S2] = x[S6] = (uint64_t)hart_self();
	x[S4] = x[A1] = machine.sbi_version;
	x[S5] = 1;
	x[S7] = x[T5] = x[A0] = 0;
	x[A6] = SBI_BASE_GET_SPEC_VERSION;
	x[A7] = SBI_EXT_BASE;
	for (int r = 1; r < 32; r++)
		expect_eq(hart_self()->trap.x[r], x[r], "x%d", r);
}

/* Branches over privileged instructions, loops within runs, and links; at two addresses. */
static void emit_flow(struct code *code)
{
	emit(code, insn_csrr(A2, CSR_SSCRATCH));
	emit(code, insn_branch(0, A2, 0, 12)); /* never */
	emit(code, insn_csrw(CSR_STVAL, T5));
	emit(code, insn_branch(1, A2, 0, 8)); /* always, over the next */
	emit(code, insn_csrw(CSR_STVAL, 0));
	emit(code, insn_addi(S2, 0, 5)); /* an inner loop of five */
	emit(code, insn_csr(2, CSR_STVAL, S3, 0));
	emit(code, insn_addi(S2, S2, -1));
	emit(code, insn_addi(S4, S4, 1));
	emit(code, insn_csrw(CSR_SSCRATCH, A2));
	emit(code, insn_branch(4, 0, S2, -16)); /* while 0 < s2 */
	emit(code, insn_jal(1, 8));
	emit(code, insn_csrw(CSR_STVAL, 0)); /* jumped over */
	emit(code, insn_csrr(S5, CSR_STVAL));
	emit(code, 0x00000317); /* auipc t1, 0 */
	emit(code, insn_csrr(S6, CSR_STVAL));
	emit(code, 0x67 | 5 << 7 | 6 << 15 | 16U << 20); /* jalr t0, 16(t1): over the next */
	emit(code, insn_csrw(CSR_STVAL, 0));
	emit(code, insn_csrr(S7, CSR_SSCRATCH));
}

enum { FLOW_RA = 48, FLOW_T1 = 56, FLOW_T0 = 68 };

static void flow_at(const struct code *code, uint64_t va, uint64_t offset)
{
	const struct trap_frame *trap = &hart_self()->trap;
	uint64_t x[32], start = va + code->loop, self = (uint64_t)hart_self();

	fill_registers(x);
	x[S4] = 0;
	code_run(va, offset, x, false);
	code_expect_end(code, va, "loop");
	expect_eq(trap->x[REG_RA], start + FLOW_RA, "link of jal");
	expect_eq(trap->x[6], start + FLOW_T1, "auipc");
	expect_eq(trap->x[5], start + FLOW_T0, "link of jalr");
	expect_eq(trap->x[S4], 5 * HOT, "rounds of the inner loop");
	x[REG_RA] = trap->x[REG_RA];
	x[5] = trap->x[5];
	x[6] = trap->x[6];
	x[A2] = x[S7] = self;
	x[S3] = x[S5] = x[S6] = 1;
	x[S4] = 5 * HOT;
	x[S2] = x[T5] = 0;
	for (int r = 1; r < 32; r++)
		expect_eq(trap->x[r], x[r], "x%d at 0x%lx", r, va);
}

static void flow(void)
{
	uint64_t frame = code_setup(1);

	for (uint64_t offset = 0x100; offset < 0xe00; offset += 0x7fe) {
		struct code code;

		code_begin(&code, frame, offset, HOT);
		emit_flow(&code);
		code_end(&code);
		for (int round = 0; round < 10; round++) {
			flow_at(&code, CODE, offset);
			flow_at(&code, CODE_ALIAS, offset);
			flow_at(&code, frame, offset);
		}
	}
}

/* A run may be entered at each of its instructions. */
static void entered_anywhere(void)
{
	uint64_t frame = code_setup(1), starts[32], x[32];
	struct code code;

	code_begin(&code, frame, 0x100, 1);
	for (uint64_t i = 0; i < ARRAY_SIZE(starts); i++) {
		starts[i] = code.at;
		if (i & 1)
			emit(&code, insn_csrr((uint32_t)(A0 + i % 6), CSR_SSCRATCH));
		else
			emit(&code, i & 2 ? 0x0985U : insn_addi(S3, S3, 1)); /* c.addi s3, 1 */
	}
	code_end(&code);
	for (int round = 0; round < 20; round++)
		for (uint64_t i = 0; i < ARRAY_SIZE(starts); i++) {
			fill_registers(x);
			x[S3] = 0;
			x[T5] = 1;
			code_run(CODE, starts[i], x, false);
			code_expect_end(&code, CODE, "run");
			expect_eq(hart_self()->trap.x[S3], (ARRAY_SIZE(starts) - i) / 2,
				  "instructions executed from number %lu on", i);
		}
}

/* A privileged instruction at the very end of a page, and across it, in two frames. */
static void page_end(void)
{
	uint64_t low = code_setup(1), high, gap = (uint64_t)heap_take(PAGE_SIZE);
	const struct trap_frame *trap = &hart_self()->trap;

	high = (uint64_t)heap_take(PAGE_SIZE);
	(void)gap;
	for (uint64_t back = 2; back <= 4; back += 2) {
		volatile uint16_t *first = (volatile uint16_t *)(low + PAGE_SIZE - back);
		volatile uint16_t *second = (volatile uint16_t *)high;
		uint64_t border = CODE + PAGE_SIZE, after = border + 4 - back;

		for (uint32_t round = 0; round < 60; round++) {
			uint32_t csr = round & 4 ? CSR_SEPC : CSR_SSCRATCH;
			uint32_t insn = insn_csrr(A2, csr);
			uint64_t x[32] = {0};

			paging_map(&code_tables, border, round % 3 ? high : 0, 0,
				   round % 3 ? PTE_RWX : 0);
			sfence_va(border);
			*(volatile uint32_t *)(low + PAGE_SIZE - back - 4) = INSN_NOP;
			first[0] = (uint16_t)insn;
			*(back == 4 ? first + 1 : second) = (uint16_t)(insn >> 16);
			*(volatile uint16_t *)(high + 4 - back) = (uint16_t)INSN_EBREAK;
			*(volatile uint16_t *)(high + 6 - back) = (uint16_t)(INSN_EBREAK >> 16);
			__asm__ volatile("fence.i" ::: "memory");
			code_run(border - back, (uint64_t)-4, x, false);
			if (round % 3 == 0) {
				expect_trap(EXC_INSN_PAGE, border, "second page missing, %lu",
					    back);
				expect_eq(trap->epc, back == 2 ? border - 2 : border, "sepc");
				expect_eq(trap->x[A2],
					  back == 2         ? 0
					  : csr == CSR_SEPC ? border - 8
							    : (uint64_t)hart_self(),
					  "a2");
				continue;
			}
			expect_eq(trap->cause, EXC_BREAKPOINT, "cause");
			expect_eq(trap->epc, after, "sepc");
			expect_eq(trap->x[A2],
				  csr == CSR_SEPC ? border - back - 4 : (uint64_t)hart_self(),
				  "CSR 0x%x, %lu before the border", csr, back);
		}
	}
}

/* Addresses of instructions, by halfwords from the start of a loop. */
static struct {
	uint64_t from, to, starts;
	uint64_t taken, wrong;
} loop_map;

static void check_epc(struct trap_frame *frame)
{
	uint64_t half = (frame->epc - loop_map.from) / 2;

	if (frame->epc < loop_map.from || frame->epc > loop_map.to ||
	    (half < 64 && !(loop_map.starts >> half & 1)))
		loop_map.wrong = frame->epc;
	loop_map.taken++;
	sbi_call(SBI_EXT_TIME, SBI_TIME_SET_TIMER, time_now() + machine.timebase / 20000, 0, 0, 0,
		 0);
}

/* The timer finds the hart at an instruction, never amid what is done together. */
static void interrupted(void)
{
	uint64_t frame = code_setup(1), x[32];
	const struct trap_frame *trap = &hart_self()->trap;
	struct code code;

	code_begin(&code, frame, 0x100, 60000);
	emit(&code, insn_csr(6, CSR_SSTATUS, 0, SSTATUS_SIE));
	loop_map.starts = 0;
	for (int i = 0; i < 10; i++) {
		loop_map.starts |= BIT((code.at - code.loop) / 2);
		emit(&code, i == 3   ? 0x0905U /* c.addi s2, 1 */
			    : i == 7 ? insn_addi(S3, S3, 2)
			    : i & 1  ? insn_csrr(A2, CSR_SSCRATCH)
				     : insn_csrw(CSR_SSCRATCH, A3));
	}
	loop_map.starts |= 1 | BIT((code.at - code.loop) / 2) | BIT((code.at - code.loop) / 2 + 2) |
			   BIT((code.at - code.loop) / 2 + 4);
	code_end(&code);
	loop_map.from = CODE + code.loop;
	loop_map.to = CODE + code.at - 4;
	loop_map.taken = loop_map.wrong = 0;
	fill_registers(x);
	x[A3] = (uint64_t)hart_self();
	x[S2] = x[S3] = 0;
	hart_self()->on_interrupt = check_epc;
	csr_write(CSR_SIE, BIT(IRQ_S_TIMER));
	sbi_call(SBI_EXT_TIME, SBI_TIME_SET_TIMER, 0, 0, 0, 0, 0);
	code_run(CODE, 0x100, x, false);
	csr_clear(CSR_SSTATUS, SSTATUS_SIE);
	code_expect_end(&code, CODE, "loop");
	expect_eq(loop_map.wrong, 0, "sepc of an interrupt, loop at 0x%lx", loop_map.from);
	expect(loop_map.taken > 3, "%lu interrupts", loop_map.taken);
	x[T5] = 0;
	x[A2] = x[A3];
	x[S2] = 60000;
	x[S3] = 120000;
	for (int r = 1; r < 32; r++)
		expect_eq(trap->x[r], x[r], "x%d", r);
}

/* Each form of CSR instruction, in a loop: what it does to stval and to a1, given old and a1. */
static const struct {
	uint32_t f3, rd, rs1;
	uint64_t value, result; /* of stval, and in a1 */
	const char *name;
} forms[] = {
    {1, A1, A1, 0x33, 0x55, "csrrw with rd = rs1"},
    {2, A1, A1, 0x77, 0x55, "csrrs with rd = rs1"},
    {3, A1, A1, 0x44, 0x55, "csrrc with rd = rs1"},
    {1, 0, A1, 0x33, 0x33, "csrrw without rd"},
    {2, 0, A1, 0x77, 0x33, "csrrs without rd"},
    {3, 0, A1, 0x44, 0x33, "csrrc without rd"},
    {1, A1, 0, 0, 0x55, "csrrw of x0"},
    {2, A1, 0, 0x55, 0x55, "csrrs of x0"},
    {3, A1, 0, 0x55, 0x55, "csrrc of x0"},
    {5, A1, 0x1f, 0x1f, 0x55, "csrrwi"},
    {6, A1, 0x0a, 0x5f, 0x55, "csrrsi"},
    {7, A1, 0x05, 0x50, 0x55, "csrrci"},
    {6, A1, 0, 0x55, 0x55, "csrrsi of 0"},
    {7, A1, 0, 0x55, 0x55, "csrrci of 0"},
    {5, 0, 0, 0, 0x33, "csrrwi of 0 without rd"},
};

static void csr_forms(void)
{
	uint64_t frame = code_setup(1), x[32];
	const struct trap_frame *trap = &hart_self()->trap;

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct code code;

		code_begin(&code, frame, 0x100, HOT);
		emit(&code, insn_csrw(CSR_STVAL, S2));
		emit(&code, insn_addi(A1, 0, 0x33));
		emit(&code, insn_csr(forms[i].f3, CSR_STVAL, forms[i].rd, forms[i].rs1));
		emit(&code, insn_csrr(S3, CSR_STVAL));
		/* Setting nothing in a read-only CSR is no write. */
		emit(&code, insn_csr(6, CSR_TIME, S4, 0));
		code_end(&code);
		fill_registers(x);
		x[S2] = 0x55;
		code_run(CODE, 0x100, x, false);
		code_expect_end(&code, CODE, forms[i].name);
		expect_eq(trap->x[S3], forms[i].value, "stval after %s", forms[i].name);
		expect_eq(trap->x[A1], forms[i].result, "a1 after %s", forms[i].name);
		expect_eq(trap->x[0] | csr_read(CSR_SSCRATCH), hart_self(), "sscratch");
	}
}

/* sret to the next instruction, and satp written to itself, in a run. */
static void srets_between(void)
{
	uint64_t frame = code_setup(1), x[32], sret;
	const struct trap_frame *trap = &hart_self()->trap;
	struct code code;

	code_begin(&code, frame, 0x100, HOT);
	emit(&code, 0x00000617); /* auipc a2, 0 */
	sret = code.at;
	emit(&code, insn_addi(A2, A2, 24));
	emit(&code, insn_csrw(CSR_SEPC, A2));
	emit(&code, insn_csr(2, CSR_SSTATUS, 0, S2));
	emit(&code, INSN_SRET);
	emit(&code, insn_addi(S4, S4, 1)); /* jumped over */
	sret = code.at - sret;
	emit(&code, insn_csrr(A3, CSR_SSTATUS));
	emit(&code, insn_csrr(A4, CSR_SATP));
	emit(&code, insn_csrw(CSR_SATP, A4));
	emit(&code, insn_addi(S3, S3, 1));
	code_end(&code);
	expect_eq(sret, 20, "offsets in this test");
	fill_registers(x);
	x[S2] = SSTATUS_SPP;
	x[S3] = x[S4] = 0;
	code_run(CODE, 0x100, x, false);
	code_expect_end(&code, CODE, "loop");
	expect_eq(trap->x[S3], HOT, "rounds");
	expect_eq(trap->x[S4], 0, "instructions behind sret");
	expect_eq(trap->x[A3] & (SSTATUS_SPP | SSTATUS_SPIE | SSTATUS_SIE),
		  SSTATUS_SPIE | SSTATUS_SIE, "sstatus after several srets");
	expect_eq(trap->x[A4], paging_satp(&code_tables, 1), "satp");
}

static const struct test tests[] = {
    {"breakpoints", breakpoints},           {"faults-between", faults_between},
    {"calls-between", calls_between},       {"flow", flow},
    {"entered-anywhere", entered_anywhere}, {"page-end", page_end},
    {"interrupted", interrupted},           {"csr-forms", csr_forms},
    {"srets-between", srets_between},
};
TEST_GROUP(code_flow, tests);
