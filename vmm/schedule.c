/* SPDX-License-Identifier: MIT */

/* Turns: whose it is, what it has to do first, and what a hart does in between. */

#include "engine/vcpu_trace.h"
#include "kernel/error.h"
#include "kernel/log.h"
#include "kernel/platform.h"
#include "kernel/pool.h"
#include "kernel/trap.h"
#include "vmm/gmem.h"
#include "vmm/hooks.h"
#include "vmm/schedule_own.h"
#include "vmm/vm.h"

#define BALANCES_PER_SECOND 50
#define LOOKS_PER_SECOND    5000

struct hart_schedule hart_schedules[HARTS_MAX];
uint64_t idle_harts;

/* It may come after a turn that ended early. */
static void turn_ended(struct timer *timer)
{
	(void)timer;
	this_hart()->reschedule = 1;
}

void schedule_init_hart(void)
{
	this_hart()->schedule = &hart_schedules[this_hart()->index];
}

void schedule_init(void)
{
	for (unsigned i = 0; i < HARTS_MAX; i++) {
		struct hart_schedule *schedule = &hart_schedules[i];

		run_queue_init(&schedule->queue, platform.timebase);
		timer_init(&schedule->turn_end, turn_ended);
	}
	schedule_init_jobs();
}

void schedule_trap_wfi(void)
{
	this_hart()->schedule->trap_wfi = true;
}

/* The queue of the hart that a vCPU is on, which may change until it is locked. */
static struct hart_schedule *lock_schedule_of(struct vcpu *vcpu)
{
	for (;;) {
		struct hart *hart = __atomic_load_n(&vcpu->hart, __ATOMIC_ACQUIRE);
		struct hart_schedule *schedule = &hart_schedules[hart->index];

		spin_lock(&schedule->lock);
		if (__atomic_load_n(&vcpu->hart, __ATOMIC_ACQUIRE) == hart)
			return schedule;
		spin_unlock(&schedule->lock);
	}
}

/* A vCPU that was blocked or parked is to run. */
static void make_runnable(struct vcpu *vcpu, enum vcpu_mode from)
{
	struct hart_schedule *schedule = lock_schedule_of(vcpu);
	struct run_queue *queue = &schedule->queue;
	uint64_t others = 0;
	bool notify = false;

	if (vcpu->mode == from) {
		vcpu_trace(vcpu, TRACE_WAKE, 0, 0, 0);
		__atomic_store_n(&vcpu->mode, VCPU_HOST, __ATOMIC_SEQ_CST);
		/* Where its turn has not ended yet, it goes on. */
		if (queue->running != vcpu->entity) {
			uint64_t now = time_now();

			/* Once the lock is released, the vCPU may be gone. */
			if (queue->running)
				others = vcpu->entity->harts;
			run_queue_wake(queue, vcpu->entity, now);
			/* One without budget has some when its period ends: turns end there. */
			notify = run_queue_preempts(queue, vcpu->entity, now) ||
				 vcpu->entity->class == ENTITY_EXHAUSTED;
		}
	}
	spin_unlock(&schedule->lock);
	if (notify)
		hart_notify(hart_of(schedule));
	schedule_offer(others);
}

void schedule_start(struct vcpu *vcpu)
{
	make_runnable(vcpu, VCPU_PARKED);
}

void vcpu_wake(struct vcpu *vcpu)
{
	make_runnable(vcpu, VCPU_BLOCKED);
}

