/* SPDX-License-Identifier: MIT */

/* SBI 2.0, chapter 7: inter-processor interrupts. */

#include "sbi/sbi.h"

static void raise(struct vcpu *target, const void *argument)
{
	(void)argument;
	vcpu_raise(target, IRQ_S_SOFT);
}

void sbi_send_ipis(struct vcpu *vcpu, uint64_t mask, uint64_t base)
{
	sbi_for_harts(vcpu, mask, base, raise, NULL);
}

static int64_t call(struct vcpu *vcpu, uint64_t *value)
{
	uint64_t mask = sbi_argument(vcpu, 0);
	uint64_t base = sbi_argument(vcpu, 1);
	int64_t error;

	(void)value;
	if (sbi_function(vcpu) != SBI_IPI_SEND_IPI)
		return SBI_ERR_NOT_SUPPORTED;
	error = sbi_check_harts(vcpu, mask, base);
	if (!error)
		sbi_send_ipis(vcpu, mask, base);
	return error;
}

const struct sbi_extension sbi_ipi = {SBI_EXT_IPI, call};
