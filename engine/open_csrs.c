/* SPDX-License-Identifier: MIT */

#include "engine/open_csrs.h"

#include "kernel/isa.h"
#include "kernel/trap.h"
#include "riscv/csr.h"

enum {
	OPEN_JVT = 1,      /* Zcmt */
	OPEN_FCSR = 2,     /* Zfinx; with F it is fp.c's */
	OPEN_SISELECT = 4, /* Ssaia, Sscsrind: the guest's is vsiselect */
};

void open_csrs_init_hart(void)
{
	struct hart *hart = this_hart();
	uint64_t value;

	/* With Smstateen all are closed, to the modes below (Smstateen 1.0, 2.2) by this, ... */
	if (csr_try_read(CSR_SSTATEEN0, &value)) {
		csr_write(CSR_SSTATEEN0, 0);
		/* ... and to VS-mode by hstateen0 (engine/hext/hart.c). */
		return;
	}
	if (csr_try_read(CSR_JVT, &value))
		hart->open_csrs |= OPEN_JVT;
	if (!isa_has_letter(hart->isa, 'f') && csr_try_read(CSR_FCSR, &value))
		hart->open_csrs |= OPEN_FCSR;
	if (hart->has_h && csr_try_read(CSR_VSISELECT, &value))
		hart->open_csrs |= OPEN_SISELECT;
}

void open_csrs_restore(const struct vcpu *vcpu)
{
	uint32_t open = this_hart()->open_csrs;

	if (open & OPEN_JVT)
		csr_write(CSR_JVT, vcpu->open_csrs.jvt);
	if (open & OPEN_FCSR)
		csr_write(CSR_FCSR, vcpu->open_csrs.fcsr);
	if (open & OPEN_SISELECT)
		csr_write(CSR_VSISELECT, vcpu->open_csrs.siselect);
}

void open_csrs_save(struct vcpu *vcpu)
{
	uint32_t open = this_hart()->open_csrs;

	if (open & OPEN_JVT)
		vcpu->open_csrs.jvt = csr_read(CSR_JVT);
	if (open & OPEN_FCSR)
		vcpu->open_csrs.fcsr = csr_read(CSR_FCSR);
	if (open & OPEN_SISELECT)
		vcpu->open_csrs.siselect = csr_read(CSR_VSISELECT);
}
