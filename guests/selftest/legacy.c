/* SPDX-License-Identifier: MIT */
/* The legacy calls: one value comes back in a0, and a6 does not matter. */
#include "guests/selftest/paging.h"
#include "guests/selftest/sbi.h"

static int64_t legacy(uint64_t extension, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
	return sbi_call(extension, 0xdead, a0, a1, a2, a3, 0).error;
}

static bool soft_pending(void)
{
	return csr_read(CSR_SIP) & BIT(IRQ_S_SOFT);
}

static void putchar_line(void)
{
	for (const char *s = "legacy: putchar\n"; *s; s++)
		expect_eq(legacy(SBI_EXT_CONSOLE_PUTCHAR, (uint8_t)*s, 0, 0, 0), 0, "result");
}

static void getchar_empty(void)
{
	int64_t c = 0;

	for (int i = 0; i < 1000 && c >= 0; i++)
		c = legacy(SBI_EXT_CONSOLE_GETCHAR, 0, 0, 0, 0);
	expect_eq(c, -1, "result");
}

static void set_timer(void)
{
	expect_eq(legacy(SBI_EXT_SET_TIMER, 0, 0, 0, 0), 0, "0");
	expect(wait_until(irq_pending(IRQ_S_TIMER), 100), "not pending");
	expect_eq(legacy(SBI_EXT_SET_TIMER, ~UINT64_C(0), 0, 0, 0), 0, "never");
	expect(!irq_pending(IRQ_S_TIMER), "still pending");
}

static void ipi(void)
{
	uint64_t mask[8] = {0};

	csr_clear(CSR_SIP, BIT(IRQ_S_SOFT));
	expect_eq(legacy(SBI_EXT_SEND_IPI, (uint64_t)mask, 0, 0, 0), 0, "empty mask");
	expect(!soft_pending(), "an empty mask sent one");
	mask[hart_self()->id / 64] = BIT(hart_self()->id % 64);
	expect_eq(legacy(SBI_EXT_SEND_IPI, (uint64_t)mask, 0, 0, 0), 0, "self");
	expect(wait_until(soft_pending(), 100), "not pending");
	csr_clear(CSR_SIP, BIT(IRQ_S_SOFT));
	expect_eq(legacy(SBI_EXT_SEND_IPI, 0, 0, 0, 0), 0, "NULL: everyone");
	expect(wait_until(soft_pending(), 100), "not pending after NULL");
}

static void clear_ipi(void)
{
	csr_clear(CSR_SIP, BIT(IRQ_S_SOFT));
	expect_eq(legacy(SBI_EXT_CLEAR_IPI, 0, 0, 0, 0), 0, "none pending");
	csr_set(CSR_SIP, BIT(IRQ_S_SOFT));
	expect(legacy(SBI_EXT_CLEAR_IPI, 0, 0, 0, 0) >= 0, "one pending");
	expect(!soft_pending(), "still pending");
}

static void fences(void)
{
	uint64_t mask[8] = {0};

	mask[hart_self()->id / 64] = BIT(hart_self()->id % 64);
	for (uint64_t e = SBI_EXT_REMOTE_FENCE_I; e <= SBI_EXT_REMOTE_SFENCE_VMA_ASID; e++) {
		expect_eq(legacy(e, (uint64_t)mask, 0, 0, 0), 0, "0x%lx: all", e);
		expect_eq(legacy(e, (uint64_t)mask, 0, ~UINT64_C(0), 0), 0, "0x%lx: all", e);
		expect_eq(legacy(e, (uint64_t)mask, 0x80200000, 0x3000, 7), 0, "0x%lx: range", e);
		expect_eq(legacy(e, 0, 0, 0, 0), 0, "0x%lx: NULL", e);
	}
}

static uint64_t call_with_mask(uint64_t extension, uint64_t pointer, uint64_t a2)
{
	(void)a2;
	return (uint64_t)legacy(extension, pointer, 0, 0, 0);
}

/* A mask that cannot be read is the caller's fault: the load's exception, at the ecall. */
static void expect_bad_mask(uint64_t pointer, uint64_t cause, uint64_t value)
{
	for (uint64_t e = SBI_EXT_SEND_IPI; e <= SBI_EXT_REMOTE_SFENCE_VMA_ASID; e++) {
		bool trapped = trap_run(call_with_mask, e, pointer, 0);
		const struct trap_frame *trap = &hart_self()->trap;

		expect(trapped, "0x%lx: 0x%lx was accepted", e, pointer);
		if (!trapped)
			continue;
		expect_eq(trap->cause, cause, "0x%lx, 0x%lx: cause", e, pointer);
		expect_eq(trap->tval, value, "0x%lx, 0x%lx: stval", e, pointer);
		expect_eq(*(uint16_t *)trap->epc, INSN_ECALL, "0x%lx: instruction at sepc", e);
	}
}

static void bad_pointer(void)
{
	static const uint64_t pointers[] = {NOWHERE, BIT(56), BIT(63), ~UINT64_C(7)};

	for (size_t i = 0; i < ARRAY_SIZE(pointers); i++)
		expect_bad_mask(pointers[i], EXC_LOAD_ACCESS, pointers[i]);
}

/* Of a mask that ends in another page stval tells which part of it cannot be read. */
static void bad_pointers_of(struct paging *tables)
{
	uint64_t page = paging_new_page(), next = WINDOW + PAGE_SIZE;

	paging_map(tables, WINDOW, page, 0, PTE_RW | PTE_A | PTE_D);
	sfence_all();
	expect_bad_mask(next, EXC_LOAD_PAGE, next);
	expect_bad_mask(next - 4, EXC_LOAD_PAGE, next);
	paging_map(tables, next, page, 0, PTE_RW | PTE_U | PTE_A | PTE_D);
	sfence_all();
	expect_bad_mask(next + 8, EXC_LOAD_PAGE, next + 8);
	expect_bad_mask(next - 4, EXC_LOAD_PAGE, next);
	paging_map(tables, next, NOWHERE, 0, PTE_RW | PTE_A | PTE_D);
	sfence_all();
	expect_bad_mask(next + 8, EXC_LOAD_ACCESS, next + 8);
	expect_bad_mask(next - 4, EXC_LOAD_ACCESS, next);
}

static void bad_pointer_paged(void)
{
	paging_each_mode(bad_pointers_of);
}

/* A mask beside code that has just been run, and that a hypervisor may have replaced. */
static void mask_beside_code(void)
{
	uint64_t *mask = (uint64_t *)(insn_address() + 64);

	for (int i = 0; i < 100; i++) {
		mask[0] = BIT(hart_self()->id % 64);
		insn_exec2(insn_csr(2, CSR_SSCRATCH, REG_A1, 0), 0, 0, false);
		expect_eq(legacy(SBI_EXT_SEND_IPI, (uint64_t)mask, 0, 0, 0), 0, "result");
		expect(wait_until(soft_pending(), 100), "not pending");
		csr_clear(CSR_SIP, BIT(IRQ_S_SOFT));
	}
}

static const struct test tests[] = {
    {"putchar", putchar_line},
    {"getchar-empty", getchar_empty},
    {"set-timer", set_timer},
    {"ipi", ipi},
    {"clear-ipi", clear_ipi},
    {"fences", fences},
    {"bad-pointer", bad_pointer},
    {"bad-pointer-paged", bad_pointer_paged},
    {"mask-beside-code", mask_beside_code},
};
TEST_GROUP(legacy, tests);
