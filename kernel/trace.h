/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_TRACE_H
#define KERNEL_TRACE_H

/*
 * Tracing: what happens on each hart, with its time. Each hart writes into a ring of its own,
 * without a lock. Off, a trace point costs a load and a branch; nothing else is there for it, and
 * no memory is taken before recording is begun for the first time.
 */

#include "kernel/hart.h"
#include "kernel/trace_ring.h"

/* Whether this hart records. */
static inline bool trace_is_on(void)
{
	const struct trace_ring *ring;

#ifdef __riscv
	/* Not through this_hart(), which takes an instruction of its own. */
	__asm__ volatile("ld %0, %1(tp)" : "=r"(ring) : "i"(offsetof(struct hart, trace)));
#else
	ring = this_hart()->trace;
#endif
	return unlikely(ring);
}

/* Records, if this hart still does and the kind is wanted. Interrupts off. */
void trace_record(enum trace_kind kind, uint64_t detail, uint32_t who, uint64_t a, uint64_t b)
    __attribute__((cold));

/* A trace point. The arguments are evaluated only where it records. */
#define trace(kind, detail, who, a, b)                         \
	do {                                                   \
		if (trace_is_on())                             \
			trace_record(kind, detail, who, a, b); \
	} while (0)

/*
 * The rest is the boot hart's, in a job. All rings are stopped and started together; while they are
 * stopped, no hart writes.
 */

/*
 * Gives each hart a ring of 2^order pages, 2^order * 128 records. ERR_NOMEM. There are none yet.
 */
int trace_allocate(unsigned order);

/* Gives their memory back; stopped. */
void trace_free(void);

/* Begins to record the kinds that have a bit in `kinds`, and forgets what was recorded. */
void trace_begin(uint32_t kinds);

/* Stops, after which what is recorded can be read; goes on, keeping it. */
void trace_stop(void);
void trace_go_on(void);

bool trace_is_recording(void);

/* The rings, by hart index, and how many bytes each has; 0: there are none. */
const struct trace_ring *trace_rings(void);
uint64_t trace_ring_bytes(void);

#endif
