/* SPDX-License-Identifier: MIT */

#include "driver/rtc.h"

#include "kernel/mmu.h"
#include "kernel/platform.h"
#include "kernel/timer.h"

static uint64_t offset; /* of the wall clock from the time CSR, in ns */

void wall_clock_init(void)
{
	if (platform.rtc.size < 8)
		return;

	volatile uint32_t *rtc = mmu_map_registers(HPA(platform.rtc.base), platform.rtc.size);
	/* Reading the low half latches the high one. */
	uint64_t low = rtc[0];
	uint64_t now = (uint64_t)rtc[1] << 32 | low;

	offset = now - time_ticks_to_ns(time_now());
}

uint64_t wall_clock_ns(void)
{
	return time_ticks_to_ns(time_now()) + offset;
}
