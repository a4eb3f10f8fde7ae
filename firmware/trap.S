/* SPDX-License-Identifier: MIT */

/*
 * Traps. While a hart is in S- or U-mode mscratch points to its struct fw_hart; in C tp does, and
 * mscratch has the tp of below. What is asked for most often is done right here, with two registers:
 * set_timer, an IPI or FENCE.I to oneself, probe; and the interrupts behind IPIs and timers.
 */

#include "firmware/layout.h"
#include "riscv/machine.h"
#include "riscv/sbi.h"

	.text
	.balign	4
	.global trap_entry
trap_entry:
	csrrw	tp, mscratch, tp
	sd	t0, FW_X(5)(tp)
	sd	t1, FW_X(6)(tp)
	csrr	t0, mcause
	addi	t0, t0, -EXC_ECALL_S
	bnez	t0, not_ecall
	li	t0, SBI_EXT_TIME
	beq	a7, t0, call_time
	li	t0, SBI_EXT_IPI
	beq	a7, t0, call_ipi
	li	t0, SBI_EXT_RFENCE
	beq	a7, t0, call_rfence
	li	t0, SBI_EXT_BASE
	beq	a7, t0, call_base
	j	call_in_c

call_time:
	bnez	a6, call_in_c
	ld	t0, FW_MTIMECMP(tp)
	bnez	t0, 1f
	csrw	CSR_STIMECMP, a0
	j	call_done
1:	sd	a0, (t0)
	li	t0, 1 << IRQ_S_TIMER
	csrc	mip, t0
	li	t0, 1 << IRQ_M_TIMER
	csrs	mie, t0
	j	call_done

call_ipi:
	or	t0, a6, a1
	bnez	t0, call_in_c
	ld	t0, FW_BIT(tp)
	bne	a0, t0, call_in_c
	csrsi	mip, 1 << IRQ_S_SOFT
	j	call_done

call_rfence:
	or	t0, a6, a1
	bnez	t0, call_in_c
	ld	t0, FW_BIT(tp)
	bne	a0, t0, call_in_c
	fence.i
	j	call_done

/* The numbers of extensions differ in their lowest 5 bits, but for those of version 0.1. */
call_base:
	addi	t0, a6, -SBI_BASE_PROBE_EXTENSION
	bnez	t0, call_in_c
	sltiu	a1, a0, SBI_EXT_SHUTDOWN + 1
	bnez	a1, 1f
	andi	t1, a0, 31
	slli	t1, t1, 2
	la	t0, sbi_extensions
	add	t0, t0, t1
	lw	t0, (t0)
	xor	t0, t0, a0
	seqz	a1, t0
1:	li	a0, 0
	j	2f

call_done:
	li	a0, SBI_SUCCESS
	li	a1, 0
2:	csrr	t0, mepc
	addi	t0, t0, 4
	csrw	mepc, t0
trap_done:
	ld	t0, FW_X(5)(tp)
	ld	t1, FW_X(6)(tp)
	csrrw	tp, mscratch, tp
	mret

not_ecall:
	csrr	t0, mcause
	bgez	t0, trap_in_c
	slli	t0, t0, 1
	addi	t0, t0, -2 * IRQ_M_SOFT
	beqz	t0, interrupt_soft
	addi	t0, t0, 2 * IRQ_M_SOFT - 2 * IRQ_M_TIMER
	bnez	t0, trap_in_c

	/* S-mode's timer: it is told, and nothing more until it sets another. */
	li	t0, 1 << IRQ_S_TIMER
	csrs	mip, t0
	li	t0, 1 << IRQ_M_TIMER
	csrc	mie, t0
	j	trap_done

interrupt_soft:
	/* Taken back first: what is asked for from now on interrupts again. */
	ld	t0, FW_MSIP(tp)
	sw	zero, (t0)
	fence	ow, rw
	ld	t0, FW_FENCES(tp)
	bnez	t0, trap_in_c
	addi	t0, tp, FW_IPI
	amoswap.d.aqrl t0, zero, (t0)
	beqz	t0, trap_done
	csrsi	mip, 1 << IRQ_S_SOFT
	j	trap_done

	.macro	save regs:vararg
	.irp	x, \regs
	sd	x\x, FW_X(\x)(tp)
	.endr
	.endm
	.macro	restore regs:vararg
	.irp	x, \regs
	ld	x\x, FW_X(\x)(tp)
	.endr
	.endm

/* From here on traps are the firmware's own. t0 and t1 are saved. */
	.macro	enter_c
	csrr	t0, mscratch
	sd	t0, FW_X(4)(tp)
	csrr	t0, mepc
	sd	t0, FW_MEPC(tp)
	csrr	t0, mstatus
	sd	t0, FW_MSTATUS(tp)
	li	t0, 1
	slli	t0, t0, MSTATUS_MDT_SHIFT
	csrc	mstatus, t0
	la	t0, guard_entry
	csrw	mtvec, t0
	ld	sp, FW_STACK(tp)
	mv	a0, tp
	.endm

	.macro	leave_c
	la	t0, trap_entry
	csrw	mtvec, t0
	ld	t0, FW_MEPC(tp)
	csrw	mepc, t0
	ld	t0, FW_MSTATUS(tp)
	csrw	mstatus, t0
	ld	t0, FW_X(4)(tp)
	csrw	mscratch, t0
	.endm

/* C keeps the callee's registers itself, and a call has no use for them. */
call_in_c:
	save	1, 2, 7, 10, 11, 12, 13, 14, 15, 16, 17, 28, 29, 30, 31
	enter_c
	call	sbi_handle
	leave_c
	restore	1, 2, 7, 10, 11, 12, 13, 14, 15, 16, 17, 28, 29, 30, 31
	j	trap_done

trap_in_c:
	save	1, 2, 3, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, \
		26, 27, 28, 29, 30, 31
	enter_c
	call	trap_handle
	leave_c
	restore	1, 2, 3, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, \
		26, 27, 28, 29, 30, 31
	j	trap_done

/*
 * A trap of the firmware itself, in C: it goes on where FW_RESUME says, at an access to something
 * that may not be there. MPRV is cleared in any case.
 */
	.balign	4
	.global guard_entry
guard_entry:
	sd	t0, FW_T0(tp)
	csrr	t0, mcause
	sd	t0, FW_CAUSE(tp)
	csrr	t0, mtval
	sd	t0, FW_TVAL(tp)
	csrr	t0, mstatus
	sd	t0, FW_STATUS(tp)
	li	t0, MSTATUS_MPRV
	csrc	mstatus, t0
	sd	zero, FW_TVAL2(tp)
	sd	zero, FW_TINST(tp)
	ld	t0, FW_HAS_H(tp)
	beqz	t0, 1f
	csrr	t0, CSR_MTVAL2
	sd	t0, FW_TVAL2(tp)
	csrr	t0, CSR_MTINST
	sd	t0, FW_TINST(tp)
1:	ld	t0, FW_RESUME(tp)
	beqz	t0, 2f
	sd	zero, FW_RESUME(tp)
	csrw	mepc, t0
	ld	t0, FW_T0(tp)
	mret
2:	mv	a0, tp
	ld	sp, FW_STACK(tp)
	call	firmware_fault
3:	wfi
	j	3b
