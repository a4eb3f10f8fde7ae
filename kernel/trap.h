/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_TRAP_H
#define KERNEL_TRAP_H

/*
 * Traps taken in the hypervisor itself. It runs with interrupts off; they are taken at
 * preemption points only, so that no handler ever finds a lock held.
 */

#include "kernel/types.h"

/* What kernel_trap_vector saves; its layout is known to kernel/trap_entry.S. */
struct trap_frame {
	uint64_t x[32];
	uint64_t sepc, scause, stval, sstatus;
};

/*
 * Takes the interrupts that are pending; in a job, a vCPU with a reservation may have its turn
 * here, too. No lock may be held, and what the caller knows of the state of vCPUs and timers may be
 * different afterwards.
 */
void preempt_point(void);

/*
 * As if everything from preempt_allow() to preempt_forbid() were preemption points: for long work
 * of libraries, in a job. All that it may touch is memory that nobody else knows of; it takes no
 * lock, and neither logs nor allocates.
 */
void preempt_allow(void);
void preempt_forbid(void);

/* Deals with one interrupt, by its number in scause. Interrupts are off, no lock is held. */
void interrupt_dispatch(uint64_t number);

/* Who handles external interrupts (the driver of the interrupt controller); one only. */
void interrupt_set_external(void (*handler)(void));

/* Waits, with WFI, until an interrupt is pending, and takes it. */
void interrupt_wait(void);

/* The entry points of traps taken by the hypervisor itself. */
void kernel_trap_vector(void);
void kernel_trap(struct trap_frame *frame);
void __noreturn kernel_stack_overflow(struct trap_frame *frame);

/*
 * The exception table: an exception at the instruction `insn` continues at `resume` with
 * t0 = cause + 1. Such code puts 0 into t0 first.
 */
#define EXCEPTION_ENTRY(insn, resume)            \
	".pushsection .exception_table, \"a\"\n" \
	".balign 8\n"                            \
	".dword " #insn ", " #resume "\n"        \
	".popsection\n"

/* Reads a CSR that may not exist. false if the access raised an exception. */
#define csr_try_read(csr, value)                                                               \
	({                                                                                     \
		uint64_t try_value_ = 0;                                                       \
		register uint64_t try_failed_ __asm__("t0");                                   \
		__asm__ volatile("   li t0, 0\n"                                               \
				 "1: csrr %0, " CSR_STRING(csr) "\n"                           \
								"2:\n" EXCEPTION_ENTRY(1b, 2b) \
				 : "+&r"(try_value_), "=&r"(try_failed_)                       \
				 :                                                             \
				 : "memory");                                                  \
		*(value) = try_value_;                                                         \
		!try_failed_;                                                                  \
	})

/* Writes one, likewise. */
#define csr_try_write(csr, value)                                                          \
	({                                                                                 \
		register uint64_t try_failed_ __asm__("t0");                               \
		__asm__ volatile("   li t0, 0\n"                                           \
				 "1: csrw " CSR_STRING(csr) ", %1\n"                       \
							    "2:\n" EXCEPTION_ENTRY(1b, 2b) \
				 : "=&r"(try_failed_)                                      \
				 : "r"((uint64_t)(value))                                  \
				 : "memory");                                              \
		!try_failed_;                                                              \
	})

#endif
