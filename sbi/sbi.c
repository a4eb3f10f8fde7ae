/* SPDX-License-Identifier: MIT */

#include "sbi/sbi.h"

#include "kernel/trap.h"
#include "vmm/hooks.h"
#include "vmm/vm.h"

#define HARTS_A_STRETCH 32 /* acted on between preemption points */

static const struct sbi_extension *const extensions[] = {
    &sbi_time, &sbi_ipi, &sbi_rfence, &sbi_hsm, &sbi_dbcn, &sbi_srst, &sbi_base,
};

/* Probed in this order: the frequent ones first. */
const uint64_t sbi_extension_ids[] = {
    SBI_EXT_TIME,
    SBI_EXT_IPI,
    SBI_EXT_RFENCE,
    SBI_EXT_HSM,
    SBI_EXT_DBCN,
    SBI_EXT_SRST,
    SBI_EXT_BASE,
    SBI_EXT_CONSOLE_PUTCHAR,
    SBI_EXT_CONSOLE_GETCHAR,
    SBI_EXT_CLEAR_IPI,
    SBI_EXT_SEND_IPI,
    SBI_EXT_REMOTE_FENCE_I,
    SBI_EXT_REMOTE_SFENCE_VMA,
    SBI_EXT_REMOTE_SFENCE_VMA_ASID,
    SBI_EXT_SHUTDOWN,
    0,
};

void sbi_handle(struct vcpu *vcpu)
{
	uint64_t id = vcpu->x[17];
	int64_t error = SBI_ERR_NOT_SUPPORTED;
	uint64_t value = 0;

	/* Behind the ECALL; what restarts the hart elsewhere sets pc again. */
	vcpu->pc += 4;
	if (id <= SBI_EXT_SHUTDOWN) {
		sbi_legacy_call(vcpu);
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(extensions); i++) {
		if (id == extensions[i]->id) {
			error = extensions[i]->call(vcpu, &value);
			break;
		}
	}
	vcpu->x[10] = (uint64_t)error;
	vcpu->x[11] = value;
}

int64_t sbi_check_harts(const struct vcpu *vcpu, uint64_t mask, uint64_t base)
{
	uint64_t count = vcpu->guest->vcpu_count;

	if (base == UINT64_MAX || mask == 0)
		return SBI_SUCCESS;
	if (base >= count)
		return SBI_ERR_INVALID_PARAM;
	return count - base < 64 && mask >> (count - base) ? SBI_ERR_INVALID_PARAM : SBI_SUCCESS;
}

void sbi_for_harts(struct vcpu *vcpu, uint64_t mask, uint64_t base,
		   void (*each)(struct vcpu *target, const void *argument), const void *argument)
{
	const struct guest *guest = vcpu->guest;
	uint64_t first = base == UINT64_MAX ? 0 : base;
	uint64_t end = base == UINT64_MAX ? guest->vcpu_count : base + 64;

	for (uint64_t id = first; id < end && (base == UINT64_MAX || mask >> (id - base)); id++) {
		bool named = base == UINT64_MAX || mask >> (id - base) & 1;

		if (named && guest->vcpus[id]->mode != VCPU_PARKED)
			each(guest->vcpus[id], argument);
		if (id % HARTS_A_STRETCH == HARTS_A_STRETCH - 1)
			preempt_point();
	}
}
