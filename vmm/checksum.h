/* SPDX-License-Identifier: MIT */
#ifndef VMM_CHECKSUM_H
#define VMM_CHECKSUM_H

/*
 * The Internet's checksum (RFC 1071): the ones' complement sum of 16-bit words, the first byte of
 * each the higher one. It is fed in any number of pieces, of any size and alignment, in the order
 * of the bytes, so that a large frame is summed while it is copied, with preemption points in
 * between. No locks, any context.
 */

#include "kernel/types.h"

struct checksum {
	uint64_t sum; /* of words as this machine loads them */
	bool odd;     /* so many bytes were fed */
};

void checksum_begin(struct checksum *checksum);

/* About 34 instructions for 64 bytes, and at most 150 for what is no multiple of that. */
void checksum_add(struct checksum *checksum, const void *bytes, uint64_t size);

/* The complement of the sum, as a number: what goes into a packet with its high byte first. */
uint16_t checksum_end(const struct checksum *checksum);

#endif
