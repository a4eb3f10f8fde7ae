/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_SOFT_FAST_CALL_H
#define ENGINE_SOFT_FAST_CALL_H

/* Calls of C from right behind the trap. */

#include "engine/soft/fast_ops.h"

/* ra, sp, s0, s1, a0 to a7, t3 to t6. */
#define CALL_SAVES 1, 2, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 28, 29, 30, 31

/* clang-format off */
/*
 * C has dealt with a trap, and may have changed the shadow's code_generation: no site is true any more then,
 * and the next pair of places has its turn (fast.c). t0 and t1 are lost.
 */
	.macro	follow_code vcpu
	ld	t0, SOFT_SITE_GENERATION(\vcpu)
	ld	t1, SOFT_CODE_GENERATION(\vcpu)
	beq	t0, t1, .Lfollowed\@
	ld	t0, SOFT_SITE_PLACES(\vcpu)
	sd	t1, SOFT_SITE_GENERATION(\vcpu)
	addi	t0, t0, 2 << SITE_SHIFT
	slli	t1, t0, 64 - INDEX_BITS - SITE_SHIFT
	bnez	t1, .Lpair\@
	/* Behind the last pair comes the first. */
	li	t1, 1 << (INDEX_BITS + SITE_SHIFT)
	sub	t0, t0, t1
.Lpair\@:
	li	t1, SITE_NONE
	sd	t0, SOFT_SITE_PLACES(\vcpu)
	sd	t1, SITE_PC(t0)
	sd	t1, (1 << SITE_SHIFT) + SITE_PC(t0)
.Lfollowed\@:
	.endm

/*
 * Calls a function with the vCPU and t2; its result is in t2 then; t0 and t1 are lost. Of the guest's
 * registers only what it may change is saved, fp for its frames, and s1.
 */
	.macro	call_c function
	.irp n, CALL_SAVES
	sd	x\n, X(\n)(tp)
	.endr
	lla	t0, kernel_trap_vector
	mv	s1, tp
	mv	a0, tp
	mv	a1, t2
	csrw	stvec, t0
	ld	tp, VCPU_HOST_TP(tp)
	mv	fp, zero
	ld	sp, HART_STACK_TOP(tp)
	call	\function
	mv	tp, s1
	follow_code tp
	lla	t0, soft_exit
	mv	t2, a0
	csrw	stvec, t0
	.irp n, CALL_SAVES
	ld	x\n, X(\n)(tp)
	.endr
	.endm
/* clang-format on */

#endif
