/* SPDX-License-Identifier: MIT */
/* Registers are what they were before other vCPUs had the hart: all but those of fp.c. */
#include "guests/selftest/kept.h"

uint64_t kept_rounds(uint64_t otherwise)
{
	return machine_number("rounds", otherwise);
}

uint64_t kept_seed(void)
{
	return (hart_self()->id + 1 + test_seed * 64) * UINT64_C(0x9e3779b97f4a7c15);
}

/* When it is due. */
static uint64_t set_timer_soon(void)
{
	uint64_t due = time_now() + machine.timebase / 5000;

	sbi1(SBI_EXT_TIME, 0, due);
	return due;
}

void kept_disturb(uint64_t round, bool traps)
{
	uint64_t due;

	csr_set(CSR_SIE, BIT(IRQ_S_TIMER));
	due = set_timer_soon();
	switch (round % 5) {
	case 0:
		sbi2(SBI_EXT_IPI, 0, 0, ~UINT64_C(0));
		break;
	case 1:
		sbi2(SBI_EXT_RFENCE, SBI_RFENCE_FENCE_I, BIT(hart_self()->id), 0);
		break;
	case 2:
		while (time_now() < due)
			__asm__ volatile("wfi");
		break;
	case 3:
		if (traps)
			csr_set(CSR_SSTATUS, SSTATUS_SIE);
		for (volatile int i = 0; i < 3000; i++)
			;
		csr_clear(CSR_SSTATUS, SSTATUS_SIE);
		break;
	default:
		(void)*(volatile uint8_t *)(UART_BASE + 5);
	}
	sbi1(SBI_EXT_TIME, 0, ~UINT64_C(0));
	csr_clear(CSR_SIP, BIT(IRQ_S_SOFT));
}

/* If it is to `write`, the CSR is given any value, and keeps of it what it can; what it has then.
 */
#define KEPT_CSR(csr)                                            \
	static uint64_t access_##csr(uint64_t value, bool write) \
	{                                                        \
		if (write)                                       \
			csr_write(csr, value);                   \
		return csr_read(csr);                            \
	}
KEPT_CSR(CSR_SSTATUS)
KEPT_CSR(CSR_SIE)
KEPT_CSR(CSR_STVEC)
KEPT_CSR(CSR_SCOUNTEREN)
KEPT_CSR(CSR_SENVCFG)
KEPT_CSR(CSR_SSCRATCH)
KEPT_CSR(CSR_SEPC)
KEPT_CSR(CSR_SCAUSE)
KEPT_CSR(CSR_STVAL)

static const struct {
	const char *name;
	uint64_t (*access)(uint64_t value, bool write);
	uint64_t clear, set; /* bits that are not random */
} csrs[] = {
    {"sstatus", access_CSR_SSTATUS,
     ~(uint64_t)(SSTATUS_SPP | SSTATUS_SPIE | SSTATUS_SUM | SSTATUS_MXR), 0},
    {"sie", access_CSR_SIE, 0, BIT(IRQ_S_TIMER)},
    {"stvec", access_CSR_STVEC, 0, 0},
    {"scounteren", access_CSR_SCOUNTEREN, 0, 0},
    {"senvcfg", access_CSR_SENVCFG, 0, 0},
    {"sscratch", access_CSR_SSCRATCH, 0, 0},
    {"sepc", access_CSR_SEPC, 0, 0},
    {"scause", access_CSR_SCAUSE, 0, 0},
    {"stval", access_CSR_STVAL, 0, 0},
};

