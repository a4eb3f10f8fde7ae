/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_LIB_SYNC_H
#define GUESTS_LIB_SYNC_H

#include "kernel/types.h"
#include "riscv/csr.h"

/* A ticket lock; all zeroes is unlocked. */
struct spinlock {
	uint32_t next, serving;
};

static inline void spin_lock(struct spinlock *lock)
{
	uint32_t ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);

	while (__atomic_load_n(&lock->serving, __ATOMIC_ACQUIRE) != ticket)
		;
}

static inline void spin_unlock(struct spinlock *lock)
{
	__atomic_store_n(&lock->serving, lock->serving + 1, __ATOMIC_RELEASE);
}

/* A small generator of pseudo-random numbers (xorshift64); the seed is not 0. */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x;
}

static inline uint64_t time_now(void)
{
	return csr_read(CSR_TIME);
}

/* Waits until `condition` holds, or about `ms` milliseconds; gives the condition. */
#define wait_until(condition, ms)                                                             \
	({                                                                                    \
		uint64_t wait_end_ = time_now() + (uint64_t)(ms) * (machine.timebase / 1000); \
		bool wait_held_;                                                              \
		while (!(wait_held_ = (condition)) && time_now() < wait_end_)                 \
			;                                                                     \
		wait_held_;                                                                   \
	})

#endif
