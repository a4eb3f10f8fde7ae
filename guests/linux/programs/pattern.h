/* SPDX-License-Identifier: MIT */
#ifndef PATTERN_H
#define PATTERN_H

/* Contents of memory that can be checked. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fills whole 64-bit words with the sequence that `seed` starts. */
void pattern_fill(void *buffer, size_t bytes, uint64_t seed);

/* Whether the buffer holds just that sequence. */
bool pattern_holds(const void *buffer, size_t bytes, uint64_t seed);

/* A checksum of whole 64-bit words. */
uint64_t checksum(const void *buffer, size_t bytes);

#endif
