/* SPDX-License-Identifier: MIT */

/*
 * A program's registers must be its own, however often it is interrupted and wherever it goes
 * on. t0 and t1 (x5, x6) do the work here; all others hold values of their own meanwhile.
 */

#define SAVED x1, x3, x4, x8, x9, x18, x19, x20, x21, x22, x23, x24, x25, x26, x27
#define FILLED 1, 3, 4, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, \
	25, 26, 27, 28, 29, 30, 31
#define VALUE(n) (0x0123456789abcdef ^ ((n) << 56) ^ (n))

	.text
	.globl registers_keep_until
registers_keep_until:
	addi sp, sp, -128
	.set offset, 0
	.irp r, SAVED
	sd \r, offset(sp)
	.set offset, offset + 8
	.endr
	mv t1, a0
	.irp n, FILLED
	li x\n, VALUE(\n)
	.endr

1:	.irp n, FILLED
	li t0, VALUE(\n)
	bne x\n, t0, 3f
	.endr
	rdtime t0
	bltu t0, t1, 1b
	li a0, 1

2:	.set offset, 0
	.irp r, SAVED
	ld \r, offset(sp)
	.set offset, offset + 8
	.endr
	addi sp, sp, 128
	ret
3:	li a0, 0
	j 2b
