/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_CHAOS_ENTRY_H
#define GUESTS_CHAOS_ENTRY_H

/* What chaos_entry has in its struct hart: struct skip, by offsets. */
#include "guests/lib/hart.h"

#define OWN_AT    (HART_OWN + 0)
#define OWN_SIZE  (HART_OWN + 8)
#define OWN_WORDS (HART_OWN + 16)
#define OWN_LEFT  (HART_OWN + 24)
#define OWN_T0    (HART_OWN + 32)
#define OWN_T1    (HART_OWN + 40)

#ifndef __ASSEMBLER__

/* Code whose exceptions are skipped: where it runs, how long it is, and where it is in memory. */
struct skip {
	uint64_t at, size;
	const uint16_t *words;
	volatile int64_t left; /* exceptions, before it is enough; 0: none is skipped */
	uint64_t t0, t1;
};

/* stvec of a worker. */
void chaos_entry(void);

/* As sbi_call(), of which nobody wants the answer. */
void chaos_call(uint64_t extension, uint64_t function, uint64_t a0, uint64_t a1, uint64_t a2,
		uint64_t a3, uint64_t a4);
/* Its ecall. */
extern const char chaos_ecall[];

#endif
#endif
