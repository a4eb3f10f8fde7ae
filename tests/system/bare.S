/* SPDX-License-Identifier: MIT */
/*
 * Uses the pages at FIRST, FIRST + STEP, … (COUNT of them), which are RAM, two in a row each,
 * without translation: as data, and for code that is in two pages and reads two others. Says
 * what became of it, and ends with SRST. Position-independent.
 */
	.option	norvc
	.globl _start
_start:
	lla	t0, trapped
	csrw	stvec, t0

	/* Every word of the pages: its address. */
	li	s0, FIRST
	li	s1, COUNT
1:	li	t1, 0x2000
	add	t1, t1, s0
	mv	t0, s0
2:	sd	t0, (t0)
	addi	t0, t0, 8
	bltu	t0, t1, 2b
	li	t1, STEP
	add	s0, s0, t1
	addi	s1, s1, -1
	bnez	s1, 1b

	/* `ld a0, (a0)` across the border of two pages, and a return. */
	li	s0, FIRST
	li	s1, COUNT
	li	s2, 0xffe
1:	lla	t0, code
	lhu	t1, 0(t0)
	lhu	t2, 2(t0)
	lhu	t3, 4(t0)
	lhu	t4, 6(t0)
	add	t0, s0, s2
	sh	t1, 0(t0)
	sh	t2, 2(t0)
	sh	t3, 4(t0)
	sh	t4, 6(t0)
	li	t1, STEP
	add	s0, s0, t1
	addi	s1, s1, -1
	bnez	s1, 1b
	fence.i

	/* Each with each, ten times. */
	li	s6, 10
round:	li	s0, FIRST
	li	s1, COUNT
1:	li	s4, FIRST
	li	s5, COUNT
2:	add	t0, s0, s2
	/* 8 bytes of which the first seven are the upper ones of the word before the code's. */
	li	a0, 0xff0
	add	a0, a0, s4
	addi	s3, a0, 0
	addi	a0, a0, 1
	jalr	t0
	slli	a0, a0, 8
	srli	s3, s3, 8
	slli	s3, s3, 8
	bne	a0, s3, wrong
	/* And across the border: the code itself. */
	li	a0, 0xffc
	add	a0, a0, s4
	add	t0, s0, s2
	jalr	t0
	srli	a0, a0, 16
	slli	a0, a0, 32
	srli	a0, a0, 32
	lla	t0, code
	lwu	t0, (t0)
	bne	a0, t0, wrong
	li	t1, STEP
	add	s4, s4, t1
	addi	s5, s5, -1
	bnez	s5, 2b
	add	s0, s0, t1
	addi	s1, s1, -1
	bnez	s1, 1b
	addi	s6, s6, -1
	bnez	s6, round
	lla	s0, good
	li	s1, 0
	j	say

	.balign	8
code:	ld	a0, (a0)
	ret

wrong:	lla	s0, bad
	li	s1, 1
	j	say
	.balign	4
trapped:
	lla	s0, trap
	li	s1, 1

say:	lbu	a0, 0(s0)
	beqz	a0, 2f
	addi	s0, s0, 1
	/* Legacy console_putchar. */
	li	a7, 1
	ecall
	j	say
2:	li	a0, 0
	mv	a1, s1
	li	a6, 0
	li	a7, 0x53525354
	ecall
3:	wfi
	j	3b
good:	.asciz	"bare: ok\n"
bad:	.asciz	"bare: wrong\n"
trap:	.asciz	"bare: trapped\n"
