/* SPDX-License-Identifier: MIT */
/*
 * Stands at the start of RAM, before the firmware at START, an OpenSBI fw_dynamic: hands on
 * what QEMU gives it, but with HART for the boot hart.
 */
	.globl _start
_start:
	/* struct fw_dynamic_info at a2: six words of 64 bits, the last one the boot hart. */
	la	t0, info
	li	t1, 5
1:	ld	t2, 0(a2)
	sd	t2, 0(t0)
	addi	a2, a2, 8
	addi	t0, t0, 8
	addi	t1, t1, -1
	bnez	t1, 1b
	li	t2, HART
	sd	t2, 0(t0)
	la	a2, info
	li	t0, START
	jr	t0
	.balign	8
info:	.zero	48
