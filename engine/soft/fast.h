/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_SOFT_FAST_H
#define ENGINE_SOFT_FAST_H

/* What fast_ops.S executes right behind the trap. */

#include "engine/vcpu.h"

/* ERR_NOMEM. */
int fast_init(struct vcpu *vcpu);

/*
 * Makes a site of the privileged instructions that follow each other at `pc`, as far as fast_ops.S
 * knows them; `code` points at the `size` bytes of them that lie in one page. If it does not know
 * the first, there is none. It is true as long as the shadow's code_generation stays.
 */
void fast_build(struct vcpu *vcpu, uint64_t pc, const uint8_t *code, unsigned size);

/* Whether fast_build() was called for `pc`, with what is true now. */
bool fast_is_known(const struct vcpu *vcpu, uint64_t pc);

/* Forgets all sites. */
void fast_clear(struct vcpu *vcpu);

#endif
