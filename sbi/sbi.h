/* SPDX-License-Identifier: MIT */
#ifndef SBI_SBI_H
#define SBI_SBI_H

/*
 * What guests are offered: SBI 2.0, a file an extension. To add one, write its file and put
 * it into the table of sbi/sbi.c.
 */

#include "engine/vcpu.h"
#include "riscv/sbi.h"

struct sbi_extension {
	uint64_t id;
	/*
	 * Answers the call that the vCPU is at (a6 = function, a0 to a5 = arguments), on its
	 * hart, with no lock held. Returns one of SBI_SUCCESS, SBI_ERR_… and sets *value, 0
	 * until then.
	 */
	int64_t (*call)(struct vcpu *vcpu, uint64_t *value);
};

extern const struct sbi_extension sbi_base, sbi_time, sbi_ipi, sbi_rfence, sbi_hsm, sbi_srst,
    sbi_dbcn;

/* The legacy calls have a convention of their own: a1 stays as it is. sbi/legacy.c */
void sbi_legacy_call(struct vcpu *vcpu);

/* Argument n, 0 to 5, and the function. */
static inline uint64_t sbi_argument(const struct vcpu *vcpu, unsigned n)
{
	return vcpu->x[10 + n];
}

static inline uint64_t sbi_function(const struct vcpu *vcpu)
{
	return vcpu->x[16];
}

/*
 * The harts of a hart mask (SBI 2.0, 3.1): bit n of `mask` is hart base + n, and a base of -1
 * means all. SBI_ERR_INVALID_PARAM if one of them is not there; then none is to be acted on.
 */
int64_t sbi_check_harts(const struct vcpu *vcpu, uint64_t mask, uint64_t base);

/*
 * Calls `each` for those harts, which have been checked, that are not parked. Passes preemption
 * points.
 */
void sbi_for_harts(struct vcpu *vcpu, uint64_t mask, uint64_t base,
		   void (*each)(struct vcpu *target, const void *argument), const void *argument);

/* Sends a software interrupt to those harts, which have been checked. */
void sbi_send_ipis(struct vcpu *vcpu, uint64_t mask, uint64_t base);

/* A remote fence, for RFENCE and the legacy calls: kind is VCPU_FENCE_I or VCPU_FENCE_VMA. */
void sbi_remote_fence(struct vcpu *vcpu, uint64_t mask, uint64_t base, uint32_t kind,
		      const struct fence *fence);

#endif
