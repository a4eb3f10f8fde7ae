/* SPDX-License-Identifier: MIT */

/*
 * Ops of sites (switch.S): sstatus. FS and VS are in the hart's own; all else that the guest can write is
 * in memory. An instruction that cannot be done here has changed nothing when it goes on to
 * soft_fast_not_simple. Of the guest's registers t3 and t4 are saved where they are needed.
 */

#include "engine/soft/fast_ops.h"

	.macro	save_more
	sd	t3, X(28)(tp)
	sd	t4, X(29)(tp)
	.endm

	.macro	restore_more
	ld	t3, X(28)(tp)
	ld	t4, X(29)(tp)
	.endm

/* t0 = its fields that can be written, t4 = FS and VS of them; t3 is lost. */
	.macro	old_status
	csrr	t0, sstatus
	ld	t4, SOFT_FP_FIELDS(tp)
	and	t0, t0, t4
	ld	t3, SOFT_SSTATUS(tp)
	or	t0, t0, t3
	.endm

	.text

/* sstatus.SIE alone, set or cleared. */
	.macro	sie_set
	lw	t0, VCPU_IRQ(tp)
	bnez	t0, soft_fast_not_simple
	ld	t0, SOFT_SSTATUS(tp)
	ori	t0, t0, SSTATUS_SIE
	sd	t0, SOFT_SSTATUS(tp)
	.endm

	.globl	soft_fast_sie_set
soft_fast_sie_set:
	sie_set
	next
	.globl	soft_fast_sie_set_last
soft_fast_sie_set_last:
	sie_set
	finish

	.macro	sie_clear
	ld	t0, SOFT_SSTATUS(tp)
	andi	t0, t0, ~SSTATUS_SIE
	sd	t0, SOFT_SSTATUS(tp)
	.endm

	.globl	soft_fast_sie_clear
soft_fast_sie_clear:
	sie_clear
	next
	.globl	soft_fast_sie_clear_last
soft_fast_sie_clear_last:
	sie_clear
	finish

/* What sstatus is, kept while it is changed; and t2 = what was kept. */
	.globl	soft_fast_status_keep
soft_fast_status_keep:
	read_status t0
	sd	t0, SOFT_STASH(tp)
	next
	.globl	soft_fast_status_kept
soft_fast_status_kept:
	ld	t2, SOFT_STASH(tp)
	next

/*
 * SUM alone is set, or cleared: another root, if nothing is to be caught up with. With MXR there is none
 * that can be switched to like this.
 */
	.macro	change_sum root, set
	ld	t0, \root + FAST_VERSION(tp)
	ld	t2, SOFT_VERSION(tp)
	bne	t0, t2, soft_fast_not_simple
	ld	t2, SOFT_SSTATUS(tp)
	slli	t0, t2, 63 - 19
	.if	SSTATUS_MXR != 1 << 19
	.error	"MXR is another bit"
	.endif
	bltz	t0, soft_fast_not_simple
	lui	t0, SSTATUS_SUM >> 12
	or	t2, t2, t0
	.if	!\set
	xor	t2, t2, t0
	.endif
	sd	t2, SOFT_SSTATUS(tp)
	ld	t0, \root + FAST_HOST_SATP(tp)
	ld	t2, \root + FAST_ROOT(tp)
	sd	t0, SOFT_HOST_SATP(tp)
	sd	t2, SOFT_SELECTED(tp)
	ld	t2, \root + FAST_VIEW(tp)
	csrw	satp, t0
	sd	t2, SOFT_VIEW(tp)
	.endm

/* sstatus's bits in t2 set, where what it was is not asked for. */
	.globl	soft_fast_status_set
soft_fast_status_set:
	lui	t0, SSTATUS_SUM >> 12
	bne	t0, t2, set_bits
	change_sum SOFT_FAST_SUM, 1
	next
	.globl	soft_fast_status_set_last
soft_fast_status_set_last:
	lui	t0, SSTATUS_SUM >> 12
	bne	t0, t2, set_bits
	change_sum SOFT_FAST_SUM, 1
	finish

/* The same, cleared. */
	.globl	soft_fast_status_clear
soft_fast_status_clear:
	lui	t0, SSTATUS_SUM >> 12
	bne	t0, t2, clear_bits
	change_sum SOFT_FAST_S, 0
	next
	.globl	soft_fast_status_clear_last
soft_fast_status_clear_last:
	lui	t0, SSTATUS_SUM >> 12
	bne	t0, t2, clear_bits
	change_sum SOFT_FAST_S, 0
	finish

set_bits:
	save_more
	old_status
	ld	t3, SOFT_WRITABLE(tp)
	and	t2, t2, t3
	or	t2, t2, t0
	j	write_status

clear_bits:
	save_more
clear_saved:
	old_status
	not	t2, t2
	and	t2, t2, t0
	j	write_status

/*
 * sstatus's bits in t2 cleared, and t2 = what it was. At once if SUM and MXR stay: what is cleared makes no
 * interrupt possible.
 */
	.globl	soft_fast_status_clear_read
