/* SPDX-License-Identifier: MIT */
#ifndef VMM_SCHEDULE_H
#define VMM_SCHEDULE_H

/*
 * Who runs on which hart: each hart has a queue of runnable vCPUs that take turns, and of
 * jobs, work of the hypervisor's own that is cut into steps. A vCPU stays on the hart it was
 * placed on.
 */

#include "engine/vcpu.h"
#include "kernel/list.h"
#include "kernel/types.h"

struct vm;

/* Work in steps of less than 20,000 instructions or with preemption points of its own. */
struct job {
	struct list link;
	/* Does one step; ERR_AGAIN if there is more to do. Interrupts off, no lock held. */
	int (*step)(struct job *job);
};

/* Readies the queues of all harts; before any of the rest. */
void schedule_init(void);

/* Readies this hart for schedule_run(). */
void schedule_init_hart(void);

/*
 * The run loop of this hart: goes on with the vCPU whose turn it is, or with the next. Never
 * returns; it is entered anew, on an empty stack, after every exit.
 */
void schedule_run(void) __attribute__((noreturn));

/* Lets WFI of the vCPU whose turn it is on this hart come here, for the rest of its turn. */
void schedule_trap_wfi(void);

/* Queues a job on the boot hart, which does all of them. Any hart, any lock but a queue's. */
void schedule_job(struct job *job, int (*step)(struct job *job));

/* The hart, of those the VM may use, that has the fewest vCPUs placed on it. */
struct hart *schedule_place(const struct vm *vm);

/* Gives up a vCPU's place. */
void schedule_unplace(struct vcpu *vcpu);

/* The vCPU whose turn it is on this hart, which is loaded there; NULL in a job. */
struct vcpu *schedule_current(void);

/*
 * Reads the registers of a vCPU that has its place on this hart, where it cannot be running
 * meanwhile; ERR_AGAIN if it has it elsewhere (any more). Takes the queue's lock.
 */
struct vcpu_state;
int schedule_read_state(struct vcpu *vcpu, struct vcpu_state *state);

/*
 * A parked vCPU becomes runnable on its hart. Its registers are set. Any hart; takes the
 * queue's lock.
 */
void schedule_start(struct vcpu *vcpu);

/*
 * For exit handlers, on the vCPU that runs on this hart, when the handler returns: it waits
 * for an interrupt (or goes on at once if one is pending); it waits and is then resumed by
 * vcpu_resume(); it is parked.
 */
void schedule_block(struct vcpu *vcpu);
void schedule_suspend(struct vcpu *vcpu);
void schedule_park(struct vcpu *vcpu);

#endif
