/* SPDX-License-Identifier: MIT */

/*
 * The world switch of the hext engine, and the SBI calls that are so frequent that they are
 * answered right here. While the guest runs, sscratch points at its struct vcpu and stvec at
 * hext_exit. The guest's registers live at offset 8n of struct vcpu.
 */

#include "asm-offsets.h"
#include "engine/count.h"
#include "engine/hext/quick.h"
#include "engine/reservation.h"
#include "riscv/csr.h"
#include "riscv/sbi.h"

#define X(n) ((n) * 8)

	.text

/*
 * void hext_enter(struct vcpu *vcpu): runs the guest. Never returns: the next trap that is not
 * dealt with here goes to hext_exited(), on the hart's stack from its top. hstatus.SPV is set.
 */
	.balign	4
	.globl	hext_enter
hext_enter:
	DROP_RESERVATION(a0)
	ld	t0, VCPU_PC(a0)
	ld	t1, VCPU_SSTATUS(a0)
	csrw	sepc, t0
	csrw	sstatus, t1
restore_guest:
	csrw	sscratch, a0
	lla	t0, hext_exit
	csrw	stvec, t0
	.irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	ld	x\n, X(\n)(a0)
	.endr
	ld	a0, X(10)(a0)
	sret

	.balign	4
hext_exit:
	csrrw	tp, sscratch, tp	/* tp = the vCPU, sscratch = the guest's tp */
	sd	t0, X(5)(tp)
	sd	t1, X(6)(tp)
	csrr	t0, scause
	addi	t0, t0, -EXC_ECALL_VS
	bnez	t0, full_exit

	/* An SBI call. Each case below returns to the guest or goes to full_exit. */
	li	t0, SBI_EXT_TIME
	beq	a7, t0, call_time
	li	t0, SBI_EXT_IPI
	beq	a7, t0, call_ipi
	li	t0, SBI_EXT_RFENCE
	beq	a7, t0, call_rfence
	li	t0, SBI_EXT_BASE
	beq	a7, t0, call_base

full_exit:
	.irp n, 1, 2, 3, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	sd	x\n, X(\n)(tp)
	.endr
	csrr	t0, sscratch
	lla	t1, kernel_trap_vector
	csrw	stvec, t1
	sd	t0, X(4)(tp)
	mv	s1, tp
	csrr	s2, scause
	ld	tp, VCPU_HOST_TP(s1)
	ld	sp, HART_STACK_TOP(tp)
	mv	fp, zero

	/* A load or store that hit no memory may be a device's, and quickly dealt with. */
	addi	t0, s2, -EXC_LOAD_GUEST_PAGE
	andi	t0, t0, ~(EXC_STORE_GUEST_PAGE - EXC_LOAD_GUEST_PAGE)
	bnez	t0, 1f
	mv	a0, s1
	call	hext_quick_access
	mv	t0, a0
	mv	a0, s1
	li	t1, QUICK_GO_ON
	beq	t0, t1, restore_guest
	beqz	t0, 1f
	li	s2, CAUSE_DEALT_WITH
1:
	csrr	t1, sepc
	csrr	t2, sstatus
	sd	t1, VCPU_PC(s1)
	sd	t2, VCPU_SSTATUS(s1)
	mv	a0, s1
	mv	a1, s2
	tail	hext_exited

/* sbi_set_timer, where the guest's timer is vstimecmp: writing it clears STIP as well. */
call_time:
	bnez	a6, full_exit
	ld	t0, VCPU_HAS_SSTC(tp)
	beqz	t0, full_exit
	csrw	CSR_VSTIMECMP, a0
	j	return_success

/*
 * sbi_send_ipi and the remote fences when they name the caller alone: with base 0 and its own
 * bit, or with its own id as base and bit 0.
 */
call_ipi:
	bnez	a6, full_exit
	bnez	a1, 1f
	ld	t0, VCPU_SELF_MASK(tp)
	beq	a0, t0, 2f
	j	full_exit
1:	ld	t0, VCPU_ID(tp)
	bne	a1, t0, full_exit
	addi	t0, a0, -1
	bnez	t0, full_exit
2:	beqz	a0, full_exit
	csrsi	CSR_HVIP, 1 << IRQ_VS_SOFT
	count	VCPU_INJECTED_SOFT
	j	return_success

call_rfence:
	li	t0, SBI_RFENCE_SFENCE_VMA_ASID
	bgtu	a6, t0, full_exit
	bnez	a1, 1f
	ld	t0, VCPU_SELF_MASK(tp)
	beq	a0, t0, 2f
	j	full_exit
1:	ld	t0, VCPU_ID(tp)
	bne	a1, t0, full_exit
	addi	t0, a0, -1
	bnez	t0, full_exit
2:	beqz	a0, full_exit
	/* A range that wraps is an error, which full_exit knows; the fence may be too wide. */
	beqz	a6, 3f
	add	t0, a2, a3
	bltu	t0, a2, full_exit
	.word	0x22000073		/* hfence.vvma zero, zero */
	j	return_success
3:	fence.i
	j	return_success

/* sbi_probe_extension. */
call_base:
	addi	t0, a6, -SBI_BASE_PROBE_EXTENSION
	bnez	t0, full_exit
	ld	t0, VCPU_SBI_EXTENSIONS(tp)
1:	ld	t1, 0(t0)
	addi	t0, t0, 8
	beq	t1, a0, 2f
	bnez	t1, 1b
	/* Not in the list: the legacy ones are looked up there too, as is 0, its end. */
	j	full_exit
2:	beqz	t1, full_exit
	li	a1, 1
	j	return_value

return_success:
	li	a1, 0
return_value:
	count	VCPU_QUICK_SBI
	li	a0, SBI_SUCCESS
	csrr	t0, sepc
	addi	t0, t0, 4
	csrw	sepc, t0
	ld	t0, X(5)(tp)
	ld	t1, X(6)(tp)
	csrrw	tp, sscratch, tp
	sret
