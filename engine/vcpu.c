/* SPDX-License-Identifier: MIT */

#include "engine/vcpu.h"

#include "kernel/hart.h"
#include "riscv/hint.h"

void vcpu_reset_registers(struct vcpu *vcpu, uint64_t pc, uint64_t argument)
{
	for (unsigned i = 0; i < 32; i++)
		vcpu->x[i] = 0;
	vcpu->x[10] = vcpu->id;
	vcpu->x[11] = argument;
	vcpu->pc = pc;
	vcpu->open_csrs = (struct open_csrs){0};
	vcpu->mmio_reservation = UINT64_MAX;
	/* What its memory held and its tables said is forgotten at the next load. */
	vcpu->last_hart = NULL;
}

void vcpu_kick(struct vcpu *vcpu)
{
	switch (__atomic_load_n(&vcpu->mode, __ATOMIC_SEQ_CST)) {
	case VCPU_GUEST: {
		struct hart *hart = __atomic_load_n(&vcpu->hart, __ATOMIC_RELAXED);

		/* In the guest on this very hart: it has left it to come here. */
		if (hart != this_hart())
			ipi_send(hart, IPI_KICK);
		break;
	}
	case VCPU_BLOCKED:
		vcpu_wake(vcpu);
		break;
	default:
		break;
	}
}

void vcpu_raise(struct vcpu *vcpu, unsigned irq)
{
	uint32_t bit = (uint32_t)1 << irq;

	if (!(__atomic_fetch_or(&vcpu->irq, bit, __ATOMIC_SEQ_CST) & bit))
		vcpu_kick(vcpu);
}

void vcpu_lower(struct vcpu *vcpu, unsigned irq)
{
	uint32_t bit = (uint32_t)1 << irq;

	/* A vCPU in the guest must not take an interrupt that is gone: make it fold again. */
	if (__atomic_fetch_and(&vcpu->irq, ~bit, __ATOMIC_SEQ_CST) & bit)
		vcpu_kick(vcpu);
}

void vcpu_request(struct vcpu *vcpu, uint32_t requests)
{
	__atomic_fetch_or(&vcpu->requests, requests, __ATOMIC_SEQ_CST);
	vcpu_kick(vcpu);
}

static bool is_asked(struct vcpu *vcpu, uint32_t requests)
{
	return __atomic_load_n(&vcpu->mode, __ATOMIC_SEQ_CST) == VCPU_GUEST &&
	       __atomic_load_n(&vcpu->requests, __ATOMIC_SEQ_CST) & requests;
}

/* Apart, as seldom anybody has to wait. */
static __attribute__((noinline)) void wait_request(struct vcpu *vcpu, uint32_t requests)
{
	/*
	 * The other hart leaves the guest in bounded time, as interrupts of the host cannot be
	 * masked there; a hart that waits here is not in the guest, so no two wait for each
	 * other.
	 */
	for (unsigned turns = 1; is_asked(vcpu, requests); turns++) {
		if (turns % IPI_PATIENCE == 0)
			ipi_send_again(__atomic_load_n(&vcpu->hart, __ATOMIC_RELAXED));
		cpu_pause();
	}
}

void vcpu_wait_request(struct vcpu *vcpu, uint32_t requests)
{
	if (is_asked(vcpu, requests))
		wait_request(vcpu, requests);
}

void vcpu_add_fence(struct vcpu *vcpu, const struct fence *fence)
{
	spin_lock(&vcpu->fence_lock);
	if (vcpu->fence_count < FENCES_MAX)
		vcpu->fences[vcpu->fence_count] = *fence;
	if (vcpu->fence_count <= FENCES_MAX)
		vcpu->fence_count++;
	spin_unlock(&vcpu->fence_lock);
}

bool vcpu_take_fences(struct vcpu *vcpu, struct fence fences[FENCES_MAX], unsigned *count)
{
	spin_lock(&vcpu->fence_lock);

	bool overflow = vcpu->fence_count > FENCES_MAX;

	*count = overflow ? FENCES_MAX : vcpu->fence_count;
	for (unsigned i = 0; i < *count; i++)
		fences[i] = vcpu->fences[i];
	vcpu->fence_count = 0;
	spin_unlock(&vcpu->fence_lock);
	return overflow;
}
