/* SPDX-License-Identifier: MIT */
/*
 * Loads and stores in runs of privileged instructions, at addresses where a hypervisor may be.
 * Whoever executes the run for the guest may reach them; the guest does not.
 */
#include "engine/soft/pin.h"
#include "guests/selftest/code.h"
#include "guests/selftest/paging.h"

#define TOP_GIB UINT64_C(0xffffffffc0000000)
#define HIDDEN  26

/* None of these has a page of the guest's, or is a physical address where something is. */
static uint64_t hidden[HIDDEN + PIN_CANDIDATES] = {
    TOP_GIB,
    TOP_GIB + 0x8,
    TOP_GIB + 0x1000,
    TOP_GIB + 0x12340,
    TOP_GIB + 0x29010,
    TOP_GIB + 0x40ff8,
    TOP_GIB + 0x200000,
    TOP_GIB - 8,
    UINT64_C(0xffffffffd0003ff8),
    UINT64_C(0xffffffffd0007ff8),
    UINT64_C(0xffffffffd000be00),
    UINT64_C(0xffffffffd000fff0),
    UINT64_C(0xffffffffe0000000),
    UINT64_C(0xffffffffe0001008),
    UINT64_C(0xffffffffe0400000),
    UINT64_C(0xfffffffff0000000),
    UINT64_C(0xffffffffffffefe0),
    UINT64_C(0xffffffffffffffe0),
    UINT64_C(0xfffffffffffffff8),
    UINT64_C(0xffffffc000000000),
    UINT64_C(0xffffffc080200000),
    UINT64_C(0xffff800000000000),
    UINT64_C(0xffff800080200000),
    UINT64_C(0xff00000000000000),
    UINT64_C(0xff00000080200000),
    UINT64_C(0x0000004000000000),
};

/* Of a0 at a1. */
static const struct {
	uint32_t insn;
	bool store;
	const char *name;
} accesses[] = {
    {0x00058503, false, "lb"},  {0x00059503, false, "lh"},  {0x0005a503, false, "lw"},
    {0x0005b503, false, "ld"},  {0x0005c503, false, "lbu"}, {0x0005d503, false, "lhu"},
    {0x0005e503, false, "lwu"}, {0x00a58023, true, "sb"},   {0x00a59023, true, "sh"},
    {0x00a5a023, true, "sw"},   {0x00a5b023, true, "sd"},   {0x6188, false, "c.ld"},
    {0xc188, true, "c.sw"},
};

#define SPACING 0x80 /* of the loops, one for each access */
#define KEPT    UINT64_C(0x5a5a123456789abc)

/* The page of loops, and where in it their accesses are. */
static struct {
	uint64_t frame, at[ARRAY_SIZE(accesses)];
	bool hot[ARRAY_SIZE(accesses)];
	uint64_t scratch, kept; /* what they access at first; what a0 is before each access */
} loops;

/*
 * After s2 rounds at a1 the loop goes on at s3. The CSR is one of those that are asked for seldom:
 * nobody is likely to have a way for it that ends before the access.
 */
static void emit_loop(size_t i)
{
	struct code code;

	code_begin(&code, loops.frame, SPACING * i, HOT);
	emit(&code, insn_csrr(A2, CSR_SCOUNTEREN));
	emit(&code, insn_csrw(CSR_STVAL, S4));
	loops.at[i] = code.at;
	emit(&code, accesses[i].insn);
	emit(&code, insn_csrr(A3, CSR_SCOUNTEREN));
	emit(&code, insn_i(OP_LOAD, 3, A0, S5, 0));
	emit(&code, insn_addi(S2, S2, -1));
	emit(&code, insn_branch(1, S2, 0, 8));
	emit(&code, insn_addi(A1, S3, 0));
	code_end(&code);
}

static void prepare(void)
{
	for (unsigned int i = 0; i < PIN_CANDIDATES; i++)
		hidden[HIDDEN + i] = pin_candidate(i) + 8 * i;
	memset(&loops, 0, sizeof(loops));
	loops.frame = (uint64_t)heap_take(PAGE_SIZE);
	loops.kept = KEPT;
	for (size_t i = 0; i < ARRAY_SIZE(accesses); i++)
		emit_loop(i);
}

static void access_hidden(uint64_t code_va, size_t i, uint64_t address, uint64_t cause)
{
	const struct trap_frame *trap = &hart_self()->trap;
	const uint64_t x[32] = {
	    [A0] = KEPT,
	    [A1] = (uint64_t)&loops.scratch,
	    [S2] = loops.hot[i] ? 3 : 60,
	    [S3] = address,
	    [S4] = 0x1234,
	    [S5] = (uint64_t)&loops.kept,
	};

	code_run(code_va, SPACING * i, x, false);
	loops.hot[i] = true;
	expect_trap(cause, address, "%s at 0x%lx", accesses[i].name, address);
	expect_eq(trap->epc, code_va + loops.at[i], "sepc of %s at 0x%lx", accesses[i].name,
		  address);
	expect_eq(trap->x[A0], KEPT, "a0 after %s at 0x%lx", accesses[i].name, address);
	expect_eq(trap->x[A2], csr_read(CSR_SCOUNTEREN), "what precedes %s", accesses[i].name);
	expect_eq(trap->x[A1], address, "a1 after %s", accesses[i].name);
}

