/* SPDX-License-Identifier: MIT */
#include "vmm/hash.h"

#include <string.h>

#include "kernel/error.h"

/*
 * CRC-32 of IEEE 802.3, reflected, eight bytes at a time: table k holds the effect of a byte
 * that is followed by k zero bytes. A CRC is linear, so that each entry is the sum of the
 * entries of its set bits; these eight a table are all that has to be written down.
 */
#define CRC_ENTRY(i, a, b, c, d, e, f, g, h)                                                     \
	(((i) & 1 ? (a) : 0) ^ ((i) & 2 ? (b) : 0) ^ ((i) & 4 ? (c) : 0) ^ ((i) & 8 ? (d) : 0) ^ \
	 ((i) & 16 ? (e) : 0) ^ ((i) & 32 ? (f) : 0) ^ ((i) & 64 ? (g) : 0) ^                    \
	 ((i) & 128 ? (h) : 0))
#define CRC_4(i, ...)                                               \
	CRC_ENTRY(i, __VA_ARGS__), CRC_ENTRY((i) + 1, __VA_ARGS__), \
	    CRC_ENTRY((i) + 2, __VA_ARGS__), CRC_ENTRY((i) + 3, __VA_ARGS__)
#define CRC_16(i, ...)                                                                   \
	CRC_4(i, __VA_ARGS__), CRC_4((i) + 4, __VA_ARGS__), CRC_4((i) + 8, __VA_ARGS__), \
	    CRC_4((i) + 12, __VA_ARGS__)
#define CRC_64(i, ...)                                                                        \
	CRC_16(i, __VA_ARGS__), CRC_16((i) + 16, __VA_ARGS__), CRC_16((i) + 32, __VA_ARGS__), \
	    CRC_16((i) + 48, __VA_ARGS__)
#define CRC_TABLE(...)                                                              \
	{CRC_64(0, __VA_ARGS__), CRC_64(64, __VA_ARGS__), CRC_64(128, __VA_ARGS__), \
	 CRC_64(192, __VA_ARGS__)}

static const uint32_t crc_table[8][256] = {
    CRC_TABLE(0x77073096, 0xee0e612c, 0x076dc419, 0x0edb8832, 0x1db71064, 0x3b6e20c8, 0x76dc4190,
	      0xedb88320),
    CRC_TABLE(0x191b3141, 0x32366282, 0x646cc504, 0xc8d98a08, 0x4ac21251, 0x958424a2, 0xf0794f05,
	      0x3b83984b),
    CRC_TABLE(0x01c26a37, 0x0384d46e, 0x0709a8dc, 0x0e1351b8, 0x1c26a370, 0x384d46e0, 0x709a8dc0,
	      0xe1351b80),
    CRC_TABLE(0xb8bc6765, 0xaa09c88b, 0x8f629757, 0xc5b428ef, 0x5019579f, 0xa032af3e, 0x9b14583d,
	      0xed59b63b),
    CRC_TABLE(0x3d6029b0, 0x7ac05360, 0xf580a6c0, 0x30704bc1, 0x60e09782, 0xc1c12f04, 0x58f35849,
	      0xb1e6b092),
    CRC_TABLE(0xcb5cd3a5, 0x4dc8a10b, 0x9b914216, 0xec53826d, 0x03d6029b, 0x07ac0536, 0x0f580a6c,
	      0x1eb014d8),
    CRC_TABLE(0xa6770bb4, 0x979f1129, 0xf44f2413, 0x33ef4e67, 0x67de9cce, 0xcfbd399c, 0x440b7579,
	      0x8816eaf2),
    CRC_TABLE(0xccaa009e, 0x4225077d, 0x844a0efa, 0xd3e51bb5, 0x7cbb312b, 0xf9766256, 0x299dc2ed,
	      0x533b85da),
};

static uint32_t crc_byte(uint32_t crc, uint8_t byte)
{
	return crc_table[0][(uint8_t)(crc ^ byte)] ^ crc >> 8;
}

static uint32_t crc_word(uint32_t crc, uint64_t word)
{
	word ^= crc;
	return crc_table[7][(uint8_t)word] ^ crc_table[6][(uint8_t)(word >> 8)] ^
	       crc_table[5][(uint8_t)(word >> 16)] ^ crc_table[4][(uint8_t)(word >> 24)] ^
	       crc_table[3][(uint8_t)(word >> 32)] ^ crc_table[2][(uint8_t)(word >> 40)] ^
	       crc_table[1][(uint8_t)(word >> 48)] ^ crc_table[0][word >> 56];
}

