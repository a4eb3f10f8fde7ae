/* SPDX-License-Identifier: MIT */
/*
 * A guest of one hart that wants nothing of the hypervisor: BUSY computes for ever; else it sleeps
 * for 10 ms at a time. It says so before. Position-independent.
 */
#define SBI_TIME	0x54494d45
#define SBI_DBCN	0x4442434e
#define SLEEP		100000		/* of a timebase of 10 MHz: 10 ms */

	.globl _start
_start:
	li	a0, 13
	la	a1, ready
	li	a2, 0
	li	a6, 0
	li	a7, SBI_DBCN
	ecall
	li	t0, 1 << 5
	csrw	sie, t0			/* STIE; sstatus.SIE stays 0 */
#if BUSY
1:	addi	t0, t0, 1
	j	1b
#else
1:	rdtime	s0
	li	t0, SLEEP
	add	s0, s0, t0
	mv	a0, s0
	li	a6, 0
	li	a7, SBI_TIME
	ecall
2:	wfi
	rdtime	t0
	bltu	t0, s0, 2b
	j	1b
#endif

ready:	.ascii	"alone: ready\n"
