/* SPDX-License-Identifier: MIT */

/*
 * The world switch of the soft engine. While the guest runs, in U-mode, sscratch points at its
 * struct vcpu and stvec at soft_exit (fast_ops.S). The guest's registers live at offset 8n of struct vcpu.
 */

#include "asm-offsets.h"
#include "engine/count.h"
#include "riscv/csr.h"

#define X(n) ((n) * 8)

	.text

/*
 * void soft_enter(struct vcpu *vcpu): runs the guest. Never returns: the next trap calls
 * soft_trapped(), on the hart's stack from its top; if that returns, the guest is entered again.
 */
	.balign	4
	.globl	soft_enter
soft_enter:
	ld	t0, VCPU_TRAMPOLINE(a0)
	bnez	t0, trampoline_soft_enter
	lla	t0, soft_exit
	ld	t1, VCPU_PC(a0)
	ld	t2, VCPU_SSTATUS(a0)
	csrw	stvec, t0
	csrw	sscratch, a0
	csrw	sepc, t1
	csrw	sstatus, t2
	.irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	ld	x\n, X(\n)(a0)
	.endr
	ld	a0, X(10)(a0)
	sret

/*
 * Where traps arrive that are not dealt with in fast_ops.S: tp is the vCPU, sscratch holds the guest's
 * tp, t0 to t3 are saved; the other registers are the guest's.
 */
	.globl	soft_full_exit
soft_full_exit:
	.irp n, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 29, 30, 31
	sd	x\n, X(\n)(tp)
	.endr
	lla	t1, kernel_trap_vector
	csrr	t0, sscratch
	csrw	stvec, t1
	csrr	t2, sepc
	csrr	t3, sstatus
	sd	t0, X(4)(tp)
	sd	t2, VCPU_PC(tp)
	sd	t3, VCPU_SSTATUS(tp)
	csrr	a1, scause
	csrr	a2, stval
	mv	s1, tp
	mv	a0, tp
	ld	tp, VCPU_HOST_TP(tp)
	mv	fp, zero
	ld	sp, HART_STACK_TOP(tp)
	count_begin
	call	soft_trapped
	mv	a0, s1
	j	soft_enter
