/* SPDX-License-Identifier: MIT */
#include "guests/lib/hart.h"
#include "riscv/csr.h"

	/* Everything is saved to the hart's next free frame; the handler's stack is below it. */
	.text
	.balign	4
	.globl trap_entry
trap_entry:
	csrrw	sp, CSR_SSCRATCH, sp
	sd	t0, HART_TEMP(sp)
	ld	t0, HART_FRAME(sp)
	sd	x1, 8(t0)
	sd	x3, 24(t0)
	sd	x4, 32(t0)
	.irp	r, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, \
		26, 27, 28, 29, 30, 31
	sd	x\r, \r * 8(t0)
	.endr
	ld	t1, HART_TEMP(sp)
	sd	t1, 40(t0)
	mv	tp, sp
	csrrw	t1, CSR_SSCRATCH, sp
	sd	t1, 16(t0)
	csrr	t1, CSR_SEPC
	csrr	t2, CSR_SSTATUS
	csrr	t3, CSR_SCAUSE
	csrr	t4, CSR_STVAL
	sd	t1, 256(t0)
	sd	t2, 264(t0)
	sd	t3, 272(t0)
	sd	t4, 280(t0)
	li	t1, TRAP_LEVEL_SIZE
	sub	t1, t0, t1
	sd	t1, HART_FRAME(tp)
	mv	sp, t0
	mv	a0, t0
	call	trap_handle
	mv	t0, sp
	sd	t0, HART_FRAME(tp)

	/* Loads everything from the frame at t0 and returns from the trap. */
trap_leave:
	ld	t1, 256(t0)
	ld	t2, 264(t0)
	csrw	CSR_SEPC, t1
	csrw	CSR_SSTATUS, t2
	.irp	r, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, \
		23, 24, 25, 26, 27, 28, 29, 30, 31
	ld	x\r, \r * 8(t0)
	.endr
	ld	t0, 40(t0)
	sret

	/* void trap_enter(const struct trap_frame *frame): see trap.h */
	.globl trap_enter
trap_enter:
	mv	t0, a0
	j	trap_leave

	/* For stvec's vectored mode: entry n notes n + 1, then goes the same way. */
	.balign	256
	.globl trap_vectors
trap_vectors:
	.option	push
	.option	norvc
	.altmacro
	.macro	vector_jump n
	j	vector_\n
	.endm
	.macro	vector_body n
vector_\n:
	csrrw	sp, CSR_SSCRATCH, sp
	sd	t0, HART_TEMP(sp)
	li	t0, \n + 1
	sd	t0, HART_VECTOR(sp)
	ld	t0, HART_TEMP(sp)
	csrrw	sp, CSR_SSCRATCH, sp
	j	trap_entry
	.endm
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vector_jump \n
	.endr
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vector_body \n
	.endr
	.option	pop

	/*
	 * void fp_load(const uint64_t state[33]), void fp_save(uint64_t state[33]): f0 to f31
	 * and fcsr. sstatus.FS must not be off.
	 */
	.globl fp_load
fp_load:
	.irp	r, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, \
		22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	fld	f\r, \r * 8(a0)
	.endr
	ld	t0, 256(a0)
	fscsr	t0
	ret

	.globl fp_save
fp_save:
	.irp	r, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, \
		22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	fsd	f\r, \r * 8(a0)
	.endr
	frcsr	t0
	sd	t0, 256(a0)
	ret
