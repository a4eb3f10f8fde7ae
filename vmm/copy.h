/* SPDX-License-Identifier: MIT */
#ifndef VMM_COPY_H
#define VMM_COPY_H

#include "kernel/types.h"

/*
 * Copies bytes between memories that do not overlap, whatever the alignment of either, in a
 * time that is known, unlike the C library's: about 18 instructions for 64 bytes where both
 * are aligned alike (to 8), else 42, or 20 where harts load misaligned words quickly. Reads whole
 * aligned words, never from another page.
 */
void copy_bytes(void *to, const void *from, uint64_t size);

/* Writes zeroes, likewise: about 11 instructions for 64 bytes. */
void clear_bytes(void *start, uint64_t size);

/* All harts so far load words as quickly where they are not aligned. */
extern bool copy_loads_anywhere;

/* Finds that out. On each hart once, at boot, one after the other. */
void copy_probe_hart(void);

#endif
