/* SPDX-License-Identifier: MIT */

/*
 * Traps taken while the hypervisor itself runs: interrupts at preemption points, faults of
 * accesses that may fault (kernel/trap.h), and bugs.
 */

#include "kernel/layout.h"
#include "riscv/csr.h"

#define FRAME_SIZE 288

	.macro	save_registers
	.irp n, 1, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	sd	x\n, \n * 8(sp)
	.endr
	.endm

	.macro	save_trap_csrs
	csrr	t0, sepc
	csrr	t1, scause
	csrr	t2, stval
	csrr	t3, sstatus
	sd	t0, 32 * 8(sp)
	sd	t1, 33 * 8(sp)
	sd	t2, 34 * 8(sp)
	sd	t3, 35 * 8(sp)
	.endm

	.macro	restore_registers
	.irp n, 1, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	ld	x\n, \n * 8(sp)
	.endr
	.endm

	.text
	.balign	4
	.globl	kernel_trap_vector
kernel_trap_vector:
	/*
	 * A stack lies where bit STACK_SHIFT of an address is set; in the unmapped half
	 * below it that bit is clear. sscratch is free while the hypervisor runs.
	 */
	csrw	sscratch, t0
	addi	t0, sp, -FRAME_SIZE
	srli	t0, t0, STACK_SHIFT
	andi	t0, t0, 1
	beqz	t0, overflow
	csrr	t0, sscratch
	addi	sp, sp, -FRAME_SIZE
	save_registers
	addi	t0, sp, FRAME_SIZE
	sd	t0, 2 * 8(sp)
	sd	tp, 4 * 8(sp)
	save_trap_csrs
	mv	a0, sp
	call	kernel_trap
	ld	t0, 32 * 8(sp)
	ld	t3, 35 * 8(sp)
	csrw	sepc, t0
	csrw	sstatus, t3
	restore_registers
	addi	sp, sp, FRAME_SIZE
	sret

	/* No return: the report only needs the registers as they were. */
overflow:
	mv	t0, sp
	ld	sp, HART_EMERGENCY_SP(tp)
	addi	sp, sp, -FRAME_SIZE
	sd	t0, 2 * 8(sp)
	csrr	t0, sscratch
	save_registers
	sd	tp, 4 * 8(sp)
	save_trap_csrs
	mv	a0, sp
	call	kernel_stack_overflow

	.bss
	.balign	2 << STACK_SHIFT
	.skip	1 << STACK_SHIFT
	.skip	1 << STACK_SHIFT
	.globl	boot_stack_top
boot_stack_top:
