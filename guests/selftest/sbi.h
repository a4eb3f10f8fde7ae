/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_SELFTEST_SBI_H
#define GUESTS_SELFTEST_SBI_H

#include "guests/selftest/test.h"

static inline struct sbi_ret sbi5(uint64_t extension, uint64_t function, uint64_t a0, uint64_t a1,
				  uint64_t a2, uint64_t a3, uint64_t a4)
{
	return sbi_call(extension, function, a0, a1, a2, a3, a4);
}

static inline struct sbi_ret sbi3(uint64_t extension, uint64_t function, uint64_t a0, uint64_t a1,
				  uint64_t a2)
{
	return sbi_call(extension, function, a0, a1, a2, 0, 0);
}

static inline struct sbi_ret sbi2(uint64_t extension, uint64_t function, uint64_t a0, uint64_t a1)
{
	return sbi_call(extension, function, a0, a1, 0, 0, 0);
}

static inline struct sbi_ret sbi1(uint64_t extension, uint64_t function, uint64_t a0)
{
	return sbi_call(extension, function, a0, 0, 0, 0, 0);
}

static inline struct sbi_ret sbi0(uint64_t extension, uint64_t function)
{
	return sbi_call(extension, function, 0, 0, 0, 0, 0);
}

/* Hart masks that name harts no machine of ours has. */
struct absent_mask {
	uint64_t mask, base;
};

extern const struct absent_mask absent_masks[];
extern const size_t absent_mask_count;

#endif
