/* SPDX-License-Identifier: MIT */

/*
 * Time. All harts read the same clock with rdtime. Each has a timer of its own, which is set
 * to a point in time and interrupts from then on, until it is set again: directly through
 * the CSR stimecmp if the harts have it (extension Sstc), else through SBI.
 */

#include "guests/minikernel/kernel.h"
#include "riscv/csr.h"
#include "riscv/sbi.h"

static uint64_t started;

void timer_init(void)
{
	started = time_now();
}

uint64_t time_now(void)
{
	return csr_read(CSR_TIME);
}

uint64_t time_from_ms(uint64_t ms)
{
	return ms * machine.timebase / 1000;
}

uint64_t time_to_us(uint64_t ticks)
{
	return ticks / machine.timebase * 1000000 +
	       ticks % machine.timebase * 1000000 / machine.timebase;
}

uint64_t time_uptime(void)
{
	return time_now() - started;
}

void timer_set(uint64_t deadline)
{
	if (hart_self()->timer == deadline)
		return;
	hart_self()->timer = deadline;
	if (machine.sstc)
		csr_write(CSR_STIMECMP, deadline);
	else
		sbi_call(SBI_EXT_TIME, SBI_TIME_SET_TIMER, deadline, 0, 0, 0, 0);
}
