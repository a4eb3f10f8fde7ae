/* SPDX-License-Identifier: MIT */
#include "guests/chaos/entry.h"
#include "guests/lib/hart.h"
#include "riscv/csr.h"

	/*
	 * Where a worker traps. An exception in the code that runs is skipped here, with nothing
	 * saved that is not needed: that is what most operations end in. All else goes to trap_entry.
	 */
	.text
	.balign	4
	.globl chaos_entry
chaos_entry:
	csrrw	sp, CSR_SSCRATCH, sp
	sd	t0, OWN_T0(sp)
	sd	t1, OWN_T1(sp)
	ld	t1, OWN_LEFT(sp)
	addi	t1, t1, -1
	bltz	t1, 1f
	csrr	t0, CSR_SCAUSE
	bltz	t0, 1f
	csrr	t0, CSR_SEPC
	ld	t1, OWN_AT(sp)
	sub	t0, t0, t1
	ld	t1, OWN_SIZE(sp)
	bgeu	t0, t1, 1f
	ld	t1, OWN_WORDS(sp)
	add	t1, t1, t0
	lhu	t1, (t1)
	csrr	t0, CSR_SEPC
	/* 4 bytes if the two lowest bits are 11, 2 if not. */
	addi	t0, t0, 2
	andi	t1, t1, 3
	addi	t1, t1, 1
	andi	t1, t1, 4
	srli	t1, t1, 1
	add	t0, t0, t1
	csrw	CSR_SEPC, t0
	ld	t1, OWN_LEFT(sp)
	addi	t1, t1, -1
	sd	t1, OWN_LEFT(sp)
	ld	t0, OWN_T0(sp)
	ld	t1, OWN_T1(sp)
	csrrw	sp, CSR_SSCRATCH, sp
	sret
1:	ld	t0, OWN_T0(sp)
	ld	t1, OWN_T1(sp)
	csrrw	sp, CSR_SSCRATCH, sp
	j	trap_entry

	/* sbi_call(), of which it is known where it traps. */
	.globl chaos_call
chaos_call:
	mv	a7, a0
	mv	t0, a1
	mv	a0, a2
	mv	a1, a3
	mv	a2, a4
	mv	a3, a5
	mv	a4, a6
	mv	a6, t0
	.globl chaos_ecall
chaos_ecall:
	ecall
	ret
