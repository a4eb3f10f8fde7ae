/* SPDX-License-Identifier: MIT */
#ifndef VMM_HASH_H
#define VMM_HASH_H

/*
 * The hashes of U-Boot's flattened image trees. A hash can be fed in any number of pieces,
 * so that a large image is hashed with preemption points in between. No locks, any context.
 */

#include "kernel/types.h"

enum hash_algo { HASH_CRC32, HASH_SHA1, HASH_SHA256 };

#define HASH_SIZE_MAX   32
#define HASH_BLOCK_SIZE 64

struct hash {
	enum hash_algo algo;
	uint64_t length; /* bytes fed so far */
	uint32_t state[8];
	uint8_t block[HASH_BLOCK_SIZE]; /* the incomplete block; of no use to crc32 */
};

/* The algorithm called "crc32", "sha1" or "sha256"; ERR_NOENT for any other name. */
int hash_find_algo(const char *name, enum hash_algo *algo);

/* The size of a digest in bytes: 4, 20 or 32. */
size_t hash_size(enum hash_algo algo);

/* How many bytes to feed in one stretch: they, or hash_end(), cost less than 20,000 instructions.
 */
size_t hash_step_size(enum hash_algo algo);

void hash_begin(struct hash *hash, enum hash_algo algo);
void hash_update(struct hash *hash, const void *data, size_t size);

/* Writes the digest, hash_size() bytes as a FIT stores it (crc32 big endian). */
void hash_end(struct hash *hash, uint8_t *digest);

#endif
