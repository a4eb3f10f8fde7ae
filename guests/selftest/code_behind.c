/* SPDX-License-Identifier: MIT */
/*
 * Code that changes behind the back of the hart that executes it: its page goes without a fence,
 * another instruction is put there, or another hart writes to it. What is executed may be the old
 * or the new, but nothing else, and not for ever.
 */
#include "guests/selftest/code.h"
#include "guests/selftest/mmio.h"

#define DEVICE   (CODE + MIB(8))
#define INSN_RET 0x00008067U

static void put_at(uint64_t va, uint64_t frame, uint64_t flags)
{
	paging_map(&code_tables, va, frame, 0, flags);
	sfence_va(va);
}

static void expect_ended(uint64_t from, uint64_t to)
{
	const struct trap_frame *trap = &hart_self()->trap;

	expect(trap->cause == EXC_BREAKPOINT || trap->cause == EXC_INSN_PAGE, "cause %lu",
	       trap->cause);
	expect(trap->epc >= from && trap->epc <= to, "sepc 0x%lx", trap->epc);
	expect(trap->cause != EXC_INSN_PAGE || (trap->tval >= from && trap->tval <= to + 2),
	       "stval 0x%lx", trap->tval);
}

/* Code that takes its own page away, with no fence, and then reads a device. */
static void device_from_nowhere(void)
{
	uint64_t frame = code_setup(1);
	const uint64_t x[32] = {
	    [A1] = (uint64_t)paging_pte(&code_tables, CODE, 0), [A2] = UART_BASE + UART_SCR};
	struct code code;

	for (int round = 0; round < 30 && !test_failed(); round++) {
		code = (struct code){.frame = frame, .at = 0x100};
		for (int i = 0; i < round % 3; i++)
			emit(&code, insn_csrr(A3, CSR_SSCRATCH));
		emit(&code, insn_s(OP_STORE, 3, A1, 0, 0));
		emit(&code,
		     round & 1 ? insn_i(OP_LOAD, 4, A0, A2, 0) : insn_s(OP_STORE, 0, A2, A3, 0));
		emit(&code, INSN_EBREAK);
		__asm__ volatile("fence.i" ::: "memory");
		put_at(CODE, frame, PTE_RWX);
		code_run(CODE, 0x100, x, false);
		expect_ended(CODE + 0x104, CODE + code.at - 4);
	}
}

/* A privileged instruction across its page and the next one, which has been taken away. */
static void across_from_nowhere(void)
{
	uint64_t frame = code_setup(2), border = CODE + PAGE_SIZE;
	const uint64_t x[32] = {
	    [A1] = (uint64_t)paging_pte(&code_tables, border, 0), [S8] = border + 0x100};
	struct code code = {.frame = frame, .at = PAGE_SIZE - 14};

	emit(&code, 0x67U | REG_RA << 7 | S8 << 15); /* jalr ra, 0(s8) */
	emit(&code, insn_s(OP_STORE, 3, A1, 0, 0));
	emit(&code, INSN_NOP);
	emit(&code, insn_csrr(A3, CSR_SCOUNTEREN));
	emit(&code, insn_csrr(A4, CSR_SCOUNTEREN));
	emit(&code, INSN_EBREAK);
	*(volatile uint32_t *)(frame + PAGE_SIZE + 0x100) = INSN_RET;
	__asm__ volatile("fence.i" ::: "memory");
	for (int round = 0; round < 30 && !test_failed(); round++) {
		put_at(border, frame + PAGE_SIZE, PTE_RWX);
		code_run(CODE, PAGE_SIZE - 14, x, false);
		expect_ended(border - 2, CODE + code.at - 4);
	}
}

/* U-mode reads a counter in a page that went, or became another one, without a fence. */
static void counter_from_nowhere(void)
{
	uint64_t frame = code_setup(1), other = (uint64_t)heap_take(PAGE_SIZE);
	const uint64_t x[32] = {0};
	struct code code = {.frame = frame};

	emit(&code, insn_csrr(A0, CSR_TIME));
	emit(&code, INSN_EBREAK);
	code = (struct code){.frame = other};
	emit(&code, INSN_NOP);
	emit(&code, INSN_EBREAK);
	__asm__ volatile("fence.i" ::: "memory");
	for (int round = 0; round < 10 && !test_failed(); round++) {
		put_at(CODE_USER, frame, PTE_RWX | PTE_U);
		code_run(CODE_USER, 0, x, true);
		expect_eq(hart_self()->trap.cause, EXC_BREAKPOINT, "cause");
		paging_map(&code_tables, CODE_USER, other, 0, round & 1 ? PTE_RWX | PTE_U : 0);
		code_run(CODE_USER, 0, x, true);
		expect_ended(CODE_USER, CODE_USER + 4);
	}
}

/* What is executed at a device's register, of which there is a page that can only be read. */
static const uint32_t reads[] = {
    0x0005c503, /* lbu a0, 0(a1) */
    0x00058503, /* lb a0, 0(a1) */
};

