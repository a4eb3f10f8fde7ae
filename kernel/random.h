/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_RANDOM_H
#define KERNEL_RANDOM_H

/*
 * Random bytes: ChaCha20 (RFC 8439) keyed with the host's /chosen/rng-seed and the time. The
 * key is replaced after each request (fast key erasure), so that what was given out before
 * cannot be computed from the state later.
 */

#include "kernel/types.h"

void random_init(const void *seed, size_t size, uint64_t time);

/* Adds what nobody knows to the key. Any hart; takes a lock of its own. */
void random_mix(const void *bytes, size_t size);

/* Fills `size` bytes. Any hart; takes a lock of its own. */
void random_bytes(void *bytes, size_t size);

/* The cipher's block function, for tests: 16 words of state to 64 bytes. */
void chacha20_block(const uint32_t state[16], uint8_t out[64]);

#endif
