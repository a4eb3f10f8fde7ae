/* SPDX-License-Identifier: MIT */

#include "kernel/timer.h"

#include "kernel/hart.h"
#include "kernel/platform.h"
#include "riscv/csr.h"
#include "riscv/sbi.h"

#define NS_PER_SECOND UINT64_C(1000000000)

/*
 * A pairing heap a hart: insertion is O(1), taking the earliest O(log n) amortized, and all
 * links are in the timers themselves.
 *
 * A timer's `prev` is its parent if it is the first child, else the sibling before it.
 */

#define EXPIRE_MAX 16 /* timers dealt with in one interrupt */

uint64_t time_now(void)
{
	return csr_read(CSR_TIME);
}

uint64_t time_ticks_to_ns(uint64_t ticks)
{
	return ticks / platform.timebase * NS_PER_SECOND +
	       ticks % platform.timebase * NS_PER_SECOND / platform.timebase;
}

uint64_t time_ns_to_ticks(uint64_t ns)
{
	uint64_t seconds = ns / NS_PER_SECOND;

	if (seconds >= TIME_NEVER / platform.timebase)
		return TIME_NEVER;
	return seconds * platform.timebase +
	       (ns % NS_PER_SECOND * platform.timebase + NS_PER_SECOND - 1) / NS_PER_SECOND;
}

static struct timer *heap_meld(struct timer *a, struct timer *b)
{
	if (!a || !b)
		return a ? a : b;
	if (b->deadline < a->deadline) {
		struct timer *t = a;

		a = b;
		b = t;
	}
	b->prev = a;
	b->next = a->child;
	if (a->child)
		a->child->prev = b;
	a->child = b;
	return a;
}

/* Melds a list of siblings into one heap: pairs from the left, then all from the right. */
static struct timer *heap_merge_pairs(struct timer *first)
{
	struct timer *pairs = NULL;

	while (first) {
		struct timer *a = first;
		struct timer *b = a->next;

		first = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		a = heap_meld(a, b);
		a->next = pairs;
		pairs = a;
	}

	struct timer *root = NULL;

	while (pairs) {
		struct timer *next = pairs->next;

		pairs->next = NULL;
		root = heap_meld(root, pairs);
		pairs = next;
	}
	return root;
}

static void heap_remove(struct timer_queue *queue, struct timer *timer)
{
	struct timer *rest = heap_merge_pairs(timer->child);

	if (queue->root == timer) {
		queue->root = rest;
	} else {
		if (timer->prev->child == timer)
			timer->prev->child = timer->next;
		else
			timer->prev->next = timer->next;
		if (timer->next)
			timer->next->prev = timer->prev;
		queue->root = heap_meld(queue->root, rest);
	}
	timer->child = timer->next = timer->prev = NULL;
	__atomic_store_n(&timer->queue, NULL, __ATOMIC_SEQ_CST);
}

/* Sets this hart's timer hardware. The queue's lock is held. */
static void arm(struct timer_queue *queue)
{
	uint64_t deadline = queue->root ? queue->root->deadline : TIME_NEVER;

	if (deadline == queue->armed)
		return;
	queue->armed = deadline;
	if (this_hart()->has_sstc)
		csr_write(CSR_STIMECMP, deadline);
	else
		sbi_call(SBI_EXT_TIME, SBI_TIME_SET_TIMER, deadline, 0, 0, 0, 0);
}

void timer_init_hart(void)
{
	struct timer_queue *queue = &this_hart()->timers;

	spin_lock(&queue->lock);
	queue->armed = 0;
	arm(queue);
	spin_unlock(&queue->lock);
	csr_set(CSR_SIE, BIT(IRQ_S_TIMER));
}

void timer_init(struct timer *timer, void (*expired)(struct timer *timer))
{
	*timer = (struct timer){.expired = expired};
}

/*
 * Takes the timer from its queue, whichever that is by the time its lock is held. Another
 * hart's hardware stays armed for it: its interrupt then finds nothing to do.
 */
static void unqueue(struct timer *timer)
{
	struct timer_queue *queue;

	while ((queue = __atomic_load_n(&timer->queue, __ATOMIC_ACQUIRE)) != NULL) {
		spin_lock(&queue->lock);
		if (timer->queue == queue) {
			heap_remove(queue, timer);
			if (queue == &this_hart()->timers)
				arm(queue);
			spin_unlock(&queue->lock);
			return;
		}
		spin_unlock(&queue->lock);
	}
}

void timer_set(struct timer *timer, uint64_t deadline)
{
	struct timer_queue *queue = &this_hart()->timers;

	unqueue(timer);
	if (deadline == TIME_NEVER)
		return;
	spin_lock(&queue->lock);
	timer->deadline = deadline;
	timer->queue = queue;
	timer->child = timer->next = timer->prev = NULL;
	queue->root = heap_meld(queue->root, timer);
	arm(queue);
	spin_unlock(&queue->lock);
}

void timer_cancel(struct timer *timer)
{
	unqueue(timer);
}

void timer_quiesce(void)
{
	for (unsigned i = 0; i < hart_count(); i++) {
		struct timer_queue *queue = &hart_by_index(i)->timers;
		struct timer *timer = __atomic_load_n(&queue->expiring, __ATOMIC_SEQ_CST);

		while (timer && __atomic_load_n(&queue->expiring, __ATOMIC_SEQ_CST) == timer)
			;
	}
}

void timer_interrupt(void)
{
	struct timer_queue *queue = &this_hart()->timers;

	spin_lock(&queue->lock);
	/* If there are more, the hardware fires again at once. */
	for (unsigned n = 0; n < EXPIRE_MAX && queue->root && queue->root->deadline <= time_now();
	     n++) {
		struct timer *timer = queue->root;

		/* Before it leaves the queue, for timer_quiesce(). */
		__atomic_store_n(&queue->expiring, timer, __ATOMIC_SEQ_CST);
		heap_remove(queue, timer);
		spin_unlock(&queue->lock);
		timer->expired(timer);
		__atomic_store_n(&queue->expiring, NULL, __ATOMIC_SEQ_CST);
		spin_lock(&queue->lock);
	}
	/* The hardware fired: it has to be armed again even for the same deadline. */
	queue->armed = 0;
	arm(queue);
	spin_unlock(&queue->lock);
}
