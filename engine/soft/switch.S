/* SPDX-License-Identifier: MIT */

/*
 * The world switch of the soft engine. While the guest runs, in U-mode, sscratch points at its struct
 * vcpu and stvec at soft_exit. The guest's registers live at offset 8n of struct vcpu.
 *
 * What traps most often is dealt with right at soft_exit: short runs of privileged instructions (struct
 * soft_fast_site), of which each op is a few instructions that end with a jump to the next one; the calls of
 * the guest's user mode; page faults, by a call of C. The guest's registers stay where they are then, but
 * for tp (in sscratch) and t0 to t2 (in struct vcpu): fast_ops.h. Whatever is not simple goes on to
 * soft_full_exit, as if it had not been looked at.
 */

#include "engine/reservation.h"
#include "engine/soft/fast_call.h"
#include "engine/soft/fast_ops.h"

/*
 * t1 = the site for the pc in t0, or it goes on at `other`; t2 is lost. Bits 10 to 1 of the pc are the index
 * of its place, flipped by that of the pair whose turn it is (fast.c).
 */
	.macro	find_site other
	slli	t1, t0, 64 - 1 - INDEX_BITS
	ld	t2, SOFT_SITE_PLACES(tp)
	srli	t1, t1, 64 - INDEX_BITS - SITE_SHIFT
	xor	t1, t1, t2
	ld	t2, SITE_PC(t1)
	bne	t2, t0, \other
	.endm

	.macro	run_site
	lw	t0, OP_HANDLER(t1)
	jr	t0
	.endm

/* A stretch with interrupts off begins (kernel/irqoff.h). */
	.macro	measure_irqoff
#ifdef PILAE_MEASURE_IRQOFF
	ld	t0, VCPU_HOST_TP(tp)
	csrr	t1, instret
	sd	t1, HART_INTERRUPTS_OFF_SINCE(t0)
#endif
	.endm

	.text
	.balign	4
	.globl	soft_exit
soft_exit:
	csrrw	tp, sscratch, tp
	sd	t0, X(5)(tp)
	sd	t1, X(6)(tp)
	sd	t2, X(7)(tp)
	measure_irqoff
	csrr	t1, scause
	ld	t2, SOFT_PRIVILEGE(tp)
	/* Sites are the guest's S-mode's, whose number is a breakpoint's. */
	bne	t1, t2, not_breakpoint
	csrr	t0, sepc
	find_site other_site
site_found:
	run_site

/* Two sites with the same index lie in a pair of places. */
other_site:
	xori	t1, t1, 1 << SITE_SHIFT
	ld	t2, SITE_PC(t1)
	beq	t2, t0, site_found

	/* After a call or fault that was entered here, nothing is left to be done. */
	csrr	t0, scause
	addi	t0, t0, -EXC_BREAKPOINT
	bnez	t0, return_to_guest
	j	soft_full_exit

/* t1 = the cause, t2 = the privilege. No trap has the cause 0, which U-mode has. */
not_breakpoint:
	addi	t1, t1, -EXC_ECALL_U
	beqz	t1, call

/* Page faults have the causes 12, 13 and 15. */
	addi	t1, t1, EXC_ECALL_U - EXC_INSN_PAGE
	sltiu	t1, t1, EXC_STORE_PAGE - EXC_INSN_PAGE + 1
	beqz	t1, soft_full_exit
	call_c	soft_quick_fault
	beqz	t2, soft_full_exit
	count	VCPU_QUICK_SHADOW
	addi	t2, t2, -SOFT_FAULT_INJECTED
	bnez	t2, leave
	csrr	t0, sepc
	find_site other_site
	run_site

/* ECALL of the guest's user mode (Priv. 1.13, 12.1.1). */
call:
	bnez	t2, soft_full_exit
	csrr	t0, sepc
	ld	t1, SOFT_FAST_S_VERSION(tp)
	ld	t2, SOFT_VERSION(tp)
	bne	t1, t2, soft_full_exit
	ld	t2, SOFT_SSTATUS(tp)
	lui	t1, SUM_MXR_UPPER
	and	t1, t1, t2
	bnez	t1, soft_full_exit
	sd	t0, SOFT_SEPC(tp)
	andi	t1, t2, SSTATUS_SIE
	slli	t1, t1, 4
	andi	t2, t2, ~(SSTATUS_SIE | SSTATUS_SPIE | SSTATUS_SPP)
	or	t2, t2, t1
	sd	t2, SOFT_SSTATUS(tp)
	li	t1, EXC_ECALL_U
	ld	t0, SOFT_STVEC(tp)
	sd	t1, SOFT_SCAUSE(tp)
	sd	zero, SOFT_STVAL(tp)
	li	t1, SOFT_S
	li	t2, SOFT_VIEW_S
	andi	t0, t0, ~3
	sd	t1, SOFT_PRIVILEGE(tp)
	sd	t2, SOFT_VIEW(tp)
	ld	t1, SOFT_FAST_S_SATP(tp)
	ld	t2, SOFT_FAST_S_ROOT(tp)
	csrw	sepc, t0
	sd	t1, SOFT_HOST_SATP(tp)
	sd	t2, SOFT_SELECTED(tp)
	csrw	satp, t1
	find_site other_site
	run_site

/* The last op: the guest goes on at the address that stands in place of one more. */
	.globl	soft_fast_end
soft_fast_end:
	ld	t0, OP_HANDLER + OP_SIZE(t1)
	csrw	sepc, t0
return_to_guest:
	count	VCPU_QUICK_PRIVILEGED
leave:
	leave_to_guest

/* The same, from the op before it. */
	.globl	soft_fast_finish
soft_fast_finish:
	finish

/* The op cannot be done here: its instruction is for C, as if it had been trapped alone. */
	.globl	soft_fast_not_simple
soft_fast_not_simple:
	lhu	t0, OP_OFFSET(t1)
	csrr	t2, sepc
	add	t2, t2, t0
	csrw	sepc, t2
	csrr	t0, scause
	addi	t0, t0, -EXC_BREAKPOINT
	beqz	t0, soft_full_exit
	/* A call was entered before: the guest traps again at the instruction. */
	j	return_to_guest

/*
 * Where traps arrive that are not dealt with above: tp is the vCPU, sscratch holds the guest's tp, t0 to
 * t2 are saved; the other registers are the guest's.
 */
	.globl	soft_full_exit
soft_full_exit:
	.irp n, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
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

/*
 * void soft_enter(struct vcpu *vcpu): runs the guest. Never returns: the next trap calls
 * soft_trapped(), on the hart's stack from its top; if that returns, the guest is entered again.
 */
	.globl	soft_enter
soft_enter:
	DROP_RESERVATION(a0)
	ld	t0, VCPU_TRAMPOLINE(a0)
	bnez	t0, trampoline_soft_enter
	follow_code a0
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
