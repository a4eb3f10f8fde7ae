/* SPDX-License-Identifier: MIT */

#include "kernel/trace_ring.h"

/* The ring that has the earliest record at its place, or -1; of several, the first. */
static int earliest(const struct trace_cursor *cursor)
{
	int found = -1;
	uint64_t time = 0;

	for (unsigned i = 0; i < cursor->count; i++) {
		const struct trace_ring *ring = &cursor->rings[i];

		if (cursor->next[i] == trace_ring_count(ring))
			continue;
		if (found < 0 || trace_ring_at(ring, cursor->next[i])->time < time) {
			found = (int)i;
			time = trace_ring_at(ring, cursor->next[i])->time;
		}
	}
	return found;
}

/* The ring that has the latest record before its place, or -1; of several, the last. */
static int latest(const struct trace_cursor *cursor)
{
	int found = -1;
	uint64_t time = 0;

	for (unsigned i = 0; i < cursor->count; i++) {
		const struct trace_ring *ring = &cursor->rings[i];

		if (cursor->next[i] == 0)
			continue;
		if (trace_ring_at(ring, cursor->next[i] - 1)->time >= time) {
			found = (int)i;
			time = trace_ring_at(ring, cursor->next[i] - 1)->time;
		}
	}
	return found;
}

void trace_cursor_init(struct trace_cursor *cursor, const struct trace_ring *rings, unsigned count)
{
	cursor->rings = rings;
	cursor->count = count;
	for (unsigned i = 0; i < count; i++)
		cursor->next[i] = trace_ring_count(&rings[i]);
}

bool trace_cursor_back(struct trace_cursor *cursor)
{
	int ring = latest(cursor);

	if (ring >= 0)
		cursor->next[ring]--;
	return ring >= 0;
}

const struct trace_record *trace_cursor_next(struct trace_cursor *cursor, unsigned *ring)
{
	int found = earliest(cursor);

	if (found < 0)
		return NULL;
	*ring = (unsigned)found;
	return trace_ring_at(&cursor->rings[found], cursor->next[found]++);
}
