/* SPDX-License-Identifier: MIT */

#include "vmm/run_queue.h"

#include "kernel/timer.h"

/* Virtual time passes as time does for an entity of this weight, the only one in its group. */
#define WEIGHT_UNIT 1024

/* Where it begins, so that what is a little less is above 0, and when it is set back to that. */
#define VIRTUAL_TIME_FIRST BIT(48)
#define VIRTUAL_TIME_LAST  BIT(62)

/* Rounds a second; and of a round, the shortest turn and the longest one while others wait. */
#define ROUNDS         80
#define SHORTEST_SHARE 25
#define LONGEST_SHARE  4

/* How many of those that wait longest are looked at for one to move. */
#define MOVABLE_MAX 8

static struct entity *entity_of(struct heap_node *node)
{
	return container_of(node, struct entity, node);
}

static struct entity *first_of(const struct run_queue *queue, enum entity_class class)
{
	struct heap_node *node = queue->classes[class].root;

	return node ? entity_of(node) : NULL;
}

static uint64_t to_virtual(const struct entity *entity, uint64_t ticks)
{
	uint32_t active = __atomic_load_n(&entity->group->active, __ATOMIC_RELAXED);

	return ticks * (active ? active : 1) * WEIGHT_UNIT / entity->group->weight;
}

void run_queue_init(struct run_queue *queue, uint64_t frequency)
{
	*queue = (struct run_queue){
	    .round = frequency / ROUNDS,
	    .virtual_time = VIRTUAL_TIME_FIRST,
	};
	list_init(&queue->waiting);
}

void entity_init(struct entity *entity)
{
	entity->active = entity->queued = false;
	entity->class = ENTITY_FAIR;
	entity->left = 0;
	entity->period_end = entity->virtual_time = entity->since = 0;
	entity->run_ticks = entity->wait_ticks = 0;
	list_init(&entity->link);
}

static uint64_t key_of(const struct entity *entity)
{
	return entity->class == ENTITY_FAIR ? entity->virtual_time : entity->period_end;
}

static void begin_period(struct entity *entity, uint64_t end)
{
	int64_t debt = entity->left < 0 ? entity->left : 0;

	entity->left = (int64_t)entity->budget + debt;
	entity->period_end = end;
}

/*
 * A reservation that wakes keeps budget and period unless it could then take more than its part of
 * the time that is left of the period.
 */
static void wake_reservation(struct entity *entity, uint64_t now)
{
	if (now >= entity->period_end ||
	    (entity->left > 0 &&
	     (unsigned __int128)(uint64_t)entity->left * entity->period >
		 (unsigned __int128)(entity->period_end - now) * entity->budget))
		begin_period(entity, now + entity->period);
}

static void renew_reservation(struct entity *entity, uint64_t now)
{
	if (entity->left > 0 || now < entity->period_end)
		return;
	/* Late by more than a period, it was asleep or had the hart for itself. */
	begin_period(entity, now - entity->period_end < entity->period
				 ? entity->period_end + entity->period
				 : now + entity->period);
}

/* Neither is long sleep worth more than half a round, nor does what was long ago count. */
static void limit_virtual_time(const struct run_queue *queue, struct entity *entity)
{
	uint64_t span = min_u64(to_virtual(entity, queue->round / 2), VIRTUAL_TIME_FIRST / 2);

	entity->virtual_time = min_u64(max_u64(entity->virtual_time, queue->virtual_time - span),
				       queue->virtual_time + span);
}

static void put_in(struct run_queue *queue, struct entity *entity, uint64_t now)
{
	if (entity->budget) {
		renew_reservation(entity, now);
		entity->class = entity->left > 0 ? ENTITY_RESERVED : ENTITY_EXHAUSTED;
	}
	entity->node.key = key_of(entity);
	heap_insert(&queue->classes[entity->class], &entity->node);
	list_push_back(&queue->waiting, &entity->link);
	queue->count++;
	entity->queued = true;
}

static void take_out(struct run_queue *queue, struct entity *entity)
{
	heap_remove(&queue->classes[entity->class], &entity->node);
	list_remove(&entity->link);
	queue->count--;
	entity->queued = false;
}

void run_queue_wake(struct run_queue *queue, struct entity *entity, uint64_t now)
{
	entity->active = true;
	__atomic_add_fetch(&entity->group->active, 1, __ATOMIC_RELAXED);
	queue->load += entity->load;
	entity->since = now;
	if (entity->budget)
		wake_reservation(entity, now);
	else
		limit_virtual_time(queue, entity);
	put_in(queue, entity, now);
}

/* The periods that have ended. */
static void renew_exhausted(struct run_queue *queue, uint64_t now)
{
	struct entity *entity;

	while ((entity = first_of(queue, ENTITY_EXHAUSTED)) != NULL && entity->period_end <= now) {
		take_out(queue, entity);
		put_in(queue, entity, now);
	}
}

void run_queue_hurry(struct run_queue *queue, struct entity *entity)
{
	heap_remove(&queue->classes[entity->class], &entity->node);
	entity->node.key = 0;
	heap_insert(&queue->classes[entity->class], &entity->node);
}

/* Years of a machine's time in small shares. Who sleeps is put right when it wakes. */
static void set_back(struct run_queue *queue)
{
	const uint64_t span = queue->virtual_time - VIRTUAL_TIME_FIRST;

	list_for_each(link, &queue->waiting)
	{
		struct entity *entity = list_entry(link, struct entity, link);

		if (entity->class != ENTITY_FAIR)
			continue;
		entity->virtual_time -= span;
		entity->node.key = entity->virtual_time;
	}
	queue->virtual_time = VIRTUAL_TIME_FIRST;
}

