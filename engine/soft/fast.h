/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_SOFT_FAST_H
#define ENGINE_SOFT_FAST_H

/* What switch.S executes right behind the trap. */

#include "engine/vcpu.h"

/* ERR_NOMEM. */
int fast_init(struct vcpu *vcpu);

/* Whether there is no site for `pc`, and one can be made now that is true. */
bool fast_is_wanted(const struct vcpu *vcpu, uint64_t pc);

/*
 * Makes a site of the privileged instructions that follow each other at `pc`, where one is wanted,
 * as far as there are ops for them; `code` points at the `size` bytes of them that lie in one page.
 * If there are none for the first, so is no site. It is true as long as the shadow's
 * code_generation stays.
 */
void fast_build(struct vcpu *vcpu, uint64_t pc, const uint8_t *code, unsigned size);

/* Forgets all sites. */
void fast_clear(struct vcpu *vcpu);

#endif
