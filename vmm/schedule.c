/* SPDX-License-Identifier: MIT */

#include "vmm/schedule.h"

#include "kernel/error.h"
#include "kernel/hart.h"
#include "kernel/log.h"
#include "kernel/platform.h"
#include "kernel/pool.h"
#include "kernel/trap.h"
#include "vmm/gmem.h"
#include "vmm/hooks.h"
#include "vmm/vm.h"

#define SLICE_PER_SECOND 200 /* a turn lasts 5 ms while others wait */

struct run_queue {
	struct spinlock lock; /* guards `runnable`, `count`, `jobs`; and mode BLOCKED to HOST */
	struct list runnable; /* vCPUs waiting for their turn */
	unsigned count;       /* of these */
	struct list jobs;
	struct vcpu *current; /* whose turn it is, or NULL; its hart's alone, as the next two */
	bool alone;           /* nobody else waits for the hart */
	bool trap_wfi;        /* something can be done while its vCPU waits */
	struct vcpu *loaded;  /* whose state is in the hart, or NULL */
	struct timer slice;
	unsigned placed; /* vCPUs that have their place here; atomic */
};

static struct run_queue queues[HARTS_MAX];

static struct run_queue *queue_of(const struct hart *hart)
{
	return &queues[hart->index];
}

static struct hart *hart_of(const struct run_queue *queue)
{
	return hart_by_index((unsigned)(queue - queues));
}

static void slice_expired(struct timer *timer)
{
	(void)timer;
	this_hart()->reschedule = 1;
}

void schedule_init_hart(void)
{
	this_hart()->run_queue = queue_of(this_hart());
}

void schedule_init(void)
{
	for (unsigned i = 0; i < HARTS_MAX; i++) {
		struct run_queue *queue = &queues[i];

		list_init(&queue->runnable);
		list_init(&queue->jobs);
		timer_init(&queue->slice, slice_expired);
	}
}

/* Makes a hart notice what is new in its queue. */
static void notify(struct run_queue *queue)
{
	struct hart *hart = hart_of(queue);

	__atomic_store_n(&hart->reschedule, 1, __ATOMIC_SEQ_CST);
	if (hart != this_hart())
		ipi_send(hart, IPI_KICK);
}

static void enqueue(struct run_queue *queue, struct vcpu *vcpu)
{
	list_push_back(&queue->runnable, &vcpu->run_link);
	queue->count++;
}

void schedule_trap_wfi(void)
{
	this_hart()->run_queue->trap_wfi = true;
}

void schedule_job(struct job *job, int (*step)(struct job *job))
{
	struct run_queue *queue = &queues[0];

	job->step = step;
	spin_lock(&queue->lock);
	list_push_back(&queue->jobs, &job->link);
	spin_unlock(&queue->lock);
	notify(queue);
}

struct hart *schedule_place(const struct vm *vm)
{
	struct run_queue *best = NULL;

	for (unsigned i = 0; i < hart_count(); i++) {
		struct run_queue *queue = &queues[i];
		const struct hart *hart = hart_of(queue);

		if (!vmconfig_allows_cpu(&vm->config, hart->id) || !vm->guest.engine->can_use(hart))
			continue;
		if (!best || queue->placed < best->placed)
			best = queue;
	}
	if (!best)
		return NULL;
	__atomic_add_fetch(&best->placed, 1, __ATOMIC_RELAXED);
	return hart_of(best);
}

void schedule_unplace(struct vcpu *vcpu)
{
	__atomic_sub_fetch(&queue_of(vcpu->hart)->placed, 1, __ATOMIC_RELAXED);
}

void schedule_start(struct vcpu *vcpu)
{
	struct run_queue *queue = queue_of(vcpu->hart);

	spin_lock(&queue->lock);
	__atomic_store_n(&vcpu->mode, VCPU_HOST, __ATOMIC_SEQ_CST);
	enqueue(queue, vcpu);
	spin_unlock(&queue->lock);
	notify(queue);
}

void vcpu_wake(struct vcpu *vcpu)
{
	struct run_queue *queue = queue_of(vcpu->hart);
	bool woken;

	spin_lock(&queue->lock);
	woken = vcpu->mode == VCPU_BLOCKED;
	if (woken) {
		__atomic_store_n(&vcpu->mode, VCPU_HOST, __ATOMIC_SEQ_CST);
		enqueue(queue, vcpu);
	}
	spin_unlock(&queue->lock);
	if (woken)
		notify(queue);
}

