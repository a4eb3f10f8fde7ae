/* SPDX-License-Identifier: MIT */
/*
 * Stands where firmware expects the kernel and goes on to TARGET with a0 and a1 as they came.
 */
	.globl _start
_start:
	li	t0, TARGET
	jr	t0
