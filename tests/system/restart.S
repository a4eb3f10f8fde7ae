/* SPDX-License-Identifier: MIT */
/*
 * Restarts itself ROUNDS times while its second hart is going to sleep and waking up all the
 * time; each time that hart has to come up as out of reset. What it counts with lies behind
 * the image, in memory that a restart leaves as it is. Position-independent.
 */
#define HSM		0x48534d
#define SRST		0x53525354
#define STIMECMP	0x14d
#define COUNTER		0x100000	/* from the image's start */

	.globl _start
_start:
	la	s0, _start
	li	t0, COUNTER
	add	s0, s0, t0
	li	s1, 0x1234abcd		/* what the counter is marked with */
	ld	t0, 8(s0)
	beq	t0, s1, 1f
	sd	zero, 0(s0)
	sd	s1, 8(s0)
1:	sd	zero, 16(s0)		/* the second hart is up */
	ld	t0, 0(s0)
	addi	t0, t0, 1
	sd	t0, 0(s0)
	li	t1, ROUNDS
	bgtu	t0, t1, done

	li	a0, 1
	la	a1, second
	mv	a2, s0
	li	a6, 0			/* hart_start */
	li	a7, HSM
	ecall
	bnez	a0, fail
2:	ld	t0, 16(s0)
	beqz	t0, 2b
	bltz	t0, fail

	/* From 0 to some 50 us, so that every moment of its sleep is met. */
	ld	t0, 0(s0)
	li	t1, 97
	mul	t0, t0, t1
	andi	t0, t0, 511
	rdtime	t1
	add	t0, t0, t1
3:	rdtime	t1
	bltu	t1, t0, 3b
	li	a0, 1			/* cold reboot */
	j	reset
done:	la	s2, text
4:	lbu	a0, 0(s2)
	beqz	a0, 5f
	addi	s2, s2, 1
	li	a7, 1
	ecall
	j	4b
5:	li	a0, 0			/* shutdown */
reset:	li	a1, 0
	li	a6, 0
	li	a7, SRST
	ecall
	j	.
fail:	li	a0, 0
	li	a1, 1			/* because of a failure */
	li	a6, 0
	li	a7, SRST
	ecall
	j	.

	/* sscratch and sie are 0 on a hart that starts here as out of reset. */
second:	mv	s0, a1
	csrr	t0, sscratch
	csrr	t1, sie
	or	t0, t0, t1
	li	t1, 1
	beqz	t0, 1f
	li	t1, -1
1:	csrw	sscratch, s0
	li	t0, 0x20
	csrw	sie, t0
	sd	t1, 16(s0)
2:	rdtime	t0
	addi	t0, t0, 20
	csrw	STIMECMP, t0
	li	a0, 0			/* retentive */
	li	a6, 3			/* hart_suspend */
	li	a7, HSM
	ecall
	j	2b

	.balign	8
text:	.asciz	"restart: every hart came up anew\n"
