/* SPDX-License-Identifier: MIT */

/* Ops of sites (switch.S): those that are about no register, nor sstatus. */

#include "engine/soft/fast_call.h"
#include "engine/soft/fast_ops.h"

	.text

/* t2 = the immediate `csr`. */
	.globl	soft_fast_immediate
soft_fast_immediate:
	lh	t2, OP_CSR(t1)
	next

/* t2 = the CSR at `csr`. */
	.globl	soft_fast_get_value
soft_fast_get_value:
	lh	t0, OP_CSR(t1)
	add	t0, t0, tp
	ld	t2, 0(t0)
	next

/* t2 and the CSR at `csr` change places. */
	.globl	soft_fast_exchange
soft_fast_exchange:
	lh	t0, OP_CSR(t1)
	add	t0, t0, tp
	amoswap.d t2, t2, (t0)
	next

/* sepc holds no odd addresses. */
	.globl	soft_fast_even
soft_fast_even:
	andi	t2, t2, ~1
	next

/*
 * SFENCE.VMA for the address in t2, all ASIDs: noted for C, where the root in use cannot have a
 * translation for it (struct soft_vcpu). All other roots are out of date from now on.
 */
	.globl	soft_fast_fence
soft_fast_fence:
	bltz	t2, fence_page
	ld	t0, SOFT_VIEW(tp)
	addi	t0, t0, -SOFT_VIEW_S
	bnez	t0, fence_page
	ld	t0, SOFT_LOW_PAGES(tp)
	bnez	t0, fence_page
	ld	t0, SOFT_FENCE_COUNT(tp)
	addi	t0, t0, -SOFT_FENCES_MOST
	beqz	t0, soft_fast_not_simple
	addi	t0, t0, SOFT_FENCES_MOST
	slli	t0, t0, 3
	add	t0, t0, tp
	sd	t2, SOFT_FENCES_FIRST(t0)
	ld	t0, SOFT_FENCE_COUNT(tp)
	ld	t2, SOFT_VERSION(tp)
	addi	t0, t0, 1
	addi	t2, t2, 1
	sd	t0, SOFT_FENCE_COUNT(tp)
	sd	t2, SOFT_VERSION(tp)
	next

/* The others. */
fence_page:
	sd	t1, SOFT_SCRATCH(tp)
	call_c	soft_fence_page
	ld	t1, SOFT_SCRATCH(tp)
	beqz	t2, soft_fast_not_simple
	next

/* SRET (Priv. 1.13, 12.1.1, 3.3.2). */
	.globl	soft_fast_sret
soft_fast_sret:
	lw	t2, VCPU_IRQ(tp)
	bnez	t2, soft_fast_not_simple
	ld	t0, SOFT_SSTATUS(tp)
	andi	t2, t0, SSTATUS_SPP
	bnez	t2, 1f
	lui	t2, SUM_MXR_UPPER
	and	t2, t2, t0
	bnez	t2, soft_fast_not_simple
	ld	t1, SOFT_FAST_U_VERSION(tp)
	ld	t2, SOFT_VERSION(tp)
	bne	t1, t2, enter_user
	ld	t1, SOFT_FAST_U_SATP(tp)
	ld	t2, SOFT_FAST_U_ROOT(tp)
	sd	zero, SOFT_PRIVILEGE(tp)
	sd	zero, SOFT_VIEW(tp)
	sd	t1, SOFT_HOST_SATP(tp)
	sd	t2, SOFT_SELECTED(tp)
	csrw	satp, t1
1:	andi	t2, t0, SSTATUS_SPIE
	srli	t2, t2, 4
	andi	t0, t0, ~(SSTATUS_SIE | SSTATUS_SPP)
	or	t0, t0, t2
	ori	t0, t0, SSTATUS_SPIE
	ld	t2, SOFT_SEPC(tp)
	sd	t0, SOFT_SSTATUS(tp)
	csrw	sepc, t2
	count	VCPU_QUICK_PRIVILEGED
	leave_to_guest

/* Its root is not up to date. */
enter_user:
	call_c	soft_enter_user
	ld	t0, SOFT_SSTATUS(tp)
	j	1b
