/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_STATISTICS_H
#define ENGINE_STATISTICS_H

/*
 * What is counted for each vCPU while it runs. The hart that has it loaded writes, without a lock;
 * anyone may read, and then sees each number as it was a moment ago.
 *
 * An exit costs 10 instructions at most, and a quick one 3 (tests/system/test_statistics.py): so
 * the counter of instructions at the trap is kept in s11, which no C code uses (mk/hypervisor.mk),
 * until the exit has been dealt with. With -DPILAE_NO_STATISTICS nothing is counted, for
 * comparison.
 */

#include "kernel/hart.h"
#include "kernel/types.h"

#ifdef __riscv
#include "kernel/trap.h"
#include "riscv/csr.h"
#endif

/* What exits are about. */
enum exit_class {
	EXITS_SBI,        /* calls of the SBI */
	EXITS_MMIO,       /* accesses to devices, or to nothing */
	EXITS_MEMORY,     /* RAM that was not backed yet */
	EXITS_WFI,        /* it waits for an interrupt */
	EXITS_INTERRUPT,  /* an interrupt of the host */
	EXITS_PRIVILEGED, /* soft: privileged instructions, traps of the guest's that pass through
			     here */
	EXITS_SHADOW,     /* soft: faults of the shadow tables, some of which are the guest's own */
	EXITS_OTHER,
	EXIT_CLASSES
};

/* Interrupts that a vCPU is given: its kinds, in the order of their numbers. */
enum injection { INJECTED_SOFT, INJECTED_TIMER, INJECTED_EXTERNAL, INJECTIONS };

struct exit_count {
	uint64_t count;        /* not the quick ones */
	uint64_t instructions; /* of the hypervisor's, from the trap until it was dealt with */
};

struct vcpu_statistics {
	struct exit_count exits[EXIT_CLASSES];
	/* Those that are dealt with on a quick way, too short to be measured. */
	uint64_t quick_sbi, quick_mmio, quick_privileged, quick_shadow;
	uint64_t injected[INJECTIONS];
};

/* The quick ones of a class, and its name. */
uint64_t statistics_quick(const struct vcpu_statistics *statistics, enum exit_class class);
extern const char *const exit_class_names[EXIT_CLASSES];

/*
 * Whether instret can be read, which a firmware may not allow. Where it cannot, each reading traps
 * and means nothing. Known once the boot hart has been prepared.
 */
bool statistics_has_instructions(void);
void statistics_init_hart(void);

#ifdef PILAE_NO_STATISTICS
#define STATISTICS_ON false
#else
#define STATISTICS_ON true
#endif

#ifdef __riscv

/*
 * An exit begins. Reading may trap, which is recovered from, but changes the CSRs that tell of the
 * guest's trap: so they have been read.
 */
static inline void statistics_begin(void)
{
	if (STATISTICS_ON)
		__asm__ volatile(
		    "1: csrr s11, " CSR_STRING(CSR_INSTRET) "\n"
							    "2:\n" EXCEPTION_ENTRY(1b, 2b)::
								: "t0");
}

/* One exit that has been dealt with. */
static inline __attribute__((always_inline)) void statistics_count(
    struct vcpu_statistics *statistics, enum exit_class class)
{
	struct exit_count *exits = &statistics->exits[class];
	uint64_t taken;

	if (!STATISTICS_ON)
		return;
	exits->count++;
	__asm__ volatile(
	    "1: csrr %0, " CSR_STRING(CSR_INSTRET) "\n"
						   "2: sub %0, %0, s11\n" EXCEPTION_ENTRY(1b, 2b)
	    : "=r"(taken)::"t0");
	exits->instructions += taken;
}

/* The same for the vCPU that is loaded on this hart. */
static inline __attribute__((always_inline)) void statistics_count_loaded(enum exit_class class)
{
	struct vcpu_statistics *statistics;

	/* Not through this_hart(), which takes an instruction of its own. */
	__asm__ volatile("ld %0, %1(tp)"
			 : "=r"(statistics)
			 : "i"(offsetof(struct hart, statistics)));
	statistics_count(statistics, class);
}

#else

/* On the host, which has no instret. */
static inline void statistics_count_loaded(enum exit_class class)
{
	this_hart()->statistics->exits[class].count++;
}

#endif

/* Counts something else. */
static inline void statistics_add(uint64_t *number)
{
	if (STATISTICS_ON)
		++*number;
}

#endif
