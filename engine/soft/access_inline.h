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
#include "kernel/trap_access.h"

/* Whether the guest's translations may be used for this address, naturally aligned. */
static inline bool guest_may_access(const struct vcpu *vcpu, uint64_t address, unsigned size)
{
	const struct soft_vcpu *soft = vcpu->soft;

	return !(address & (size - 1)) && address + soft->access_bias < soft->access_limit &&
	       address < IMAGE_BASE;
}

__attribute__((always_inline)) static inline bool guest_load(struct vcpu *vcpu, uint64_t address,
							     unsigned size, uint64_t *value)
{
	if (unlikely(!guest_may_access(vcpu, address, size)))
		return false;
	return trap_load(address, size, value);
}

__attribute__((always_inline)) static inline bool guest_store(struct vcpu *vcpu, uint64_t address,
							      unsigned size, uint64_t value)
{
	if (unlikely(!guest_may_access(vcpu, address, size)))
		return false;
	return trap_store(address, size, value);
}

#endif
