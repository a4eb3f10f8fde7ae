/* SPDX-License-Identifier: MIT */
/*
 * A guest of HARTS harts that shows that it goes on: each prints a line of its letter and a
 * hexadecimal count of these lines, sleeps for 20 ms, and so on. It says so if its timer is not
 * pending after that. Harts 1 and up are started through HSM. Position-independent.
 */
#define SBI_TIME	0x54494d45
#define SBI_HSM		0x48534d
#define SBI_DBCN	0x4442434e
#define SLEEP		200000		/* of a timebase of 10 MHz: 20 ms */

	.globl _start
_start:
	li	s1, 1			/* the next hart to start */
1:	li	t0, HARTS
	bge	s1, t0, started
	mv	a0, s1
	la	a1, hart
	li	a2, 0
	li	a6, 0
	li	a7, SBI_HSM
	ecall
	addi	s1, s1, 1
	j	1b
started:
	li	a0, 0

hart:	/* a0 is its number */
	mv	s2, a0
	slli	t0, s2, 6
	la	s3, lines
	add	s3, s3, t0
	li	t0, 'a'
	add	t0, t0, s2
	sb	t0, 0(s3)
	li	t0, ' '
	sb	t0, 1(s3)
	li	t0, '\n'
	sb	t0, 10(s3)
	li	s4, 0			/* the counter */
	li	t0, 1 << 5
	csrw	sie, t0			/* STIE; sstatus.SIE stays 0 */

beat:	mv	t0, s4
	addi	s4, s4, 1
	addi	t1, s3, 9
3:	andi	t2, t0, 15
	addi	t2, t2, '0'
	li	t3, '9'
	ble	t2, t3, 4f
	addi	t2, t2, 'a' - '0' - 10
4:	sb	t2, 0(t1)
	srli	t0, t0, 4
	addi	t1, t1, -1
	addi	t3, s3, 1
	bne	t1, t3, 3b
	li	a0, 11
	mv	a1, s3
	li	a2, 0
	li	a6, 0
	li	a7, SBI_DBCN
	ecall

	rdtime	s5
	li	t0, SLEEP
	add	s5, s5, t0
	mv	a0, s5
	li	a6, 0
	li	a7, SBI_TIME
	ecall
	/* WFI may end early (Priv., Wait for Interrupt): the time decides. */
5:	wfi
	rdtime	t0
	bltu	t0, s5, 5b
	/* Pending now, or as soon as the machine gets to it; not after a second. */
	li	t1, 10000000
	add	t1, t1, s5
6:	csrr	t0, sip
	andi	t0, t0, 1 << 5
	bnez	t0, beat
	rdtime	t0
	bltu	t0, t1, 6b
	la	a1, lost
	li	a0, 11
	li	a2, 0
	li	a6, 0
	li	a7, SBI_DBCN
	ecall
	j	beat

	.balign	8
lost:	.ascii	"timer lost\n"
	.balign	64
lines:	.zero	64 * HARTS
