/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_OPEN_CSRS_H
#define ENGINE_OPEN_CSRS_H

/*
 * CSRs that a guest can reach on a hart though it is told of none of them, as only Smstateen could
 * close them: each vCPU has its own values, so that no other's are seen there. All on the vCPU's
 * hart, interrupts off.
 */

#include "engine/vcpu.h"
#include "kernel/hart.h"

/* Finds those of the running hart, before any guest is loaded there. */
void open_csrs_init_hart(void);

/* Where there are some. */
void open_csrs_restore(const struct vcpu *vcpu);
void open_csrs_save(struct vcpu *vcpu);

static inline void open_csrs_load(const struct vcpu *vcpu)
{
	if (unlikely(this_hart()->open_csrs))
		open_csrs_restore(vcpu);
}

static inline void open_csrs_put(struct vcpu *vcpu)
{
	if (unlikely(this_hart()->open_csrs))
		open_csrs_save(vcpu);
}

#endif
