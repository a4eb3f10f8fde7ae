/* SPDX-License-Identifier: MIT */

/*
 * Misaligned loads may be as quick as others, be emulated by the firmware in some hundred
 * instructions, or not be there (Unpriv., 2.6). No ISA string tells which of the first two it is.
 */

#include "kernel/timer.h"
#include "kernel/trap_access.h"
#include "vmm/copy.h"

#define LOADS 64
#define TRIES 3

/* Ticks; UINT64_MAX: they cannot be done. */
static uint64_t time_loads(uint64_t address)
{
	uint64_t start = time_now(), value;

	for (unsigned i = 0; i < LOADS; i++) {
		if (!trap_load(address, sizeof(value), &value))
			return UINT64_MAX;
	}
	return time_now() - start;
}

/* The least of several, as caches may be cold at first. */
static uint64_t least_time(uint64_t address)
{
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < TRIES; i++)
		least = min_u64(least, time_loads(address));
	return least;
}

void copy_probe_hart(void)
{
	static const uint64_t words[2];
	static bool slow;
	uint64_t address = (uint64_t)(uintptr_t)words, misaligned = least_time(address + 3);

	/* The timebase is coarse: what is emulated takes some ten ticks of a microsecond at least.
	 */
	slow |= misaligned / 2 > least_time(address) + 2;
	copy_loads_anywhere = !slow;
}
