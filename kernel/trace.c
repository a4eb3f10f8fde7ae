/* SPDX-License-Identifier: MIT */

#include "kernel/trace.h"

#include "kernel/error.h"
#include "kernel/page.h"
#include "riscv/hint.h"

static struct trace_ring rings[HARTS_MAX];
static unsigned order;
static bool has_memory, recording;

void trace_record(enum trace_kind kind, uint64_t detail, uint32_t who, uint64_t a, uint64_t b)
{
	struct hart *hart = this_hart();
	struct trace_ring *ring;

	/* Either this hart sees that it is to stop, or who stops it sees that it is writing. */
	__atomic_store_n(&hart->trace_busy, true, __ATOMIC_SEQ_CST);
	ring = __atomic_load_n(&hart->trace, __ATOMIC_SEQ_CST);
	if (ring && ring->kinds >> kind & 1) {
		struct trace_record record = {
		    .time = time_now(),
		    .kind = (uint8_t)kind,
		    .detail = (uint16_t)detail,
		    .who = who,
		    .a = a,
		    .b = b,
		};

		trace_ring_put(ring, &record);
	}
	__atomic_store_n(&hart->trace_busy, false, __ATOMIC_RELEASE);
}

void trace_stop(void)
{
	recording = false;
	for (unsigned i = 0; i < hart_count(); i++)
		__atomic_store_n(&hart_by_index(i)->trace, NULL, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < hart_count(); i++) {
		while (__atomic_load_n(&hart_by_index(i)->trace_busy, __ATOMIC_SEQ_CST))
			cpu_pause();
	}
}

void trace_go_on(void)
{
	const struct trace_record start = {.time = time_now(), .kind = TRACE_START};

	for (unsigned i = 0; i < hart_count(); i++) {
		trace_ring_put(&rings[i], &start);
		__atomic_store_n(&hart_by_index(i)->trace, &rings[i], __ATOMIC_RELEASE);
	}
	recording = true;
	/* What each does at present shows when it does it anew: turns end, and idle harts wake. */
	for (unsigned i = 0; i < hart_count(); i++)
		hart_notify(hart_by_index(i));
}

bool trace_is_recording(void)
{
	return recording;
}

void trace_free(void)
{
	for (unsigned i = 0; i < hart_count() && has_memory; i++) {
		if (rings[i].records)
			page_free(rings[i].records, order);
		rings[i] = (struct trace_ring){0};
	}
	has_memory = false;
}

int trace_allocate(unsigned ring_order)
{
	order = ring_order;
	has_memory = true;
	for (unsigned i = 0; i < hart_count(); i++) {
		rings[i].records = page_alloc(order);
		rings[i].size = (PAGE_SIZE << order) / sizeof(struct trace_record);
		if (!rings[i].records) {
			trace_free();
			return ERR_NOMEM;
		}
	}
	return 0;
}

void trace_begin(uint32_t kinds)
{
	trace_stop();
	for (unsigned i = 0; i < hart_count(); i++) {
		rings[i].written = 0;
		rings[i].kinds = kinds;
	}
	trace_go_on();
}

const struct trace_ring *trace_rings(void)
{
	return rings;
}

uint64_t trace_ring_bytes(void)
{
	return has_memory ? PAGE_SIZE << order : 0;
}
