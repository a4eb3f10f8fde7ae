/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_GUEST_H
#define ENGINE_GUEST_H

/* What an engine knows of a VM. The VM itself (vmm/vm.h) contains this. */

#include "engine/gspace.h"
#include "kernel/isa.h"
#include "kernel/types.h"

struct code;
struct engine;
struct vcpu;

/* Who of a guest ran last on a hart, and under which VMID, generation included. */
struct guest_on_hart {
	const struct vcpu *vcpu;
	uint64_t vmid;
	uint64_t hidings; /* of its space, that the hart has forgotten */
};

struct guest {
	const struct engine *engine;
	struct arena *arena;
	struct gspace space;
	uint64_t ram_base;         /* guest-physical */
	uint64_t ram_size;         /* bytes */
	struct isa isa;            /* what its harts can do; decides what is opened to it */
	struct vcpu *const *vcpus; /* constant once the guest runs */
	uint32_t vcpu_count;
	const uint64_t *sbi_extensions; /* the extension ids it is offered, 0-terminated */

	/* The hext engine's. */
	uint64_t vmid;                 /* with its generation above HGATP_VMID_BITS, 0: none yet */
	struct guest_on_hart *on_hart; /* by hart index */

	/* The soft engine's. */
	struct code *code; /* rewritten pages */
	bool fast_csr;     /* pilae,fast-csr: S-mode has some of its CSRs in its address space */
};

#endif
