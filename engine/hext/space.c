/* SPDX-License-Identifier: MIT */

/* VMIDs, and what a hart has to forget before it translates a guest's addresses. */

#include "engine/hext/space.h"

uint64_t hext_vmid_generation = 1;

/*
 * VMIDs are handed out in order; when they run out a new generation begins. A hart flushes
 * all guests' translations before it first uses a VMID of a newer generation, so no old use
 * of it is ever seen.
 */
static struct {
	struct spinlock lock; /* guards `next`, and who may change the generation; innermost */
	uint64_t next;
} vmids = {.lock = SPINLOCK_INIT, .next = 1};

/* VMIDs that are different on each hart that may run a guest: VMIDLEN ones, the smallest. */
static uint64_t common_vmids(void)
{
	uint64_t mask = HGATP_VMID_MAX;

	for (unsigned i = 0; i < hart_count(); i++) {
		if (hext_harts[i].usable)
			mask &= hext_harts[i].vmid_mask;
	}
	return mask;
}

uint64_t hext_new_vmid(struct guest *guest)
{
	uint64_t mask = common_vmids(), vmid;

	spin_lock(&vmids.lock);
	vmid = guest->vmid;
	/* Another hart may have been here first. */
	if (vmid >> VMID_GENERATION_SHIFT != hext_vmid_generation) {
		if (vmids.next > mask) {
			__atomic_store_n(&hext_vmid_generation, hext_vmid_generation + 1,
					 __ATOMIC_RELEASE);
			vmids.next = 1;
		}
		/* With no VMID bits at all each guest, in turn, has VMID 0. */
		vmid = hext_vmid_generation << VMID_GENERATION_SHIFT | (vmids.next++ & mask);
		__atomic_store_n(&guest->vmid, vmid, __ATOMIC_RELEASE);
	}
	spin_unlock(&vmids.lock);
	return vmid;
}
