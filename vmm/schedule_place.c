/* SPDX-License-Identifier: MIT */

/* Which hart a vCPU is on: where it begins, and when it moves. */

#include "engine/vcpu_trace.h"
#include "kernel/error.h"
#include "kernel/log.h"
#include "kernel/platform.h"
#include "vmm/schedule_own.h"
#include "vmm/vm.h"

#include <stdio.h>

/* Of a hart, what may be promised to reservations: Pilae and the others need some, too. */
#define MILLION      1000000
#define RESERVED_MAX 900000

#define WEIGHT_DEFAULT 100

static uint64_t ticks_of_us(uint32_t us)
{
	return us ? max_u64(us * platform.timebase / MILLION, 1) : 0;
}

/* In millionths of a hart, rounded up. */
static uint64_t reservation(const struct vmconfig *config)
{
	return config->budget_us ? ((uint64_t)config->budget_us * MILLION + config->period_us - 1) /
				       config->period_us
				 : 0;
}

static struct hart_schedule *find_place(uint64_t harts, uint64_t reserved)
{
	struct hart_schedule *best = NULL;

	for (unsigned i = 0; i < hart_count(); i++) {
		struct hart_schedule *schedule = &hart_schedules[i];

		if (!(harts & BIT(i)) || schedule->reserved + reserved > RESERVED_MAX)
			continue;
		if (!best || (reserved ? schedule->reserved < best->reserved
				       : schedule->placed < best->placed))
			best = schedule;
	}
	return best;
}

static void report_full(const struct vm *vm)
{
	const struct vmconfig *config = &vm->config;

	log_error("%s: pilae,budget-us: %u of each %u us cannot be guaranteed to all of its %u "
		  "vCPUs: one hart has %u %% for reservations; give it less, or more harts",
		  config->path, config->budget_us, config->period_us, config->vcpus,
		  RESERVED_MAX * 100 / MILLION);
	for (unsigned i = 0; i < hart_count(); i++) {
		unsigned reserved = (unsigned)hart_schedules[i].reserved;

		if (vm->harts & BIT(i))
			log_error("%s: hart %llu: %u.%u %% are promised, and this is %u.%u %% a "
				  "vCPU",
				  config->path, (unsigned long long)hart_by_index(i)->id,
				  reserved / 10000, reserved / 1000 % 10,
				  (unsigned)reservation(config) / 10000,
				  (unsigned)reservation(config) / 1000 % 10);
	}
}

/* A reservation of a whole hart counts as much as the default weight. */
static uint64_t load_of(const struct vm *vm)
{
	const struct vmconfig *config = &vm->config;
	uint64_t reserved = reservation(config);

	if (reserved)
		return reserved * SCHEDULE_LOAD / MILLION + 1;
	return max_u64((uint64_t)config->weight * SCHEDULE_LOAD / WEIGHT_DEFAULT / config->vcpus,
		       1);
}

int schedule_place(struct vm *vm, struct vcpu *vcpu)
{
	const uint64_t reserved = reservation(&vm->config);
	struct hart_schedule *schedule = find_place(vm->harts, reserved);
	struct entity *entity;

	if (!schedule) {
		report_full(vm);
		return ERR_TOO_LARGE;
	}
	entity = arena_alloc(&vm->arena, sizeof(*entity));
	if (!entity)
		return ERR_NOMEM;
	*entity = (struct entity){
	    .vcpu = vcpu,
	    .group = &vm->group,
	    /* A reservation is promised by one hart. */
	    .harts = reserved ? BIT(hart_of(schedule)->index) : vm->harts,
	    .load = load_of(vm),
	    .budget = ticks_of_us(vm->config.budget_us),
	    .period = ticks_of_us(vm->config.period_us),
	};
	entity_init(entity);
	vcpu->entity = entity;
	vcpu->hart = vcpu->home = hart_of(schedule);
	schedule->placed += entity->load;
	schedule->reserved += reserved;
	return 0;
}

void schedule_unplace(struct vcpu *vcpu)
{
	struct hart_schedule *schedule;

	if (!vcpu->home)
		return;
	schedule = &hart_schedules[vcpu->home->index];
	schedule->placed -= vcpu->entity->load;
	schedule->reserved -= reservation(&vm_of(vcpu)->config);
	vcpu->home = NULL;
}

void schedule_offer(uint64_t harts)
{
	harts &= __atomic_load_n(&idle_harts, __ATOMIC_SEQ_CST);
	while (harts) {
		uint64_t bit = harts & -harts;

		harts &= ~bit;
		/* It is woken once. */
		if (__atomic_fetch_and(&idle_harts, ~bit, __ATOMIC_SEQ_CST) & bit) {
			struct hart *hart = hart_by_index((unsigned)__builtin_ctzll(bit));

			if (hart != this_hart())
				ipi_send(hart, IPI_KICK);
			return;
		}
	}
}

static uint64_t load_on(const struct hart_schedule *schedule)
{
	return __atomic_load_n(&schedule->queue.load, __ATOMIC_RELAXED);
}

static bool has_waiting(const struct hart_schedule *schedule)
{
	return __atomic_load_n(&schedule->queue.count, __ATOMIC_RELAXED) != 0;
}

/* Moves a vCPU that waits from one hart to another one, of which one is this hart. */
static bool move(struct hart_schedule *from, struct hart_schedule *to)
{
	struct hart *hart = hart_of(to);
	const struct vcpu *loaded;
	struct entity *entity;
	uint64_t now;
	bool notify;

	spin_lock(&from->lock);
	/* Its registers are still in that hart. */
	loaded = __atomic_load_n(&from->loaded, __ATOMIC_ACQUIRE);
	entity = run_queue_movable(&from->queue, hart->index, load_on(to), loaded);
	if (entity) {
		run_queue_leave(&from->queue, entity);
		vcpu_trace(entity->vcpu, TRACE_MOVE, 0, hart->id, 0);
		__atomic_store_n(&entity->vcpu->hart, hart, __ATOMIC_RELEASE);
	}
	spin_unlock(&from->lock);
	if (!entity)
		return false;

	/* Its mode is HOST: in between, nobody else puts it anywhere. */
	spin_lock(&to->lock);
	now = time_now();
	run_queue_enter(&to->queue, entity, now);
	notify = hart != this_hart() && run_queue_preempts(&to->queue, entity, now);
	spin_unlock(&to->lock);
	if (notify)
		hart_notify(hart);
	return true;
}

bool schedule_pull(struct hart_schedule *schedule)
{
	unsigned self = this_hart()->index;

	for (unsigned n = 1; n < hart_count(); n++) {
		struct hart_schedule *other = &hart_schedules[(self + n) % hart_count()];

		if (has_waiting(other) && move(other, schedule))
			return true;
	}
	return false;
}

void schedule_push(struct hart_schedule *schedule)
{
	struct hart_schedule *least = NULL;

	for (unsigned i = 0; i < hart_count(); i++) {
		struct hart_schedule *other = &hart_schedules[i];

		if (other != schedule && (!least || load_on(other) < load_on(least)))
			least = other;
	}
	if (least && load_on(least) < load_on(schedule))
		move(schedule, least);
}
