/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_DISTURB_H
#define KERNEL_DISTURB_H

/*
 * Interrupts as bad machines have them, in a build made with -DPILAE_DISTURB_INTERRUPTS; costs
 * nothing in any other. IPIs come late, twice, or without a reason; timer and external interrupts
 * without a cause. All at random, with interrupts off, from any hart.
 */

#include "kernel/types.h"

struct hart;

#ifdef PILAE_DISTURB_INTERRUPTS

/*
 * For who is about to send an IPI: whether it is not sent now, but up to a millisecond later. While
 * this hart takes no interrupts it is not sent at all.
 */
bool disturb_ipi(const struct hart *hart);

/* For who has taken an interrupt; `external` handles external ones, or is NULL. */
void disturb_interrupt(void (*external)(void));

#else

static inline bool disturb_ipi(const struct hart *hart)
{
	(void)hart;
	return false;
}

static inline void disturb_interrupt(void (*external)(void))
{
	(void)external;
}

#endif

#endif
