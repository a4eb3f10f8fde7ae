/* SPDX-License-Identifier: MIT */
#include "guests/chaos/chaos.h"

uint64_t value_any(struct worker *w)
{
	static const uint64_t values[] = {0,
					  1,
					  2,
					  3,
					  7,
					  8,
					  31,
					  63,
					  64,
					  95,
					  96,
					  0xff,
					  0x222,
					  0xfff,
					  0x1000,
					  0x7fffffff,
					  0x80000000,
					  0xffffffff,
					  BIT(32),
					  BIT(38),
					  BIT(39),
					  BIT(47),
					  BIT(56),
					  BIT(62),
					  BIT(63),
					  BIT(63) - 1,
					  ~UINT64_C(0),
					  ~UINT64_C(0) - 0xfff,
					  VA_CODE,
					  VA_SCRATCH};
	uint64_t r = random_next(&w->random);

	switch (r & 3) {
	case 0:
		return random_next(&w->random);
	case 1:
		return random_next(&w->random) >> (r >> 8 & 63);
	default:
		return values[(r >> 8) % ARRAY_SIZE(values)];
	}
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
