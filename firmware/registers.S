/* SPDX-License-Identifier: MIT */

/* Registers that C has by number only: floating-point registers, and counters. */

#include "riscv/machine.h"

	.option	norvc
	.option	norelax
	.text

/* Goes to the a0th of pairs of instructions at \table. */
	.macro	pick table
	slli	a0, a0, 3
	la	t0, \table
	add	t0, t0, a0
	jr	t0
	.endm

/* fp_read(reg), fp_write(reg, value): fmv.x.d and fmv.d.x, with FS on for them. */
	.global fp_read
fp_read:
	li	t1, SSTATUS_FS
	csrs	mstatus, t1
	pick	fp_reads
	.balign	8
fp_reads:
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, \
		23, 24, 25, 26, 27, 28, 29, 30, 31
	.insn	r 0x53, 0, 0x71, a0, x\n, x0
	ret
	.endr

	.global fp_write
fp_write:
	li	t1, SSTATUS_FS
	csrs	mstatus, t1
	pick	fp_writes
	.balign	8
fp_writes:
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, \
		23, 24, 25, 26, 27, 28, 29, 30, 31
	.insn	r 0x53, 0, 0x79, x\n, a1, x0
	ret
	.endr

/*
 * counter_write(n, value): mcycle, minstret, mhpmcounter n. event_write(n, value), event_clear(n, bits):
 * mhpmevent n, of which bits are cleared.
 */
	.global counter_write
counter_write:
	pick	counter_writes
	.balign	8
counter_writes:
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, \
		23, 24, 25, 26, 27, 28, 29, 30, 31
	csrw	CSR_MCYCLE + \n, a1
	ret
	.endr

	.global event_write
event_write:
	pick	event_writes
	.balign	8
event_writes:
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, \
		23, 24, 25, 26, 27, 28, 29, 30, 31
	csrw	CSR_MHPMEVENT3 - 3 + \n, a1
	ret
	.endr

	.global event_clear
event_clear:
	pick	event_clears
	.balign	8
event_clears:
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, \
		23, 24, 25, 26, 27, 28, 29, 30, 31
	csrc	CSR_MHPMEVENT3 - 3 + \n, a1
	ret
	.endr
