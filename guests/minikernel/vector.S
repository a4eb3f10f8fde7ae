/* SPDX-License-Identifier: MIT */

/*
 * The way in and out of the kernel, and from one process's kernel stack to another's.
 *
 * tp holds this hart's struct hart while the kernel runs; while a program runs, tp is the
 * program's and sscratch holds the struct hart. sscratch = 0 says that the kernel runs, so
 * one swap of the two tells where a trap came from.
 */

#include "guests/minikernel/layout.h"
#include "riscv/csr.h"

/* All registers but sp and tp (x2 and x4), which are dealt with at each place. */
.macro registers op
	\op x1, 8(sp)
	\op x3, 24(sp)
	.irp n, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, \
		27, 28, 29, 30, 31
	\op x\n, 8 * \n(sp)
	.endr
.endm

.macro save_csrs
	csrr t0, sepc
	sd t0, FRAME_PC(sp)
	csrr t0, sstatus
	sd t0, FRAME_STATUS(sp)
	csrr t0, scause
	sd t0, FRAME_CAUSE(sp)
	csrr t0, stval
	sd t0, FRAME_VALUE(sp)
.endm

.macro restore_csrs
	ld t0, FRAME_PC(sp)
	csrw sepc, t0
	ld t0, FRAME_STATUS(sp)
	csrw sstatus, t0
.endm

	.text
	.globl trap_vector
	.balign 4
trap_vector:
	csrrw tp, sscratch, tp
	bnez tp, from_user

/*
 * The kernel runs with interrupts off, except for one instruction in the idle loop. So this
 * is either an interrupt that ends idleness, or a bug, and a bug may have ruined sp: in both
 * cases a stack of its own is the right one.
 */
	csrrw tp, sscratch, tp
	sd sp, HART_SAVED_SP(tp)
	ld sp, HART_TRAP_SP(tp)
	addi sp, sp, -FRAME_SIZE
	registers sd
	ld t0, HART_SAVED_SP(tp)
	sd t0, 16(sp)
	sd tp, 32(sp)
	save_csrs
	mv a0, sp
	call trap_kernel
	restore_csrs
	registers ld
	ld sp, 16(sp)
	sret

from_user:
	sd sp, HART_SAVED_SP(tp)
	ld sp, HART_KERNEL_SP(tp)
	addi sp, sp, -FRAME_SIZE
	registers sd
	ld t0, HART_SAVED_SP(tp)
	sd t0, 16(sp)
	csrrw t0, sscratch, zero
	sd t0, 32(sp)
	save_csrs
	mv a0, sp
	call trap_user
	/* Perhaps on another hart than before: tp is that one's. */
user_return:
	restore_csrs
	csrw sscratch, tp
	registers ld
	ld tp, 32(sp)
	ld sp, 16(sp)
	sret

/* Where a new process gets onto a hart for the first time, sp at its frame. */
	.globl process_entry
process_entry:
	call trap_leave
	j user_return

/*
 * context_switch(from, to): save what a function must preserve in *from, load it from *to.
 * It returns to where `to` called this function, on the stack that it had then.
 */
	.globl context_switch
context_switch:
	sd ra, 0(a0)
	sd sp, 8(a0)
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
	sd s\n, 16 + 8 * \n(a0)
	.endr
	ld ra, 0(a1)
	ld sp, 8(a1)
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
	ld s\n, 16 + 8 * \n(a1)
	.endr
	ret