static uint32_t crc_bytes(uint32_t crc, const uint8_t *data, size_t size)
{
	while (size != 0 && !is_aligned((uintptr_t)data, sizeof(uint64_t))) {
		crc = crc_byte(crc, *data++);
		size--;
	}
	for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t)) {
		uint64_t word;

		/* -ffreestanding would make a call of a plain memcpy. */
		__builtin_memcpy(&word, __builtin_assume_aligned(data, sizeof(word)), sizeof(word));
		crc = crc_word(crc, word);
		data += sizeof(word);
	}
	while (size-- != 0)
		crc = crc_byte(crc, *data++);
	return crc;
}

static uint32_t rotate_left(uint32_t x, unsigned n)
{
	return x << n | x >> (32 - n);
}

static uint32_t rotate_right(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

/* Bytewise: data need not be aligned, and harts without Zbb have no byte swap. */
static uint32_t load_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void store_be32(uint8_t *p, uint32_t x)
{
	p[0] = (uint8_t)(x >> 24);
	p[1] = (uint8_t)(x >> 16);
	p[2] = (uint8_t)(x >> 8);
	p[3] = (uint8_t)x;
}

/* FIPS 180-4, 4.1.1: Ch and Maj in forms that need an operation less. */
static uint32_t choose(uint32_t x, uint32_t y, uint32_t z)
{
	return z ^ (x & (y ^ z));
}

static uint32_t majority(uint32_t x, uint32_t y, uint32_t z)
{
	return (x & y) | (z & (x | y));
}

static uint32_t parity(uint32_t x, uint32_t y, uint32_t z)
{
	return x ^ y ^ z;
}

/* One round of FIPS 180-4, 6.1.2, on variables that the next round names differently. */
#define SHA1_ROUND(f, k, a, b, c, d, e, w)                         \
	do {                                                       \
		(e) += rotate_left(a, 5) + f(b, c, d) + (k) + (w); \
		(b) = rotate_left(b, 30);                          \
	} while (0)

#define SHA1_ROUNDS(f, k, first)                               \
	for (unsigned i = (first); i < (first) + 20; i += 5) { \
		SHA1_ROUND(f, k, a, b, c, d, e, w[i]);         \
		SHA1_ROUND(f, k, e, a, b, c, d, w[i + 1]);     \
		SHA1_ROUND(f, k, d, e, a, b, c, w[i + 2]);     \
		SHA1_ROUND(f, k, c, d, e, a, b, w[i + 3]);     \
		SHA1_ROUND(f, k, b, c, d, e, a, w[i + 4]);     \
	}

static void sha1_block(uint32_t *state, const uint8_t *block)
{
	uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
	uint32_t w[80];

	for (size_t i = 0; i < 16; i++)
		w[i] = load_be32(block + 4 * i);
	for (unsigned i = 16; i < 80; i++)
		w[i] = rotate_left(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
	SHA1_ROUNDS(choose, 0x5a827999, 0)
	SHA1_ROUNDS(parity, 0x6ed9eba1, 20)
	SHA1_ROUNDS(majority, 0x8f1bbcdc, 40)
	SHA1_ROUNDS(parity, 0xca62c1d6, 60)
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
	state[4] += e;
}

/* FIPS 180-4, 4.2.2: the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* One round of FIPS 180-4, 6.2.2, on variables that the next round names differently. */
#define SHA256_ROUND(a, b, c, d, e, f, g, h, i)                                           \
	do {                                                                              \
		(h) += (rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25)) + \
		       choose(e, f, g) + sha256_k[i] + w[i];                              \
		(d) += (h);                                                               \
		(h) += (rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22)) + \
		       majority(a, b, c);                                                 \
	} while (0)

static void sha256_schedule(uint32_t *w, const uint8_t *block)
{
	for (size_t i = 0; i < 16; i++)
		w[i] = load_be32(block + 4 * i);
	for (unsigned i = 16; i < 64; i++) {
		uint32_t x = w[i - 15], y = w[i - 2];

		w[i] = w[i - 16] + (rotate_right(x, 7) ^ rotate_right(x, 18) ^ x >> 3) + w[i - 7] +
		       (rotate_right(y, 17) ^ rotate_right(y, 19) ^ y >> 10);
	}
}

