/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_SOFT_ACCESS_H
#define ENGINE_SOFT_ACCESS_H

/*
 * The guest's own loads and stores, done by the hypervisor through the shadow tables in use, for
 * the interpreter. False: not done (not naturally aligned, not translated, not allowed, or not
 * possible in this layout); the hart is to try it itself.
 */

#include "engine/vcpu.h"
#include "kernel/types.h"

#ifdef __riscv
#include "engine/soft/access_inline.h"
#else
/* `size` 1, 2, 4 or 8; *value is not extended by the sign. */
bool guest_load(struct vcpu *vcpu, uint64_t address, unsigned size, uint64_t *value);
bool guest_store(struct vcpu *vcpu, uint64_t address, unsigned size, uint64_t value);
#endif

#endif
