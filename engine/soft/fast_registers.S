/* SPDX-License-Identifier: MIT */

/*
 * Of fast_ops.S, what there is for each register. A guest's tp is in sscratch, its t0 to t3 are in struct
 * vcpu.
 */

#include "engine/soft/fast_ops.h"
#include "riscv/csr.h"

	.text

/*
 * Ops with a register of the guest's, for each n, as fast.c expects them: `stride` bytes apart, and behind
 * them, all once more, with the end that follows.
 */
	.macro	for_registers stride, op, argument, tail
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	.balign	\stride
	\op	\n, \argument
	\tail
	.endr
	.endm

	.macro	register_ops stride, op, argument=0
.Lbegin\@:
	for_registers \stride, \op, \argument, next
	for_registers \stride, \op, \argument, finish
	/* An error, where an op is too long. */
	.org	.Lbegin\@ + 64 * \stride
	.endm

/* Register n = the CSR at `csr`. */
	.macro	get n, csr
	.if \n == 4
	ld	t0, \csr(t2)
	csrw	sscratch, t0
	.elseif \n == 5 || \n == 6 || \n == 7 || \n == 28
	ld	t0, \csr(t2)
	sd	t0, X(\n)(tp)
	.else
	ld	x\n, \csr(t2)
	.endif
	.endm

/* The CSR at `csr` = register n. */
	.macro	put n, csr
	.if \n == 4
	csrr	t3, sscratch
	sd	t3, \csr(t2)
	.elseif \n == 5 || \n == 6 || \n == 7 || \n == 28
	ld	t3, X(\n)(tp)
	sd	t3, \csr(t2)
	.else
	sd	x\n, \csr(t2)
	.endif
	.endm

/* The same with sepc, which holds no odd addresses. */
	.macro	put_even n, csr
	read	\n
	andi	t3, t3, ~1
	sd	t3, \csr(t2)
	.endm

/* Register n = `value`. */
	.macro	set_register n, value
	.if \n == 4
	csrw	sscratch, \value
	.elseif \n == 5 || \n == 6 || \n == 7 || \n == 28
	sd	\value, X(\n)(tp)
	.elseif \n
	mv	x\n, \value
	.endif
	.endm

/* Register n and the CSR at `csr` change places. */
	.macro	swap n, csr
	read	\n
	ld	t0, \csr(t2)
	sd	t3, \csr(t2)
	set_register \n, t0
	.endm

/* t3 = register n. */
	.macro	read n, unused=0
	.if \n == 4
	csrr	t3, sscratch
	.elseif \n == 5 || \n == 6 || \n == 7 || \n == 28
	ld	t3, X(\n)(tp)
	.else
	mv	t3, x\n
	.endif
	.endm

/* Register n = t3. */
	.macro	write n, unused=0
	set_register \n, t3
	.endm

	/* Distances are known here, not left to the linker. */
	.option	norelax
	.balign	32
	.globl	soft_fast_put_sepc
soft_fast_put_sepc:
	register_ops 32, put_even, SOFT_SEPC
	.globl	soft_fast_swap_sscratch
soft_fast_swap_sscratch:
	register_ops 32, swap, SOFT_SSCRATCH
	.globl	soft_fast_read
soft_fast_read:
	register_ops 16, read
	.globl	soft_fast_write
soft_fast_write:
	register_ops 16, write

	.globl	soft_fast_get_sscratch
soft_fast_get_sscratch:
	register_ops 16, get, SOFT_SSCRATCH
	.globl	soft_fast_get_sepc
soft_fast_get_sepc:
	register_ops 16, get, SOFT_SEPC
	.globl	soft_fast_get_scause
soft_fast_get_scause:
	register_ops 16, get, SOFT_SCAUSE
	.globl	soft_fast_get_stval
soft_fast_get_stval:
	register_ops 16, get, SOFT_STVAL
	.globl	soft_fast_put_sscratch
soft_fast_put_sscratch:
	register_ops 16, put, SOFT_SSCRATCH
	.globl	soft_fast_put_scause
soft_fast_put_scause:
	register_ops 16, put, SOFT_SCAUSE
	.globl	soft_fast_put_stval
soft_fast_put_stval:
	register_ops 16, put, SOFT_STVAL
