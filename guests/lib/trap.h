/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_LIB_TRAP_H
#define GUESTS_LIB_TRAP_H

#include "guests/lib/hart.h"
#include "riscv/csr.h"

/*
 * Runs function(a0, a1, a2). Returns false if it returned (its value is in hart->result),
 * true if it was ended by an exception, in this mode or in U-mode, which is then in
 * hart->trap. Either way sstatus and the callee-saved registers are what they were.
 * May be nested, and used in an interrupt handler.
 */
bool trap_run(uint64_t (*function)(uint64_t a0, uint64_t a1, uint64_t a2), uint64_t a0, uint64_t a1,
	      uint64_t a2);

/* Loads all registers, sepc and sstatus from the frame and executes sret. */
__noreturn void trap_enter(const struct trap_frame *frame);

/* stvec for direct and for vectored mode. */
void trap_entry(void);
extern char trap_vectors[];

/* Where trap_run() goes on after an exception (start.S). */
extern char trap_resume[];

/* Called by the assembly. */
void trap_handle(struct trap_frame *frame);

/* What taking an interrupt does when no handler is set: silences its source. */
void trap_interrupt_quiet(uint64_t number);

void fp_load(const uint64_t state[33]);
void fp_save(uint64_t state[33]);

/*
 * Executes code at `pc` with the registers of `x` (or zeroes where NULL), in U-mode if
 * `user`, until it takes an exception, and returns that.
 */
const struct trap_frame *trap_exec(uint64_t pc, const uint64_t x[32], bool user);

/*
 * Executes one instruction, of 16 bits if its two lowest are not 11. If it completed, the
 * exception is the breakpoint after it: see insn_completed().
 */
const struct trap_frame *insn_exec(uint32_t insn, const uint64_t x[32], bool user);

/* The same with a0 and a1 set and everything else zero. */
const struct trap_frame *insn_exec2(uint32_t insn, uint64_t a0, uint64_t a1, bool user);

/* Whether the last insn_exec() on this hart reached the breakpoint after the instruction. */
bool insn_completed(void);

/* Where insn_exec() of the running hart puts the instruction. */
uint64_t insn_address(void);

#endif
