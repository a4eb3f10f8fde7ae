/* SPDX-License-Identifier: MIT */
#include "pattern.h"

static uint64_t pattern_next(uint64_t x)
{
	return x * 6364136223846793005u + 1442695040888963407u;
}

void pattern_fill(void *buffer, size_t bytes, uint64_t seed)
{
	uint64_t *word = buffer;

	for (size_t i = 0; i < bytes / sizeof(*word); i++)
		word[i] = seed = pattern_next(seed);
}

bool pattern_holds(const void *buffer, size_t bytes, uint64_t seed)
{
	const volatile uint64_t *word = buffer;

	for (size_t i = 0; i < bytes / sizeof(*word); i++) {
		seed = pattern_next(seed);
		if (word[i] != seed)
			return false;
	}
	return true;
}

uint64_t checksum(const void *buffer, size_t bytes)
{
	const volatile uint64_t *word = buffer;
	uint64_t sum = 0;

	for (size_t i = 0; i < bytes / sizeof(*word); i++)
		sum = (sum ^ word[i]) * 0x100000001b3u + (sum >> 47);
	return sum;
}
