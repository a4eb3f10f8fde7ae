/* SPDX-License-Identifier: MIT */
/* A hart that takes no care at all: what comes of it only ends from outside. */
#include "guests/chaos/chaos.h"

#define AMOK_SIZE KIB(64)

static bool skip(struct trap_frame *frame)
{
	frame->epc += 2;
	return true;
}

void amok(struct worker *w)
{
	uint32_t *code = (uint32_t *)heap_reserve(AMOK_SIZE, PAGE_SIZE);
	uint64_t x[32];

	hart_self()->on_exception = skip;
	for (;;) {
		for (size_t i = 0; i < AMOK_SIZE / 4; i++)
			code[i] = (uint32_t)random_next(&w->random);
		for (int i = 0; i < 32; i++)
			x[i] = one_in(w, 4) ? value_any(w)
					    : machine.ram_base + random_below(w, machine.ram_size);
		__asm__ volatile("fence.i" ::: "memory");
		csr_write(CSR_SIE, random_next(&w->random));
		run_paged(w, one_in(w, 4));
		trap_exec((uint64_t)code + 2 * random_below(w, AMOK_SIZE / 4), x, one_in(w, 8));
		run_paged(w, false);
		if (one_in(w, 64)) {
			csr_write(CSR_SIE, 0);
			__asm__ volatile("wfi" ::: "memory");
		}
	}
}
