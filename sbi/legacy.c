/* SPDX-License-Identifier: MIT */

/*
 * SBI 2.0, chapter 5: the calls of version 0.1, for old kernels. They return in a0 alone, and
 * name harts by the virtual address of a bit vector; address 0 means all harts.
 */

#include "engine/engine.h"
#include "kernel/error.h"
#include "sbi/sbi.h"
#include "vmm/exit.h"
#include "vmm/hooks.h"
#include "vmm/machine.h"
#include "vmm/vm.h"

#define ALL_HARTS UINT64_MAX /* as base of a mask */

/* What one of the calls with a hart mask does to the harts of one word. */
static void act(struct vcpu *vcpu, uint64_t id, uint64_t mask, uint64_t base)
{
	struct fence fence = {sbi_argument(vcpu, 1), sbi_argument(vcpu, 2), FENCE_ALL_ASIDS};

	if (id == SBI_EXT_SEND_IPI) {
		sbi_send_ipis(vcpu, mask, base);
		return;
	}
	/* These calls know no error: a range that makes no sense flushes everything. */
	if (fence.start + fence.size < fence.start || (fence.start == 0 && fence.size == 0))
		fence = (struct fence){0, UINT64_MAX, FENCE_ALL_ASIDS};
	if (id == SBI_EXT_REMOTE_SFENCE_VMA_ASID)
		fence.asid = sbi_argument(vcpu, 3);
	sbi_remote_fence(vcpu, mask, base,
			 id == SBI_EXT_REMOTE_FENCE_I ? VCPU_FENCE_I : VCPU_FENCE_VMA, &fence);
}

/*
 * Reads a word of the bit vector. If that cannot be done the guest has got the fault of a load
 * at its ECALL, as from other firmware, or will repeat the call with the page there.
 */
static bool read_mask(struct vcpu *vcpu, uint64_t address, uint64_t *mask)
{
	struct exit_access fault;
	int error;

	vcpu->pc -= 4;
	error = vcpu->guest->engine->read_word(vcpu, GVA(address), mask, &fault);
	if (error == ERR_FAULT)
		exit_memory(vcpu, &fault);
	if (!error)
		vcpu->pc += 4;
	return !error;
}

/* One of the calls with a hart mask. */
static void masked_call(struct vcpu *vcpu, uint64_t id)
{
	uint64_t vector = sbi_argument(vcpu, 0);
	uint64_t count = vcpu->guest->vcpu_count;
	uint64_t masks[MACHINE_HARTS_MAX / 64];

	for (uint64_t base = 0; vector && base < count; base += 64) {
		if (!read_mask(vcpu, vector + base / 8, &masks[base / 64]))
			return;
	}
	if (vector == 0)
		act(vcpu, id, 0, ALL_HARTS);
	for (uint64_t base = 0; vector && base < count; base += 64) {
		uint64_t here = min_u64(count - base, 64);

		act(vcpu, id, masks[base / 64] & BITS((unsigned)here - 1, 0), base);
	}
	vcpu->x[10] = SBI_SUCCESS;
}

static uint64_t getchar(struct vcpu *vcpu)
{
	uint8_t byte;

	return machine_console_take(vm_of(vcpu), &byte) ? byte : (uint64_t)-1;
}

void sbi_legacy_call(struct vcpu *vcpu)
{
	uint8_t byte = (uint8_t)sbi_argument(vcpu, 0);
	uint64_t id = vcpu->x[17];
	uint64_t result = SBI_SUCCESS;

	switch (id) {
	case SBI_EXT_SET_TIMER:
		vcpu->guest->engine->set_timer(vcpu, sbi_argument(vcpu, 0));
		break;
	case SBI_EXT_CONSOLE_PUTCHAR:
		console_output(vm_of(vcpu), &byte, 1);
		break;
	case SBI_EXT_CONSOLE_GETCHAR:
		result = getchar(vcpu);
		break;
	case SBI_EXT_CLEAR_IPI:
		result = vcpu->guest->engine->clear_ipi(vcpu);
		break;
	case SBI_EXT_SHUTDOWN:
		vm_end(vm_of(vcpu), VM_END_POWEROFF);
		break;
	default:
		masked_call(vcpu, id);
		return;
	}
	vcpu->x[10] = result;
}
