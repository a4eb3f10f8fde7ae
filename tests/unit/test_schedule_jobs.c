/* SPDX-License-Identifier: MIT */
/* unit: vmm/schedule_jobs.c vmm/run_queue.c kernel/heap.c */

#include "tests/unit/fake_kernel.h"

#include "kernel/stack.h"
#include "vmm/schedule_own.h"

#include <ucontext.h>

#define FREQUENCY 10000000
#define MS        UINT64_C(10000) /* ticks */

struct hart_schedule hart_schedules[HARTS_MAX];

static struct hart_schedule *const schedule = &hart_schedules[0];
static uint64_t now;
static char done[64];  /* a letter for each part of a job's step */
static unsigned steps; /* of two_steps() */
static struct entity_group vm_group;
static struct entity reserved, fair;
static ucontext_t turn_context, worker_context;

uint64_t time_now(void)
{
	return now;
}

char *mmu_map_stack(void)
{
	return NULL;
}

void hart_notify(struct hart *hart)
{
	hart->reschedule = 1;
}

char *stack_prepare(char *top, void (*function)(void))
{
	static char stack[256 * 1024];

	(void)top;
	assert_int_equal(getcontext(&worker_context), 0);
	worker_context.uc_stack.ss_sp = stack;
	worker_context.uc_stack.ss_size = sizeof(stack);
	worker_context.uc_link = NULL;
	makecontext(&worker_context, function, 0);
	return (char *)&worker_context;
}

void stack_switch(char **left, char *to)
{
	ucontext_t *from = to == (char *)&worker_context ? &turn_context : &worker_context;

	*left = (char *)from;
	assert_int_equal(swapcontext(from, (ucontext_t *)to), 0);
}

static void init_vcpu(struct entity *entity, uint64_t budget, uint64_t period)
{
	vm_group.weight = 100;
	*entity = (struct entity){
	    .vcpu = (struct vcpu *)(uintptr_t)16,
	    .group = &vm_group,
	    .load = 1,
	    .budget = budget,
	    .period = period,
	};
	entity_init(entity);
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	memset(hart_schedules, 0, sizeof(hart_schedules));
	memset(done, 0, sizeof(done));
	steps = 0;
	now = 12345;
	run_queue_init(&schedule->queue, FREQUENCY);
	schedule_init_jobs();
	init_vcpu(&reserved, 2 * MS, 10 * MS);
	init_vcpu(&fair, 0, 0);
	return 0;
}

/* What the queue gives next is what is expected; a worker's turn is done. */
static void turn_of(const struct entity *expected)
{
	harts[0].reschedule = 0;
	assert_ptr_equal(run_queue_next(&schedule->queue, now), expected);
	if (expected == &schedule->worker)
		schedule_work(schedule);
	assert_null(harts[0].give_way);
}

static void note(char what)
{
	done[strlen(done)] = what;
}

static struct job first_job, second_job;
static struct entity *wakes; /* at the next preemption point */

/* As kernel/trap.c does. */
static void interrupt(void)
{
	if (wakes) {
		run_queue_wake(&schedule->queue, wakes, now);
		harts[0].reschedule = 1;
	}
	wakes = NULL;
	if (harts[0].reschedule && harts[0].give_way)
		harts[0].give_way();
}

static void pass_preempt_point(void)
{
	preempt_hook = interrupt;
	preempt_point();
}

/* Two steps, each with a preemption point in its midst. */
static int two_steps(struct job *job)
{
	(void)job;
	note('a');
	pass_preempt_point();
	note('b');
	return ++steps % 2 ? ERR_AGAIN : 0;
}

static int one_step(struct job *job)
{
	(void)job;
	note('x');
	return 0;
}

static void test_in_turn(void **state)
{
	(void)state;
	schedule_job(&first_job, two_steps);
	schedule_job(&second_job, one_step);
	assert_int_equal(harts[0].reschedule, 1);
	turn_of(&schedule->worker);
	assert_string_equal(done, "abxab");
	assert_false(schedule->worker.active);
	turn_of(NULL);
}

static void test_cancelled(void **state)
{
	(void)state;
	schedule_job(&first_job, two_steps);
	schedule_job(&second_job, one_step);
	schedule_cancel_job(&first_job);
	turn_of(&schedule->worker);
	assert_string_equal(done, "x");
}

