/* SPDX-License-Identifier: MIT */

/*
 * Saving and restoring floating-point and vector state: the only code that touches it.
 * sstatus.FS (or VS) is not Off.
 */

#include "riscv/csr.h"

	.option	push
	.option	arch, +f, +d
	.text

/* void fp_registers_save(struct fp_state *state) */
	.globl	fp_registers_save
fp_registers_save:
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	fsd	f\n, 8 * \n(a0)
	.endr
	frcsr	a1
	sd	a1, 8 * 32(a0)
	ret

/* void fp_registers_restore(const struct fp_state *state) */
	.globl	fp_registers_restore
fp_registers_restore:
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	fld	f\n, 8 * \n(a0)
	.endr
	ld	a1, 8 * 32(a0)
	fscsr	a1
	ret
	.option	pop

	.option	push
	.option	arch, +v
/* void vector_registers_save(struct vector_state *state, void *registers) */
	.globl	vector_registers_save
vector_registers_save:
	csrr	t0, vstart
	csrr	t1, vcsr
	csrr	t2, vl
	csrr	t3, vtype
	sd	t0, 0(a0)
	sd	t1, 8(a0)
	sd	t2, 16(a0)
	sd	t3, 24(a0)
	csrw	vstart, zero
	csrr	t4, vlenb
	slli	t4, t4, 3
	vs8r.v	v0, (a1)
	add	a1, a1, t4
	vs8r.v	v8, (a1)
	add	a1, a1, t4
	vs8r.v	v16, (a1)
	add	a1, a1, t4
	vs8r.v	v24, (a1)
	/* These are the registers of the same vCPU still, and may not be restored before it runs. */
	csrw	vstart, t0
	ret

/* void vector_registers_restore(const struct vector_state *state, const void *registers) */
	.globl	vector_registers_restore
vector_registers_restore:
	csrw	vstart, zero
	csrr	t4, vlenb
	slli	t4, t4, 3
	vl8r.v	v0, (a1)
	add	a1, a1, t4
	vl8r.v	v8, (a1)
	add	a1, a1, t4
	vl8r.v	v16, (a1)
	add	a1, a1, t4
	vl8r.v	v24, (a1)
	ld	t2, 16(a0)
	ld	t3, 24(a0)
	/* An illegal vtype (vill) is restored by asking for it again: vl becomes 0. */
	vsetvl	zero, t2, t3
	ld	t0, 0(a0)
	ld	t1, 8(a0)
	csrw	vstart, t0
	csrw	vcsr, t1
	ret
	.option	pop
