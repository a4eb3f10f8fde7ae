/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_PLIC_H
#define DEVICE_PLIC_H

/*
 * The platform-level interrupt controller of a VM: RISC-V PLIC specification 1.0.0 with the
 * register map and the choices of QEMU's `virt`. Sources 1 to 95, level-triggered, priorities
 * 0 to 7. Context 2h is M-mode of hart h, which no guest has: its registers work, but it never
 * interrupts. Context 2h + 1 is S-mode of hart h.
 */

#include "kernel/lock.h"
#include "kernel/types.h"
#include "vmm/bus.h"
#include "vmm/irq.h"
#include "vmm/machine.h"

#define PLIC_SOURCES      (MACHINE_PLIC_SOURCES + 1) /* with source 0, which does not exist */
#define PLIC_PRIORITY_MAX 7

struct arena;
struct vcpu;

/* A bit for each source. */
struct plic_set {
	uint64_t word[2];
};

struct plic_context {
	struct plic_set enable;
	uint64_t threshold;
};

struct plic {
	struct mmio_device device; /* for the VM's bus */
	struct spinlock lock;      /* guards all below that changes after plic_init */
	size_t context_count;
	size_t hart_words; /* words of a set of harts */
	struct vcpu *const *vcpus;
	struct plic_set level;     /* the lines */
	struct plic_set pending;   /* requests that no context has claimed; never of source 0 */
	struct plic_set claimed;   /* in service */
	struct plic_set forwarded; /* their level falls when they are completed */
	struct plic_set above[PLIC_PRIORITY_MAX + 1]; /* sources of a priority above the index */
	uint8_t priority[PLIC_SOURCES];
	struct plic_context *contexts;
	uint64_t *raised;     /* a bit a hart: what its vCPU has been told */
	uint64_t *enabled_by; /* hart_words for each source: harts whose S context enables it */
	void (*completed)(void *context, unsigned source);
	void *completed_context;
};

/*
 * Readies the PLIC of a VM with `harts` (1 to MACHINE_HARTS_MAX) vCPUs, in its reset state.
 * vcpus[0 to harts - 1] must stay, and are raised and lowered (IRQ_S_EXT) with the lock held;
 * vcpu_raise and vcpu_lower must not come back here. ERR_RANGE, or ERR_NOMEM from the arena:
 * some 850 bytes for one hart, 31 KiB for 512.
 */
int plic_init(struct plic *plic, struct arena *arena, unsigned harts, struct vcpu *const *vcpus);

/*
 * As after a reset: nothing enabled or in service. Lines keep their level, except those of
 * forwarded sources, which fall; so the devices are reset first. No vCPU of the VM runs.
 */
void plic_reset(struct plic *plic);

/*
 * The line into a source; one that does nothing for a source that is not there. It may be set
 * on any hart with any device's lock held; takes the PLIC's lock.
 */
struct irq_line plic_line(struct plic *plic, unsigned source);

/*
 * For a source whose line stands for an interrupt of the host: when the guest completes it,
 * its level falls, and `completed` is called, without a lock, so that the host's interrupt can
 * be completed too (which raises the line again if the device still asks for service). One
 * function serves all sources of a PLIC. Before the VM runs; ERR_RANGE if there is no such source.
 */
int plic_forward(struct plic *plic, unsigned source,
		 void (*completed)(void *context, unsigned source), void *context);

#endif
