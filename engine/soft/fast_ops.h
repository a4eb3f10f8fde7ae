/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_SOFT_FAST_OPS_H
#define ENGINE_SOFT_FAST_OPS_H

/*
 * What the files of the ops have in common. Between the trap and the guest tp is the vCPU, t1 the
 * present struct soft_fast_op less SITE_OPS, t2 the value that goes from one op to the next, t0
 * free. The guest's own of these are in sscratch and in struct vcpu; all its other registers stay
 * where they are.
 */

#include "asm-offsets.h"
#include "engine/count.h"
#include "riscv/csr.h"

#define X(n) ((n) * 8)

/* Of an op, from t1 on: where the site's first one is at hand, t1 is the site. */
#define OP_HANDLER SITE_OPS
#define OP_CSR     (SITE_OPS + 4)
#define OP_OFFSET  (SITE_OPS + 6)
#define OP_SIZE    8

/* The places of sites: as struct soft_fast_site has them. */
#define INDEX_BITS 10
#define SITE_SHIFT 7

/* SUM and MXR, for LUI. */
#define SUM_MXR_UPPER ((SSTATUS_SUM | SSTATUS_MXR) >> 12)

/* clang-format off */
	.macro	next
	lw	t0, OP_HANDLER + OP_SIZE(t1)
	addi	t1, t1, OP_SIZE
	jr	t0
	.endm

/* To the guest; sepc is set. */
	.macro	leave_to_guest
	ld	t0, X(5)(tp)
	ld	t1, X(6)(tp)
	ld	t2, X(7)(tp)
	csrrw	tp, sscratch, tp
	sret
	.endm

/* In place of `next` where soft_fast_end follows: done at once. */
	.macro	finish
	ld	t0, OP_HANDLER + 2 * OP_SIZE(t1)
	csrw	sepc, t0
	count	VCPU_QUICK_PRIVILEGED
	leave_to_guest
	.endm

/* The same where it is not done so often. */
	.macro	finish_there
	j	soft_fast_finish
	.endm

/*
 * rd = sstatus as the guest reads it: FS, VS, UXL and SD are the hart's, where the fields that the guest
 * does not have are Off. t2 is the part of it that is here; t0 is lost.
 */
	.macro	read_status rd
	csrr	t0, sstatus
	ld	t2, SOFT_READ_FIELDS(tp)
	and	t0, t0, t2
	ld	t2, SOFT_SSTATUS(tp)
	or	\rd, t0, t2
	.endm
/* clang-format on */

#endif