soft_fast_status_clear_read:
	save_more
	ld	t4, SOFT_SSTATUS(tp)
	lui	t0, SUM_MXR_UPPER
	and	t0, t0, t2
	and	t0, t0, t4
	bnez	t0, clear_views
	csrr	t3, sstatus
	not	t0, t2
	and	t0, t0, t4
	sd	t0, SOFT_SSTATUS(tp)
	ld	t0, SOFT_READ_FIELDS(tp)
	and	t0, t0, t3
	or	t4, t4, t0
	ld	t0, SOFT_FP_FIELDS(tp)
	and	t2, t2, t0
	and	t0, t0, t3
	srli	t3, t0, 1
	and	t0, t0, t3
	bnez	t0, clear_dirty
1:	csrc	sstatus, t2
	mv	t2, t4
	restore_more
	next

/* As was_dirty. */
clear_dirty:
	ld	t3, SOFT_UNSAVED_FP(tp)
	or	t3, t3, t0
	sd	t3, SOFT_UNSAVED_FP(tp)
	j	1b

/* SUM or MXR was set: what it was is kept, and the rest is as for those who do not ask. */
clear_views:
	csrr	t3, sstatus
	ld	t0, SOFT_READ_FIELDS(tp)
	and	t0, t0, t3
	or	t0, t0, t4
	sd	t0, SOFT_STASH(tp)
	j	clear_saved

/* sstatus = t2. At once if SIE, SUM and MXR stay. */
	.globl	soft_fast_status_write
soft_fast_status_write:
	save_more
	ld	t4, SOFT_SSTATUS(tp)
	lui	t0, SUM_MXR_UPPER
	xor	t3, t4, t2
	addi	t0, t0, SSTATUS_SIE
	and	t0, t0, t3
	bnez	t0, write_not_plain
	andi	t3, t3, SSTATUS_SPIE | SSTATUS_SPP
	xor	t4, t4, t3
	csrr	t3, sstatus
	sd	t4, SOFT_SSTATUS(tp)
	ld	t4, SOFT_FP_FIELDS(tp)
	xor	t0, t2, t3
	and	t0, t0, t4
	beqz	t0, 1f
	/* FS or VS changes: t0 are the bits that do. */
	and	t4, t4, t3
	srli	t2, t4, 1
	and	t2, t2, t4
	bnez	t2, write_dirty
2:	xor	t3, t3, t0
	csrw	sstatus, t3
1:	restore_more
	next

/* As was_dirty. */
write_dirty:
	ld	t4, SOFT_UNSAVED_FP(tp)
	or	t4, t4, t2
	sd	t4, SOFT_UNSAVED_FP(tp)
	j	2b

write_not_plain:
	old_status
	ld	t3, SOFT_WRITABLE(tp)
	and	t2, t2, t3

/* Whatever else: t0 = what it was, t2 = what it will be, t4 = FS and VS. Then t2 = what was kept. */
write_status:
	xor	t3, t0, t2
	lui	t0, SUM_MXR_UPPER
	addi	t0, t0, SSTATUS_SIE
	and	t0, t0, t3
	bnez	t0, not_plain
plain:
	and	t3, t3, t4
	beqz	t3, 1f
	/* FS or VS changes. */
	csrr	t0, sstatus
	and	t0, t0, t4
	srli	t3, t0, 1
	and	t3, t3, t0
	bnez	t3, was_dirty
dirty_noted:
	csrc	sstatus, t4
	and	t3, t2, t4
	csrs	sstatus, t3
1:	not	t4, t4
	and	t2, t2, t4
	sd	t2, SOFT_SSTATUS(tp)
	restore_more
	ld	t2, SOFT_STASH(tp)
	next

/* What was dirty, in both bits of its field, has not been saved by us. */
was_dirty:
	ld	t0, SOFT_UNSAVED_FP(tp)
	or	t0, t0, t3
	sd	t0, SOFT_UNSAVED_FP(tp)
	j	dirty_noted

/* SIE, SUM or MXR change, in t3: SIE is not for here to set while something is pending. */
not_plain:
	and	t0, t3, t2
	andi	t0, t0, SSTATUS_SIE
	beqz	t0, 1f
	lw	t0, VCPU_IRQ(tp)
	bnez	t0, status_not_simple
1:	lui	t0, SUM_MXR_UPPER
	and	t0, t0, t3
	beqz	t0, plain

/* SUM changes, and is as in t2 then: another root, as above. */
	sd	t3, SOFT_SCRATCH(tp)
	or	t3, t3, t2
	lui	t0, SSTATUS_MXR >> 12
	and	t3, t3, t0
	bnez	t3, status_not_simple
	lui	t0, SSTATUS_SUM >> 12
	and	t0, t0, t2
	addi	t3, tp, SOFT_FAST_S
	beqz	t0, 1f
	addi	t3, tp, SOFT_FAST_SUM
1:	ld	t0, FAST_VERSION(t3)
	ld	t4, SOFT_VERSION(tp)
	bne	t0, t4, status_not_simple
	ld	t0, FAST_HOST_SATP(t3)
	ld	t4, FAST_ROOT(t3)
	ld	t3, FAST_VIEW(t3)
	sd	t0, SOFT_HOST_SATP(tp)
	sd	t4, SOFT_SELECTED(tp)
	sd	t3, SOFT_VIEW(tp)
	csrw	satp, t0
	ld	t3, SOFT_SCRATCH(tp)
	ld	t4, SOFT_FP_FIELDS(tp)
	j	plain

status_not_simple:
	restore_more
	j	soft_fast_not_simple
