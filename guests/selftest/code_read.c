/* SPDX-License-Identifier: MIT */
/*
 * Hot privileged code beside what is read as data all the while: in the page of the load itself,
 * and in another, by loads of each kind.
 */
#include "guests/selftest/code.h"

#define SPACING  0x40  /* of the loops, one for each kind */
#define LEAF     0xc00 /* a function with a privileged instruction, in each of the pages */
#define DATA     0x800
#define OP_JALR  0x67
#define READABLE (PTE_V | PTE_R | PTE_X | PTE_A | PTE_D)

enum { RA = 1, SP };

/* f3 as in the load instructions; it reads from `offset` behind its base, a1 or sp, into a0. */
static const struct {
	const char *name;
	enum { FULL, COMPRESSED, FROM_SP, RESERVED } form;
	uint32_t f3;
	int32_t offset;
} kinds[] = {
    {"lb", FULL, 0, 1},          {"lh", FULL, 1, -2},         {"lw", FULL, 2, 4},
    {"ld", FULL, 3, 0x7f8},      {"lbu", FULL, 4, -1},        {"lhu", FULL, 5, 2},
    {"lwu", FULL, 6, -16},       {"c.lw", COMPRESSED, 2, 68}, {"c.ld", COMPRESSED, 3, 200},
    {"c.lwsp", FROM_SP, 2, 132}, {"c.ldsp", FROM_SP, 3, 264}, {"lr.w", RESERVED, 2, 0},
    {"lr.d", RESERVED, 3, 0},
};

static uint32_t insn_of(size_t kind)
{
	uint32_t f3 = kinds[kind].f3, offset = (uint32_t)kinds[kind].offset & 0xfff;

	switch (kinds[kind].form) {
	case COMPRESSED:
		return insn_c_mem(f3, A0, A1, offset);
	case FROM_SP:
		return insn_c_loadsp(f3, A0, offset);
	case RESERVED:
		return insn_amo(2, f3, A0, A1, 0);
	default:
		return insn_i(OP_LOAD, f3, A0, A1, offset);
	}
}

static uint64_t size_of(size_t kind)
{
	return UINT64_C(1) << (kinds[kind].f3 & 3);
}

/* What it puts into its register. */
static uint64_t value_of(size_t kind, const uint8_t *bytes)
{
	uint64_t size = size_of(kind), value = 0;

	for (uint64_t i = size; i-- > 0;)
		value = value << 8 | bytes[i];
	if (!(kinds[kind].f3 & 4) && value >> (8 * size - 1))
		value |= ~(UINT64_C(1) << (8 * size - 1)) + 1;
	return value;
}

/* Two pages at CODE that do not lie in a row, and what is in them. */
static struct code loops[2][ARRAY_SIZE(kinds)];
static uint8_t contents[2 * PAGE_SIZE];

/* In each of the pages: what is read, and a loop for each kind, which sums up in s5. */
static void emit_loops(uint64_t frame, uint64_t number)
{
	uint64_t seed = test_seed * 31 + frame;

	for (uint64_t i = 0; i < PAGE_SIZE / 8; i++)
		((uint64_t *)frame)[i] = random_next(&seed);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct code *code = &loops[number][i];

		code_begin(code, frame, SPACING * i, HOT);
		emit(code, insn_csrr(A2, CSR_SSCRATCH));
		emit(code, insn_of(i));
		emit(code, insn_r(0x33, 0, 0, S5, S5, A0));
		emit(code, insn_csrw(CSR_STVAL, A0));
		emit(code, insn_i(OP_JALR, 0, RA, A3, 0));
		emit(code, insn_csrr(A4, CSR_STVAL));
		code_end(code);
	}

	struct code leaf = {.frame = frame, .at = LEAF};

	emit(&leaf, insn_csrr(A6, CSR_SSCRATCH));
	emit(&leaf, insn_addi(S6, S6, 1));
	emit(&leaf, insn_csrw(CSR_SSCRATCH, A6));
	emit(&leaf, insn_i(OP_JALR, 0, 0, RA, 0));
	__asm__ volatile("fence.i" ::: "memory");
	memcpy(contents + number * PAGE_SIZE, (const void *)frame, PAGE_SIZE);
}

static void set_up_pages(void)
{
	uint64_t frames[2] = {code_setup(2)};

	frames[1] = (uint64_t)heap_take(PAGE_SIZE);
	paging_map(&code_tables, CODE + PAGE_SIZE, frames[1], 0, PTE_RWX);
	sfence_all();
	for (uint64_t i = 0; i < 2; i++)
		emit_loops(frames[i], i);
}

/* By one loop in the first page, from `at` on. */
static void read_by(size_t kind, uint64_t at, uint64_t leaf)
{
	const struct trap_frame *trap = &hart_self()->trap;
	uint64_t base = at - (uint64_t)(int64_t)kinds[kind].offset;
	const uint64_t x[32] = {[SP] = base, [A1] = base, [A3] = leaf};
	uint64_t want = value_of(kind, contents + (at - CODE));

	code_run(CODE, SPACING * kind, x, false);
	code_expect_end(&loops[0][kind], CODE, kinds[kind].name);
	expect_eq(trap->x[A0], want, "%s of 0x%lx", kinds[kind].name, at);
	expect_eq(trap->x[A4], want, "stval after %s of 0x%lx", kinds[kind].name, at);
	expect_eq(trap->x[S5], HOT * want, "the sum of %s of 0x%lx", kinds[kind].name, at);
	expect_eq(trap->x[S6], HOT, "calls beside %s of 0x%lx", kinds[kind].name, at);
	expect_eq(trap->x[A2], hart_self(), "sscratch beside %s", kinds[kind].name);
}

