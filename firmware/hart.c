/* SPDX-License-Identifier: MIT */

/* A hart made ready for S-mode. docs/boot.md says why of each register. */

#include "firmware/fences.h"
#include "firmware/firmware.h"
#include "firmware/platform.h"

#include <stddef.h>

struct fw_hart fw_harts[FW_HARTS_MAX];
uint64_t harts_present, harts_arrived;

static char stacks[FW_HARTS_MAX][FW_STACK_SIZE] __aligned(16);
char boot_stack[FW_BOOT_STACK_SIZE] __aligned(16);

#define CHECK(member, offset)                                                                \
	_Static_assert(offsetof(struct fw_hart, member) == (offset), "layout.h and fw_hart " \
								     "differ")

CHECK(mepc, FW_MEPC);
CHECK(mstatus, FW_MSTATUS);
CHECK(stack, FW_STACK);
CHECK(bit, FW_BIT);
CHECK(mtimecmp, FW_MTIMECMP);
CHECK(msip, FW_MSIP);
CHECK(ipi, FW_IPI);
CHECK(fences, FW_FENCES);
CHECK(resume, FW_RESUME);
CHECK(t0, FW_T0);
CHECK(cause, FW_CAUSE);
CHECK(tval, FW_TVAL);
CHECK(tval2, FW_TVAL2);
CHECK(tinst, FW_TINST);
CHECK(status, FW_STATUS);
CHECK(has_h, FW_HAS_H);
_Static_assert(sizeof(struct fw_hart) == FW_HART_SIZE, "layout.h and fw_hart differ");

static bool misa_has(char letter)
{
	return csr_read(CSR_MISA) >> (letter - 'A') & 1;
}

/* S-mode and U-mode may do everything everywhere, but see nothing of the firmware's memory. */
static void init_pmp(void)
{
	uint64_t firmware = (FW_BASE | (FW_SIZE / 2 - 1)) >> 2;
	uint64_t all = ~UINT64_C(0) >> 10;

	/* Harts without PMP deny nobody anything. */
	if (!csr_try_write(CSR_PMPADDR0, firmware))
		return;
	csr_try_write(CSR_PMPADDR1, all);
	csr_try_write(CSR_PMPCFG0, PMP_NAPOT | (PMP_NAPOT | PMP_R | PMP_W | PMP_X) << 8);
}

static void init_environment(struct fw_hart *hart)
{
	uint64_t wanted = ENVCFG_CBIE | ENVCFG_CBCFE | ENVCFG_CBZE | ENVCFG_PBMTE | ENVCFG_STCE;
	uint64_t got = 0, old;

	if (platform.adue & hart->bit)
		wanted |= ENVCFG_ADUE;
	if (csr_try_write(CSR_MENVCFG, wanted))
		got = csr_read(CSR_MENVCFG);
	if (got & ENVCFG_STCE && csr_try_write(CSR_STIMECMP, ~UINT64_C(0))) {
		hart->mtimecmp = 0;
		hart->has_timer = true;
	}
	csr_try_write(CSR_MSTATEEN0, ~UINT64_C(0));
	if (csr_try_read(CSR_MSECCFG, old))
		csr_try_write(CSR_MSECCFG, old | MSECCFG_SSEED);
}

static void init_counters(struct fw_hart *hart)
{
	uint64_t value;

	csr_try_write(CSR_MCOUNTEREN, ~UINT64_C(0));
	csr_write(CSR_SCOUNTEREN, COUNTEREN_CY | COUNTEREN_TM | COUNTEREN_IR);
	hart->has_time = csr_try_read(CSR_TIME, value);
	pmu_init(hart);
}

/*
 * Everything goes to S-mode at once, but for its own calls and what has to be emulated: accesses
 * that are misaligned, and instructions where there is no `time`.
 */
void hart_delegate(struct fw_hart *hart)
{
	uint64_t kept = BIT(EXC_LOAD_MISALIGNED) | BIT(EXC_STORE_MISALIGNED) | BIT(EXC_ECALL_S) |
			BIT(EXC_ECALL_M) | BIT(EXC_DOUBLE_TRAP);

	if (!hart->has_time)
		kept |= BIT(EXC_ILLEGAL_INSN);
	csr_write(CSR_MEDELEG, ~kept);
}

static void init_delegation(struct fw_hart *hart)
{
	hart_delegate(hart);
	csr_write(CSR_MIDELEG, ~(BIT(IRQ_M_SOFT) | BIT(IRQ_M_TIMER) | BIT(IRQ_M_EXT)));
	hart->has_sscofpmf = csr_read(CSR_MIDELEG) >> IRQ_LCOF & 1;
}

static void imsic_write(uint64_t reg, uint64_t value)
{
	csr_write(CSR_MISELECT, reg);
	csr_write(CSR_MIREG, value);
}

static void init_interrupts(struct fw_hart *hart)
{
	uint64_t enabled = BIT(IRQ_M_SOFT);

	csr_write(CSR_MIP, 0);
	if (hart->mtimecmp)
		*(volatile uint64_t *)hart->mtimecmp = ~UINT64_C(0);
	if (hart->msip) {
		hart->imsic = 0;
		*(volatile uint32_t *)hart->msip = 0;
	} else if (hart->imsic) {
		imsic_write(IMSIC_EITHRESHOLD, 0);
		imsic_write(IMSIC_EIDELIVERY, 1);
		imsic_write(IMSIC_EIE0, BIT(1));
		enabled = BIT(IRQ_M_EXT);
	}
	csr_write(CSR_MIE, enabled);
}

void hart_init(void)
{
	struct fw_hart *hart = this_hart();
	uint64_t others;

	/* Smrnmi: until this is set, every trap is a non-maskable one. */
	csr_try_write(CSR_MNSTATUS, MNSTATUS_NMIE);
	if (!misa_has('H'))
		csr_try_write(CSR_MISA, csr_read(CSR_MISA) | BIT('H' - 'A'));
	hart->has_h = misa_has('H');
	hart->has_timer = hart->mtimecmp != 0;
	init_pmp();
	init_environment(hart);
	init_counters(hart);
	init_delegation(hart);
	init_interrupts(hart);
	others = __atomic_fetch_or(&harts_arrived, hart->bit, __ATOMIC_SEQ_CST);
	/* Who boots the machine is here first, and needs nobody's interrupts to be started. */
	if (misa_has('S') && hart->has_timer && platform.harts & hart->bit &&
	    (hart->msip || hart->imsic || !others))
		__atomic_fetch_or(&harts_present, hart->bit, __ATOMIC_SEQ_CST);
}

void harts_prepare(void)
{
	for (unsigned i = 0; i < FW_HARTS_MAX; i++) {
		fw_harts[i].id = i;
		fw_harts[i].bit = BIT(i);
		fw_harts[i].stack = (uint64_t)stacks[i] + FW_STACK_SIZE;
		fw_harts[i].state = SBI_HSM_STOPPED;
	}
}

uint64_t hart_first_mstatus(void)
{
	uint64_t status = MSTATUS_MPP_S;

	if (misa_has('F'))
		status |= MSTATUS_FS_FIRST;
	if (misa_has('V'))
		status |= MSTATUS_VS_FIRST;
	return status;
}

void hart_halt(void)
{
	csr_write(CSR_MIE, 0);
	for (;;)
		wfi();
}
