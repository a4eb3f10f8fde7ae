/* SPDX-License-Identifier: MIT */

#include "kernel/timer.h"

#include "kernel/hart.h"
#include "kernel/platform.h"
#include "riscv/csr.h"
#include "riscv/sbi.h"

#define NS_PER_SECOND UINT64_C(1000000000)

#define EXPIRE_MAX 16 /* timers dealt with in one interrupt */

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

static struct timer *timer_of(struct heap_node *node)
{
	return container_of(node, struct timer, node);
}

static void take_out(struct timer_queue *queue, struct timer *timer)
{
	heap_remove(&queue->heap, &timer->node);
	__atomic_store_n(&timer->queue, NULL, __ATOMIC_SEQ_CST);
}

/* Sets this hart's timer hardware. The queue's lock is held. */
static void arm(struct timer_queue *queue)
{
	uint64_t deadline = queue->heap.root ? queue->heap.root->key : TIME_NEVER;

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
			take_out(queue, timer);
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

	/* Where it is queued here already, the hardware is armed once. */
	if (deadline == TIME_NEVER || __atomic_load_n(&timer->queue, __ATOMIC_ACQUIRE) != queue)
		unqueue(timer);
	if (deadline == TIME_NEVER)
		return;
	spin_lock(&queue->lock);
	/* Another hart may have cancelled it since. */
	if (timer->queue == queue)
		heap_remove(&queue->heap, &timer->node);
	timer->node.key = deadline;
	timer->queue = queue;
	heap_insert(&queue->heap, &timer->node);
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
	for (unsigned n = 0;
	     n < EXPIRE_MAX && queue->heap.root && queue->heap.root->key <= time_now(); n++) {
		struct timer *timer = timer_of(queue->heap.root);

		/* Before it leaves the queue, for timer_quiesce(). */
		__atomic_store_n(&queue->expiring, timer, __ATOMIC_SEQ_CST);
		take_out(queue, timer);
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
