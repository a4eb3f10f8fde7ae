/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_IRQOFF_H
#define KERNEL_IRQOFF_H

/*
 * Measures the longest stretch of instructions that the hypervisor runs with interrupts off,
 * in a build made with -DPILAE_MEASURE_IRQOFF; costs nothing in any other. A stretch begins
 * with a trap (or the end of a preemption point) and ends where a guest is entered, at a
 * preemption point, or where the hart goes idle. What is not ended is not begun anew: a stretch
 * is as long as the trap, however many parts deal with it. switch.S begins one by itself.
 */

#ifdef PILAE_MEASURE_IRQOFF

void irqoff_begin(void);
void irqoff_end(void);

/* It may end soon, where nothing can be called: it counts as far as here, and goes on. */
void irqoff_note(void);

/* Forgets what was measured: what precedes the first guest does not count. */
void irqoff_start_measuring(void);

/* Logs the longest stretch and where it began and ended. */
void irqoff_report(void);

#else

static inline void irqoff_begin(void)
{
}

static inline void irqoff_end(void)
{
}

static inline void irqoff_note(void)
{
}

static inline void irqoff_start_measuring(void)
{
}

static inline void irqoff_report(void)
{
}

#endif
#endif