void schedule_block(struct vcpu *vcpu)
{
	const struct engine *engine = vcpu->guest->engine;
	uint64_t deadline;

	if (__atomic_load_n(&vm_of(vcpu)->puts_off, __ATOMIC_RELAXED))
		machine_idle(vm_of(vcpu));
	deadline = engine->timer_deadline(vcpu);
	if (engine->has_interrupt(vcpu))
		return;
	if (deadline != TIME_NEVER)
		timer_set(&vcpu->timer, deadline);

	vcpu->waits = true;
	/* Its turn ends here; if somebody wakes it at once, end_turn() sees that. */
	this_hart()->reschedule = 1;
	__atomic_store_n(&vcpu->mode, VCPU_BLOCKED, __ATOMIC_SEQ_CST);

	/* Who raises something after this looks sees BLOCKED and wakes it; before, we see it. */
	if (engine->has_interrupt(vcpu) ||
	    __atomic_load_n(&vcpu->requests, __ATOMIC_SEQ_CST) & ~(uint32_t)VCPU_SUSPENDED)
		vcpu_wake(vcpu);
}

/* In this order: one that is on its way to this hart has left its queue before it is said to be. */
static bool waits_here_locked(const struct vcpu *vcpu)
{
	return __atomic_load_n(&vcpu->hart, __ATOMIC_ACQUIRE) == this_hart() &&
	       vcpu->entity->queued;
}

/* How many of those that wait are looked at, as this is done with the queue locked. */
#define LOOKED_AT_MAX 64

/*
 * Who waits for a spinlock may wait for one that has no turn: for who holds it, or, as such locks
 * are handed over in order, for who is to have it next. Then a whole turn would be lost, for each
 * time that the lock is taken. The one that has waited longest, so that all of them are tried.
 */
static struct entity *find_other(struct hart_schedule *schedule, const struct vcpu *vcpu)
{
	struct entity *found = NULL;
	unsigned left = LOOKED_AT_MAX;

	spin_lock(&schedule->lock);
	list_for_each(node, &schedule->queue.waiting)
	{
		struct entity *entity = list_entry(node, struct entity, link);

		if (entity->vcpu && entity->vcpu->guest == vcpu->guest)
			found = entity;
		if (found || --left == 0)
			break;
	}
	spin_unlock(&schedule->lock);
	return found;
}

void schedule_yield(struct vcpu *vcpu)
{
	struct hart_schedule *schedule = this_hart()->schedule;

	schedule->next = find_other(schedule, vcpu);
	if (schedule->next)
		this_hart()->reschedule = 1;
}

void schedule_look(struct vcpu *vcpu)
{
	const struct engine *engine = vcpu->guest->engine;

	if (this_hart()->reschedule && vcpu->guest->vcpu_count > 1 && engine->waits_at_wrs &&
	    engine->waits_at_wrs(vcpu))
		schedule_yield(vcpu);
}

void schedule_suspend(struct vcpu *vcpu)
{
	__atomic_fetch_or(&vcpu->requests, VCPU_SUSPENDED, __ATOMIC_SEQ_CST);
}

void schedule_park(struct vcpu *vcpu)
{
	__atomic_fetch_or(&vcpu->requests, VCPU_PARK, __ATOMIC_SEQ_CST);
}

void schedule_devices(void)
{
	__atomic_fetch_or(&schedule_current()->requests, VCPU_DEVICES, __ATOMIC_SEQ_CST);
}

static void unload(struct hart_schedule *schedule)
{
	struct vcpu *vcpu = schedule->loaded;

	if (vcpu)
		vcpu->guest->engine->put(vcpu);
	/* From now on another hart may have it. */
	__atomic_store_n(&schedule->loaded, NULL, __ATOMIC_RELEASE);
}

/* The turn is the last one until schedule_start(). */
static void take_out(struct hart_schedule *schedule, struct vcpu *vcpu)
{
	spin_lock(&schedule->lock);
	run_queue_end_turn(&schedule->queue, time_now(), true);
	__atomic_store_n(&vcpu->mode, VCPU_PARKED, __ATOMIC_SEQ_CST);
	spin_unlock(&schedule->lock);
}

static void park(struct hart_schedule *schedule, struct vcpu *vcpu)
{
	unload(schedule);
	__atomic_store_n(&vcpu->requests, 0, __ATOMIC_SEQ_CST);
	gmem_fault_abandon(vcpu);
	timer_cancel(&vcpu->timer);
	take_out(schedule, vcpu);
	vm_vcpu_parked(vcpu);
}

