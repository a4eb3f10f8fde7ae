/* SPDX-License-Identifier: MIT */
/*
 * The smallest guest: says that it runs, or TEXT, by SBI calls, and ends with SRST type 0 and
 * REASON (0 clean, 1 system failure). Position-independent.
 */
#ifndef TEXT
#define TEXT "hello from a guest\n"
#endif
#ifndef REASON
#define REASON 0
#endif
	.globl _start
_start:
	la	s0, text
1:	lbu	a0, 0(s0)
	beqz	a0, 2f
	addi	s0, s0, 1
	/* Legacy console_putchar. */
	li	a7, 1
	ecall
	j	1b
2:	li	a0, 0
	li	a1, REASON
	li	a6, 0
	li	a7, 0x53525354
	ecall
3:	wfi
	j	3b
text:	.asciz	TEXT
