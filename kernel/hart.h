/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_HART_H
#define KERNEL_HART_H

/*
 * The machine's harts. Each runs on one stack, with tp pointing at its struct hart; the boot hart
 * has another one for its jobs (vmm/schedule_jobs.c).
 */

#include "kernel/timer.h"
#include "kernel/types.h"

#define HARTS_MAX 64

struct isa;
struct hart_schedule;
struct trace_ring;
struct vcpu_statistics;

/* Timers of one hart; see kernel/timer.c. */
struct timer_queue {
	struct spinlock lock; /* guards the heap and every timer in it */
	struct heap heap;
	uint64_t armed;         /* what the hardware timer is set to; owned by the hart */
	struct timer *expiring; /* whose `expired` runs at this moment, or NULL; atomic */
};

/* What a hart counts, without a lock: it alone writes. */
struct hart_counts {
	uint64_t ipis, timers, externals; /* interrupts taken */
	uint64_t ipis_sent;
	uint64_t idle_ticks; /* spent in interrupt_wait() */
};

struct hart {
	uint64_t library_tls[4]; /* the C library's thread-local variables (errno); see pilae.lds */
	char *emergency_stack_top; /* for the report of a stack overflow; see layout.h */
	/* The machine's mtime, if `time` cannot be read without a trap; else NULL. */
	const volatile uint64_t *time_register;
	uint32_t index;        /* 0 to hart_count() - 1 */
	uint64_t id;           /* the machine's hart id */
	const struct isa *isa; /* what its device-tree node says it can do */
	bool has_h;            /* the H extension, found by trying as well */
	bool has_sstc;         /* stimecmp (and vstimecmp, with H) */
	uint32_t ipi;          /* enum ipi bits, set by anyone */
	struct timer_queue timers;
	char *stack_top;
	volatile uint32_t reschedule;   /* the guest is to be left for the run loop; atomic */
	struct hart_schedule *schedule; /* the scheduler's (vmm/schedule.c) */
	/* In a job: called at preemption points while `reschedule` is set; else NULL. */
	void (*give_way)(void);
	uint32_t open_csrs; /* engine/open_csrs.c: which of them are to be switched */
	struct hart_counts counts;
	/* Of the vCPU that is loaded here; stale when none is (engine/statistics.h). */
	struct vcpu_statistics *statistics;
	struct trace_ring *trace; /* where it records, or NULL; and that it does (kernel/trace.c) */
	bool trace_busy;          /* both atomic */
	uint64_t interrupts_off_since; /* instret; for builds that measure it */
};

/* Why a hart is interrupted. */
enum ipi {
	IPI_KICK = 1, /* leave the guest (or wake up) and look around */
	IPI_HALT = 2, /* stop for good: another hart panicked */
	IPI_CALL = 4, /* there is something to do: hart_call() */
};

#ifdef __riscv
static inline struct hart *this_hart(void)
{
	struct hart *hart;

	__asm__("mv %0, tp" : "=r"(hart));
	return hart;
}
#else
struct hart *this_hart(void);
#endif

/* How many harts run, and the one with an index below that. */
extern unsigned harts_online;
static inline unsigned hart_count(void)
{
	return harts_online;
}
struct hart *hart_by_index(unsigned index);

/* The online hart with this id, or NULL. */
struct hart *hart_by_id(uint64_t id);

/* Describes the boot hart; before anything else. */
void hart_init_boot(uint64_t id);

/*
 * Starts every usable hart of the device tree through SBI HSM and waits until each is up;
 * one that the firmware refuses to start is reported and left out. `prepare` runs on each
 * hart, this one too, before it counts as up; then the others go on to `run`, for good.
 */
void hart_start_all(void (*prepare)(void), void (*run)(void));

/* FENCE.I on every hart, through the firmware (SBI RFENCE). */
void hart_fence_i_all(void);

/* Makes that hart take a software interrupt (SBI sPI). Any context. */
void ipi_send(struct hart *hart, enum ipi reason);

/*
 * For who waits for what another hart does when it is sent an IPI: sends one again if it has not
 * taken the last. Each IPI_PATIENCE turns of the loop, so that one that is lost is not waited for
 * for ever. Any context.
 */
#define IPI_PATIENCE 4096
void ipi_send_again(const struct hart *hart);

/* Makes that hart look what it has to do: its turn ends, or it wakes. Any context. */
void hart_notify(struct hart *hart);

/*
 * Has that hart call `function`, and returns when it has: on the next interrupt it takes, with
 * no lock held; at once on this one. For the boot hart's jobs; passes preemption points.
 */
void hart_call(struct hart *hart, void (*function)(void *argument), void *argument);

/* Stops all other harts, for panic(). */
void ipi_halt_others(void);

/* The interrupt's handler: acknowledges it and deals with the reasons. */
void ipi_interrupt(void);

/* Timer interrupt: runs what has expired and arms the hardware again. */
void timer_interrupt(void);

/* Prepares this hart's timer hardware. */
void timer_init_hart(void);

#endif
