/* SPDX-License-Identifier: MIT */
/* Harts that stop, start each other, all at once, and suspend. */
#include "guests/chaos/chaos.h"

#define CALLS 16

static uint64_t stops, starts;
static bool asleep[HARTS_MAX];       /* it stops, and has not been started since */
static uint32_t starting[HARTS_MAX]; /* so many may take it to be asleep */

static int64_t hsm_call(uint64_t function, uint64_t a0, uint64_t a1, uint64_t a2)
{
	return sbi_call(SBI_EXT_HSM, function, a0, a1, a2, 0, 0).error;
}

/* Of those that do this at once, one is right. */
static void start(size_t index)
{
	__atomic_fetch_add(&starting[index], 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&asleep[index], __ATOMIC_SEQ_CST) &&
	    hsm_call(SBI_HSM_HART_START, harts[index].id, (uint64_t)hart_entry,
		     (uint64_t)&harts[index]) == 0)
		__atomic_fetch_add(&starts, 1, __ATOMIC_RELAXED);
	__atomic_fetch_sub(&starting[index], 1, __ATOMIC_SEQ_CST);
}

void hsm_start_stopped(void)
{
	for (size_t i = 1; i < worker_count; i++)
		start(i);
}

void hsm_check(void)
{
	if (starts != stops)
		fail("%lu stops, but %lu starts", stops, starts);
}

/* It comes back at hart_entry, to where its work begins. */
static void stop(struct worker *w)
{
	if (w->index == 0)
		return;
	__atomic_fetch_add(&stops, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&asleep[w->index], true, __ATOMIC_RELEASE);
	hsm_call(SBI_HSM_HART_STOP, 0, 0, 0);
	fail("hart %u did not stop", w->index);
}

static uint64_t suspend(uint64_t type, uint64_t opaque, uint64_t a2)
{
	(void)a2;
	return (uint64_t)hsm_call(SBI_HSM_HART_SUSPEND, type, (uint64_t)hart_resume, opaque);
}

static void one_call(struct worker *w)
{
	uint64_t index = random_below(w, worker_count), id = value_any(w);

	switch (random_below(w, 8)) {
	case 0:
		hsm_call(SBI_HSM_HART_START, id < HARTS_MAX ? id + HARTS_MAX * 64 : id,
			 value_any(w), value_any(w));
		break;
	case 1:
		hsm_call(SBI_HSM_HART_START, hart_self()->id, value_any(w), value_any(w));
		break;
	case 2:
		run_timer(random_below(w, 50));
		csr_write(CSR_SIE, BIT(IRQ_S_TIMER) | BIT(IRQ_S_SOFT));
		trap_run(suspend,
			 one_in(w, 2) ? SBI_HSM_SUSPEND_RETENTIVE : SBI_HSM_SUSPEND_NON_RETENTIVE,
			 (uint64_t)hart_self(), 0);
		break;
	case 3:
		hsm_call(SBI_HSM_HART_GET_STATUS, id, 0, 0);
		break;
	case 4:
		hsm_call(SBI_HSM_HART_GET_STATUS, harts[index].id, 0, 0);
		break;
	default:
		start(index);
		break;
	}
	csr_write(CSR_SIE, 0);
}

/* The turn's operations are counted before: after a stop nobody does. */
uint64_t hsm_turn(struct worker *w)
{
	w->total += CALLS;
	w->done[KIND_HSM] += CALLS;
	for (int i = 0; i < CALLS; i++)
		one_call(w);
	hsm_start_stopped();
	if (one_in(w, 4))
		stop(w);
	return 0;
}

void hsm_woken(struct worker *w)
{
	__atomic_store_n(&asleep[w->index], false, __ATOMIC_SEQ_CST);
}

void hsm_leave(struct worker *w)
{
	while (__atomic_load_n(&starting[w->index], __ATOMIC_SEQ_CST) != 0)
		;
}
