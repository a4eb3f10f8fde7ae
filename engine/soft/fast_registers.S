/* SPDX-License-Identifier: MIT */

/*
 * Ops of sites (switch.S), those that there are for each register. A guest's tp is in sscratch, its t0 to
 * t2 are in struct vcpu.
 */

#include "engine/soft/fast_ops.h"

	.text

/*
 * Ops with a register of the guest's, for each n, as fast.c expects them: `stride` bytes apart; and behind
 * them, `last_stride` bytes apart, all once more, with the end that follows. Where an op is too long for
 * its stride, .org says so.
 */
	.macro	for_registers begin, stride, op, argument, tail
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	.org	\begin + \n * \stride
	\op	\n, \argument, \tail
	.endr
	.org	\begin + 32 * \stride
	.endm

	.macro	register_ops stride, last_stride, op, argument=0, last=finish
	.balign	8
.Lbegin\@:
	for_registers .Lbegin\@, \stride, \op, \argument, next
	for_registers .Lbegin\@ + 32 * \stride, \last_stride, \op, \argument, \last
	.endm

/* t2 = register n. */
	.macro	read_register n
	.if \n == 4
	csrr	t2, sscratch
	.elseif \n == 5 || \n == 6 || \n == 7
	ld	t2, X(\n)(tp)
	.else
	mv	t2, x\n
	.endif
	.endm

/* Register n = `value`. */
	.macro	set_register n, value
	.if \n == 4
	csrw	sscratch, \value
	.elseif \n == 5 || \n == 6 || \n == 7
	sd	\value, X(\n)(tp)
	.elseif \n
	mv	x\n, \value
	.endif
	.endm

/* Register n = the CSR at `csr`. */
	.macro	get n, csr, tail
	.if \n == 4 || \n == 5 || \n == 6 || \n == 7
	ld	t0, \csr(tp)
	set_register \n, t0
	.else
	ld	x\n, \csr(tp)
	.endif
	\tail
	.endm

/* The CSR at `csr` = register n. */
	.macro	put n, csr, tail
	.if \n == 4 || \n == 5 || \n == 6 || \n == 7
	read_register \n
	sd	t2, \csr(tp)
	.else
	sd	x\n, \csr(tp)
	.endif
	\tail
	.endm

/* The same with sepc, which holds no odd addresses. */
	.macro	put_even n, csr, tail
	read_register \n
	andi	t2, t2, ~1
	sd	t2, \csr(tp)
	\tail
	.endm

/* Register n and the CSR at `csr` change places. */
	.macro	swap n, csr, tail
	read_register \n
	ld	t0, \csr(tp)
	sd	t2, \csr(tp)
	set_register \n, t0
	\tail
	.endm

/* t2 = register n. */
	.macro	read n, unused, tail
	read_register \n
	\tail
	.endm

/* Register n = t2. */
	.macro	write n, unused, tail
	set_register \n, t2
	\tail
	.endm

/* Register n = sstatus. */
	.macro	get_status n, unused, tail
	.if \n == 0 || \n == 4 || \n == 5 || \n == 6 || \n == 7
	read_status t0
	set_register \n, t0
	.else
	read_status x\n
	.endif
	\tail
	.endm

/* The same, and SIE is cleared: interrupts off, to be restored. */
	.macro	save_sie n, unused, tail
	get_status \n
	andi	t2, t2, ~SSTATUS_SIE
	sd	t2, SOFT_SSTATUS(tp)
	\tail
	.endm

/*
 * sstatus's bits in a register set. At once if they are SIE or none: what was read with interrupts on or
 * off, restored. `source` is the register, or t2 that holds it.
 */
	.macro	restore_from source, tail, otherwise
	andi	t0, \source, ~SSTATUS_SIE
	bnez	t0, 1f
	lw	t0, VCPU_IRQ(tp)
	bnez	t0, soft_fast_not_simple
	ld	t0, SOFT_SSTATUS(tp)
	or	t0, t0, \source
	sd	t0, SOFT_SSTATUS(tp)
	\tail
1:	.ifnc	\source, t2
	mv	t2, \source
	.endif
	j	\otherwise
	.endm

	.macro	restore_sie n, unused, tail
	.ifc	\tail, next
	restore_sie_or \n, \tail, soft_fast_status_set
	.else
	restore_sie_or \n, \tail, soft_fast_status_set_last
	.endif
	.endm

	.macro	restore_sie_or n, tail, otherwise
	.if \n == 4 || \n == 5 || \n == 6 || \n == 7
	read_register \n
	restore_from t2, \tail, \otherwise
	.else
	restore_from x\n, \tail, \otherwise
	.endif
	.endm

/* sstatus's bits in register n cleared. */
	.macro	clear_bits n, unused, tail
	read_register \n
	.ifc	\tail, next
	j	soft_fast_status_clear
	.else
	j	soft_fast_status_clear_last
	.endif
	.endm

	/* Distances are known here, not left to the linker. */
	.option	norelax
	.globl	soft_fast_read
	.balign	8
soft_fast_read:
	register_ops 16, 16, read, , finish_there
	.globl	soft_fast_write
soft_fast_write:
	register_ops 16, 16, write, , finish_there

	.globl	soft_fast_get_status
soft_fast_get_status:
	register_ops 32, 64, get_status
	.globl	soft_fast_save_sie
soft_fast_save_sie:
	register_ops 40, 72, save_sie
	.globl	soft_fast_restore_sie
soft_fast_restore_sie:
	register_ops 56, 88, restore_sie
	.globl	soft_fast_clear_bits
soft_fast_clear_bits:
	register_ops 8, 8, clear_bits

	.globl	soft_fast_swap_sscratch
soft_fast_swap_sscratch:
	register_ops 24, 56, swap, SOFT_SSCRATCH
	.globl	soft_fast_get_sscratch
soft_fast_get_sscratch:
	register_ops 16, 48, get, SOFT_SSCRATCH
	.globl	soft_fast_get_sepc
soft_fast_get_sepc:
	register_ops 16, 16, get, SOFT_SEPC, finish_there
	.globl	soft_fast_get_scause
soft_fast_get_scause:
	register_ops 16, 16, get, SOFT_SCAUSE, finish_there
	.globl	soft_fast_get_stval
soft_fast_get_stval:
	register_ops 16, 16, get, SOFT_STVAL, finish_there
	.globl	soft_fast_put_sscratch
soft_fast_put_sscratch:
	register_ops 16, 48, put, SOFT_SSCRATCH
	.globl	soft_fast_put_sepc
soft_fast_put_sepc:
	register_ops 24, 56, put_even, SOFT_SEPC
	.globl	soft_fast_put_scause
soft_fast_put_scause:
	register_ops 16, 16, put, SOFT_SCAUSE, finish_there
	.globl	soft_fast_put_stval
soft_fast_put_stval:
	register_ops 16, 16, put, SOFT_STVAL, finish_there
