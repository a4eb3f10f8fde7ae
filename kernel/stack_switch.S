/* SPDX-License-Identifier: MIT */

/*
 * kernel/stack.h: to the compiler it is a call that keeps what calls keep. s11 is no C code's
 * (engine/statistics.h).
 */

#include "kernel/layout.h"

	.text
	.balign	4
	.globl	stack_switch
stack_switch:
	addi	sp, sp, -STACK_FRAME
	sd	ra, 0(sp)
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
	sd	s\n, (\n + 1) * 8(sp)
	.endr
	sd	sp, 0(a0)
	mv	sp, a1
	ld	ra, 0(sp)
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
	ld	s\n, (\n + 1) * 8(sp)
	.endr
	addi	sp, sp, STACK_FRAME
	ret
