/* SPDX-License-Identifier: MIT */

/*
 * The trampoline (trampoline.h). Its code is executed at the pin address, where the page of data
 * follows: both are found relative to pc. A trap may only be taken in the guest: until then, and
 * from there on, the hart executes nothing that can raise one. stvec is an address that both
 * tables have.
 */

#include "asm-offsets.h"
#include "riscv/csr.h"

#define X(n) ((n) * 8)

	.section .text.trampoline, "ax"
	.option	norelax
	.balign	4096
	.globl	trampoline_code
trampoline_code:

	/*
	 * Out of the guest. Its t0 and tp are kept in sscratch and in the page of data, which can be
	 * found again by the vCPU once the tables are the hypervisor's.
	 */
	.macro	leave_guest
	csrw	sscratch, t0
	lla	t0, trampoline_data
	sd	tp, TRAMPOLINE_GUEST_TP(t0)
	ld	tp, TRAMPOLINE_VCPU(t0)
	ld	t0, TRAMPOLINE_HOST_SATP(t0)
	csrw	satp, t0
	.endm

	.macro	go_on
	ld	t0, exit_address
	jr	t0
	.endm

	/* Into the guest: t0 is its satp, sscratch has its t0. */
	.macro	enter_guest
	lla	t0, trampoline_data
	ld	tp, TRAMPOLINE_GUEST_TP(t0)
	csrr	t0, sscratch
	sret
	.endm

	.balign	4
	.globl	trampoline_vector
trampoline_vector:
	leave_guest
	go_on

	.balign	4
	.globl	trampoline_enter
trampoline_enter:
	csrw	satp, t0
	enter_guest

	/* The same where the guest's tables have the ASID of the hypervisor's (Priv. 1.13, 12.2.1). */
	.balign	4
	.globl	trampoline_vector_flush
trampoline_vector_flush:
	leave_guest
	sfence.vma
	go_on

	.balign	4
	.globl	trampoline_enter_flush
trampoline_enter_flush:
	csrw	satp, t0
	sfence.vma
	enter_guest

	.balign	8
exit_address:
	.dword	trampoline_exit

	.balign	4096
trampoline_data:

	.text

	/* As soft_enter, with t0 = vcpu->trampoline. */
	.balign	4
	.globl	trampoline_soft_enter
trampoline_soft_enter:
	ld	t1, VCPU_PC(a0)
	ld	t2, VCPU_SSTATUS(a0)
	ld	t3, TRAMPOLINE_VECTOR(t0)
	ld	t4, X(4)(a0)
	ld	t5, X(5)(a0)
	csrw	sepc, t1
	csrw	sstatus, t2
	csrw	stvec, t3
	sd	t4, TRAMPOLINE_GUEST_TP(t0)
	csrw	sscratch, t5
	ld	tp, TRAMPOLINE_ENTER(t0)
	ld	t0, TRAMPOLINE_GUEST_SATP(t0)
	.irp n, 1, 2, 3, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	ld	x\n, X(\n)(a0)
	.endr
	ld	a0, X(10)(a0)
	jr	tp

	/* Out of the trampoline: tp = the vCPU, sscratch = the guest's t0; all else is the guest's. */
	.balign	4
trampoline_exit:
	sd	t1, X(6)(tp)
	sd	t2, X(7)(tp)
	ld	t1, VCPU_TRAMPOLINE(tp)
	ld	t1, TRAMPOLINE_GUEST_TP(t1)
	csrrw	t1, sscratch, t1
	sd	t1, X(5)(tp)
	j	soft_full_exit