/* What is put there meanwhile, from a2 or f0. */
static const struct {
	uint32_t insn;
	const char *name;
} put_there[] = {
    {0x00c58023, "sb"},        {0x00c59023, "sh"},        {0x00c5a023, "sw"},
    {0x00c5b023, "sd"},        {0x0000c190, "c.sw"},      {0x0000e190, "c.sd"},
    {0x0005a027, "fsw"},       {0x0005b027, "fsd"},       {0x0000a180, "c.fsd"},
    {0x00c5a52f, "amoadd.w"},  {0x08c5b52f, "amoswap.d"}, {0x18c5a52f, "sc.w"},
    {0x0005a007, "flw"},       {0x0005b007, "fld"},       {0x1005a52f, "lr.w"},
    {0x0005a00f, "cbo.inval"}, {0x0045a00f, "cbo.zero"},  {INSN_WFI | 1 << 7, "nothing"},
};

/*
 * The register keeps its value whatever is there; so does memory, which the same code reads and
 * then does not write to either.
 */
static void read_with(uint64_t frame, uint64_t other, size_t read, size_t put, uint64_t address)
{
	const struct trap_frame *trap = &hart_self()->trap;
	const uint64_t x[32] = {[A1] = address, [A2] = 0x5a};
	struct code code = {.frame = frame, .at = 0x100};

	emit(&code, reads[read]);
	emit(&code, INSN_EBREAK);
	code = (struct code){.frame = other, .at = 0x100};
	emit(&code, put_there[put].insn);
	*(volatile uint32_t *)(other + 0x104) = INSN_EBREAK;
	if (code.at == 0x102)
		emit(&code, 0x0001); /* c.nop */
	__asm__ volatile("fence.i" ::: "memory");
	put_at(CODE, frame, PTE_RWX);
	code_run(CODE, 0x100, x, false);
	expect_eq(trap->cause, EXC_BREAKPOINT, "cause of a read");
	expect_eq(trap->x[A0], 0x11, "what is read");
	paging_map(&code_tables, CODE, other, 0, PTE_RWX);
	code_run(CODE, 0x100, x, false);
	expect(trap->epc >= CODE + 0x100 && trap->epc <= CODE + 0x104, "%s: sepc 0x%lx",
	       put_there[put].name, trap->epc);
}

static void device_is_read_only(void)
{
	uint64_t frame = code_setup(1), other = (uint64_t)heap_take(PAGE_SIZE);
	uint64_t page = (uint64_t)heap_take(PAGE_SIZE);

	for (size_t i = 0; i < ARRAY_SIZE(put_there); i++)
		for (int on = 0; on < 2; on++) {
			/* Where there are f registers they are in use, or not. */
			csr_clear(CSR_SSTATUS, SSTATUS_FS);
			csr_set(CSR_SSTATUS, on ? SSTATUS_FS : 0);
			put_at(DEVICE, UART_BASE, PTE_V | PTE_R | PTE_A);
			UART_REG(UART_SCR) = 0x11;
			read_with(frame, other, i & 1, i, DEVICE + UART_SCR);
			expect_eq(UART_REG(UART_SCR), 0x11, "the device's register after %s",
				  put_there[i].name);
			put_at(DEVICE, page, PTE_V | PTE_R | PTE_A);
			*(volatile uint8_t *)(page + UART_SCR) = 0x11;
			read_with(frame, other, i & 1, i, DEVICE + UART_SCR);
			expect_eq(*(volatile uint64_t *)page, UINT64_C(0x11) << 56,
				  "memory after %s", put_there[i].name);
		}
	csr_clear(CSR_SSTATUS, SSTATUS_FS);
}

/* The other hart's: where it counts, and whether it is to end. */
static struct {
	volatile uint64_t count, number;
	volatile uint64_t stop;
} shared;

static void run_loop(void *argument)
{
	const struct trap_frame *trap = &hart_self()->trap;
	const uint64_t x[32] = {[A1] = (uint64_t)&shared};

	(void)argument;
	paging_on(&code_tables, 1);
	code_run(CODE, 0x100, x, false);
	if (trap->cause != EXC_BREAKPOINT || !shared.stop)
		test_fail("the other hart ends by cause %lu, epc 0x%lx, stval 0x%lx", trap->cause,
			  trap->epc, trap->tval);
	paging_off();
}

static void emit_count(struct code *code)
{
	emit(code, insn_i(OP_LOAD, 3, A0, A1, 0));
	emit(code, insn_addi(A0, A0, 1));
	emit(code, insn_s(OP_STORE, 3, A1, A0, 0));
	emit(code, insn_i(OP_LOAD, 3, A5, A1, 16));
}

#define PATCHED_PAGES 32
#define PATCHED       0x108 /* where in each page an instruction is replaced */

