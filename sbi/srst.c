/* SPDX-License-Identifier: MIT */

/* SBI 2.0, chapter 10: system reset. It reaches the caller's VM alone. */

#include "sbi/sbi.h"
#include "vmm/vm.h"

static int64_t call(struct vcpu *vcpu, uint64_t *value)
{
	uint32_t type = (uint32_t)sbi_argument(vcpu, 0);
	uint32_t reason = (uint32_t)sbi_argument(vcpu, 1);

	(void)value;
	if (sbi_function(vcpu) != SBI_SRST_RESET)
		return SBI_ERR_NOT_SUPPORTED;
	/* The others are reserved, or a platform's, of which none is there: the same (10.1). */
	if (type > SBI_SRST_WARM_REBOOT || reason > SBI_SRST_REASON_FAILURE)
		return SBI_ERR_INVALID_PARAM;
	if (type != SBI_SRST_SHUTDOWN)
		vm_end(vm_of(vcpu), VM_END_REBOOT);
	else if (reason == SBI_SRST_REASON_FAILURE)
		vm_crash(vm_of(vcpu), "the guest reports a system failure");
	else
		vm_end(vm_of(vcpu), VM_END_POWEROFF);
	return SBI_SUCCESS;
}

const struct sbi_extension sbi_srst = {SBI_EXT_SRST, call};
