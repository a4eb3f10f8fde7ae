/* SPDX-License-Identifier: MIT */

/*
 * Code that is copied to wherever it is to run, each piece less than a page.
 *
 * uint64_t top_runner(uint64_t count, handler, stack): takes `count` exceptions, each of which the
 * handler, on its own stack, has to step over. How many it did.
 */

#include "riscv/csr.h"

	.text
	.option	push
	.option	norvc
	.balign	8
	.globl	top_runner
top_runner:
	csrr	t2, stvec
	csrrw	t3, sscratch, a2
	csrw	stvec, a1
	li	a3, 0
	mv	a4, sp
	li	sp, 0
1:	csrr	t4, sscratch
	bne	t4, a2, 2f
	/* An illegal instruction, and a breakpoint. */
	csrw	CSR_CYCLE, zero
	ebreak
	csrrw	zero, sscratch, a2
	addi	a0, a0, -1
	bnez	a0, 1b
2:	mv	sp, a4
	csrw	stvec, t2
	csrw	sscratch, t3
	mv	a0, a3
	ret
	.globl	top_runner_end
top_runner_end:

	.balign	8
	.globl	top_handler
top_handler:
	csrrw	sp, sscratch, sp
	addi	sp, sp, -32
	sd	t0, 0(sp)
	sd	t1, 8(sp)
	csrr	t0, sepc
	csrr	t1, scause
	addi	t0, t0, 4
	csrw	sepc, t0
	addi	t1, t1, -EXC_ILLEGAL_INSN
	sltiu	t1, t1, EXC_BREAKPOINT - EXC_ILLEGAL_INSN + 1
	add	a3, a3, t1
	ld	t0, 0(sp)
	ld	t1, 8(sp)
	addi	sp, sp, 32
	csrrw	sp, sscratch, sp
	sret
	.globl	top_handler_end
top_handler_end:
	.option	pop
