/* SPDX-License-Identifier: MIT */
#ifndef VMM_SCHEDULE_OWN_H
#define VMM_SCHEDULE_OWN_H

/*
 * Between the files of the scheduler: schedule.c (turns), schedule_jobs.c (what the worker does in
 * its own) and schedule_place.c (places, moves).
 */

#include "kernel/hart.h"
#include "kernel/lock.h"
#include "vmm/run_queue.h"
#include "vmm/schedule.h"

struct hart_schedule {
	struct spinlock lock; /* guards `queue`, `jobs`; and mode BLOCKED to HOST */
	struct run_queue queue;
	struct list jobs;
	struct entity worker; /* stands for the jobs */
	struct entity_group worker_group;

	/* Its hart's alone, but that others read `loaded`. */
	struct vcpu *current; /* whose turn it is, or NULL */
	bool trap_wfi;        /* something can be done while its vCPU waits */
	struct entity *next;  /* another one of its VM, which is to go on first, or NULL */
	struct vcpu *loaded;  /* whose state is in the hart, or NULL */
	struct timer turn_end;
	uint64_t next_balance; /* when it looks whether others have less to do */

	/* Of the vCPUs that have been placed here, which is done on the boot hart alone. */
	uint64_t placed;   /* their loads */
	uint64_t reserved; /* their reservations, in millionths of the hart */
};

/* What an entity of the default weight counts for when harts are compared. */
#define SCHEDULE_LOAD 1024

extern struct hart_schedule hart_schedules[HARTS_MAX];

/* Harts that have nothing to do: a bit for each index. Atomic. */
extern uint64_t idle_harts;

static inline struct hart *hart_of(const struct hart_schedule *schedule)
{
	return hart_by_index((unsigned)(schedule - hart_schedules));
}

/* Readies the jobs of all harts, of which the boot hart's are done. At boot, before any is queued.
 */
void schedule_init_jobs(void);

/*
 * The worker's turn on the boot hart: does steps of jobs until there are none, until the turn is to
 * end, or until one with a reservation is due. Ends the turn in the queue.
 */
void schedule_work(struct hart_schedule *schedule);

/*
 * Something waits that these harts may take over, a bit for each index: wakes one that has nothing
 * to do. Any context.
 */
void schedule_offer(uint64_t harts);

/*
 * On the schedule's hart, no lock held. Pull, for one that has nothing to do: takes a vCPU over
 * from another hart; false: none has one to spare. Push: moves one that waits to the hart that has
 * the least to do, if that is less than here.
 */
bool schedule_pull(struct hart_schedule *schedule);
void schedule_push(struct hart_schedule *schedule);

#endif
