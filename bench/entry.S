/* SPDX-License-Identifier: MIT */
/*
 * Stands before a Linux Image, 2 MiB ahead of it, and prints `entry TICKS`: `time` when
 * firmware or hypervisor handed over, in ticks since reset. Carries an Image's header itself.
 */
	.globl _start
_start:
	j	enter
	.word	0
	.dword	0x200000	/* text_offset */
	.dword	IMAGE_SIZE
	.dword	0		/* flags: little-endian */
	.word	2		/* version 0.2 */
	.word	0
	.dword	0
	.ascii	"RISCV\0\0\0"
	.ascii	"RSC\x05"
	.word	0
enter:
	rdtime	s2
	mv	s0, a0
	mv	s1, a1
	/* The digits, last one first, below the newline. */
	la	s3, digits_end
	li	t0, 10
1:	remu	t1, s2, t0
	divu	s2, s2, t0
	addi	t1, t1, '0'
	addi	s3, s3, -1
	sb	t1, 0(s3)
	bnez	s2, 1b
	la	s4, label
	call	print
	mv	s4, s3
	call	print
	mv	a0, s0
	mv	a1, s1
	la	t0, _start
	li	t1, 0x200000
	add	t0, t0, t1
	jr	t0
	/* Prints the text at s4 by the SBI's legacy console_putchar. */
print:
	li	a7, 1
2:	lbu	a0, 0(s4)
	beqz	a0, 3f
	ecall
	addi	s4, s4, 1
	j	2b
3:	ret
label:	.asciz	"\nentry "
	.zero	24
digits_end:
	.asciz	"\n"
	/* The Image follows here. */
	.org	0x200000