/* By turns; only their lower halves differ, since QEMU fetches one half after the other. */
#define PRIVILEGED 0x10602673U /* csrr a2, scounteren */
#define PLAIN      0x10600013U /* addi x0, x0, 0x106 */

/* A loop through all pages; it counts one for each. */
static void emit_patched(uint64_t frame)
{
	for (uint64_t page = 0; page < PATCHED_PAGES; page++) {
		struct code code = {.frame = frame + page * PAGE_SIZE, .at = 0x100};

		for (int i = 0; i < 15; i++)
			emit(&code, i == 2 ? PRIVILEGED : INSN_NOP);
		emit_count(&code);
		if (page < PATCHED_PAGES - 1) {
			emit(&code, insn_jal(0, (int64_t)(PAGE_SIZE + 0x100 - code.at)));
			continue;
		}
		emit(&code, insn_branch(1, A5, 0, 8));
		emit(&code, insn_jal(0, 0x100 - (int64_t)(page * PAGE_SIZE + code.at)));
		emit(&code, INSN_EBREAK);
	}
	__asm__ volatile("fence.i" ::: "memory");
}

/* One privileged instruction comes and goes; the other hart goes on. */
static void patch(uint64_t page, uint64_t *seed)
{
	volatile uint32_t *insn = (volatile uint32_t *)(CODE_ALIAS + page * PAGE_SIZE + PATCHED);
	uint64_t before;

	*insn = PRIVILEGED;
	for (uint64_t n = random_next(seed) % 3000; n > 0; n--)
		__asm__ volatile("");
	*insn = PLAIN;
	__asm__ volatile("fence.i" ::: "memory");
	sbi_call(SBI_EXT_RFENCE, SBI_RFENCE_FENCE_I, 1, harts[1].id, 0, 0, 0);
	before = shared.count;
	if (!wait_until(shared.count > before + 2 * PATCHED_PAGES, 12000)) {
		test_fail("the other hart stands still after a patch of page %lu", page);
		/* A store may set it free. */
		*insn = PLAIN;
	}
}

static void patched_under_way(void)
{
	uint64_t seed = test_seed * 5 + 3, frame, end;

	if (machine.hart_count < 2) {
		test_skip("one hart");
		return;
	}
	frame = code_setup(PATCHED_PAGES);
	emit_patched(frame);
	memset((void *)&shared, 0, sizeof(shared));
	expect_eq(hart_run(1, run_loop, NULL), 0, "start");
	end = time_now() + 6 * machine.timebase;
	for (uint64_t round = 0; round < 20000 && time_now() < end && !test_failed(); round++)
		patch(round % PATCHED_PAGES, &seed);
	shared.stop = 1;
	expect(hart_join(1, 20000), "did not finish");
}

/* Of two frames, one is at CODE: the other hart finds the new one after a fence for it. */
static void remapped_under_way(void)
{
	uint64_t frames[2];

	if (machine.hart_count < 2) {
		test_skip("one hart");
		return;
	}
	frames[0] = code_setup(1);
	frames[1] = (uint64_t)heap_take(PAGE_SIZE);
	for (int i = 0; i < 2; i++) {
		struct code code = {.frame = frames[i], .at = 0x100};

		emit(&code, insn_csrr(A2, CSR_SCOUNTEREN));
		emit(&code, insn_addi(A4, 0, i + 1));
		emit(&code, insn_csrr(A2, CSR_SCOUNTEREN));
		emit(&code, insn_s(OP_STORE, 3, A1, A4, 8));
		emit_count(&code);
		emit(&code, insn_branch(0, A5, 0, 0x100 - (int64_t)code.at));
		emit(&code, INSN_EBREAK);
	}
	__asm__ volatile("fence.i" ::: "memory");
	memset((void *)&shared, 0, sizeof(shared));
	expect_eq(hart_run(1, run_loop, NULL), 0, "start");
	for (uint64_t round = 0; round < 300 && !test_failed(); round++) {
		uint64_t before;

		paging_map(&code_tables, CODE, frames[round & 1], 0, PTE_RWX);
		sbi_call(SBI_EXT_RFENCE, SBI_RFENCE_SFENCE_VMA, 1, harts[1].id, CODE,
			 round & 2 ? PAGE_SIZE : ~UINT64_C(0), 0);
		before = shared.count;
		expect(wait_until(shared.count > before + 2, 12000), "stands still");
		for (int i = 0; i < 100; i++)
			expect_eq(shared.number, 1 + (round & 1), "after the fence, round %lu",
				  round);
	}
	shared.stop = 1;
	expect(hart_join(1, 20000), "did not finish");
}

static const struct test tests[] = {
    {"counter-from-nowhere", counter_from_nowhere}, {"device-from-nowhere", device_from_nowhere},
    {"across-from-nowhere", across_from_nowhere},   {"device-is-read-only", device_is_read_only},
    {"patched-under-way", patched_under_way},       {"remapped-under-way", remapped_under_way},
};
TEST_GROUP(code_behind, tests);
