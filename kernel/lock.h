/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_LOCK_H
#define KERNEL_LOCK_H

/*
 * Ticket spinlocks: fair, so that a hart that a guest keeps busy cannot starve the others.
 * The hypervisor runs with interrupts off except at preemption points, and no lock is held
 * there; so a lock need not care about interrupts. The order in which locks nest is written
 * down in docs/architecture.md.
 */

#include "kernel/types.h"
#include "riscv/hint.h"

struct spinlock {
	uint32_t next;  /* the ticket the next comer draws */
	uint32_t owner; /* the ticket that holds the lock */
};

#define SPINLOCK_INIT {0, 0}

static inline void spin_lock(struct spinlock *lock)
{
	uint32_t ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);

	while (__atomic_load_n(&lock->owner, __ATOMIC_ACQUIRE) != ticket)
		cpu_pause();
}

static inline bool spin_trylock(struct spinlock *lock)
{
	uint32_t owner = __atomic_load_n(&lock->owner, __ATOMIC_RELAXED);
	uint32_t expected = owner;

	return __atomic_compare_exchange_n(&lock->next, &expected, owner + 1, false,
					   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline void spin_unlock(struct spinlock *lock)
{
	__atomic_store_n(&lock->owner, lock->owner + 1, __ATOMIC_RELEASE);
}

#endif