/* What is privileged is in the page of the load, of the data, or in both. */
static void all_kinds(void)
{
	set_up_pages();
	for (uint64_t way = 0; way < 4; way++) {
		uint64_t leaf = CODE + LEAF + (way & 1) * PAGE_SIZE;
		uint64_t data = CODE + DATA + (way >> 1) * PAGE_SIZE;

		for (size_t kind = 0; kind < ARRAY_SIZE(kinds); kind++)
			for (uint64_t i = 0; i < 32; i += size_of(kind))
				read_by(kind, data + i, leaf);
	}
}

/* Misaligned, also where it begins in one page and ends in the other. */
static void misaligned(void)
{
	set_up_pages();
	for (size_t kind = 0; kind < ARRAY_SIZE(kinds); kind++)
		for (uint64_t i = 1; i < size_of(kind) && kinds[kind].form != RESERVED; i++) {
			read_by(kind, CODE + PAGE_SIZE - i, CODE + PAGE_SIZE + LEAF);
			read_by(kind, CODE + DATA + i, CODE + LEAF);
		}
}

/*
 * A loop reads one of its own instructions, and what it reads changes, and how: by stores through
 * another mapping.
 */
static void rewritten(void)
{
	const struct trap_frame *trap = &hart_self()->trap;
	uint64_t frame = code_setup(1), read, load;
	struct code code;

	code_begin(&code, frame, 0x200, HOT);
	read = code.at;
	emit(&code, INSN_NOP);
	emit(&code, insn_csrr(A4, CSR_STVAL));
	load = code.at;
	emit(&code, INSN_NOP);
	emit(&code, insn_r(0x33, 0, 0, S5, S5, A0));
	code_end(&code);
	for (uint64_t round = 0; round < 80 && !test_failed(); round++) {
		const uint64_t x[32] = {[A1] = CODE + read};
		uint32_t number = (uint32_t)round & 31;
		const uint32_t insns[] = {insn_csr(5, CSR_STVAL, 0, number),
					  insn_csrr(A4, CSR_STVAL)};
		size_t kind = round / 3 % 7;
		uint64_t want = value_of(kind, (const uint8_t *)insns);

		*(volatile uint32_t *)(CODE_ALIAS + read) = insns[0];
		*(volatile uint32_t *)(CODE_ALIAS + load) =
		    insn_i(OP_LOAD, kinds[kind].f3, A0, A1, 0);
		__asm__ volatile("fence.i" ::: "memory");
		code_run(CODE, 0x200, x, false);
		code_expect_end(&code, CODE, "loop");
		expect_eq(trap->x[A4], number, "stval, round %lu", round);
		expect_eq(trap->x[A0], want, "%s, round %lu", kinds[kind].name, round);
		expect_eq(trap->x[S5], HOT * want, "sum, round %lu", round);
	}
}

/* X without R: its own loads fault, unless MXR is set; and where it is the page of U-mode. */
static void unreadable(void)
{
	const struct trap_frame *trap = &hart_self()->trap;
	uint64_t frame = code_setup(1), load, want;
	struct code code;

	code_begin(&code, frame, 0x300, HOT);
	emit(&code, insn_csrr(A2, CSR_SSCRATCH));
	emit(&code, insn_csrw(CSR_STVAL, A2));
	emit(&code, insn_addi(T5, T5, -1));
	emit(&code, insn_branch(1, T5, 0, (int64_t)(code.loop - code.at)));
	load = code.at;
	emit(&code, insn_i(OP_LOAD, 3, A0, A1, 0));
	emit(&code, insn_csrr(A4, CSR_STVAL));
	emit(&code, INSN_EBREAK);
	__asm__ volatile("fence.i" ::: "memory");
	want = *(volatile uint64_t *)(frame + 0x300);
	for (int round = 0; round < 60 && !test_failed(); round++) {
		const uint64_t x[32] = {[A0] = 77, [A1] = CODE + 0x300};
		const uint64_t user_x[32] = {[A0] = 77, [A1] = CODE_USER + 0x300};
		bool readable = round % 3 == 2, mxr = round & 1;

		paging_map(&code_tables, CODE, frame, 0, readable ? READABLE : READABLE & ~PTE_R);
		sfence_va(CODE);
		if (mxr)
			csr_set(CSR_SSTATUS, SSTATUS_MXR);
		code_run(CODE, 0x300, x, false);
		if (readable || mxr) {
			expect_eq(trap->cause, EXC_BREAKPOINT, "cause, round %d", round);
			expect_eq(trap->x[A0], want, "a0, round %d", round);
		} else {
			expect_trap(EXC_LOAD_PAGE, CODE + 0x300, "round %d", round);
			expect_eq(trap->epc, CODE + load, "sepc, round %d", round);
			expect_eq(trap->x[A0], 77, "a0, round %d", round);
		}
		code_run(CODE, 0x300, user_x, false);
		expect_trap(EXC_LOAD_PAGE, CODE_USER + 0x300, "U-mode's page, round %d", round);
		csr_clear(CSR_SSTATUS, SSTATUS_MXR);
	}
}

static const struct test tests[] = {
    {"all-kinds", all_kinds},
    {"misaligned", misaligned},
    {"rewritten", rewritten},
    {"unreadable", unreadable},
};
TEST_GROUP(code_read, tests);