/* Nothing traps here: stvec and sscratch lead nowhere. */
static void keep_csrs(void *argument)
{
	uint64_t rounds = kept_rounds(100), seed = kept_seed(), want[ARRAY_SIZE(csrs)],
		 before[ARRAY_SIZE(csrs)];

	(void)argument;
	for (size_t i = 0; i < ARRAY_SIZE(csrs); i++)
		before[i] = csrs[i].access(0, false);
	for (uint64_t round = 0; round < rounds && !test_failed(); round++) {
		for (size_t i = 0; i < ARRAY_SIZE(csrs); i++)
			want[i] = csrs[i].access(
			    (random_next(&seed) & ~csrs[i].clear) | csrs[i].set, true);
		kept_disturb(round, false);
		for (size_t i = 0; i < ARRAY_SIZE(csrs); i++)
			expect_eq(csrs[i].access(0, false), want[i], "hart %lu round %lu %s",
				  hart_self()->id, round, csrs[i].name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(csrs); i++)
		csrs[i].access(before[i], true);
}

static void kept_csrs(void)
{
	test_everywhere(keep_csrs, NULL);
}

/* What all registers but t0 live through, which ends with a breakpoint. */
static const struct {
	const char *name;
	bool user, sleeps;
	uint32_t code[3];
} stays[] = {
    {"loop in S", false, false, {0xfff28293, 0xfe029ee3, 0x00100073}}, /* addi t0, t0, -1; bnez */
    {"loop in U", true, false, {0xfff28293, 0xfe029ee3, 0x00100073}},
    {"WFI", false, true, {0x10500073, 0x00000293, 0x00100073}}, /* wfi; li t0, 0 */
};

static void keep_registers(void *argument)
{
	uint64_t rounds = kept_rounds(100), seed = kept_seed(), x[32];
	const struct trap_frame *trap;

	(void)argument;
	for (uint64_t round = 0; round < rounds && !test_failed(); round++) {
		size_t stay = round % ARRAY_SIZE(stays);
		uint64_t begin = (uint64_t)stays[stay].code;

		for (int i = 1; i < 32; i++)
			x[i] = random_next(&seed);
		x[REG_T0] = 1 + x[REG_T0] % 20000;
		csr_write(CSR_SIE, stays[stay].sleeps ? BIT(IRQ_S_TIMER) : 0);
		if (stays[stay].sleeps)
			set_timer_soon();
		trap = trap_exec(begin, x, stays[stay].user);
		x[REG_T0] = 0;
		expect(trap->cause == EXC_BREAKPOINT && trap->epc == begin + 8,
		       "%s ends with cause %lu at 0x%lx", stays[stay].name, trap->cause, trap->epc);
		for (int i = 1; i < 32; i++)
			expect_eq(trap->x[i], x[i], "hart %lu round %lu %s x%d", hart_self()->id,
				  round, stays[stay].name, i);
	}
}

static void kept_registers(void)
{
	test_everywhere(keep_registers, NULL);
}

#define CSRS     4096
#define ANY_CSRS 64 /* that can be written; beside counters there are some ten */

/* Of the H extension, which a guest has not (priv.c), but this machine may when it is run natively:
 * with any value in hstatus the next SRET leads to VS-mode. Privileged 2.1: bits 9 and 8.
 */
static bool is_hypervisor_csr(uint32_t csr)
{
	return (csr >> 8 & 3) == 2;
}

/* A CSR that is needed to go on, one that changes by itself, or one of those above. */
static bool is_csr_apart(uint32_t csr)
{
	switch (csr) {
	case CSR_SSTATUS:
	case CSR_SIE:
	case CSR_STVEC:
	case CSR_SSCRATCH:
	case CSR_SEPC:
	case CSR_SCAUSE:
	case CSR_STVAL:
	case CSR_SIP:
	case CSR_STIMECMP:
	case CSR_SATP:
		return true;
	default:
		return is_hypervisor_csr(csr);
	}
}

/* Whatever can be written, as this machine has it. false: it cannot. */
static bool write_any(uint32_t csr, uint64_t value)
{
	if (is_csr_apart(csr))
		return false;
	insn_exec2(insn_csr(1, csr, 0, REG_A0), value, 0, false);
	return insn_completed();
}

static uint64_t read_any(uint32_t csr)
{
	return insn_exec2(insn_csr(2, csr, REG_A1, 0), 0, 0, false)->x[REG_A1];
}

/* Of those too that nobody has told it of: another VM's values are not to be seen there. */
static void keep_any_csrs(void *argument)
{
	static uint64_t all[HARTS_MAX][ANY_CSRS];
	uint64_t rounds = kept_rounds(100) / 10 + 1, seed = kept_seed(),
		 *want = all[hart_self() - harts];
	uint32_t found[ANY_CSRS];
	size_t count = 0;

	(void)argument;
	csr_set(CSR_SSTATUS, SSTATUS_FS | SSTATUS_VS);
	for (uint32_t csr = 0; csr < CSRS && count < ARRAY_SIZE(found); csr++)
		if (write_any(csr, 0))
			found[count++] = csr;
	for (uint64_t round = 0; round < rounds && !test_failed(); round++) {
		for (size_t i = 0; i < count; i++)
			write_any(found[i], random_next(&seed));
		for (size_t i = 0; i < count; i++)
			want[i] = read_any(found[i]);
		kept_disturb(round, false);
		for (size_t i = 0; i < count; i++)
			expect_eq(read_any(found[i]), want[i], "hart %lu round %lu CSR 0x%x",
				  hart_self()->id, round, found[i]);
	}
	for (size_t i = 0; i < count; i++)
		write_any(found[i], 0);
}

static void kept_any_csrs(void)
{
	test_everywhere(keep_any_csrs, NULL);
}

static const struct test tests[] = {
    {"csrs", kept_csrs},
    {"any-csrs", kept_any_csrs},
    {"registers", kept_registers},
};
TEST_GROUP(kept, tests);