/* Keeps all that is pending, as it goes on later; a timer that expires meanwhile adds to that. */
static void put_aside(struct hart_schedule *schedule, struct vcpu *vcpu)
{
	unload(schedule);
	if (vcpu->waits && !(vcpu->requests & VCPU_SUSPENDED))
		__atomic_fetch_or(&vcpu->requests, VCPU_WAITING, __ATOMIC_SEQ_CST);
	take_out(schedule, vcpu);
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
	if (requests & VCPU_DEVICES) {
		/* More requests may have come when it is done: they are looked at once more. */
		__atomic_fetch_and(&vcpu->requests, ~(uint32_t)VCPU_DEVICES, __ATOMIC_SEQ_CST);
		machine_work(vm_of(vcpu));
		return true;
	}
	if (requests & VCPU_SUSPENDED)
		return resume(vcpu);
	return !(requests & VCPU_WAITING) || wait_again(vcpu);
}

struct vcpu *schedule_current(void)
{
	return this_hart()->schedule->current;
}

int schedule_read_state(struct vcpu *vcpu, struct vcpu_state *state)
{
	struct hart_schedule *schedule = this_hart()->schedule;
	int error = ERR_AGAIN;

	spin_lock(&schedule->lock);
	if (__atomic_load_n(&vcpu->hart, __ATOMIC_ACQUIRE) == this_hart()) {
		vcpu->guest->engine->read_state(vcpu, schedule->loaded == vcpu, state);
		error = 0;
	}
	spin_unlock(&schedule->lock);
	return error;
}

/* Turns are short where it has to be looked whether a vCPU waits for another one. */
static uint64_t turn_end_of(struct hart_schedule *schedule, const struct vcpu *vcpu, uint64_t now)
{
	uint64_t end = run_queue_turn_end(&schedule->queue, now);

	if (!vcpu->guest->engine->waits_at_wrs || end == TIME_NEVER || !find_other(schedule, vcpu))
		return end;
	return min_u64(end, now + platform.timebase / LOOKS_PER_SECOND);
}

/* Begins a vCPU's turn, which it was given at `now`. */
static void begin_turn(struct hart_schedule *schedule, struct vcpu *vcpu, uint64_t now)
{
	uint64_t end = turn_end_of(schedule, vcpu, now);

	if (schedule->loaded != vcpu) {
		unload(schedule);
		vcpu->guest->engine->load(vcpu);
		__atomic_store_n(&schedule->loaded, vcpu, __ATOMIC_RELAXED);
	}
	schedule->current = vcpu;
	schedule->next = NULL;
	if (!(vcpu->requests & VCPU_PAUSE))
		vcpu->waits = false;
	/* While it slept, this stood for its own comparator. */
	if (vcpu->has_sstc && vcpu->timer.queue)
		timer_cancel(&vcpu->timer);
	vcpu_trace(vcpu, TRACE_TURN, 0, 0, 0);

	/*
	 * Alone, it runs without a tick, and WFI waits in the guest: once the stock of cleared
	 * pages, which is filled in the time that guests wait, is full.
	 */
	schedule->trap_wfi = !schedule->queue.alone || pool_wants_refill();
	timer_set(&schedule->turn_end, end);
}

/* Another one of the VM goes on first, unless it has left meanwhile. */
static void let_pass_locked(struct hart_schedule *schedule, struct entity *entity,
			    struct entity *next)
{
	if (waits_here_locked(next->vcpu))
		run_queue_let_pass(&schedule->queue, entity, next, time_now());
}

