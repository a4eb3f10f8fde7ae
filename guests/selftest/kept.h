/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_SELFTEST_KEPT_H
#define GUESTS_SELFTEST_KEPT_H

#include "guests/selftest/sbi.h"

/*
 * What happens between two instructions while a hart keeps its registers: calls, accesses to
 * devices, sleep, and turns of other vCPUs; in some rounds a timer interrupt is taken, if `traps`.
 * Changes sie, sip.SSIP and the timer.
 */
void kept_disturb(uint64_t round, bool traps);

/* For what is random: another one on each hart, of each VM that has a seed of its own. */
uint64_t kept_seed(void);

/* bootargs' rounds=, or `otherwise`. */
uint64_t kept_rounds(uint64_t otherwise);

#endif