/* All of them, each with an address that is aligned for it. */
static void access_all(uint64_t code_va, bool paging)
{
	for (size_t a = 0; a < ARRAY_SIZE(hidden) && !test_failed(); a++)
		for (size_t i = 0; i < ARRAY_SIZE(accesses); i++) {
			enum access kind = accesses[i].store ? ACCESS_STORE : ACCESS_LOAD;

			access_hidden(code_va, i, hidden[a],
				      paging ? paging_page_fault(kind) : paging_access_fault(kind));
		}
}

/* Whatever S-mode may see of U-mode's pages. */
static void paged_in(struct paging *tables)
{
	static const uint64_t states[] = {0, SSTATUS_SUM, SSTATUS_MXR, SSTATUS_SUM | SSTATUS_MXR};

	paging_map(tables, CODE, loops.frame, 0, PTE_RWX);
	sfence_va(CODE);
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		csr_set(CSR_SSTATUS, states[i]);
		access_all(CODE, true);
		csr_clear(CSR_SSTATUS, states[i]);
	}
}

static void paged(void)
{
	prepare();
	paging_each_mode(paged_in);
}

/* Without translation these are physical addresses, where nothing is. */
static void bare(void)
{
	prepare();
	access_all(loops.frame, false);
}

/* By a mapping that is gone, or that is not for S-mode, there is no way there either. */
static void gone_in(struct paging *tables)
{
	uint64_t frame = (uint64_t)heap_take(PAGE_SIZE);

	paging_map(tables, CODE, loops.frame, 0, PTE_RWX);
	sfence_va(CODE);
	for (size_t a = 0; a < 8; a++) {
		uint64_t va = TOP_GIB + a * MIB(67);

		for (size_t i = 0; i < ARRAY_SIZE(accesses); i++) {
			const struct trap_frame *trap = &hart_self()->trap;
			enum access kind = accesses[i].store ? ACCESS_STORE : ACCESS_LOAD;
			const uint64_t x[32] = {
			    [A1] = va, [S2] = 200, [S4] = 1, [S5] = (uint64_t)&loops.kept};

			paging_map(tables, va, frame, 0, PTE_RW);
			sfence_va(va);
			code_run(CODE, SPACING * i, x, false);
			expect_eq(trap->cause, EXC_BREAKPOINT, "%s at 0x%lx, mapped",
				  accesses[i].name, va);
			paging_map(tables, va, frame, 0, i & 1 ? PTE_RW | PTE_U : 0);
			sfence_va(va);
			access_hidden(CODE, i, va, paging_page_fault(kind));
		}
		paging_map(tables, va, 0, 0, 0);
		sfence_va(va);
	}
}

static void gone(void)
{
	prepare();
	paging_each_mode(gone_in);
}

/* An access that begins in the guest's last page before them. */
static void across_in(struct paging *tables)
{
	static const uint64_t borders[] = {TOP_GIB, TOP_GIB + MIB(256), TOP_GIB + MIB(512)};
	uint64_t frame = (uint64_t)heap_take(PAGE_SIZE);
	const struct trap_frame *trap = &hart_self()->trap;

	paging_map(tables, CODE, loops.frame, 0, PTE_RWX);
	sfence_va(CODE);
	for (size_t b = 0; b < ARRAY_SIZE(borders); b++) {
		uint64_t va = borders[b] - PAGE_SIZE;

		paging_map(tables, va, frame, 0, PTE_RW);
		sfence_va(va);
		for (size_t i = 0; i < ARRAY_SIZE(accesses); i++) {
			enum access kind = accesses[i].store ? ACCESS_STORE : ACCESS_LOAD;
			const uint64_t x[32] = {[A0] = KEPT, [A1] = (uint64_t)&loops.scratch,
						[S2] = 3,    [S3] = borders[b] - 1,
						[S4] = 1,    [S5] = (uint64_t)&loops.kept};

			/* One byte does not get there. */
			if ((accesses[i].insn & 0x3003) == 0x3)
				continue;
			*(volatile uint64_t *)(frame + PAGE_SIZE - 8) = 0;
			code_run(CODE, SPACING * i, x, false);
			expect_trap(paging_page_fault(kind), borders[b], "%s across 0x%lx",
				    accesses[i].name, borders[b]);
			expect_eq(trap->epc, CODE + loops.at[i], "sepc of %s", accesses[i].name);
			expect_eq(trap->x[A0], KEPT, "a0 after %s", accesses[i].name);
		}
		paging_map(tables, va, 0, 0, 0);
		sfence_va(va);
	}
}

static void across(void)
{
	prepare();
	paging_each_mode(across_in);
}

static const struct test tests[] = {
    {"paged", paged},
    {"bare", bare},
    {"gone", gone},
    {"across", across},
};
TEST_GROUP(code_hidden, tests);
