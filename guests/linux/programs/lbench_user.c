/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "lbench.h"

#include <string.h>
#include <sys/mman.h>

#define LINE_WORDS   8 /* of a cache line */
#define LINE_BYTES   (LINE_WORDS * sizeof(uint64_t))
#define MEMORY_BYTES (4ul << 20)
#define MEMORY_LINES (MEMORY_BYTES / LINE_BYTES)
#define CHASE_BYTES  (48ul << 20)
#define CHASE_LINES  (CHASE_BYTES / LINE_BYTES)
#define CHASE_STEPS  1000

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A result that is not as on every other machine stops all. */
static uint64_t since(uint64_t start, int right)
{
	uint64_t end = now_ns();

	must(right ? 0 : -1, "a wrong result");
	return end - start;
}

uint64_t user_integer(unsigned count)
{
	uint64_t start = now_ns(), sum = 0;

	for (unsigned n = 0; n < count; n++) {
		uint64_t x = 88172645463325252;

		sum = 0;
		for (unsigned i = 0; i < 200000; i++)
			sum += random_next(&x) % (i + 3);
	}
	return since(start, count == 0 || sum == 0x2540f70f7);
}

uint64_t user_float(unsigned count)
{
	uint64_t start = now_ns(), bits = 0;

	for (unsigned n = 0; n < count; n++) {
		double a = 0.25, b = 0.375, c = 0.5;

		for (unsigned i = 0; i < 200000; i++) {
			a = 3.9 * a * (1.0 - a);
			b = 3.9 * b * (1.0 - b);
			c = c * 0.5 + a / (b + 1.0);
		}
		memcpy(&bits, &c, sizeof(bits));
	}
	return since(start, count == 0 || bits == 0x3fe5f2fe8dd51bf8);
}

/* Every line once in order, and then lines in no order. */
uint64_t user_memory(unsigned count)
{
	uint64_t *words = (uint64_t *)map_anonymous(MEMORY_BYTES, MAP_PRIVATE);
	uint64_t start, sum = 0;

	memset(words, 1, MEMORY_BYTES);
	start = now_ns();
	for (unsigned n = 0; n < count; n++) {
		uint64_t x = 88172645463325252;

		sum = 0;
		for (size_t i = 0; i < MEMORY_LINES; i++)
			words[i * LINE_WORDS] = i * LINE_WORDS;
		for (unsigned i = 0; i < 100000; i++) {
			uint64_t *word = &words[random_next(&x) % MEMORY_LINES * LINE_WORDS];

			sum += *word;
			*word = i;
		}
	}
	start = since(start, count == 0 || sum == 0x38e232f20);
	munmap(words, MEMORY_BYTES);
	return start;
}

/* One cycle through all lines (Sattolo's). */
static void chase_link(uint64_t *words, uint32_t *order)
{
	uint64_t x = 88172645463325252;

	for (uint32_t i = 0; i < CHASE_LINES; i++)
		order[i] = i;
	for (uint32_t i = CHASE_LINES - 1; i > 0; i--) {
		uint32_t k = (uint32_t)(random_next(&x) % i), swap = order[i];

		order[i] = order[k];
		order[k] = swap;
	}
	for (uint32_t i = 0; i < CHASE_LINES; i++)
		words[(size_t)i * LINE_WORDS] = (uint64_t)&words[(size_t)order[i] * LINE_WORDS];
}

uint64_t user_chase(unsigned count)
{
	uint64_t *words = (uint64_t *)map_anonymous(CHASE_BYTES, MAP_PRIVATE);
	uint32_t *order = (uint32_t *)map_anonymous(CHASE_LINES * sizeof(*order), MAP_PRIVATE);
	uint64_t *volatile kept, *at = words;
	uint64_t start;

	chase_link(words, order);
	munmap(order, CHASE_LINES * sizeof(*order));
	start = now_ns();
	for (unsigned n = 0; n < count * CHASE_STEPS; n++)
		at = (uint64_t *)*at;
	start = now_ns() - start;
	kept = at;
	must(kept ? 0 : -1, "chase");
	munmap(words, CHASE_BYTES);
	return start;
}