/* It has its turn in the midst of the step, which then goes on, before any other. */
static void test_gives_way_to_a_reservation(void **state)
{
	(void)state;
	wakes = &reserved;
	schedule_job(&first_job, two_steps);
	schedule_job(&second_job, one_step);
	turn_of(&schedule->worker);
	assert_string_equal(done, "a");
	assert_true(schedule->worker.queued);
	turn_of(&reserved);
	run_queue_end_turn(&schedule->queue, now, true);
	turn_of(&schedule->worker);
	assert_string_equal(done, "abxab");
	assert_false(schedule->worker.active);
}

/* The job in the midst of which it is may be the only one: it is not asleep. */
static void test_last_job_goes_on(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		wakes = &reserved;
		schedule_job(&first_job, two_steps);
		turn_of(&schedule->worker);
		assert_true(list_empty(&schedule->jobs));
		turn_of(&reserved);
		now += MS / 10;
		run_queue_end_turn(&schedule->queue, now, true);
		turn_of(&schedule->worker);
		assert_int_equal(strlen(done), 4 * (i + 1));
		assert_false(schedule->worker.active);
	}
}

/* Then the rest of the step comes before those that are fair, however little these have had. */
static void test_finishes_its_step_first(void **state)
{
	(void)state;
	wakes = &reserved;
	schedule_job(&first_job, two_steps);
	assert_ptr_equal(run_queue_next(&schedule->queue, now), &schedule->worker);
	now += MS;
	schedule_work(schedule);
	assert_string_equal(done, "a");
	run_queue_wake(&schedule->queue, &fair, now);
	turn_of(&reserved);
	run_queue_end_turn(&schedule->queue, now, true);
	/* Its turn ends with the step, and its time is what it was. */
	assert_ptr_equal(run_queue_next(&schedule->queue, now), &schedule->worker);
	harts[0].reschedule = 1;
	schedule_work(schedule);
	assert_string_equal(done, "ab");
	turn_of(&fair);
	run_queue_end_turn(&schedule->queue, now, true);
	turn_of(&schedule->worker);
	assert_string_equal(done, "abab");
}

/* One that is fair waits for the end of the step. */
static void test_keeps_the_fair_waiting(void **state)
{
	(void)state;
	wakes = &fair;
	schedule_job(&first_job, two_steps);
	turn_of(&schedule->worker);
	assert_string_equal(done, "ab");
	assert_true(schedule->worker.queued && fair.queued);
}

/* Whose budget is used up has none, until its period ends: then it is due without waking. */
static void test_exhausted(void **state)
{
	(void)state;
	run_queue_wake(&schedule->queue, &reserved, now);
	turn_of(&reserved);
	run_queue_wake(&schedule->queue, &fair, now);
	now += 2 * MS;
	run_queue_end_turn(&schedule->queue, now, false);
	assert_int_equal(reserved.class, ENTITY_EXHAUSTED);
	turn_of(&fair);
	run_queue_end_turn(&schedule->queue, now, true);

	schedule_job(&first_job, two_steps);
	assert_ptr_equal(run_queue_next(&schedule->queue, now), &schedule->worker);
	/* Its turn is to end for something else. */
	harts[0].reschedule = 1;
	schedule_work(schedule);
	assert_string_equal(done, "ab");
	assert_ptr_equal(run_queue_next(&schedule->queue, now), &schedule->worker);
	now = reserved.period_end;
	harts[0].reschedule = 1;
	schedule_work(schedule);
	assert_string_equal(done, "aba");
	turn_of(&reserved);
	run_queue_end_turn(&schedule->queue, now, true);
	turn_of(&schedule->worker);
	assert_string_equal(done, "abab");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_in_turn, setup),
	    cmocka_unit_test_setup(test_cancelled, setup),
	    cmocka_unit_test_setup(test_gives_way_to_a_reservation, setup),
	    cmocka_unit_test_setup(test_last_job_goes_on, setup),
	    cmocka_unit_test_setup(test_finishes_its_step_first, setup),
	    cmocka_unit_test_setup(test_keeps_the_fair_waiting, setup),
	    cmocka_unit_test_setup(test_exhausted, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
