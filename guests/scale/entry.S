/* SPDX-License-Identifier: MIT */
#include "guests/scale/scale.h"
#include "riscv/csr.h"
#include "riscv/sbi.h"

	/* Notes when it began, waits, and goes on to the runtime's _start. */
	.section .text.entry, "ax"
	.globl scale_start
scale_start:
	csrr	s2, CSR_TIME
	mv	s0, a0
	mv	s1, a1
	li	s3, SCALE_ALL_STARTED
	mv	a0, s3
	li	a6, SBI_TIME_SET_TIMER
	li	a7, SBI_EXT_TIME
	ecall
	li	t0, 1 << IRQ_S_TIMER
	csrw	CSR_SIE, t0
1:	wfi
	csrr	t0, CSR_TIME
	bltu	t0, s3, 1b
	csrw	CSR_SIE, zero
	la	t0, scale_started
	sd	s2, (t0)
	mv	a0, s0
	mv	a1, s1
	j	_start

	.data
	.balign	8
	/* uint64_t: `time` at the first instruction */
	.globl scale_started
scale_started:
	.dword	0
