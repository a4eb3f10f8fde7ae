/* SPDX-License-Identifier: MIT */
#ifndef VMM_COPY_H
#define VMM_COPY_H

/*
 * Copying in bulk: 64 bytes a turn where both sides are aligned alike. The C library's loops
 * are of unknown length; the time these take is known: about 18 instructions for 64 bytes.
 */

#include "kernel/types.h"

#include <string.h>

struct copy_block {
	uint64_t word[8];
};

static inline void copy_bytes(void *to, const void *from, uint64_t size)
{
	char *t = to;
	const char *f = from;

	if ((((uintptr_t)t ^ (uintptr_t)f) & 7) == 0 && size >= 64) {
		uint64_t head = -(uintptr_t)t & 7;

		memcpy(t, f, head);
		t += head;
		f += head;
		size -= head;
		for (; size >= sizeof(struct copy_block); size -= sizeof(struct copy_block)) {
			const uint64_t *s = (const uint64_t *)f;
			uint64_t *d = (uint64_t *)t;
			uint64_t a0 = s[0], a1 = s[1], a2 = s[2], a3 = s[3];
			uint64_t a4 = s[4], a5 = s[5], a6 = s[6], a7 = s[7];

			d[0] = a0, d[1] = a1, d[2] = a2, d[3] = a3;
			d[4] = a4, d[5] = a5, d[6] = a6, d[7] = a7;
			t += sizeof(struct copy_block);
			f += sizeof(struct copy_block);
		}
	}
	memcpy(t, f, size);
}

static inline void clear_bytes(void *start, uint64_t size)
{
	memset(start, 0, size);
}

#endif
