/* SPDX-License-Identifier: MIT */
#include "guests/chaos/chaos.h"

#include "guests/lib/nasty.h"

uint64_t value_any(struct worker *w)
{
	if (one_in(w, 32))
		return one_in(w, 2) ? VA_CODE : VA_SCRATCH;
	return nasty_value(&w->random);
}

uint64_t value_address(struct worker *w)
{
	const uint64_t end = machine.ram_base + machine.ram_size;

	switch (random_below(w, 8)) {
	case 0:
		return end - random_below(w, 16);
	case 1:
		return machine.ram_base - random_below(w, 16);
	case 2:
		return random_below(w, machine.ram_base);
	case 3:
		return end + (random_next(&w->random) >> random_below(w, 33));
	case 4:
		return -random_below(w, 8192);
	default:
		return w->scratch + random_below(w, SCRATCH - 64);
	}
}
