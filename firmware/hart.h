/* SPDX-License-Identifier: MIT */
#ifndef FIRMWARE_HART_H
#define FIRMWARE_HART_H

/* A hart, as the firmware knows it; and what it may do to the hart it runs on. */

#include "firmware/layout.h"
#include "kernel/types.h"
#include "riscv/machine.h"

/* A remote fence, as other harts read it while its sender waits. */
struct fence {
	uint64_t function; /* SBI_RFENCE_… */
	uint64_t start, size;
	uint64_t id;    /* the ASID or VMID; for fences without one in VS-mode's tables too, */
	uint64_t hgatp; /* whose VMID is the sender's */
};

/* What a trap was, of S-mode or of an access for it. */
struct trap {
	uint64_t cause, tval, tval2, tinst;
	bool gva; /* tval is a guest's virtual address */
};

struct fw_hart {
	uint64_t x[32]; /* of below, in the trap */
	uint64_t mepc, mstatus;
	uint64_t stack;    /* its top */
	uint64_t bit;      /* in masks of harts */
	uint64_t mtimecmp; /* address; 0: the hart has Sstc */
	uint64_t msip;     /* address; 0: it has an IMSIC */
	uint64_t ipi;      /* S-mode has been sent one; atomic */
	uint64_t fences;   /* harts whose fence this one has to do; atomic */
	uint64_t resume;   /* where a trap of the firmware itself goes on, or 0 */
	uint64_t t0, cause, tval, tval2, tinst, status; /* of such a trap */
	uint64_t has_h;
	uint64_t id;
	uint64_t imsic; /* address of its interrupt file, or 0 */
	uint64_t state; /* SBI_HSM_…; atomic */
	uint64_t start_address, start_argument;
	struct fence fence;
	uint64_t fence_left; /* harts that have not done this one's fence; atomic */
	bool has_time, has_timer, has_sscofpmf;
	/* Counters, by their numbers: that are there; in use; started. */
	uint64_t counters, configured, counting;
} __aligned(64);

extern struct fw_hart fw_harts[FW_HARTS_MAX];

/* Harts that are there and may be used from S-mode; and all that have come here. */
extern uint64_t harts_present, harts_arrived;

#ifdef __riscv
static inline struct fw_hart *this_hart(void)
{
	struct fw_hart *hart;

	__asm__("mv %0, tp" : "=r"(hart));
	return hart;
}
#else
struct fw_hart *this_hart(void);
#endif

/* Before any hart is made ready. */
void harts_prepare(void);

/* Makes everything of this hart ready that S-mode builds on: delegation, PMP, counters, IPIs. */
void hart_init(void);

/* Gives S-mode what it has by default, whatever it has taken over by calls. */
void hart_delegate(struct fw_hart *hart);

/* Waits for ever, without interrupts. */
void hart_halt(void) __noreturn;

/* In assembly. The first does not return; a3 is the mstatus to begin with. */
void hart_enter(uint64_t id, uint64_t argument, uint64_t address, uint64_t mstatus) __noreturn;
void hart_reset_stack(void (*function)(void)) __noreturn;
extern char trap_entry[], guard_entry[];

/* Waits, STOPPED, to be started; does what others ask of this hart meanwhile. */
void hart_wait(void) __noreturn;

/* Enters S-mode at hart->start_address as HSM has it; also does all fences. */
void hart_begin(void) __noreturn;

/* The mstatus that S-mode begins with. */
uint64_t hart_first_mstatus(void);

/* Whether a CSR is there: reads it, or writes it, and says whether that did not trap. */
#define csr_try(instruction, csr, operand, constraint)                                     \
	({                                                                                 \
		uint64_t ok_;                                                              \
		__asm__ volatile("la %0, 1f\n sd %0, %2(tp)\n" instruction                 \
				 "\n li %0, 1\n sd zero, %2(tp)\n j 2f\n 1: li %0, 0\n 2:" \
				 : "=&r"(ok_), constraint(operand)                         \
				 : "i"(FW_RESUME)                                          \
				 : "memory");                                              \
		ok_ != 0;                                                                  \
	})

#define csr_try_read(csr, value) csr_try("csrr %1, " CSR_STRING(csr), csr, value, "=&r")
#define csr_try_write(csr, value)                                         \
	({                                                                \
		uint64_t new_ = (value);                                  \
		csr_try("csrw " CSR_STRING(csr) ", %1", csr, new_, "+r"); \
	})

#endif
