/* SPDX-License-Identifier: MIT */
/*
 * Floods the console: ROUNDS calls of the debug console with 256 line feeds each, and as many
 * bytes to the UART; then ends with SRST. Position-independent.
 */
#define DBCN	0x4442434e
#define SRST	0x53525354
#define UART	0x10000000

	.globl _start
_start:
	la	s0, lines
	addi	t0, s0, 256
	mv	t1, s0
	li	t2, '\n'
1:	sb	t2, 0(t1)
	addi	t1, t1, 1
	bltu	t1, t0, 1b

	li	s1, ROUNDS
	li	s2, UART
2:	li	a0, 256
	mv	a1, s0
	li	a2, 0
	li	a6, 0
	li	a7, DBCN
	ecall
	bnez	a0, 4f
	li	t0, 256
3:	sb	t2, 0(s2)
	addi	t0, t0, -1
	bnez	t0, 3b
	addi	s1, s1, -1
	bnez	s1, 2b
	li	a1, 0
	j	5f
4:	li	a1, 1			/* a failure */
5:	li	a0, 0
	li	a6, 0
	li	a7, SRST
	ecall
	j	.
	.balign	8
lines:	.zero	256
