/* SPDX-License-Identifier: MIT */
#include "guests/lib/hart.h"
#include "riscv/csr.h"

	.section .text.entry, "ax"
	.globl _start
_start:
	csrw	CSR_SIE, zero
	la	t0, bss_start
	la	t1, bss_end
1:	bgeu	t0, t1, 2f
	sd	zero, (t0)
	addi	t0, t0, 8
	j	1b
2:	la	sp, boot_stack_top
	call	guest_start

	.text
	.globl hart_entry
hart_entry:
	mv	tp, a1
	ld	sp, HART_STACK_TOP(tp)
	csrw	CSR_SSCRATCH, tp
	la	t0, trap_entry
	csrw	CSR_STVEC, t0
	csrw	CSR_SIE, zero
	mv	a0, tp
	call	hart_main

	/* Where a hart goes on after a non-retentive suspend begun under trap_run(). */
	.globl hart_resume
hart_resume:
	mv	tp, a1
	csrw	CSR_SSCRATCH, tp
	sd	a0, HART_RESULT(tp)
	csrr	t0, CSR_SSTATUS
	sd	t0, HART_TEMP(tp)
	csrr	t0, CSR_SATP
	sd	t0, HART_VECTOR(tp)
	la	t0, trap_entry
	csrw	CSR_STVEC, t0
	ld	sp, HART_CATCH_SP(tp)
	j	trap_resume

	/* bool trap_run(function, a0, a1, a2): see trap.h */
	.globl trap_run
trap_run:
	addi	sp, sp, -144
	sd	ra, 0(sp)
	sd	s0, 8(sp)
	sd	s1, 16(sp)
	sd	s2, 24(sp)
	sd	s3, 32(sp)
	sd	s4, 40(sp)
	sd	s5, 48(sp)
	sd	s6, 56(sp)
	sd	s7, 64(sp)
	sd	s8, 72(sp)
	sd	s9, 80(sp)
	sd	s10, 88(sp)
	sd	s11, 96(sp)
	ld	t0, HART_CATCH_SP(tp)
	sd	t0, 104(sp)
	ld	t0, HART_FRAME(tp)
	sd	t0, 112(sp)
	csrr	t0, CSR_SSTATUS
	sd	t0, 120(sp)
	sd	gp, 128(sp)
	sd	sp, HART_CATCH_SP(tp)
	mv	t0, a0
	mv	a0, a1
	mv	a1, a2
	mv	a2, a3
	jalr	t0
	sd	a0, HART_RESULT(tp)
	li	a0, 0
	j	1f
	.globl trap_resume
trap_resume:	/* from trap_handle(), with sp and tp set, interrupts off */
	li	a0, 1
1:	ld	t0, 104(sp)
	sd	t0, HART_CATCH_SP(tp)
	ld	t0, 112(sp)
	sd	t0, HART_FRAME(tp)
	ld	t0, 120(sp)
	csrw	CSR_SSTATUS, t0
	ld	gp, 128(sp)
	ld	ra, 0(sp)
	ld	s0, 8(sp)
	ld	s1, 16(sp)
	ld	s2, 24(sp)
	ld	s3, 32(sp)
	ld	s4, 40(sp)
	ld	s5, 48(sp)
	ld	s6, 56(sp)
	ld	s7, 64(sp)
	ld	s8, 72(sp)
	ld	s9, 80(sp)
	ld	s10, 88(sp)
	ld	s11, 96(sp)
	addi	sp, sp, 144
	ret

	.bss
	.balign	16
	.space	16384
boot_stack_top:
