/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_SOFT_ACCESS_INLINE_H
#define ENGINE_SOFT_ACCESS_INLINE_H

/*
 * sstatus.SUM is set by the caller of the interpreter, and the guest's shadow tables are the
 * hart's: a guest's page is one of U-mode there, of which the hart checks R and W. The pages of
 * the hypervisor are in the same tables, and the hart would let this code have them: addresses
 * must be canonical in the guest's mode, which the direct map's are not, and below the top GiB.
 */

#include "engine/soft/soft.h"
#include "kernel/layout.h"
#include "kernel/trap.h"

/* Whether the guest's translations may be used for this address, naturally aligned. */
static inline bool guest_may_access(const struct vcpu *vcpu, uint64_t address, unsigned size)
{
	const struct soft_vcpu *soft = vcpu->soft;

	return !(address & (size - 1)) && address + soft->access_bias < soft->access_limit &&
	       address < IMAGE_BASE;
}

/* clang-format off */
#define GUEST_LOAD(insn)                                                       \
	__asm__ goto("1: " insn " %0, (%1)\n" EXCEPTION_ENTRY(1b, %l[failed]) \
		     : "=r"(*value)                                            \
		     : "r"(address)                                            \
		     : "t0", "memory"                                          \
		     : failed)

#define GUEST_STORE(insn)                                                       \
	__asm__ goto("1: " insn " %z0, (%1)\n" EXCEPTION_ENTRY(1b, %l[failed]) \
		     :                                                          \
		     : "rJ"(value), "r"(address)                                \
		     : "t0", "memory"                                           \
		     : failed)
/* clang-format on */

__attribute__((always_inline)) static inline bool guest_load(struct vcpu *vcpu, uint64_t address,
							     unsigned size, uint64_t *value)
{
	if (unlikely(!guest_may_access(vcpu, address, size)))
		return false;
	switch (size) {
	case 1:
		GUEST_LOAD("lbu");
		break;
	case 2:
		GUEST_LOAD("lhu");
		break;
	case 4:
		GUEST_LOAD("lwu");
		break;
	default:
		GUEST_LOAD("ld");
		break;
	}
	return true;
failed:
	return false;
}

__attribute__((always_inline)) static inline bool guest_store(struct vcpu *vcpu, uint64_t address,
							      unsigned size, uint64_t value)
{
	if (unlikely(!guest_may_access(vcpu, address, size)))
		return false;
	switch (size) {
	case 1:
		GUEST_STORE("sb");
		break;
	case 2:
		GUEST_STORE("sh");
		break;
	case 4:
		GUEST_STORE("sw");
		break;
	default:
		GUEST_STORE("sd");
		break;
	}
	return true;
failed:
	return false;
}

#endif
