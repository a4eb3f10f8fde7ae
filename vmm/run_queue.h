/* SPDX-License-Identifier: MIT */
#ifndef VMM_RUN_QUEUE_H
#define VMM_RUN_QUEUE_H

/*
 * What waits for a hart, and what comes next. Entities are vCPUs, and each hart's worker, which
 * stands for its jobs. They come in three classes, each in an order of its own:
 *
 *   RESERVED   have a budget of time in each period, and something left of it: the one whose
 *              period ends first (each is a constant bandwidth server: Abeni and Buttazzo, 1998)
 *   FAIR       have a share: the one that has had the least of it so far
 *   EXHAUSTED  have used up their budget until their period ends: what nobody else wants
 *
 * An entity is asleep, waits in one queue, or has its turn there. Times are ticks of time_now().
 * No hardware is touched here. Whoever calls has the queue's lock, which is the caller's.
 */

#include "kernel/heap.h"
#include "kernel/list.h"
#include "kernel/types.h"

struct vcpu;

enum entity_class { ENTITY_RESERVED, ENTITY_FAIR, ENTITY_EXHAUSTED, ENTITY_CLASSES };

/* What has one weight together: the vCPUs of a VM. */
struct entity_group {
	uint32_t weight; /* 1 to 10,000 */
	uint32_t active; /* how many of its entities are not asleep; atomic */
};

struct entity {
	/* Set before entity_init(). */
	struct vcpu *vcpu; /* NULL: a hart's worker */
	struct entity_group *group;
	uint64_t harts;          /* a bit for each hart that it may be moved to, by index */
	uint64_t load;           /* what it counts for when harts are compared */
	uint64_t budget, period; /* ticks; both 0: none */

	bool active; /* not asleep */
	bool queued;
	enum entity_class class;
	struct heap_node node; /* its key: period_end or virtual_time, by class */
	struct list link;      /* among all that wait in the queue, in the order they came */
	int64_t left;          /* of the budget; below 0: it has taken so much too much */
	uint64_t period_end;
	uint64_t virtual_time;          /* of a FAIR one: the time it has had, by weight */
	uint64_t since;                 /* when it began to wait, or its turn began */
	uint64_t run_ticks, wait_ticks; /* in all, up to `since` */
};

struct run_queue {
	struct heap classes[ENTITY_CLASSES];
	struct list waiting;
	uint32_t count; /* how many wait; these two are read without the lock, too */
	uint64_t load;  /* of those that wait and of the one that runs */
	uint64_t virtual_time;
	uint64_t round;         /* ticks in which all that wait have a turn, if they are few */
	struct entity *running; /* whose turn it is, or NULL */
	bool alone;             /* nothing waited when its turn began */
};

/* Readies an empty queue, for a clock of `frequency` ticks a second. */
void run_queue_init(struct run_queue *queue, uint64_t frequency);

/* Readies an entity, which is asleep. */
void entity_init(struct entity *entity);

/* An entity that was asleep waits for its turn. */
void run_queue_wake(struct run_queue *queue, struct entity *entity, uint64_t now);

/* One that waits comes before all others of its class, this time. */
void run_queue_hurry(struct run_queue *queue, struct entity *entity);

/* Begins the turn of the entity that comes first; NULL: nothing waits. No turn is going on. */
struct entity *run_queue_next(struct run_queue *queue, uint64_t now);

/* Ends the turn that is going on: from now on the entity waits again, or is asleep. */
void run_queue_end_turn(struct run_queue *queue, uint64_t now, bool sleeps);

/*
 * Of two that wait here, of one group and with the same budget, the second is not to come after the
 * first: if it would, each takes what the other has had, which is the same for everybody else.
 */
void run_queue_let_pass(struct run_queue *queue, struct entity *first, struct entity *second,
			uint64_t now);

/* When the turn that began just now has to end if nothing comes in between, or TIME_NEVER. */
uint64_t run_queue_turn_end(const struct run_queue *queue, uint64_t now);

/* Whether the turn that is going on should end now for an entity that waits. */
bool run_queue_preempts(const struct run_queue *queue, const struct entity *entity, uint64_t now);

/* Whether one with a reservation waits, which has something left of its budget now. */
bool run_queue_has_reserved(const struct run_queue *queue, uint64_t now);

/*
 * An entity to be moved to the hart with this index, and load on its queue, which makes the loads
 * more equal: of those that wait longest. `kept` stays. NULL: there is none.
 */
struct entity *run_queue_movable(const struct run_queue *queue, unsigned hart, uint64_t load,
				 const struct vcpu *kept);

/* A waiting entity leaves its queue, to enter another one. The two are not locked together. */
void run_queue_leave(struct run_queue *queue, struct entity *entity);
void run_queue_enter(struct run_queue *queue, struct entity *entity, uint64_t now);

#endif