struct entity *run_queue_next(struct run_queue *queue, uint64_t now)
{
	struct entity *entity = NULL;

	if (unlikely(queue->virtual_time >= VIRTUAL_TIME_LAST))
		set_back(queue);
	renew_exhausted(queue, now);
	for (unsigned i = 0; i < ENTITY_CLASSES && !entity; i++)
		entity = first_of(queue, i);
	queue->running = entity;
	if (!entity)
		return NULL;
	take_out(queue, entity);
	queue->alone = queue->count == 0;
	entity->wait_ticks += now - entity->since;
	entity->since = now;
	if (entity->class == ENTITY_FAIR)
		queue->virtual_time = max_u64(queue->virtual_time, entity->virtual_time);
	return entity;
}

static void charge(struct run_queue *queue, struct entity *entity, uint64_t ticks)
{
	switch (entity->class) {
	case ENTITY_RESERVED:
		/* Time that nobody else wanted beyond the budget is not owed. */
		entity->left -=
		    (int64_t)(queue->alone ? min_u64(ticks, (uint64_t)entity->left) : ticks);
		break;
	case ENTITY_FAIR: {
		const struct entity *first = first_of(queue, ENTITY_FAIR);

		/* Alone, its turn may have lasted for days that nobody else wanted. */
		entity->virtual_time += to_virtual(
		    entity, queue->alone ? min_u64(ticks, queue->round / LONGEST_SHARE) : ticks);
		queue->virtual_time = max_u64(
		    queue->virtual_time, first ? min_u64(first->virtual_time, entity->virtual_time)
					       : entity->virtual_time);
		break;
	}
	default:
		break;
	}
}

void run_queue_end_turn(struct run_queue *queue, uint64_t now, bool sleeps)
{
	struct entity *entity = queue->running;
	uint64_t ticks = now - entity->since;

	queue->running = NULL;
	charge(queue, entity, ticks);
	entity->run_ticks += ticks;
	entity->since = now;
	if (sleeps) {
		entity->active = false;
		__atomic_sub_fetch(&entity->group->active, 1, __ATOMIC_RELAXED);
		queue->load -= entity->load;
	} else {
		put_in(queue, entity, now);
	}
}

static bool comes_before(const struct entity *first, const struct entity *second)
{
	return first->class != second->class ? first->class < second->class
					     : key_of(first) < key_of(second);
}

void run_queue_let_pass(struct run_queue *queue, struct entity *first, struct entity *second,
			uint64_t now)
{
	struct entity had = *first;

	if (comes_before(second, first))
		return;
	take_out(queue, first);
	take_out(queue, second);
	first->left = second->left;
	first->period_end = second->period_end;
	first->virtual_time = second->virtual_time;
	second->left = had.left;
	second->period_end = had.period_end;
	second->virtual_time = had.virtual_time;
	/* Who waits longest comes first in the list, and of equals in the heap, too. */
	put_in(queue, second, now);
	put_in(queue, first, now);
}

uint64_t run_queue_turn_end(const struct run_queue *queue, uint64_t now)
{
	const struct entity *running = queue->running;
	const struct entity *exhausted = first_of(queue, ENTITY_EXHAUSTED);
	uint64_t end;

	if (queue->count == 0)
		return TIME_NEVER;
	if (running->class == ENTITY_RESERVED)
		end = now + (uint64_t)running->left;
	else
		end = now + min_u64(max_u64(queue->round / (queue->count + 1),
					    queue->round / SHORTEST_SHARE),
				    queue->round / LONGEST_SHARE);
	if (running->class == ENTITY_EXHAUSTED)
		end = min_u64(end, running->period_end);
	return exhausted ? min_u64(end, exhausted->period_end) : end;
}

bool run_queue_preempts(const struct run_queue *queue, const struct entity *entity, uint64_t now)
{
	const struct entity *running = queue->running;

	/* Alone, it has a turn without an end. */
	if (!running || queue->alone)
		return true;
	if (entity->class != running->class)
		return entity->class < running->class;
	if (entity->class == ENTITY_RESERVED)
		return entity->period_end < running->period_end;
	if (entity->class == ENTITY_EXHAUSTED)
		return false;
	return entity->virtual_time + to_virtual(entity, queue->round / SHORTEST_SHARE) <
	       running->virtual_time + to_virtual(running, now - running->since);
}

bool run_queue_has_reserved(const struct run_queue *queue, uint64_t now)
{
	const struct entity *exhausted = first_of(queue, ENTITY_EXHAUSTED);

	return first_of(queue, ENTITY_RESERVED) || (exhausted && exhausted->period_end <= now);
}

struct entity *run_queue_movable(const struct run_queue *queue, unsigned hart, uint64_t load,
				 const struct vcpu *kept)
{
	unsigned seen = 0;

	list_for_each(link, &queue->waiting)
	{
		struct entity *entity = list_entry(link, struct entity, link);

		if (entity->vcpu != kept && entity->harts & BIT(hart) &&
		    queue->load > load + entity->load)
			return entity;
		if (++seen == MOVABLE_MAX)
			break;
	}
	return NULL;
}

void run_queue_leave(struct run_queue *queue, struct entity *entity)
{
	take_out(queue, entity);
	queue->load -= entity->load;
	entity->virtual_time -= queue->virtual_time;
}

void run_queue_enter(struct run_queue *queue, struct entity *entity, uint64_t now)
{
	queue->load += entity->load;
	entity->virtual_time += queue->virtual_time;
	if (!entity->budget)
		limit_virtual_time(queue, entity);
	put_in(queue, entity, now);
}
