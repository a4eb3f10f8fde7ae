/* SPDX-License-Identifier: MIT */

/*
 * Accesses to devices that the hypervisor emulates, without an exit. A page in which a device has
 * answered is in the shadow tables as a leaf that the hart finds invalid: so the address is
 * translated without the guest's tables, as long as the guest has not fenced it. And the hart has
 * just fetched the instruction, so that it can be read by the same translation.
 */

#include "engine/soft/access_inline.h"
#include "engine/soft/soft.h"
#include "engine/vcpu_trace.h"
#include "riscv/insn.h"

/* Two bytes of the guest's code; its page may be execute-only. */
static inline bool load_parcel(const struct vcpu *vcpu, uint64_t address, uint64_t *parcel)
{
	return guest_may_access(vcpu, address, 2) && trap_load(address, 2, parcel);
}

/*
 * The instruction at pc, as the hart has fetched it, unless it was changed since. In code that is
 * rewritten loads and stores are as in the original. 0: it cannot be read so.
 */
static uint32_t read_instruction(const struct vcpu *vcpu)
{
	uint64_t low = 0, high = 0;
	bool read;

	csr_set(CSR_SSTATUS, SSTATUS_SUM | SSTATUS_MXR);
	read = load_parcel(vcpu, vcpu->pc, &low) &&
	       ((low & 3) != 3 || load_parcel(vcpu, vcpu->pc + 2, &high));
	csr_clear(CSR_SSTATUS, SSTATUS_SUM | SSTATUS_MXR);
	return read ? (uint32_t)(high << 16 | low) : 0;
}

bool soft_access_device(struct vcpu *vcpu, enum access_kind kind, gpa_t gpa)
{
	uint64_t transformed = insn_transform(read_instruction(vcpu));
	bool store = transformed & INSN_PLAIN_STORE;

	/* The guest may have put another one there; it has permission for the access as it was. */
	if (!transformed || kind != (store ? ACCESS_STORE : ACCESS_LOAD) ||
	    !vcpu_quick_access(vcpu, gpa, transformed))
		return false;
	vcpu->pc += transformed & 2 ? 4 : 2;
	statistics_add(&vcpu->statistics.quick_mmio);
	vcpu_trace(vcpu, TRACE_MMIO, store ? TRACE_ACCESS_STORE : TRACE_ACCESS_LOAD, gpa.v, 0);
	return true;
}

bool soft_quick_access(struct vcpu *vcpu, uint64_t cause, gva_t va)
{
	const struct soft_vcpu *soft = vcpu->soft;
	bool store = cause == EXC_STORE_PAGE;
	uint64_t leaf;

	if (!soft_is_device(soft, va) || cause == EXC_INSN_PAGE)
		return false;
	leaf = shadow_find_device(&soft->shadow, va);
	if (!(leaf & (store ? PTE_W : PTE_R)))
		return false;
	return soft_access_device(vcpu, store ? ACCESS_STORE : ACCESS_LOAD,
				  GPA(pte_address(leaf).v | (va.v & (PAGE_SIZE - 1))));
}