static void sha256_block(uint32_t *state, const uint8_t *block)
{
	uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
	uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
	uint32_t w[64];

	sha256_schedule(w, block);
	for (unsigned i = 0; i < 64; i += 8) {
		SHA256_ROUND(a, b, c, d, e, f, g, h, i);
		SHA256_ROUND(h, a, b, c, d, e, f, g, i + 1);
		SHA256_ROUND(g, h, a, b, c, d, e, f, i + 2);
		SHA256_ROUND(f, g, h, a, b, c, d, e, i + 3);
		SHA256_ROUND(e, f, g, h, a, b, c, d, i + 4);
		SHA256_ROUND(d, e, f, g, h, a, b, c, i + 5);
		SHA256_ROUND(c, d, e, f, g, h, a, b, i + 6);
		SHA256_ROUND(b, c, d, e, f, g, h, a, i + 7);
	}
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
	state[4] += e;
	state[5] += f;
	state[6] += g;
	state[7] += h;
}

static const struct {
	const char *name;
	size_t size;
	size_t step; /* whole blocks */
	uint32_t start[8];
} algos[] = {
    [HASH_CRC32] = {"crc32", 4, 2048, {0xffffffff}},
    [HASH_SHA1] = {"sha1", 20, 384, {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}},
    [HASH_SHA256] = {"sha256",
		     32,
		     256,
		     {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
		      0x1f83d9ab, 0x5be0cd19}},
};

int hash_find_algo(const char *name, enum hash_algo *algo)
{
	for (unsigned i = 0; i < ARRAY_SIZE(algos); i++) {
		if (strcmp(name, algos[i].name) == 0) {
			*algo = (enum hash_algo)i;
			return 0;
		}
	}
	return ERR_NOENT;
}

size_t hash_size(enum hash_algo algo)
{
	return algos[algo].size;
}

size_t hash_step_size(enum hash_algo algo)
{
	return algos[algo].step;
}

void hash_begin(struct hash *hash, enum hash_algo algo)
{
	hash->algo = algo;
	hash->length = 0;
	memcpy(hash->state, algos[algo].start, sizeof(hash->state));
}

static void hash_one_block(struct hash *hash, const uint8_t *block)
{
	if (hash->algo == HASH_SHA1)
		sha1_block(hash->state, block);
	else
		sha256_block(hash->state, block);
}

/* Feeds SHA's blocks through hash->block where they do not begin and end with the data. */
static void sha_update(struct hash *hash, const uint8_t *data, size_t size)
{
	size_t used = hash->length % HASH_BLOCK_SIZE;

	if (used != 0) {
		size_t n = min_u64(size, HASH_BLOCK_SIZE - used);

		memcpy(hash->block + used, data, n);
		data += n;
		size -= n;
		if (used + n < HASH_BLOCK_SIZE)
			return;
		hash_one_block(hash, hash->block);
	}
	for (; size >= HASH_BLOCK_SIZE; size -= HASH_BLOCK_SIZE) {
		hash_one_block(hash, data);
		data += HASH_BLOCK_SIZE;
	}
	memcpy(hash->block, data, size);
}

void hash_update(struct hash *hash, const void *data, size_t size)
{
	if (size == 0)
		return;
	if (hash->algo == HASH_CRC32)
		hash->state[0] = crc_bytes(hash->state[0], data, size);
	else
		sha_update(hash, data, size);
	hash->length += size;
}

/* FIPS 180-4, 5.1.1: a one, zeroes, and the length in bits. */
static void sha_pad(struct hash *hash)
{
	static const uint8_t padding[HASH_BLOCK_SIZE] = {0x80};
	uint64_t bits = hash->length * 8;
	size_t used = hash->length % HASH_BLOCK_SIZE;
	uint8_t length[8];

	store_be32(length, (uint32_t)(bits >> 32));
	store_be32(length + 4, (uint32_t)bits);
	hash_update(hash, padding, (used < 56 ? 56 : 120) - used);
	hash_update(hash, length, sizeof(length));
}

void hash_end(struct hash *hash, uint8_t *digest)
{
	if (hash->algo == HASH_CRC32)
		hash->state[0] = ~hash->state[0];
	else
		sha_pad(hash);
	for (size_t i = 0; i < hash_size(hash->algo) / 4; i++)
		store_be32(digest + 4 * i, hash->state[i]);
}
