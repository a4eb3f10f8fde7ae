/* SPDX-License-Identifier: MIT */
/*
 * Stands at the start of RAM, before the firmware at START, an OpenSBI fw_dynamic: hands on
 * what QEMU gives it, but with HART for the boot hart. The firmware boots the first hart that
 * comes to a certain place, so the others start a second after that one.
 */
#define MTIME	0x200bff8	/* of virt's CLINT, at 10 MHz */

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
	la	t3, gone
	li	t4, MTIME
	csrr	t0, mhartid
	beq	t0, t2, 3f
2:	ld	t0, 0(t3)		/* when that hart went */
	beqz	t0, 2b
	li	t1, 10000000
	add	t0, t0, t1
4:	ld	t1, 0(t4)
	bltu	t1, t0, 4b
	j	5f
3:	ld	t0, 0(t4)
	ori	t0, t0, 1
	sd	t0, 0(t3)
5:	li	t0, START
	jr	t0
	.balign	8
info:	.zero	48
gone:	.dword	0