void schedule_block(struct vcpu *vcpu)
{
	const struct engine *engine = vcpu->guest->engine;
	uint64_t deadline = engine->timer_deadline(vcpu);

	if (engine->has_interrupt(vcpu))
		return;
	if (deadline != TIME_NEVER)
		timer_set(&vcpu->timer, deadline);

	vcpu->waits = true;

	/*
	 * Its turn ends here even if somebody wakes it at once: a waker puts it into the queue,
	 * and only end_turn() looks there.
	 */
	this_hart()->reschedule = 1;
	__atomic_store_n(&vcpu->mode, VCPU_BLOCKED, __ATOMIC_SEQ_CST);

	/* Who raises something after this looks sees BLOCKED and wakes it; before, we see it. */
	if (engine->has_interrupt(vcpu) ||
	    __atomic_load_n(&vcpu->requests, __ATOMIC_SEQ_CST) & ~(uint32_t)VCPU_SUSPENDED)
		vcpu_wake(vcpu);
}

void schedule_suspend(struct vcpu *vcpu)
{
	__atomic_fetch_or(&vcpu->requests, VCPU_SUSPENDED, __ATOMIC_SEQ_CST);
}

void schedule_park(struct vcpu *vcpu)
{
	__atomic_fetch_or(&vcpu->requests, VCPU_PARK, __ATOMIC_SEQ_CST);
}

static void unload(struct run_queue *queue)
{
	if (queue->loaded)
		queue->loaded->guest->engine->put(queue->loaded);
	queue->loaded = NULL;
}

static void take_out(struct run_queue *queue, struct vcpu *vcpu)
{
	spin_lock(&queue->lock);
	/* It blocked, and was woken again, before its turn ended. */
	if (!list_empty(&vcpu->run_link)) {
		list_remove(&vcpu->run_link);
		queue->count--;
	}
	__atomic_store_n(&vcpu->mode, VCPU_PARKED, __ATOMIC_SEQ_CST);
	spin_unlock(&queue->lock);
}

static void park(struct run_queue *queue, struct vcpu *vcpu)
{
	unload(queue);
	__atomic_store_n(&vcpu->requests, 0, __ATOMIC_SEQ_CST);
	gmem_fault_abandon(vcpu);
	timer_cancel(&vcpu->timer);
	take_out(queue, vcpu);
	vm_vcpu_parked(vcpu);
}

/* Keeps all that is pending, as it goes on later; a timer that expires meanwhile adds to that. */
static void put_aside(struct run_queue *queue, struct vcpu *vcpu)
{
	unload(queue);
	if (vcpu->waits && !(vcpu->requests & VCPU_SUSPENDED))
		__atomic_fetch_or(&vcpu->requests, VCPU_WAITING, __ATOMIC_SEQ_CST);
	take_out(queue, vcpu);
	vm_vcpu_paused(vcpu);
}

/* The fences that other vCPUs asked for. */
static void do_fences(struct vcpu *vcpu)
{
	static const struct fence everything = {0, UINT64_MAX, FENCE_ALL_ASIDS};
	struct fence fences[FENCES_MAX];
	unsigned count;

	if (vcpu_take_fences(vcpu, fences, &count))
		vcpu->guest->engine->fence(vcpu, &everything);
	for (unsigned i = 0; i < count; i++)
		vcpu->guest->engine->fence(vcpu, &fences[i]);
}

/* A suspended vCPU goes on when it has an interrupt, else it waits (again). */
static bool resume(struct vcpu *vcpu)
{
	if (!vcpu->guest->engine->has_interrupt(vcpu)) {
		schedule_block(vcpu);
		return vcpu->mode == VCPU_HOST;
	}
	__atomic_fetch_and(&vcpu->requests, ~(uint32_t)VCPU_SUSPENDED, __ATOMIC_SEQ_CST);
	vcpu_resume(vcpu);
	return true;
}

/* Why it is not to be entered; 0 if it may be. */
static uint32_t leaves(const struct vcpu *vcpu)
{
	return __atomic_load_n(&vcpu->requests, __ATOMIC_SEQ_CST) &
	       (VCPU_LEAVE | VCPU_PARK | VCPU_PAUSE);
}

/* It waited for an interrupt before it was put aside, and does so again if none has come. */
static bool wait_again(struct vcpu *vcpu)
{
	__atomic_fetch_and(&vcpu->requests, ~(uint32_t)VCPU_WAITING, __ATOMIC_SEQ_CST);
	schedule_block(vcpu);
	return vcpu->mode == VCPU_HOST;
}

/* Does what is requested. false: the vCPU is not to be entered now, or not any more. */
static bool prepare(struct vcpu *vcpu)
{
	const uint32_t fences = VCPU_FENCE_I | VCPU_FENCE_VMA | VCPU_FLUSH;
	uint32_t requests = __atomic_fetch_and(&vcpu->requests, ~fences, __ATOMIC_SEQ_CST);

	if (requests & VCPU_FENCE_I)
		__asm__ volatile("fence.i" ::: "memory");
	if (requests & VCPU_FENCE_VMA)
		do_fences(vcpu);
	if (requests & VCPU_FLUSH)
		vcpu->guest->engine->flush(vcpu);
	if (leaves(vcpu))
		return false;
	if (requests & VCPU_SUSPENDED)
		return resume(vcpu);
	return !(requests & VCPU_WAITING) || wait_again(vcpu);
}

