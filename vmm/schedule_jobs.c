/* SPDX-License-Identifier: MIT */

/*
 * Jobs, which all run on the boot hart, one step after the other, on a stack of their own: so that
 * a step can be left in its midst, at a preemption point, for a vCPU with a reservation. What is
 * fair can wait for the step's end; the reservation waits for no more than the longest stretch
 * with interrupts off. No other job begins meanwhile.
 */

#include "kernel/error.h"
#include "kernel/mmu.h"
#include "kernel/stack.h"
#include "kernel/trace.h"
#include "kernel/trap.h"
#include "vmm/schedule_own.h"

#define WORKER_WEIGHT 100 /* of the jobs of a hart, against those of VMs */

static struct {
	char *stack;      /* where it goes on, while it has no turn */
	char *turn_stack; /* where that of its turn was left */
	bool in_step;
} worker;

void schedule_job(struct job *job, int (*step)(struct job *job))
{
	struct hart_schedule *schedule = &hart_schedules[0];
	struct entity *entity = &schedule->worker;

	job->step = step;
	spin_lock(&schedule->lock);
	list_push_back(&schedule->jobs, &job->link);
	if (!entity->active)
		run_queue_wake(&schedule->queue, entity, time_now());
	spin_unlock(&schedule->lock);
	hart_notify(hart_of(schedule));
}

void schedule_cancel_job(struct job *job)
{
	struct hart_schedule *schedule = &hart_schedules[0];

	spin_lock(&schedule->lock);
	list_remove(&job->link);
	spin_unlock(&schedule->lock);
}

static struct job *take_job(struct hart_schedule *schedule)
{
	struct job *job = NULL;

	spin_lock(&schedule->lock);
	if (!list_empty(&schedule->jobs)) {
		job = list_entry(schedule->jobs.next, struct job, link);
		list_remove(&job->link);
	}
	spin_unlock(&schedule->lock);
	return job;
}

static bool run_job_step(struct hart_schedule *schedule)
{
	struct job *job = take_job(schedule);

	if (!job)
		return false;
	worker.in_step = true;
	/* A job that is finished may be gone after its last step. */
	if (job->step(job) == ERR_AGAIN) {
		spin_lock(&schedule->lock);
		list_push_back(&schedule->jobs, &job->link);
		spin_unlock(&schedule->lock);
	}
	worker.in_step = false;
	return true;
}

/* Ends the worker's turn; returns when it has the next one. */
static void leave(void)
{
	stack_switch(&worker.stack, worker.turn_stack);
}

static void work_on(void)
{
	for (;;) {
		while (run_job_step(&hart_schedules[0])) {
			preempt_point();
			if (this_hart()->reschedule)
				break;
		}
		leave();
	}
}

static void give_way(void)
{
	struct hart_schedule *schedule = &hart_schedules[0];
	bool must;

	spin_lock(&schedule->lock);
	must = run_queue_has_reserved(&schedule->queue, time_now());
	spin_unlock(&schedule->lock);
	if (must)
		leave();
}

static void init_entity(struct hart_schedule *schedule)
{
	schedule->worker_group.weight = WORKER_WEIGHT;
	schedule->worker = (struct entity){
	    .group = &schedule->worker_group,
	    .load = SCHEDULE_LOAD,
	};
	entity_init(&schedule->worker);
}

void schedule_init_jobs(void)
{
	for (unsigned i = 0; i < HARTS_MAX; i++) {
		list_init(&hart_schedules[i].jobs);
		init_entity(&hart_schedules[i]);
	}
	worker.stack = stack_prepare(mmu_map_stack(), work_on);
}

void schedule_work(struct hart_schedule *schedule)
{
	trace(TRACE_WORK, 0, 0, 0, 0);
	this_hart()->give_way = give_way;
	stack_switch(&worker.turn_stack, worker.stack);
	this_hart()->give_way = NULL;
	trace(TRACE_WORK_END, 0, 0, 0, 0);
	spin_lock(&schedule->lock);
	run_queue_end_turn(&schedule->queue, time_now(),
			   !worker.in_step && list_empty(&schedule->jobs));
	/* The rest of a step comes next, as others may need what it has in hand. */
	if (worker.in_step)
		run_queue_hurry(&schedule->queue, &schedule->worker);
	spin_unlock(&schedule->lock);
}
