/* SPDX-License-Identifier: MIT */
#ifndef RISCV_HINT_H
#define RISCV_HINT_H

#ifndef __riscv
#include <sched.h>
#endif

/*
 * PAUSE, for loops that wait: a hint in the FENCE space, harmless without Zihintpause. On the host
 * other threads get their turn.
 */
static inline void cpu_pause(void)
{
#ifdef __riscv
	__asm__ volatile(".4byte 0x0100000f");
#else
	sched_yield();
#endif
}

#endif
