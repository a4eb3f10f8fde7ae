/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_LIB_HART_H
#define GUESTS_LIB_HART_H

/*
 * What a guest keeps for each hart. In S-mode tp points to the running hart's struct hart,
 * and sscratch does so always, so that a trap may find every general register in any state.
 * Offsets are for the assembly.
 */

#define HARTS_MAX       64
#define HART_STACK_SIZE 16384
#define TRAP_LEVELS     6
#define TRAP_LEVEL_SIZE 4096
#define TRAP_FRAME_SIZE 288
#define HART_ID         0
#define HART_STACK_TOP  8
#define HART_FRAME      16
#define HART_TEMP       24
#define HART_CATCH_SP   32
#define HART_RESULT     40
#define HART_VECTOR     48
#define HART_OWN        56
#define HART_SIZE       (HART_STACK_SIZE + TRAP_LEVELS * TRAP_LEVEL_SIZE + 4096)

#define REG_RA 1
#define REG_SP 2
#define REG_GP 3
#define REG_TP 4
#define REG_T0 5
#define REG_A0 10
#define REG_A1 11

#ifndef __ASSEMBLER__

#include "kernel/types.h"

/* Registers at a trap; x[0] is not used. The assembly knows this layout. */
struct trap_frame {
	uint64_t x[32];
	uint64_t epc;
	uint64_t status;
	uint64_t cause;
	uint64_t tval;
};

struct hart {
	uint64_t id; /* the hart id that SBI knows it by */
	uint64_t stack_top;
	uint64_t frame;    /* the frame the next trap is saved to; they grow down */
	uint64_t temp;     /* used by the trap entry */
	uint64_t catch_sp; /* where trap_run() is to be resumed; 0: it is not running */
	uint64_t result;   /* what the function run by trap_run() returned */
	uint64_t vector;   /* which entry of trap_vectors the last trap came through, plus 1 */
	uint64_t own[8];   /* for a guest with a trap entry of its own */

	struct trap_frame trap; /* the last exception taken under trap_run() */
	void (*on_interrupt)(struct trap_frame *frame);
	bool (*on_exception)(struct trap_frame *frame); /* true: go on as the frame says */
	volatile uint64_t interrupts[16];               /* taken so far, by number */
	volatile uint64_t order[8]; /* the first eight since order_count was cleared */
	volatile uint64_t order_count;

	void (*work)(void *argument);
	void *argument;
	volatile bool done;

	uint8_t trap_area[TRAP_LEVELS * TRAP_LEVEL_SIZE] __aligned(16);
	uint8_t stack[HART_STACK_SIZE] __aligned(16);
} __aligned(4096);

extern struct hart harts[HARTS_MAX];

static inline struct hart *hart_self(void)
{
	struct hart *hart;

	__asm__ volatile("mv %0, tp" : "=r"(hart));
	return hart;
}

/* Readies a hart's data, before anything runs on it. */
void hart_init(struct hart *hart, uint64_t id);

/*
 * Starts hart `index` (of machine.harts, not the one we run on) with work(argument) on its
 * own stack; the hart stops itself when that returns. Returns the SBI error, 0 if none.
 */
int64_t hart_run(size_t index, void (*work)(void *argument), void *argument);

/* Waits until a hart's work is done and it has stopped; false after `timeout_ms`. */
bool hart_join(size_t index, uint64_t timeout_ms);

/* The HSM state of a hart, or a negative SBI error. */
int64_t hart_status(size_t index);

/* Where a started hart begins (start.S); opaque is its struct hart. */
void hart_entry(void);

/*
 * The resume address of a non-retentive suspend called under trap_run(), with the struct hart
 * as opaque: trap_run() returns true, and result, temp and vector hold a0, sstatus and satp.
 */
void hart_resume(void);

/* Called by the assembly. */
__noreturn void hart_main(struct hart *hart);

#endif
#endif
