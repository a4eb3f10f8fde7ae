/* SPDX-License-Identifier: MIT */
#include "riscv/csr.h"

	/* void vector_load(const void *registers, const uint64_t csrs[4]): v0 to v31; vl, vtype, vcsr, vstart */
	.text
	.globl	vector_load
vector_load:
	csrr	t0, CSR_VLENB
	slli	t0, t0, 3
	csrw	CSR_VSTART, zero
	vl8re8.v v0, (a0)
	add	a0, a0, t0
	vl8re8.v v8, (a0)
	add	a0, a0, t0
	vl8re8.v v16, (a0)
	add	a0, a0, t0
	vl8re8.v v24, (a0)
	ld	t0, 0(a1)
	ld	t1, 8(a1)
	vsetvl	zero, t0, t1
	ld	t0, 16(a1)
	csrw	CSR_VCSR, t0
	ld	t0, 24(a1)
	csrw	CSR_VSTART, t0
	ret

	/* void vector_save(void *registers, uint64_t csrs[4]) */
	.globl	vector_save
vector_save:
	csrr	t0, CSR_VSTART
	sd	t0, 24(a1)
	csrr	t0, CSR_VL
	sd	t0, 0(a1)
	csrr	t0, CSR_VTYPE
	sd	t0, 8(a1)
	csrr	t0, CSR_VCSR
	sd	t0, 16(a1)
	csrw	CSR_VSTART, zero
	csrr	t0, CSR_VLENB
	slli	t0, t0, 3
	vs8r.v	v0, (a0)
	add	a0, a0, t0
	vs8r.v	v8, (a0)
	add	a0, a0, t0
	vs8r.v	v16, (a0)
	add	a0, a0, t0
	vs8r.v	v24, (a0)
	ret
