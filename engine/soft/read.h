/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_SOFT_READ_H
#define ENGINE_SOFT_READ_H

/*
 * Loads by the guest's S-mode from pages of which it executes a copy (code.h): each of them faults,
 * as the copy is for nothing but being fetched. What is read is the original. Plain C.
 */

#include "engine/vcpu.h"
#include "kernel/types.h"

/* How a page that has a copy has been read lately. */
struct reads {
	uint16_t debt;  /* what reading it has cost more than its copy has spared; see read.c */
	uint16_t count; /* of loads */
};

/* A load, as far as it matters for what to do about it. */
struct read_terms {
	uint64_t executed; /* traps of privileged instructions since the vCPU's last one */
	bool is_own;       /* its instruction is in the page itself */
	bool is_simple;    /* it can be performed alone */
};

enum read_way {
	READ_ALONE,     /* it is performed, and the copy stays where it is */
	READ_MAPPED,    /* the original takes the copy's place, until that is to be executed */
	READ_TOO_OFTEN, /* the page is better off without its copy */
};

/* Chooses what is best, and notes it. */
enum read_way read_choose(struct reads *reads, const struct read_terms *terms);

/* Whether the instruction at pc is in the page around `va`, be it in part. */
static inline bool read_is_own(const struct vcpu *vcpu, gva_t va)
{
	uint64_t page = va.v >> PAGE_SHIFT;

	return page == vcpu->pc >> PAGE_SHIFT || page == (vcpu->pc + 2) >> PAGE_SHIFT;
}

/*
 * The guest's S-mode loads from `va`, which the guest's tables allow: at `gpa`, in a page that is
 * protected, and here at `hpa`. READ_ALONE: has performed it, and gone past it.
 */
enum read_way soft_read_code(struct vcpu *vcpu, gva_t va, gpa_t gpa, hpa_t hpa);

#endif
