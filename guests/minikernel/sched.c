/* SPDX-License-Identifier: MIT */

/*
 * Which process runs where. Those that are ready stand in one queue; a hart that has nothing
 * to do takes the first, runs it until it sleeps, ends, or has used up its slice of time, and
 * puts it back at the end.
 *
 * Each hart has a loop for this on a stack of its own, sched_loop(). Switching from one
 * process to another is two context switches, out to the loop and in from it. The kernel lock
 * is held in both: whoever comes out of context_switch() has it.
 *
 * A hart with nothing to do waits for an interrupt, with its timer set to the first of its
 * sleepers, or to never. Nothing ticks on an idle machine.
 */

#include "guests/minikernel/kernel.h"
#include "riscv/csr.h"

#define SLICE_MS 10

static struct proc *ready_first;
static struct proc *ready_last;

static void enqueue(struct proc *p)
{
	p->next = NULL;
	if (ready_first == NULL)
		ready_first = p;
	else
		ready_last->next = p;
	ready_last = p;
}

static struct proc *dequeue(void)
{
	struct proc *p = ready_first;

	if (p != NULL)
		ready_first = p->next;
	return p;
}

/* Somebody should look at the queue: this hart if it was idle until now, or one that is. */
static void wake_a_hart(void)
{
	if (hart_self()->idle) {
		hart_self()->idle = false;
		return;
	}
	for (uint32_t i = 0; i < hart_count; i++) {
		if (harts[i]->idle) {
			harts[i]->idle = false;
			hart_interrupt(harts[i]);
			return;
		}
	}
}

void sched_make_ready(struct proc *p)
{
	p->state = PROC_READY;
	enqueue(p);
	wake_a_hart();
}

static void leave_process(void)
{
	context_switch(&proc_current()->context, &hart_self()->context);
}

void sched_yield(void)
{
	struct proc *p = proc_current();

	hart_self()->preempt = false;
	if (ready_first == NULL)
		return;
	p->state = PROC_READY;
	enqueue(p);
	leave_process();
}

void sched_sleep(const void *channel)
{
	struct proc *p = proc_current();

	p->channel = channel;
	p->state = PROC_SLEEPING;
	leave_process();
	p->channel = NULL;
}

/* Into this hart's list, which is sorted by deadline. */
void sched_sleep_until(uint64_t deadline)
{
	struct proc *p = proc_current();
	struct proc **at = &hart_self()->sleepers;

	p->deadline = deadline;
	while (*at != NULL && (*at)->deadline <= deadline)
		at = &(*at)->next;
	p->next = *at;
	*at = p;
	sched_sleep(NULL);
}

void sched_unsleep(struct proc *p)
{
	struct proc **at = &p->hart->sleepers;

	if (p->state != PROC_SLEEPING)
		return;
	if (p->deadline != 0) {
		while (*at != p)
			at = &(*at)->next;
		*at = p->next;
		p->deadline = 0;
	}
	sched_make_ready(p);
}

void sched_wakeup(const void *channel)
{
	for (struct proc *p = procs; p < procs + MAX_PROCS; p++)
		if (p->state == PROC_SLEEPING && p->channel == channel)
			sched_unsleep(p);
}

void sched_expire(void)
{
	struct hart *h = hart_self();
	uint64_t now = time_now();

	while (h->sleepers != NULL && h->sleepers->deadline <= now)
		sched_unsleep(h->sleepers);
	if (h->current != NULL && h->slice_end <= now) {
		h->preempt = true;
		h->slice_end = now + time_from_ms(SLICE_MS);
	}
}

void sched_exit(void)
{
	leave_process();
	panic("a process that has ended runs");
}

void sched_set_timer(void)
{
	struct hart *h = hart_self();
	uint64_t deadline = h->current != NULL ? h->slice_end : TIME_NEVER;

	if (h->sleepers != NULL)
		deadline = min_u64(deadline, h->sleepers->deadline);
	timer_set(deadline);
}

static void run(struct proc *p)
{
	struct hart *h = hart_self();

	p->state = PROC_RUNNING;
	p->hart = h;
	p->started = time_now();
	h->current = p;
	h->kernel_sp = (uint64_t)p->stack;
	h->preempt = false;
	h->slice_end = p->started + time_from_ms(SLICE_MS);
	space_enter(&p->space);
	context_switch(&h->context, &p->context);
	h->current = NULL;
	p->run_time += time_now() - p->started;
}

/*
 * WFI ends when an interrupt is pending that sie enables, whether or not sstatus.SIE lets it
 * be taken (Priv. 1.13, 3.3.3). So no interrupt can slip in between the look at the queue and
 * the WFI: it waits, and is taken in the moment in which SIE is on.
 */
static void idle(void)
{
	struct hart *h = hart_self();

	space_enter(NULL);
	h->idle = true;
	sched_set_timer();
	kernel_unlock();
	__asm__ volatile("wfi");
	csr_set(CSR_SSTATUS, SSTATUS_SIE);
	csr_clear(CSR_SSTATUS, SSTATUS_SIE);
	kernel_lock();
	h->idle = false;
}

void sched_loop(void)
{
	struct proc *p;

	for (;;) {
		p = dequeue();
		if (p != NULL)
			run(p);
		else
			idle();
	}
}
