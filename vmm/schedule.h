/* SPDX-License-Identifier: MIT */
#ifndef VMM_SCHEDULE_H
#define VMM_SCHEDULE_H

/*
 * Who runs on which hart. Each hart has a queue of the vCPUs that wait for it (vmm/run_queue.h),
 * and of jobs, work of the hypervisor's own that is cut into steps. Harts with nothing to do, and
 * now and then those with little, take vCPUs over from others (vmm/schedule.c).
 */

#include "engine/vcpu.h"
#include "kernel/list.h"
#include "kernel/types.h"

struct vm;

/*
 * Work in steps of less than 20,000 instructions or with preemption points of its own. There vCPUs
 * with reservations may have their turns; other vCPUs of this hart, and other jobs, between steps.
 */
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

/*
 * Takes a job out of the queue, if it is in it. On the boot hart, in another job, so that it is not
 * being done; its link was readied by list_init() before it was queued first.
 */
void schedule_cancel_job(struct job *job);

/*
 * The vCPU whose turn it is on this hart has notified a device: machine_work() is called before it
 * enters its guest again.
 */
void schedule_devices(void);

/*
 * Places a new vCPU, which is parked, on the hart of those its VM may use that has the least to
 * do, and with a reservation only where that fits. On the boot hart, in a job or at boot; memory
 * comes from the VM's arena. ERR_NOMEM; ERR_TOO_LARGE: there is no hart that could keep to its
 * reservation, which has been reported.
 */
int schedule_place(struct vm *vm, struct vcpu *vcpu);

/* Gives up its place. It is parked. */
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
 * A parked vCPU becomes runnable. Its registers are set. Any hart; takes the queue's lock.
 */
void schedule_start(struct vcpu *vcpu);

/*
 * For exit handlers: the vCPU whose turn it is on this hart waits for what another one of its VM
 * does. If one of those waits for this hart, it goes on first, in its place. Takes the queue's
 * lock.
 */
void schedule_yield(struct vcpu *vcpu);

/* The same, after an exit for an interrupt: if its turn is to end, and it waits so. */
void schedule_look(struct vcpu *vcpu);

/*
 * For exit handlers, on the vCPU that runs on this hart, when the handler returns: it waits
 * for an interrupt (or goes on at once if one is pending); it waits and is then resumed by
 * vcpu_resume(); it is parked.
 */
void schedule_block(struct vcpu *vcpu);
void schedule_suspend(struct vcpu *vcpu);
void schedule_park(struct vcpu *vcpu);

#endif
