/* SPDX-License-Identifier: MIT */
/*
 * A guest that makes a known number of exits, prints "exits: " and what CALLS calls of
 * console_getchar took, in instructions in hex, and then waits for interrupts that do not come.
 * Position-independent, for one
 * hart and 16 MiB of RAM.
 */
#define UART   0x10000000
#define CALLS  1000
#define TIMERS 500
#define LOADS  300

	.globl _start
_start:
	/* Legacy console_getchar: a full exit with every engine. */
	li	s1, CALLS
	csrr	s2, instret
1:	li	a7, 2
	ecall
	addi	s1, s1, -1
	bnez	s1, 1b
	csrr	s3, instret
	sub	s2, s3, s2

	li	s1, TIMERS
2:	li	a0, -1
	li	a6, 0
	li	a7, 0x54494d45
	ecall
	addi	s1, s1, -1
	bnez	s1, 2b

	li	s1, LOADS
	li	s0, UART
3:	lbu	t0, 5(s0)
	addi	s1, s1, -1
	bnez	s1, 3b

	/* RAM that nobody has touched. */
	la	t0, _start
	li	t1, 0x400000
	add	t0, t0, t1
	lb	t0, 0(t0)

	la	s1, text
4:	lbu	a0, 0(s1)
	beqz	a0, 5f
	sb	a0, 0(s0)
	addi	s1, s1, 1
	j	4b

	/* In hex, from the highest digit. */
5:	li	s1, 60
6:	srl	a0, s2, s1
	andi	a0, a0, 15
	la	t0, digits
	add	t0, t0, a0
	lbu	a0, 0(t0)
	sb	a0, 0(s0)
	addi	s1, s1, -4
	bgez	s1, 6b
	li	a0, 10
	sb	a0, 0(s0)

	csrw	sie, zero
7:	wfi
	j	7b

text:	.asciz	"exits: "
digits:	.ascii	"0123456789abcdef"
