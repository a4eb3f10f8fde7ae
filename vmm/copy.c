/* SPDX-License-Identifier: MIT */

#include "vmm/copy.h"

#include <string.h>

#define WORD  sizeof(uint64_t)
#define BLOCK UINT64_C(8) /* words a turn */

bool copy_loads_anywhere;

/* One instruction. */
static uint64_t load_word(const char *from)
{
	uint64_t word;

#ifdef PILAE_HOST
	memcpy(&word, from, sizeof(word));
#else
	__asm__("ld %0, %1" : "=r"(word) : "m"(*(const char(*)[WORD])from));
#endif
	return word;
}

static inline void copy_loaded_block(uint64_t *to, const char *from)
{
	uint64_t w0 = load_word(from), w1 = load_word(from + WORD);
	uint64_t w2 = load_word(from + 2 * WORD), w3 = load_word(from + 3 * WORD);
	uint64_t w4 = load_word(from + 4 * WORD), w5 = load_word(from + 5 * WORD);
	uint64_t w6 = load_word(from + 6 * WORD), w7 = load_word(from + 7 * WORD);

	to[0] = w0, to[1] = w1, to[2] = w2, to[3] = w3;
	to[4] = w4, to[5] = w5, to[6] = w6, to[7] = w7;
}

/* `to` is aligned. */
static void copy_loaded(uint64_t *to, const char *from, uint64_t words)
{
	for (; words >= 2 * BLOCK; words -= 2 * BLOCK, to += 2 * BLOCK, from += 2 * BLOCK * WORD) {
		copy_loaded_block(to, from);
		copy_loaded_block(to + BLOCK, from + BLOCK * WORD);
	}
	for (; words > 0; words--, from += WORD)
		*to++ = load_word(from);
}

/* Both aligned to a word. */
static void copy_aligned(uint64_t *to, const uint64_t *from, uint64_t words)
{
	for (; words >= BLOCK; words -= BLOCK, to += BLOCK, from += BLOCK) {
		uint64_t w0 = from[0], w1 = from[1], w2 = from[2], w3 = from[3];
		uint64_t w4 = from[4], w5 = from[5], w6 = from[6], w7 = from[7];

		to[0] = w0, to[1] = w1, to[2] = w2, to[3] = w3;
		to[4] = w4, to[5] = w5, to[6] = w6, to[7] = w7;
	}
	for (; words > 0; words--)
		*to++ = *from++;
}

/* `to` is aligned; the bytes begin `shift` bits (8 to 56) into the word at `from`. */
static void copy_shifted(uint64_t *to, const uint64_t *from, unsigned shift, uint64_t words)
{
	uint64_t low = *from++;

#define NEXT_WORD                                            \
	do {                                                 \
		uint64_t high = *from++;                     \
		*to++ = low >> shift | high << (64 - shift); \
		low = high;                                  \
	} while (0)
	for (; words >= 4; words -= 4) {
		NEXT_WORD;
		NEXT_WORD;
		NEXT_WORD;
		NEXT_WORD;
	}
	for (; words > 0; words--)
		NEXT_WORD;
#undef NEXT_WORD
}

static void copy_words(uint64_t *to, const char *from, uint64_t words)
{
	unsigned shift = 8 * (unsigned)((uintptr_t)from % WORD);

	if (shift == 0)
		copy_aligned(to, (const uint64_t *)from, words);
	else if (copy_loads_anywhere)
		copy_loaded(to, from, words);
	else
		copy_shifted(to, (const uint64_t *)align_down((uintptr_t)from, WORD), shift, words);
}

/* Less than a word, without a call of the library's for it. */
static inline void copy_few(char *to, const char *from, uint64_t size)
{
	for (; size > 0; size--) {
		*to++ = *from++;
		/* Not an idiom of memcpy()'s. */
		__asm__ volatile("" ::: "memory");
	}
}

static __attribute__((noinline)) void copy_unaligned(char *t, const char *f, uint64_t size)
{
	uint64_t head = min_u64(-(uintptr_t)t % WORD, size);

	if (head > 0) {
		copy_few(t, f, head);
		t += head;
		f += head;
		size -= head;
	}

	/* One less where they are shifted: the last word that is read then holds bytes to copy. */
	uint64_t words = size / WORD;

	if (words > 0 && (uintptr_t)f % WORD && !copy_loads_anywhere)
		words--;
	if (words > 0)
		copy_words((uint64_t *)t, f, words);
	size -= words * WORD;
	t += words * WORD;
	f += words * WORD;
	/* Shifted, it may be up to 15 bytes. */
	if (size >= WORD)
		memcpy(t, f, size);
	else
		copy_few(t, f, size);
}

void copy_bytes(void *to, const void *from, uint64_t size)
{
	/* What rings and requests have is aligned, and short. */
	if (((uintptr_t)to | (uintptr_t)from | size) % WORD == 0)
		copy_aligned(to, from, size / WORD);
	else
		copy_unaligned(to, from, size);
}

void clear_bytes(void *start, uint64_t size)
{
	char *at = start;
	uint64_t head = min_u64(-(uintptr_t)at % WORD, size);

	memset(at, 0, head);
	at += head;
	size -= head;

	/* Volatile, so that this does not become a call of the library's. */
	volatile uint64_t *word = (volatile uint64_t *)at;

	for (; size >= BLOCK * WORD; size -= BLOCK * WORD, word += BLOCK) {
		word[0] = word[1] = word[2] = word[3] = 0;
		word[4] = word[5] = word[6] = word[7] = 0;
	}
	memset((void *)(uintptr_t)word, 0, size);
}
