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

/* Some of the guest's code; its page may be execute-only. */
static inline bool load_code(const struct vcpu *vcpu, uint64_t address, unsigned size,
			     uint64_t *code)
{
	return guest_may_access(vcpu, address, size) && trap_load(address, size, code);
}

/* As insn_fetch() does. */
static inline __attribute__((always_inline)) bool load_instruction(const struct vcpu *vcpu,
								   uint64_t *bits)
{
	uint64_t high;

	if (vcpu->pc % 4 == 0)
		return load_code(vcpu, vcpu->pc, 4, bits);
	if (!load_code(vcpu, vcpu->pc, 2, bits))
		return false;
	if ((*bits & 3) != 3)
		return true;
	if (!load_code(vcpu, vcpu->pc + 2, 2, &high))
		return false;
	*bits |= high << 16;
	return true;
}

/*
 * In code that is rewritten all instructions that load or store for the guest are as in the
 * original.
 */
static inline __attribute__((always_inline)) uint32_t read_instruction(const struct vcpu *vcpu)
{
	uint64_t bits;
	bool read;

	csr_set(CSR_SSTATUS, SSTATUS_SUM | SSTATUS_MXR);
	read = load_instruction(vcpu, &bits);
	csr_clear(CSR_SSTATUS, SSTATUS_SUM | SSTATUS_MXR);
	if (!read)
		return 0;
	return (uint32_t)((bits & 3) == 3 ? bits : bits & 0xffff);
}

uint32_t soft_read_instruction(const struct vcpu *vcpu)
{
	return read_instruction(vcpu);
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
	vcpu_trace(vcpu, TRACE_MMIO, store ? TRACE_ACCESS_STORE : TRACE_ACCESS_LOAD, gpa.v, 0);
	return true;
}

bool soft_quick_access(struct vcpu *vcpu, uint64_t cause, gva_t va)
{
	enum access_kind kind = cause == EXC_STORE_PAGE ? ACCESS_STORE : ACCESS_LOAD;
	uint64_t leaf;
	gpa_t gpa;

	if (!soft_is_device(vcpu->soft, va) || cause == EXC_INSN_PAGE)
		return false;
	leaf = shadow_find_device(&vcpu->soft->shadow, va);
	if (!(leaf & (kind == ACCESS_STORE ? PTE_W : PTE_R)))
		return false;
	gpa = GPA(pte_address(leaf).v | (va.v & (PAGE_SIZE - 1)));
	if (!soft_access_device(vcpu, kind, gpa))
		soft_leave_for_access(vcpu, kind, gpa, va);
	return true;
}
