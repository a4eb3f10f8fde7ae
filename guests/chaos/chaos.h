/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_CHAOS_CHAOS_H
#define GUESTS_CHAOS_CHAOS_H

/*
 * Workers, one on each hart, do to the machine what a guest can, in turns of a kind each. A
 * worker is careful in one thing alone: it must get back to its own code.
 */

#include "guests/chaos/entry.h"
#include "guests/lib/console.h"
#include "guests/lib/insn.h"
#include "guests/lib/machine.h"
#include "guests/lib/memory.h"
#include "guests/lib/paging.h"
#include "guests/lib/sync.h"
#include "guests/lib/trap.h"
#include "riscv/csr.h"
#include "riscv/sbi.h"

#define BATCH            64 /* words of made-up code */
#define CODE_SIZE        (3 * PAGE_SIZE)
#define SCRATCH          (16 * PAGE_SIZE)
#define TICK_US          1000
#define U_ALIAS          GIB(1)             /* from what is S-mode's to the same for U-mode */
#define VA_CODE          (GIB(16))          /* the worker's code, with ebreaks before and behind */
#define VA_SHARED        (GIB(16) + MIB(2)) /* code of all workers */
#define VA_SCRATCH       (GIB(16) + MIB(4))
#define VA_GARBAGE_INDEX 5 /* of the root table, and the next one */

enum kind {
	KIND_CODE,
	KIND_CSR,
	KIND_SBI,
	KIND_MMIO,
	KIND_TABLES,
	KIND_MODIFY,
	KIND_STORM,
	KIND_WFI,
	KIND_HSM,
	KIND_RINGS,
	KINDS
};

struct worker {
	unsigned int index, kind; /* what it is at */
	uint64_t random;
	uint64_t share, total, done[KINDS]; /* operations */
	uint64_t time[KINDS];               /* ticks of its own, of turns that came to their end */
	struct paging tables;
	uint16_t *code; /* CODE_SIZE bytes, and SCRATCH */
	uint64_t scratch;

	bool top;              /* tables_add_top() has been called */
	volatile bool running; /* made-up code */
	volatile uint64_t traps, ticks;
	uint64_t size; /* bytes of what run_write() has put */
};

extern size_t worker_count;

struct worker *worker_self(void);

/* Below `n`, which is not 0. */
static inline uint64_t random_below(struct worker *w, uint64_t n)
{
	return (random_next(&w->random) >> 11) % n;
}

static inline bool one_in(struct worker *w, uint64_t n)
{
	return random_below(w, n) == 0;
}

/* values.c: what somebody may trip over. */

uint64_t value_any(struct worker *w);
/* Of the machine, but not in RAM that the guest needs. */
uint64_t value_address(struct worker *w);

/* run.c: code in which exceptions are skipped. */

void run_init(struct worker *w);
/* Paging with the worker's own tables, or none. */
void run_paged(struct worker *w, bool paged);
/* Where the worker's code begins, in this mode. */
uint64_t run_address(const struct worker *w, bool paged, bool user);
/* Puts words there, and an end: 32 bits, or 16 where the two lowest are not 11. */
void run_write(struct worker *w, const uint32_t *words, size_t count);
/*
 * Runs `size` bytes of code at `at`, which is in memory at `words`, to its end; paging is as it
 * was set. An instruction that traps is skipped; after TICK_US or two the code ends. True if it
 * came to its end. w->traps counts.
 */
bool run_code(struct worker *w, uint64_t at, const uint16_t *words, uint64_t size,
	      const uint64_t x[32], bool user);
/* What run_write() has put, in one mode or the other. */
bool run_written(struct worker *w, const uint64_t x[32], bool paged, bool user);
void run_interrupt(struct trap_frame *frame);
/* Sends the timer's interrupt in so many microseconds. */
void run_timer(uint64_t us);

/* A turn of each kind: returns how many operations it did. */

uint64_t code_turn(struct worker *w);
uint64_t csr_turn(struct worker *w);
uint64_t sbi_turn(struct worker *w);
uint64_t mmio_turn(struct worker *w);
void tables_init(void);
void tables_add(struct worker *w);
/* The same at the top of the address space, where a hypervisor may be. */
void tables_add_top(struct worker *w);
uint64_t tables_turn(struct worker *w);
void modify_init(void);
void modify_add(struct worker *w);
uint64_t modify_turn(struct worker *w);
uint64_t storm_turn(struct worker *w);
uint64_t wfi_turn(struct worker *w);
uint64_t hsm_turn(struct worker *w);
/* Starts harts that have stopped themselves; checks that each start began one hart. */
void hsm_start_stopped(void);
void hsm_check(void);
/* The hart runs, again. */
void hsm_woken(struct worker *w);
/*
 * Before it stops for good: waits for those that saw it asleep before it woke, and are about to
 * start it. Their calls fail while it runs.
 */
void hsm_leave(struct worker *w);
void rings_init(void);
uint64_t rings_turn(struct worker *w);

/* Does not return but by accident. */
void amok(struct worker *w);

__printf(1, 2) __noreturn void fail(const char *format, ...);

#endif
