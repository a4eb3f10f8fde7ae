/* SPDX-License-Identifier: MIT */

/* SFENCE.VMA: the guest's own, and what other harts ask for. */

#include "engine/soft/soft.h"
#include "engine/soft/walk.h"
#include "engine/vcpu.h"

void soft_fence(struct vcpu *vcpu, struct shadow_fence *fence)
{
	/* What it may spare is not asked for: with that, interrupts would be off for too long. */
	fence->is_as_before = NULL;
	shadow_fence(&vcpu->soft->shadow, fence);
}

void soft_do_fences(struct vcpu *vcpu)
{
	struct soft_vcpu *soft = vcpu->soft;
	struct soft_fast_root *fast = &soft->fast[VIEW_S];
	/* Since it was noted there was nothing but these, each of which has changed the version. */
	bool is_fast = fast->version == soft->shadow.version - soft->fence_count;

	for (uint64_t i = 0; i < soft->fence_count; i++)
		shadow_fence_others(&soft->shadow, GVA(soft->fences[i]));
	soft->fence_count = 0;
	if (is_fast)
		fast->version = soft->shadow.version;
}

#define FENCE_PAGES_MAX 16

void soft_fence_remotely(struct vcpu *vcpu, const struct fence *fence)
{
	struct shadow_fence one = {.all_asids = fence->asid == FENCE_ALL_ASIDS,
				   .asid = fence->asid & SOFT_ASID_MASK};
	uint64_t first = align_down(fence->start, PAGE_SIZE);
	uint64_t pages = (fence->size >> PAGE_SHIFT) + 2;

	one.all_addresses = pages > FENCE_PAGES_MAX;
	for (uint64_t a = first;
	     !one.all_addresses && a - first < fence->size + (fence->start - first);
	     a += PAGE_SIZE) {
		one.address = GVA(a);
		soft_fence(vcpu, &one);
		/* Several may be asked for at once, and each address may take long. */
		one.all_addresses = vcpu->soft->shadow.work > SOFT_WORK_MAX;
	}
	if (one.all_addresses)
		soft_fence(vcpu, &one);
	soft_update_after_flush(vcpu);
}
