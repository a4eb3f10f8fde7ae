/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_FAKE_TIME_H
#define TESTS_UNIT_FAKE_TIME_H

/* Time, which passes when a test says so, and timers that never expire. */

#include "kernel/timer.h"

static uint64_t now;

uint64_t time_now(void)
{
	return now;
}

void timer_init(struct timer *timer, void (*expired)(struct timer *timer))
{
	(void)timer;
	(void)expired;
}

void timer_set(struct timer *timer, uint64_t deadline)
{
	(void)timer;
	(void)deadline;
}

void timer_cancel(struct timer *timer)
{
	(void)timer;
}

#endif
