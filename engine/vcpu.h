/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_VCPU_H
#define ENGINE_VCPU_H

/*
 * A vCPU is data: the registers of a hart that is not there, what is pending for it, and
 * where it runs. Everything above the engines reads and writes x[] and pc; the rest of its
 * registers belong to its engine.
 */

#include "engine/statistics.h"
#include "kernel/list.h"
#include "kernel/lock.h"
#include "kernel/timer.h"
#include "kernel/types.h"
#include "riscv/csr.h"

struct guest;
struct hart;
struct soft_vcpu;
struct trampoline;

/* Where a vCPU is. Changed by the hart it runs on, except BLOCKED to HOST by a waker. */
enum vcpu_mode {
	VCPU_HOST = 0, /* in the hypervisor or waiting in a run queue */
	VCPU_GUEST,    /* executing the guest's code on vcpu->hart */
	VCPU_BLOCKED,  /* waiting for an interrupt, in no queue */
	VCPU_PARKED,   /* not running: stopped by the guest (HSM), or its VM is, or paused */
};

/* What is to be done before a vCPU enters the guest again. */
enum vcpu_request {
	/* Set by anyone. */
	VCPU_FENCE_I = 1 << 0,
	VCPU_FENCE_VMA = 1 << 1, /* the fences in vcpu->fences */
	VCPU_LEAVE = 1 << 2,     /* it is not to run any more: its VM stops */
	VCPU_FLUSH = 1 << 5,     /* forget what was derived from tables and the guest's memory */
	VCPU_PAUSE = 1 << 6,     /* it is put aside, to go on later: its VM is paused */
	/* Set by itself, for HSM. */
	VCPU_PARK = 1 << 3,      /* it stopped */
	VCPU_SUSPENDED = 1 << 4, /* it waits for an interrupt, and then resumes */
	/* Set by the scheduler. */
	VCPU_WAITING = 1 << 7, /* it waited for an interrupt when it was put aside */
	/* Set by itself, when it notifies a device. */
	VCPU_DEVICES = 1 << 8, /* there is work for its VM's devices to do */
};

/* An sfence.vma that another vCPU asked for. */
struct fence {
	uint64_t start, size; /* size UINT64_MAX: all addresses */
	uint64_t asid;        /* FENCE_ALL_ASIDS: all */
};

#define FENCE_ALL_ASIDS UINT64_MAX
#define FENCES_MAX      4

/* The VS-level CSRs (and those without a VS copy) of a vCPU that is not loaded. */
struct hext_csrs {
	uint64_t vsstatus, vsie, vstvec, vsscratch, vsepc, vscause, vstval, vsatp, vstimecmp;
	uint64_t hvip, scounteren, senvcfg;
};

struct fp_state {
	uint64_t f[32];
	uint64_t fcsr;
};

struct vector_state {
	uint64_t vstart, vcsr, vl, vtype;
	void *registers; /* 32 times vlenb bytes */
};

/* See engine/open_csrs.h. */
struct open_csrs {
	uint64_t jvt, fcsr, siselect;
};

/* An exit, for those who want to know what a vCPU did last. */
struct exit_note {
	uint64_t pc;     /* of the guest */
	uint64_t what;   /* enum exit_reason; above its 8 bits, access_kind or SBI function */
	uint64_t detail; /* guest-physical address, SBI extension, number of the interrupt */
};

#define EXIT_NOTES      8 /* a power of two */
#define EXIT_NOTE_SHIFT 8

struct vcpu {
	/* Known to engine/hext/switch.S by generated offsets. */
	uint64_t x[32]; /* x[0] is always 0 */
	uint64_t pc;
	uint64_t sstatus;               /* HS-level, for sret into the guest: SPP, FS, VS */
	uint64_t host_tp;               /* of the hart that has it loaded */
	uint64_t self_mask;             /* 1 << id; 0 if id is above 63 */
	uint64_t id;                    /* = the guest's hart id */
	uint64_t has_sstc;              /* the guest's timer is in vstimecmp */
	const uint64_t *sbi_extensions; /* = guest->sbi_extensions */