/* Ends it: the vCPU waits for its next one, or as its mode says. */
static void end_turn(struct hart_schedule *schedule, struct vcpu *vcpu)
{
	uint32_t why = leaves(vcpu);
	uint64_t others = 0;
	bool waits;

	vcpu_trace(vcpu, TRACE_TURN_END, why ? VCPU_PARKED : vcpu->mode, 0, 0);
	schedule->current = NULL;
	if (why & (VCPU_LEAVE | VCPU_PARK)) {
		park(schedule, vcpu);
		return;
	}
	if (why) {
		put_aside(schedule, vcpu);
		return;
	}
	spin_lock(&schedule->lock);
	waits = vcpu->mode == VCPU_HOST;
	run_queue_end_turn(&schedule->queue, time_now(), !waits);
	if (waits && schedule->next)
		let_pass_locked(schedule, vcpu->entity, schedule->next);
	if (waits && schedule->queue.count > 1)
		others = vcpu->entity->harts;
	spin_unlock(&schedule->lock);
	schedule_offer(others);
}

/* Jobs have their turns as vCPUs have. */
static void work(struct hart_schedule *schedule)
{
	uint64_t end = run_queue_turn_end(&schedule->queue, time_now());
	uint64_t others = schedule->loaded ? schedule->loaded->entity->harts : 0;

	/* Jobs may go on for long: another hart can have the vCPU that was here last. */
	unload(schedule);
	if (schedule->queue.count > 0)
		schedule_offer(others);
	timer_set(&schedule->turn_end, end);
	schedule_work(schedule);
}

static struct entity *take_next(struct hart_schedule *schedule, uint64_t *now)
{
	struct entity *entity;

	spin_lock(&schedule->lock);
	*now = time_now();
	entity = run_queue_next(&schedule->queue, *now);
	spin_unlock(&schedule->lock);
	return entity;
}

static void balance(struct hart_schedule *schedule)
{
	uint64_t now;

	if (schedule->queue.count == 0 || hart_count() == 1)
		return;
	now = time_now();
	if (now < schedule->next_balance)
		return;
	schedule->next_balance = now + platform.timebase / BALANCES_PER_SECOND;
	schedule_push(schedule);
}

static void wait(void)
{
	trace(TRACE_IDLE, 0, 0, 0, 0);
	interrupt_wait();
	trace(TRACE_IDLE_END, 0, 0, 0, 0);
}

/* Nothing waits for this hart. */
static void idle(struct hart_schedule *schedule)
{
	uint64_t bit = BIT(this_hart()->index);

	/* Who has something to spare from now on sends an IPI. */
	__atomic_fetch_or(&idle_harts, bit, __ATOMIC_SEQ_CST);
	if (!schedule_pull(schedule)) {
		if (pool_refill_step())
			preempt_point();
		else
			wait();
	}
	__atomic_fetch_and(&idle_harts, ~bit, __ATOMIC_SEQ_CST);
}

/* Finds what comes next; does other work, or waits, while there is nothing. */
static void next_turn(struct hart_schedule *schedule)
{
	struct entity *entity;
	uint64_t now;

	__atomic_store_n(&this_hart()->reschedule, 0, __ATOMIC_SEQ_CST);
	preempt_point();
	balance(schedule);
	entity = take_next(schedule, &now);
	if (!entity)
		idle(schedule);
	else if (entity->vcpu)
		begin_turn(schedule, entity->vcpu, now);
	else
		work(schedule);
}

/* Something has to be done before the vCPU, if there is one, can be entered (again). */
static __attribute__((noinline)) void turn(struct hart_schedule *schedule, struct vcpu *vcpu)
{
	if (vcpu) {
		if (!this_hart()->reschedule && vcpu->mode == VCPU_HOST && prepare(vcpu))
			return;
		end_turn(schedule, vcpu);
	}
	next_turn(schedule);
}

void schedule_run(void)
{
	struct hart *hart = this_hart();
	struct hart_schedule *schedule = hart->schedule;

	for (;;) {
		struct vcpu *vcpu = schedule->current;

		/* Returns only if a request came in between. */
		if (likely(vcpu && !(hart->reschedule | vcpu->mode | vcpu->requests)))
			vcpu->guest->engine->run(vcpu, schedule->trap_wfi);
		else
			turn(schedule, vcpu);
	}
}
