/* SPDX-License-Identifier: MIT */

#include "kernel/random.h"

#include "kernel/lock.h"

#include <string.h>

#define KEY_WORDS 8

static struct {
	struct spinlock lock; /* guards the rest */
	uint32_t key[KEY_WORDS];
	uint64_t requests;
} generator = {.lock = SPINLOCK_INIT};

static uint32_t rotate(uint32_t x, unsigned n)
{
	return x << n | x >> (32 - n);
}

static void quarter_round(uint32_t *x, unsigned a, unsigned b, unsigned c, unsigned d)
{
	x[a] += x[b];
	x[d] = rotate(x[d] ^ x[a], 16);
	x[c] += x[d];
	x[b] = rotate(x[b] ^ x[c], 12);
	x[a] += x[b];
	x[d] = rotate(x[d] ^ x[a], 8);
	x[c] += x[d];
	x[b] = rotate(x[b] ^ x[c], 7);
}

void chacha20_block(const uint32_t state[16], uint8_t out[64])
{
	uint32_t x[16];

	memcpy(x, state, sizeof(x));
	for (unsigned i = 0; i < 10; i++) {
		for (unsigned n = 0; n < 4; n++)
			quarter_round(x, n, 4 + n, 8 + n, 12 + n);
		for (unsigned n = 0; n < 4; n++)
			quarter_round(x, n, 4 + (n + 1) % 4, 8 + (n + 2) % 4, 12 + (n + 3) % 4);
	}
	for (unsigned i = 0; i < 16; i++) {
		uint32_t word = x[i] + state[i];

		for (unsigned b = 0; b < 4; b++)
			out[4 * i + b] = (uint8_t)(word >> 8 * b);
	}
}

static void block(uint32_t counter, uint64_t nonce, uint8_t out[64])
{
	uint32_t state[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

	memcpy(state + 4, generator.key, sizeof(generator.key));
	state[12] = counter;
	state[13] = 0;
	state[14] = (uint32_t)nonce;
	state[15] = (uint32_t)(nonce >> 32);
	chacha20_block(state, out);
}

/* Block 0 becomes the next key. The lock is held. */
static void replace_key(void)
{
	uint8_t out[64];

	block(0, generator.requests, out);
	memcpy(generator.key, out, sizeof(generator.key));
}

/* Absorbed 32 bytes at a time, the cipher between, so that every byte counts. */
static void absorb(const void *seed, size_t size)
{
	const uint8_t *bytes = seed;
	uint8_t *key = (uint8_t *)generator.key;

	for (size_t i = 0; i < size; i++) {
		key[i % sizeof(generator.key)] ^= bytes[i];
		if (i % sizeof(generator.key) == sizeof(generator.key) - 1)
			replace_key();
	}
}

void random_init(const void *seed, size_t size, uint64_t time)
{
	absorb(seed, size);
	generator.requests = time;
	replace_key();
}

void random_mix(const void *bytes, size_t size)
{
	spin_lock(&generator.lock);
	absorb(bytes, size);
	generator.requests++;
	replace_key();
	spin_unlock(&generator.lock);
}

void random_bytes(void *bytes, size_t size)
{
	uint8_t *to = bytes;
	uint8_t out[64];
	uint32_t counter = 1;

	spin_lock(&generator.lock);
	generator.requests++;
	while (size > 0) {
		size_t n = min_u64(size, sizeof(out));

		block(counter++, generator.requests, out);
		memcpy(to, out, n);
		to += n;
		size -= n;
	}
	replace_key();
	spin_unlock(&generator.lock);
	memset(out, 0, sizeof(out));
}
