/* SPDX-License-Identifier: MIT */
/* Virtio devices: one worker works them, the others change what they read. */
#include "guests/chaos/chaos.h"

#include "guests/lib/hostile.h"

#define REQUESTS 32
#define CHANGES  8

static bool busy;
static unsigned int device_count;

void rings_init(void)
{
	device_count = hostile_init(false, true);
}

uint64_t rings_turn(struct worker *w)
{
	bool mine;

	if (device_count == 0)
		return 0;
	mine = !__atomic_test_and_set(&busy, __ATOMIC_ACQUIRE);
	for (int i = 0; i < REQUESTS; i++) {
		for (int n = 0; n < CHANGES; n++)
			hostile_change(&w->random);
		if (mine)
			hostile_operate(&w->random);
	}
	if (mine)
		__atomic_clear(&busy, __ATOMIC_RELEASE);
	return REQUESTS;
}
