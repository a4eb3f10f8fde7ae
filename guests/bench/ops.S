/* SPDX-License-Identifier: MIT */
#include "riscv/csr.h"

/*
 * What can only be measured in assembly, once with each counter that may be readable. Each
 * returns the counter at the handler's first instruction less the counter just before the
 * instruction that leads there. The handler is simply the code that follows: stvec points
 * there, and neither sepc nor the mode before matters. Interrupts are off on return.
 */
	.macro	begin
	csrr	t5, CSR_STVEC
	la	t0, 1f
	csrw	CSR_STVEC, t0
	.endm

	.macro	end counter
	.balign	4
1:	csrr	a1, \counter
	csrci	CSR_SSTATUS, SSTATUS_SIE
	csrw	CSR_STVEC, t5
	sub	a0, a1, a0
	ret
	.endm

	.macro	routines suffix, counter

	/* uint64_t read_counter(void) */
	.globl	read_\suffix
read_\suffix:
	csrr	a0, \counter
	ret

	/* uint64_t empty(void): what the others measure when nothing is between */
	.globl	empty_\suffix
empty_\suffix:
	csrr	a0, \counter
	csrr	a1, \counter
	sub	a0, a1, a0
	ret

	/* uint64_t trap_illegal(void) */
	.globl	illegal_\suffix
illegal_\suffix:
	begin
	csrr	a0, \counter
	.word	0
	end	\counter

	/* uint64_t trap_page_fault(uint64_t address) */
	.globl	page_fault_\suffix
page_fault_\suffix:
	mv	a2, a0
	begin
	csrr	a0, \counter
	ld	a3, (a2)
	end	\counter

	/* uint64_t trap_ecall_user(void): scounteren has to let U-mode read the counter */
	.globl	ecall_user_\suffix
ecall_user_\suffix:
	begin
	la	t0, 2f
	csrw	CSR_SEPC, t0
	li	t0, SSTATUS_SPP | SSTATUS_SPIE
	csrc	CSR_SSTATUS, t0
	sret
	.balign	4
2:	csrr	a0, \counter
	ecall
	end	\counter

	/* uint64_t trap_ipi_self(uint64_t mask): sie has SSIE alone */
	.globl	ipi_self_\suffix
ipi_self_\suffix:
	begin
	mv	a2, a0
	li	a1, 0
	li	a6, 0
	li	a7, 0x735049
	csrr	a3, \counter
	csrsi	CSR_SSTATUS, SSTATUS_SIE
	ecall
2:	j	2b
	.balign	4
1:	csrr	a1, \counter
	csrci	CSR_SSTATUS, SSTATUS_SIE
	csrw	CSR_STVEC, t5
	sub	a0, a1, a3
	csrci	CSR_SIP, 1 << IRQ_S_SOFT
	ret

	/* uint64_t trap_sret(void): a trap and the way back, with an empty handler */
	.globl	round_\suffix
round_\suffix:
	begin
	csrr	a0, \counter
	ebreak
	csrr	a1, \counter
	csrw	CSR_STVEC, t5
	sub	a0, a1, a0
	ret
	.balign	4
1:	csrr	t0, CSR_SEPC
	lhu	t1, (t0)
	addi	t0, t0, 4
	andi	t1, t1, 3
	addi	t1, t1, -3
	beqz	t1, 2f
	addi	t0, t0, -2
2:	csrw	CSR_SEPC, t0
	sret
	.endm

	.text
	.balign	64
	routines instret, CSR_INSTRET
	.balign	64
	routines cycle, CSR_CYCLE
