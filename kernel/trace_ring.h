/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_TRACE_RING_H
#define KERNEL_TRACE_RING_H

/*
 * A ring of the last records that one hart made. The hart writes without a lock; nobody reads it
 * meanwhile (kernel/trace.h sees to that).
 */

#include "kernel/types.h"

/* What happened. The numbers are those of the dump's format: tools/trace2json knows them. */
enum trace_kind {
	TRACE_START = 0,     /* recording begins: nothing is known of what was before */
	TRACE_ENTER = 1,     /* the guest goes on */
	TRACE_SBI = 2,       /* exit: a = extension, b = function */
	TRACE_ACCESS = 3,    /* exit: detail = TRACE_ACCESS_…, a = address, b = the guest's own */
	TRACE_WFI = 4,       /* exit */
	TRACE_INTERRUPT = 5, /* exit: detail = the host's interrupt, as in scause */
	TRACE_OTHER = 6,     /* exit */
	TRACE_TRAP = 7,      /* exit to the soft engine: detail = scause, a = stval, b = pc */
	TRACE_MMIO = 8,      /* a device's register: detail = TRACE_ACCESS_…, a = address */
	TRACE_INJECT = 9,    /* detail = interrupt, by S-level number */
	TRACE_TURN = 10,     /* a vCPU's turn begins */
	TRACE_TURN_END = 11, /* detail = enum vcpu_mode */
	TRACE_WORK = 12,     /* jobs of the hypervisor's own begin */
	TRACE_WORK_END = 13, /* and end */
	TRACE_IDLE = 14,     /* the hart waits for an interrupt */
	TRACE_IDLE_END = 15, /* and goes on */
	TRACE_WAKE = 16,     /* a vCPU that was blocked or parked is to run */
	TRACE_MOVE = 17,     /* a vCPU moves: a = the hart's id */
	TRACE_IPI = 18,      /* sent: detail = enum ipi, a = the hart's id */
	TRACE_KINDS = 19
};

#define TRACE_ACCESS_FETCH 0
#define TRACE_ACCESS_LOAD  1
#define TRACE_ACCESS_STORE 2
#define TRACE_ACCESS_WALK  4 /* added: by the walk of the guest's tables */
#define TRACE_ACCESS_RAM   8 /* added: RAM that was not backed yet */

struct trace_record {
	uint64_t time; /* ticks */
	uint8_t kind;  /* enum trace_kind */
	uint8_t unused;
	uint16_t detail;
	uint32_t who; /* TRACE_WHO(), or 0 */
	uint64_t a, b;
};

/* scause in a record's detail: bit 15 stands for bit 63. */
#define TRACE_CAUSE(cause) (((cause) & 0xfff) | (cause) >> 48)

/* A vCPU in a record: the VM's number, and the vCPU's own. */
#define TRACE_WHO(vm, vcpu) ((uint32_t)(vm) << 16 | (uint32_t)(vcpu))

struct trace_ring {
	struct trace_record *records; /* NULL: none */
	uint64_t size;                /* of `records`: a power of two */
	uint64_t written;             /* ever; the last `size` of them are there */
	uint32_t kinds;               /* to be recorded: a bit for each */
};

/* Puts a record over the oldest one. */
static inline void trace_ring_put(struct trace_ring *ring, const struct trace_record *record)
{
	ring->records[ring->written++ & (ring->size - 1)] = *record;
}

/* How many records there are, and how many are gone. */
static inline uint64_t trace_ring_count(const struct trace_ring *ring)
{
	return min_u64(ring->written, ring->size);
}

static inline uint64_t trace_ring_lost(const struct trace_ring *ring)
{
	return ring->written - trace_ring_count(ring);
}

/* The one with this index, below trace_ring_count(), from the oldest on. */
static inline const struct trace_record *trace_ring_at(const struct trace_ring *ring,
						       uint64_t index)
{
	return &ring->records[(trace_ring_lost(ring) + index) & (ring->size - 1)];
}

/* Goes through the records of several rings in the order of their times. */
struct trace_cursor {
	const struct trace_ring *rings;
	unsigned count;
	uint64_t next[64]; /* of each ring: index of its next record */
};

/* Begins behind the last record of all `count` rings, 64 of them at most. */
void trace_cursor_init(struct trace_cursor *cursor, const struct trace_ring *rings, unsigned count);

/* Goes back by one record. false: there are none before. */
bool trace_cursor_back(struct trace_cursor *cursor);

/* The next record, and its ring's index; NULL after the last. */
const struct trace_record *trace_cursor_next(struct trace_cursor *cursor, unsigned *ring);

#endif
