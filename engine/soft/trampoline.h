/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_SOFT_TRAMPOLINE_H
#define ENGINE_SOFT_TRAMPOLINE_H

/*
 * The world switch where the hypervisor is not in the guest's shadow tables: on harts that have
 * no mode larger than the guest's, and for a guest that uses the top GiB, where the hypervisor
 * is otherwise. The shadow tables then contain two pages of the hypervisor's for S-mode alone: code
 * (trampoline_code.S), which the hypervisor's own tables have at the same addresses and which goes
 * over from the ones to the others, and the data that it needs for that. When the guest touches
 * one of them itself they move elsewhere (pin.h).
 */

#include "engine/soft/pin.h"
#include "engine/soft/soft.h"
#include "engine/vcpu.h"
#include "kernel/layout.h"

/* The page of data; offsets are in engine/asm-offsets.c. */
struct trampoline {
	uint64_t vcpu, host_satp; /* for the way out */
	uint64_t guest_tp;        /* while tp is in use for something else */
	uint64_t guest_satp;      /* the hart's satp for the guest */
	uint64_t vector, enter;   /* where the code begins that leaves the guest, and enters it */
};

/* Maps the code in the hypervisor's own tables: once, on the boot hart. */
void trampoline_init(void);

/*
 * Readies a vCPU for both layouts, and adds the pinned pages to *layout unless it is resident.
 * Before shadow_init(). ERR_NOMEM.
 */
int trampoline_init_vcpu(struct vcpu *vcpu, struct shadow_layout *layout);

/* Returns a vCPU that is not loaded to the resident layout where the harts' mode allows it. */
void trampoline_reset(struct vcpu *vcpu);

/* The guest will be entered by the value of soft->host_satp. */
void trampoline_select(struct vcpu *vcpu);

/*
 * The guest is allowed to access a page that the hypervisor occupies: makes room there. The vCPU
 * is loaded; its shadow tables are empty afterwards, and selected. Where there are many of them
 * only some are given up, and nothing else is done: the access faults again.
 */
void trampoline_give_way(struct vcpu *vcpu);

/* Whether the hypervisor occupies the page around `va`, an address of the guest's mode. */
static inline bool trampoline_is_in_the_way(const struct vcpu *vcpu, gva_t va)
{
	const struct shadow_layout *layout = &vcpu->soft->shadow.layout;

	return layout->resident ? va.v >= IMAGE_BASE
				: va.v - layout->pin_va < (uint64_t)PIN_PAGES << PAGE_SHIFT;
}

#endif
