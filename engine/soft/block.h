/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_SOFT_BLOCK_H
#define ENGINE_SOFT_BLOCK_H

/* The decoded blocks that a vCPU keeps: a cache by pc of what lies in rewritten pages. */

#include "engine/soft/interp.h"
#include "engine/vcpu.h"

/* ERR_NOMEM. */
int block_cache_init(struct vcpu *vcpu);
void block_cache_clear(struct vcpu *vcpu);

/*
 * The block at `pc` of the guest's S-mode; NULL if pc is in no rewritten page that is mapped now.
 * One with count 0 has nothing to interpret.
 */
const struct block *block_find(struct vcpu *vcpu, uint64_t pc);

/*
 * Lets fast_ops.S know what lies at `pc`, for which block_find() has just found a block and which
 * was trapped.
 */
void block_make_fast(struct vcpu *vcpu, uint64_t pc);

#endif
