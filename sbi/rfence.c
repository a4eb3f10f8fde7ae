/* SPDX-License-Identifier: MIT */

/* SBI 2.0, chapter 8: remote fences. */

#include "engine/engine.h"
#include "sbi/sbi.h"

struct request {
	uint32_t kind;
	const struct fence *fence;
};

static void ask(struct vcpu *target, const void *argument)
{
	const struct request *request = argument;

	if (request->kind == VCPU_FENCE_VMA)
		vcpu_add_fence(target, request->fence);
	vcpu_request(target, request->kind);
}

static void await(struct vcpu *target, const void *argument)
{
	const struct request *request = argument;

	vcpu_wait_request(target, request->kind);
}

/*
 * Every target gets the request, the caller too, which does it before it enters the guest
 * again. When nobody is in the guest any more as he was, the fences have happened as far as
 * any guest can see.
 */
void sbi_remote_fence(struct vcpu *vcpu, uint64_t mask, uint64_t base, uint32_t kind,
		      const struct fence *fence)
{
	struct request request = {kind, fence};

	sbi_for_harts(vcpu, mask, base, ask, &request);
	sbi_for_harts(vcpu, mask, base, await, &request);
}

/* 0 and -1 as size, with any start for -1, mean everything. */
static int64_t check_range(uint64_t start, uint64_t size, struct fence *fence)
{
	*fence = (struct fence){start, size, FENCE_ALL_ASIDS};
	if ((start == 0 && size == 0) || size == UINT64_MAX) {
		fence->start = 0;
		fence->size = UINT64_MAX;
		return SBI_SUCCESS;
	}
	/* A range may end where the address space does. */
	return size > 0 && start + (size - 1) < start ? SBI_ERR_INVALID_ADDRESS : SBI_SUCCESS;
}

static int64_t call(struct vcpu *vcpu, uint64_t *value)
{
	uint64_t function = sbi_function(vcpu);
	uint64_t mask = sbi_argument(vcpu, 0);
	uint64_t base = sbi_argument(vcpu, 1);
	struct fence fence = {0, 0, 0};
	int64_t error;

	(void)value;
	/* The HFENCE calls are for harts with the H extension, which guests have not. */
	if (function > SBI_RFENCE_SFENCE_VMA_ASID)
		return SBI_ERR_NOT_SUPPORTED;
	error = sbi_check_harts(vcpu, mask, base);
	if (!error && function != SBI_RFENCE_FENCE_I)
		error = check_range(sbi_argument(vcpu, 2), sbi_argument(vcpu, 3), &fence);
	if (error)
		return error;
	if (function == SBI_RFENCE_SFENCE_VMA_ASID)
		fence.asid = sbi_argument(vcpu, 4);
	sbi_remote_fence(vcpu, mask, base,
			 function == SBI_RFENCE_FENCE_I ? VCPU_FENCE_I : VCPU_FENCE_VMA, &fence);
	return SBI_SUCCESS;
}

const struct sbi_extension sbi_rfence = {SBI_EXT_RFENCE, call};
