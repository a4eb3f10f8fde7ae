/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_HEXT_SPACE_H
#define ENGINE_HEXT_SPACE_H

/* VMIDs, and what a hart has to forget before it translates a guest's addresses. */

#include "engine/guest.h"
#include "engine/hext/hext.h"
#include "engine/vcpu.h"
#include "riscv/guest_tlb.h"

/* guest->vmid: the VMID in the low bits, the generation it belongs to above. */
#define VMID_GENERATION_SHIFT 16

extern uint64_t hext_vmid_generation; /* the newest one; atomic */

/* A VMID of the newest generation, which may begin with it, as guest->vmid. Takes vmids.lock. */
uint64_t hext_new_vmid(struct guest *guest);

/*
 * Forgets, on this hart, what was hidden in the guest's space: under its VMID any of its vCPUs that
 * comes here would find it. The count is read first: what is hidden from then on is flushed once
 * more. Interrupts off.
 */
static inline void hext_space_forget_hidden(const struct guest *guest,
					    struct guest_on_hart *on_hart)
{
	uint64_t hidings = __atomic_load_n(&guest->space.hidings, __ATOMIC_SEQ_CST);

	if (on_hart->hidings == hidings)
		return;
	on_hart->hidings = hidings;
	tlb_flush_guests();
}

/*
 * The guest's VMID, as guest->vmid, for this hart, `hext`. Of a VMID that was another guest's, in a
 * generation that the hart has not left yet, nothing is left.
 */
static inline uint64_t hext_space_vmid(struct guest *guest, struct hext_hart *hext)
{
	uint64_t vmid = __atomic_load_n(&guest->vmid, __ATOMIC_ACQUIRE);

	if (unlikely(vmid >> VMID_GENERATION_SHIFT !=
		     __atomic_load_n(&hext_vmid_generation, __ATOMIC_ACQUIRE)))
		vmid = hext_new_vmid(guest);
	if (hext->vmid_generation != vmid >> VMID_GENERATION_SHIFT) {
		hext->vmid_generation = vmid >> VMID_GENERATION_SHIFT;
		tlb_flush_guests();
	}
	return vmid;
}

/*
 * Loads hgatp for `vcpu`, on this hart, `hart`, with the guest's root table and mode in `table`:
 * no translation is left that is not the vCPU's. vsatp is 0, interrupts are off.
 *
 * Translations of another vCPU of the guest, or of this one before it went elsewhere and changed
 * them, are not this hart's: guests use an ASID for different spaces on different harts (all of
 * them ASID 0, often). Under a VMID that is new to the guest there may be another guest's, which
 * HFENCE.GVMA need not have flushed (Priv. 1.13, 18.3.2).
 */
static inline void hext_space_load(struct vcpu *vcpu, struct hart *hart, uint64_t table)
{
	struct guest *guest = vcpu->guest;
	struct guest_on_hart *last = &guest->on_hart[hart->index];
	uint64_t vmid = hext_space_vmid(guest, &hext_harts[hart->index]);

	tlb_use_guest(vmid & HGATP_VMID_MAX, table);
	hext_space_forget_hidden(guest, last);
	if (last->vcpu != vcpu || last->vmid != vmid || vcpu->last_hart != hart) {
		tlb_flush_guest_addresses();
		last->vcpu = vcpu;
		last->vmid = vmid;
		vcpu->last_hart = hart;
	}
}

#endif
