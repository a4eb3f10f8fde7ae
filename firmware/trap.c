/* SPDX-License-Identifier: MIT */

/* Traps that are not delegated; and those that S-mode gets all the same. */

#include "firmware/firmware.h"

#define MCAUSE_INTERRUPT BIT(63)

/* vstvec, stvec: an exception goes to the base in either mode. */
#define TVEC_BASE(tvec) ((tvec) & ~UINT64_C(3))

/* sstatus and vsstatus after a trap out of `mode`, 0 or 1. */
static uint64_t trapped_status(uint64_t status, uint64_t mode)
{
	bool enabled = status & SSTATUS_SIE;

	status &= ~(uint64_t)(SSTATUS_SIE | SSTATUS_SPIE | SSTATUS_SPP);
	return status | (enabled ? SSTATUS_SPIE : 0) | (mode ? SSTATUS_SPP : 0);
}

static void enter_vs(struct fw_hart *hart, const struct trap *trap, uint64_t mode)
{
	uint64_t status = csr_read(CSR_VSSTATUS);

	csr_write(CSR_VSEPC, hart->mepc);
	csr_write(CSR_VSCAUSE, trap->cause);
	csr_write(CSR_VSTVAL, trap->tval);
	csr_write(CSR_VSSTATUS, trapped_status(status, mode));
	hart->mepc = TVEC_BASE(csr_read(CSR_VSTVEC));
}

/* What the H extension adds to a trap into HS-mode (Priv. 1.13, 18.6.1). */
static void enter_hs(const struct fw_hart *hart, const struct trap *trap, uint64_t mode)
{
	uint64_t status = csr_read(CSR_HSTATUS) & ~(uint64_t)(HSTATUS_SPV | HSTATUS_GVA);

	if (hart->mstatus & MSTATUS_MPV) {
		status |= HSTATUS_SPV;
		status = mode ? status | HSTATUS_SPVP : status & ~(uint64_t)HSTATUS_SPVP;
	}
	csr_write(CSR_HSTATUS, trap->gva ? status | HSTATUS_GVA : status);
	csr_write(CSR_HTVAL, trap->tval2);
	csr_write(CSR_HTINST, trap->tinst);
}

void trap_redirect(struct fw_hart *hart, const struct trap *trap)
{
	uint64_t mode = hart->mstatus >> MSTATUS_MPP_SHIFT & 1;
	bool is_virtual = hart->has_h && hart->mstatus & MSTATUS_MPV;

	hart->mstatus = (hart->mstatus & ~(uint64_t)MSTATUS_MPP) | MSTATUS_MPP_S;
	if (is_virtual && csr_read(CSR_HEDELEG) >> trap->cause & 1) {
		enter_vs(hart, trap, mode);
		return;
	}
	if (hart->has_h)
		enter_hs(hart, trap, mode);
	csr_write(CSR_SEPC, hart->mepc);
	csr_write(CSR_SCAUSE, trap->cause);
	csr_write(CSR_STVAL, trap->tval);
	hart->mstatus = trapped_status(hart->mstatus, mode) & ~MSTATUS_MPV;
	hart->mepc = TVEC_BASE(csr_read(CSR_STVEC));
}

static bool emulate(struct fw_hart *hart, struct trap *trap)
{
	switch (trap->cause) {
	case EXC_ILLEGAL_INSN:
		return emulate_illegal(hart, trap);
	case EXC_LOAD_MISALIGNED:
	case EXC_STORE_MISALIGNED:
		return emulate_misaligned(hart, trap);
	default:
		return false;
	}
}

void trap_handle(struct fw_hart *hart)
{
	struct trap trap = {.cause = csr_read(CSR_MCAUSE), .tval = csr_read(CSR_MTVAL)};

	if (trap.cause & MCAUSE_INTERRUPT) {
		interrupts_serve(hart);
		return;
	}
	if (hart->has_h) {
		trap.tval2 = csr_read(CSR_MTVAL2);
		trap.tinst = csr_read(CSR_MTINST);
		trap.gva = hart->mstatus & MSTATUS_GVA;
	}
	if (!emulate(hart, &trap))
		trap_redirect(hart, &trap);
}