	struct guest *guest;
	struct hart *hart;          /* where it runs, ran last, or is queued; atomic */
	volatile uint32_t mode;     /* enum vcpu_mode, atomic */
	volatile uint32_t requests; /* enum vcpu_request, atomic */

	/*
	 * Interrupts: bits by S-level number (1, 5, 9), atomic. SSIP is a message that is
	 * taken into the vCPU's own sip on entry; STIP and SEIP are levels.
	 */
	volatile uint32_t irq;
	uint32_t irq_loaded; /* the levels that the hardware has been told of */

	struct vcpu_statistics statistics;
	uint32_t trace_id; /* TRACE_WHO() of kernel/trace_ring.h */

	struct spinlock fence_lock; /* guards the next two */
	unsigned fence_count;       /* above FENCES_MAX: everything */
	struct fence fences[FENCES_MAX];

	struct timer timer; /* wakes it, or raises STIP where there is no Sstc */

	struct hext_csrs csrs;
	struct soft_vcpu *soft; /* the soft engine's part */
	/* Its way in and out where the hypervisor is not in the guest's tables; else NULL. */
	struct trampoline *trampoline;
	struct fp_state fp;
	struct vector_state vector;
	struct open_csrs open_csrs;
	struct hart *fp_hart;      /* whose registers hold this vCPU's FP and vector state */
	struct hart *last_hart;    /* that it was loaded on, for fence.i after migration */
	uint64_t mmio_reservation; /* address of an LR that was emulated, or UINT64_MAX */

	/* Of guest memory, the scheduler and the SBI (vmm/, sbi/). */
	char *backing;                /* a 2 MiB page that is being filled for it, or NULL */
	uint64_t backing_done;        /* bytes of it that are */
	const char *backing_contents; /* with what; NULL: zeroes */
	struct entity *entity;        /* vmm/run_queue.h */
	struct hart *home;            /* where it was placed, or NULL; vmm/schedule_place.c */
	bool waits;                   /* it has blocked since its turn began; its hart's alone */
	bool left_running;            /* when its VM stopped it had not been stopped by itself */
	bool paused;                  /* put aside; under the VM's lock, as the next */
	uint32_t hsm_state;           /* SBI_HSM_… */
	uint64_t start_pc, start_arg;

	uint64_t exit_count;                /* of those that are noted */
	struct exit_note exits[EXIT_NOTES]; /* the last ones: the next goes to exit_count */
};

/* As a hart begins (SBI 2.0, 9.1): a0 is its id, a1 `argument`. The vCPU does not run. */
void vcpu_reset_registers(struct vcpu *vcpu, uint64_t pc, uint64_t argument);

/*
 * Raises or lowers the S-level interrupt `irq` (IRQ_S_SOFT, IRQ_S_TIMER, IRQ_S_EXT) of a
 * vCPU, and sees that it notices: by an IPI if it runs on another hart, by waking it if it is
 * blocked. Any hart; takes at most the run queue's lock.
 */
void vcpu_raise(struct vcpu *vcpu, unsigned irq);
void vcpu_lower(struct vcpu *vcpu, unsigned irq);

/* Sets request bits and sees that the vCPU notices. Does not wait. */
void vcpu_request(struct vcpu *vcpu, uint32_t requests);

/* Makes a vCPU look at what is pending for it. */
void vcpu_kick(struct vcpu *vcpu);

/* Waits until the vCPU, which was requested something, is not in the guest as it was then. */
void vcpu_wait_request(struct vcpu *vcpu, uint32_t requests);

/* Adds a fence to those the vCPU has to do; vcpu_request(VCPU_FENCE_VMA) must follow. */
void vcpu_add_fence(struct vcpu *vcpu, const struct fence *fence);

/* Moves the fences out; true if there were so many that everything is to be flushed. */
bool vcpu_take_fences(struct vcpu *vcpu, struct fence fences[FENCES_MAX], unsigned *count);

/* Puts a blocked vCPU back into its run queue: the scheduler's part (vmm/schedule.c). */
void vcpu_wake(struct vcpu *vcpu);

#endif