static struct vcpu *take_next(struct run_queue *queue)
{
	struct vcpu *vcpu = NULL;

	spin_lock(&queue->lock);
	if (!list_empty(&queue->runnable)) {
		vcpu = list_entry(queue->runnable.next, struct vcpu, run_link);
		list_remove(&vcpu->run_link);
		queue->count--;
	}
	spin_unlock(&queue->lock);
	return vcpu;
}

/* Begins a vCPU's turn. */
static void begin_turn(struct run_queue *queue, struct vcpu *vcpu)
{
	if (queue->loaded != vcpu) {
		unload(queue);
		vcpu->guest->engine->load(vcpu);
		queue->loaded = vcpu;
	}
	queue->current = vcpu;
	if (!(vcpu->requests & VCPU_PAUSE))
		vcpu->waits = false;

	/*
	 * Alone, it runs without a tick, and WFI waits in the guest: once the stock of cleared
	 * pages, which is filled in the time that guests wait, is full.
	 */
	queue->alone = queue->count == 0 && list_empty(&queue->jobs);
	queue->trap_wfi = !queue->alone || pool_wants_refill();
	if (!queue->alone)
		timer_set(&queue->slice, time_now() + platform.timebase / SLICE_PER_SECOND);
}

/* Ends it: the vCPU goes to the end of the queue, or where its mode says. */
static void end_turn(struct run_queue *queue, struct vcpu *vcpu)
{
	uint32_t why = leaves(vcpu);

	queue->current = NULL;
	if (!queue->alone)
		timer_cancel(&queue->slice);
	if (why & (VCPU_LEAVE | VCPU_PARK)) {
		park(queue, vcpu);
		return;
	}
	if (why) {
		put_aside(queue, vcpu);
		return;
	}
	spin_lock(&queue->lock);
	/* Blocked, it is in no queue; and whoever woke it since has put it into this one. */
	if (vcpu->mode == VCPU_HOST && list_empty(&vcpu->run_link))
		enqueue(queue, vcpu);
	spin_unlock(&queue->lock);
}

static bool run_job_step(struct run_queue *queue)
{
	struct job *job = NULL;

	spin_lock(&queue->lock);
	if (!list_empty(&queue->jobs)) {
		job = list_entry(queue->jobs.next, struct job, link);
		list_remove(&job->link);
	}
	spin_unlock(&queue->lock);
	if (!job)
		return false;
	/* A job that is finished may be gone after its last step. */
	if (job->step(job) == ERR_AGAIN) {
		spin_lock(&queue->lock);
		list_push_back(&queue->jobs, &job->link);
		spin_unlock(&queue->lock);
	}
	return true;
}

/* Jobs have their turns too, as long as a vCPU's at the most. */
static bool run_jobs(struct run_queue *queue)
{
	uint64_t end = time_now() + platform.timebase / SLICE_PER_SECOND;
	bool worked = false;

	while (time_now() < end && run_job_step(queue)) {
		worked = true;
		preempt_point();
	}
	return worked;
}

static void idle(void)
{
	if (pool_refill_step())
		preempt_point();
	else
		interrupt_wait();
}

/* Finds the next vCPU whose turn it is; does other work, or waits, while there is none. */
static void next_turn(struct run_queue *queue)
{
	__atomic_store_n(&this_hart()->reschedule, 0, __ATOMIC_SEQ_CST);
	preempt_point();

	bool worked = run_jobs(queue);
	struct vcpu *vcpu = take_next(queue);

	if (vcpu)
		begin_turn(queue, vcpu);
	else if (!worked)
		idle();
}

/* Something has to be done before the vCPU, if there is one, can be entered (again). */
static __attribute__((noinline)) void turn(struct run_queue *queue, struct vcpu *vcpu)
{
	if (vcpu) {
		if (!this_hart()->reschedule && vcpu->mode == VCPU_HOST && prepare(vcpu))
			return;
		end_turn(queue, vcpu);
	}
	next_turn(queue);
}

void schedule_run(void)
{
	struct hart *hart = this_hart();
	struct run_queue *queue = hart->run_queue;

	for (;;) {
		struct vcpu *vcpu = queue->current;

		/* Returns only if a request came in between. */
		if (likely(vcpu && !(hart->reschedule | vcpu->mode | vcpu->requests)))
			vcpu->guest->engine->run(vcpu, queue->trap_wfi);
		else
			turn(queue, vcpu);
	}
}
