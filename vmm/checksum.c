/* SPDX-License-Identifier: MIT */

#include "vmm/checksum.h"

#define WORD  sizeof(uint64_t)
#define BLOCK 8 /* words a turn */

/*
 * 2^16 is 1 modulo 2^16 - 1, and so is 2^64: words of 64 bits are summed with end-around carry as
 * if they were four of 16 each.
 */
static uint64_t add_word(uint64_t sum, uint64_t word)
{
	sum += word;
	return sum + (sum < word);
}

static uint64_t load_word(const uint8_t *at)
{
	uint64_t word;

	/* -ffreestanding would make a call of a plain memcpy. */
	__builtin_memcpy(&word, __builtin_assume_aligned(at, WORD), WORD);
	return word;
}

/* A part of an aligned word: its bytes where they are in the word, and zeroes. */
static uint64_t load_part(const uint8_t *at, uint64_t size)
{
	unsigned shift = 8 * (unsigned)((uintptr_t)at % WORD);
	uint64_t word = 0;

	for (uint64_t i = 0; i < size; i++, shift += 8)
		word |= (uint64_t)at[i] << shift;
	return word;
}

static uint64_t sum_words(const uint8_t *at, uint64_t words)
{
	uint64_t sum = 0;

	for (; words >= BLOCK; words -= BLOCK, at += BLOCK * WORD) {
		sum = add_word(sum, load_word(at));
		sum = add_word(sum, load_word(at + WORD));
		sum = add_word(sum, load_word(at + 2 * WORD));
		sum = add_word(sum, load_word(at + 3 * WORD));
		sum = add_word(sum, load_word(at + 4 * WORD));
		sum = add_word(sum, load_word(at + 5 * WORD));
		sum = add_word(sum, load_word(at + 6 * WORD));
		sum = add_word(sum, load_word(at + 7 * WORD));
	}
	for (; words > 0; words--, at += WORD)
		sum = add_word(sum, load_word(at));
	return sum;
}

void checksum_begin(struct checksum *checksum)
{
	*checksum = (struct checksum){0, false};
}

void checksum_add(struct checksum *checksum, const void *bytes, uint64_t size)
{
	const uint8_t *at = bytes;
	uint64_t head = min_u64(-(uintptr_t)at % WORD, size);
	uint64_t tail = (size - head) % WORD;
	uint64_t body = size - head - tail;
	uint64_t sum = load_part(at, head);

	sum = add_word(sum, sum_words(at + head, body / WORD));
	sum = add_word(sum, load_part(at + head + body, tail));
	/* RFC 1071, 2 (B): bytes at addresses of the other parity make a sum of swapped bytes. */
	if (((uintptr_t)bytes % 2 != 0) != checksum->odd)
		sum = sum << 8 | sum >> 56;
	checksum->sum = add_word(checksum->sum, sum);
	checksum->odd = checksum->odd != (size % 2 != 0);
}

uint16_t checksum_end(const struct checksum *checksum)
{
	uint64_t sum = checksum->sum;

	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~(sum << 8 | sum >> 8);
}
