/* SPDX-License-Identifier: MIT */
#ifndef DRIVER_RTC_H
#define DRIVER_RTC_H

/* The host's wall clock: a Goldfish RTC where there is one. */

#include "kernel/types.h"

/* Reads the RTC once; the time CSR carries it on from there. Boot hart. */
void wall_clock_init(void);

/* Nanoseconds since 1970, or since boot where the host has no RTC. Any hart. */
uint64_t wall_clock_ns(void);

#endif
