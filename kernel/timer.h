/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_TIMER_H
#define KERNEL_TIMER_H

/*
 * Timers: each hart keeps a queue ordered by deadline, and has its hardware timer armed for
 * the earliest. Times are ticks of the machine's `time` CSR (timebase-frequency a second).
 */

#include "kernel/heap.h"
#include "kernel/lock.h"
#include "kernel/types.h"
#include "riscv/csr.h"

#define TIME_NEVER UINT64_MAX

struct timer {
	struct heap_node node;                /* its key: the deadline in ticks */
	struct timer_queue *queue;            /* where it is queued, or NULL */
	void (*expired)(struct timer *timer); /* called once, interrupts off, no lock held */
};

/* The present, in ticks. */
#ifdef __riscv

/* this_hart()->time_register, which is not known here; kernel/hart.c checks where it is. */
#define HART_TIME_REGISTER 40

static inline const volatile uint64_t *time_register(void)
{
	const volatile uint64_t *found;

	__asm__("ld %0, %1(tp)" : "=r"(found) : "i"(HART_TIME_REGISTER));
	return found;
}

static inline uint64_t time_now(void)
{
	const volatile uint64_t *found = time_register();

	return unlikely(found) ? *found : csr_read(CSR_TIME);
}
#else
uint64_t time_now(void);
#endif

/* Conversions that neither overflow nor need a 128-bit division. */
uint64_t time_ticks_to_ns(uint64_t ticks);
uint64_t time_ns_to_ticks(uint64_t ns); /* rounds up; saturates at TIME_NEVER */

/* Readies a timer that is not queued. */
void timer_init(struct timer *timer, void (*expired)(struct timer *timer));

/*
 * Queues the timer on this hart for `deadline`, taking it from wherever it was queued. A
 * deadline in the past expires at the next preemption point; TIME_NEVER only cancels. Any
 * lock may be held but those that `expired` takes. One timer is set by one hart at a time:
 * its owner locks that out.
 */
void timer_set(struct timer *timer, uint64_t deadline);

/* Takes the timer out of its queue. It may be expiring on another hart at this moment. */
void timer_cancel(struct timer *timer);

/*
 * Waits until no timer that expired before this call is still being dealt with on another
 * hart: after it the memory of cancelled timers may be reused. No lock held.
 */
void timer_quiesce(void);

#endif
