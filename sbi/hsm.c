/* SPDX-License-Identifier: MIT */

/* SBI 2.0, chapter 9: hart state management. */

#include "engine/engine.h"
#include "sbi/sbi.h"
#include "vmm/hooks.h"
#include "vmm/vm.h"

static int64_t start(struct vcpu *vcpu)
{
	struct vm *vm = vm_of(vcpu);
	uint64_t id = sbi_argument(vcpu, 0);
	uint64_t address = sbi_argument(vcpu, 1);
	int64_t error = SBI_SUCCESS;

	if (id >= vm->config.vcpus)
		return SBI_ERR_INVALID_PARAM;

	struct vcpu *target = vm->vcpus[id];

	spin_lock(&vm->lock);
	if (target->hsm_state != SBI_HSM_STOPPED) {
		error = SBI_ERR_ALREADY_AVAILABLE;
	} else if (!vm_is_ram(vm, GPA(address), 4) || address & 1) {
		error = SBI_ERR_INVALID_ADDRESS;
	} else if (vm->state != VM_RUNNING && vm->state != VM_PAUSING) {
		error = SBI_ERR_FAILED;
	} else {
		/* Who starts while all others are put aside is so at its turn. */
		target->requests = vm->state == VM_PAUSING ? VCPU_PAUSE : 0;
		/* An external interrupt is the PLIC's to take back. */
		__atomic_fetch_and(&target->irq, (uint32_t)BIT(IRQ_S_EXT), __ATOMIC_SEQ_CST);
		target->guest->engine->vcpu_reset(target, address, sbi_argument(vcpu, 2), false);
		target->hsm_state = SBI_HSM_STARTED;
		vm->active++;
		schedule_start(target);
	}
	spin_unlock(&vm->lock);
	return error;
}

static void set_state(struct vcpu *vcpu, uint32_t state)
{
	struct vm *vm = vm_of(vcpu);

	spin_lock(&vm->lock);
	vcpu->hsm_state = state;
	spin_unlock(&vm->lock);
}

static int64_t stop(struct vcpu *vcpu)
{
	set_state(vcpu, SBI_HSM_STOP_PENDING);
	schedule_park(vcpu);
	return SBI_SUCCESS;
}

static int64_t status(struct vcpu *vcpu, uint64_t *value)
{
	struct vm *vm = vm_of(vcpu);
	uint64_t id = sbi_argument(vcpu, 0);

	if (id >= vm->config.vcpus)
		return SBI_ERR_INVALID_PARAM;
	spin_lock(&vm->lock);
	*value = vm->vcpus[id]->hsm_state;
	spin_unlock(&vm->lock);
	return SBI_SUCCESS;
}

static int64_t suspend(struct vcpu *vcpu)
{
	uint32_t type = (uint32_t)sbi_argument(vcpu, 0);
	uint64_t address = sbi_argument(vcpu, 1);

	switch (type) {
	case SBI_HSM_SUSPEND_RETENTIVE:
		vcpu->start_pc = UINT64_MAX;
		break;
	case SBI_HSM_SUSPEND_NON_RETENTIVE:
		if (!vm_is_ram(vm_of(vcpu), GPA(address), 4) || address & 1)
			return SBI_ERR_INVALID_ADDRESS;
		vcpu->start_pc = address;
		vcpu->start_arg = sbi_argument(vcpu, 2);
		break;
	default:
		/* Reserved, or a platform's, of which none is there: the same (9.4). */
		return SBI_ERR_INVALID_PARAM;
	}
	set_state(vcpu, SBI_HSM_SUSPENDED);
	schedule_suspend(vcpu);
	return SBI_SUCCESS;
}

void vcpu_resume(struct vcpu *vcpu)
{
	const struct engine *engine = vcpu->guest->engine;

	set_state(vcpu, SBI_HSM_STARTED);
	if (vcpu->start_pc == UINT64_MAX)
		return;
	engine->put(vcpu);
	engine->vcpu_reset(vcpu, vcpu->start_pc, vcpu->start_arg, true);
	engine->load(vcpu);
}

static int64_t call(struct vcpu *vcpu, uint64_t *value)
{
	switch (sbi_function(vcpu)) {
	case SBI_HSM_HART_START:
		return start(vcpu);
	case SBI_HSM_HART_STOP:
		return stop(vcpu);
	case SBI_HSM_HART_GET_STATUS:
		return status(vcpu, value);
	case SBI_HSM_HART_SUSPEND:
		return suspend(vcpu);
	default:
		return SBI_ERR_NOT_SUPPORTED;
	}
}

const struct sbi_extension sbi_hsm = {SBI_EXT_HSM, call};
