/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_HEXT_HEXT_H
#define ENGINE_HEXT_HEXT_H

/* Between the files of the hext engine. */

#include "engine/engine.h"
#include "kernel/hart.h"

#define HVIP_SHIFT 1 /* VS-level numbers are the S-level ones plus one */

/* What a hart's H extension offers, probed on that hart. */
struct hext_hart {
	bool usable;
	uint64_t henvcfg; /* the bits that can be set, of those guests are given */
	bool has_hstateen;
	uint32_t gspace_modes;    /* bit n: hgatp takes mode n */
	uint64_t vmid_mask;       /* VMIDLEN ones */
	uint64_t vmid_generation; /* the one whose VMIDs this hart's TLB may hold */
};

extern struct hext_hart hext_harts[HARTS_MAX]; /* by index */

static inline struct hext_hart *hext_this_hart(void)
{
	return &hext_harts[this_hart()->index];
}

/* Probing, and the CSRs that are the same for all guests. */
bool hext_init_hart(void);
bool hext_can_use(const struct hart *hart);
void hext_limit_isa(struct isa *isa);

/* The modes of hgatp that all usable harts have: bit n is mode n. */
uint32_t hext_common_modes(void);

/* Loading and putting of vCPUs: CSRs, FP and vector state, VMIDs. */
uint64_t hext_overhead(uint64_t ram_size, uint32_t vcpus);
int hext_guest_init(struct guest *guest, unsigned address_bits);
int hext_vcpu_init(struct vcpu *vcpu);
void hext_vcpu_reset(struct vcpu *vcpu, uint64_t pc, uint64_t argument, bool resumed);
void hext_load(struct vcpu *vcpu);
void hext_forget_hidden(struct guest *guest);
void hext_put(struct vcpu *vcpu);
void hext_write_fp(struct vcpu *vcpu, unsigned n, uint64_t value);
void hext_read_state(struct vcpu *vcpu, bool loaded, struct vcpu_state *state);

/* Where hext_enter() leads: `scause` is why the guest stopped running. */
void hext_exited(struct vcpu *vcpu, uint64_t scause) __noreturn;

/*
 * Tries to deal with the load or store that the guest is at, without the run loop. Its
 * registers are in *vcpu, sepc, sstatus and hstatus in the hart. Returns QUICK_….
 */
int hext_quick_access(struct vcpu *vcpu);

/* engine/hext/switch.S */
void hext_enter(struct vcpu *vcpu) __noreturn;

#endif
