/* SPDX-License-Identifier: MIT */

/*
 * What the guest does most often, right behind the trap: short runs of privileged instructions
 * (struct soft_fast_site) and the calls of its user mode. The guest's registers stay where they
 * are, but for tp (in sscratch) and t0 to t3 (in struct vcpu). Whatever is not simple goes on to
 * soft_full_exit, as if it had not been looked at.
 *
 * Here tp is the vCPU, t2 its struct soft_vcpu from SOFT_BASE on, t1 the present struct soft_fast_op less SITE_OPS,
 * t3 the value that goes from one op to the next, t0 free.
 */

#include "asm-offsets.h"
#include "engine/count.h"
#include "engine/soft/fast_ops.h"
#include "riscv/csr.h"

/*
 * SOFT_FAST_SITES entries of 128 bytes are found by bits 10 to 1 of the pc.
 */
#define SITE_INDEX 0x7fe
#define SITE_SHIFT 7

/* ra, sp, s0, s1, a0 to a7, t4 to t6. */
#define CALL_SAVES 1, 2, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 29, 30, 31

/* SUM and MXR, for LUI. */
#define SUM_MXR_UPPER ((SSTATUS_SUM | SSTATUS_MXR) >> 12)

/* To the guest; sepc is set. */
	.macro	leave_to_guest
	ld	t0, X(5)(tp)
	ld	t1, X(6)(tp)
	ld	t2, X(7)(tp)
	ld	t3, X(28)(tp)
	csrrw	tp, sscratch, tp
	sret
	.endm

/* t1 = the site for the pc in t0; t3 is lost. */
	.macro	find_site
	andi	t1, t0, SITE_INDEX
	ld	t3, SOFT_SITES(t2)
	slli	t1, t1, SITE_SHIFT - 1
	add	t1, t1, t3
	ld	t3, SITE_PC(t1)
	bne	t3, t0, other_site
	.endm

/* Executes it, if it is still true. */
	.macro	run_site
	ld	t3, SITE_GENERATION(t1)
	ld	t0, SOFT_CODE_GENERATION(t2)
	bne	t3, t0, no_site
	lw	t0, OP_HANDLER(t1)
	jr	t0
	.endm

/*
 * t3 = sstatus as the guest reads it: FS, VS, UXL and SD are the hart's, where the fields that the
 * guest does not have are Off.
 */
	.macro	read_status
	csrr	t3, sstatus
	ld	t0, SOFT_READ_FIELDS(t2)
	and	t3, t3, t0
	ld	t0, SOFT_SSTATUS(t2)
	or	t3, t3, t0
	.endm

/* t0 = its fields that can be written, t5 = FS and VS of them; t4 is lost. */
	.macro	old_status
	csrr	t0, sstatus
	ld	t5, SOFT_FP_FIELDS(t2)
	and	t0, t0, t5
	ld	t4, SOFT_SSTATUS(t2)
	or	t0, t0, t4
	.endm

/*
 * Calls a function in C with the vCPU and t3; its result is in t3 then. Only what it may change is
 * saved, fp for its frames, and s1.
 */
	.macro	call_c function
	.irp n, CALL_SAVES
	sd	x\n, X(\n)(tp)
	.endr
	sd	t1, SOFT_SCRATCH(t2)
	lla	t0, kernel_trap_vector
	mv	s1, tp
	mv	a0, tp
	mv	a1, t3
	csrw	stvec, t0
	ld	tp, VCPU_HOST_TP(tp)
	mv	fp, zero
	ld	sp, HART_STACK_TOP(tp)
	call	\function
	mv	tp, s1
	lla	t0, soft_exit
	ld	t2, VCPU_SOFT_BASE(tp)
	csrw	stvec, t0
	ld	t1, SOFT_SCRATCH(t2)
	mv	t3, a0
	.irp n, CALL_SAVES
	ld	x\n, X(\n)(tp)
	.endr
	.endm

/* A stretch with interrupts off begins (kernel/irqoff.h). */
	.macro	measure_irqoff
#ifdef PILAE_MEASURE_IRQOFF
	ld	t0, VCPU_HOST_TP(tp)
	csrr	t1, instret
	sd	t1, HART_INTERRUPTS_OFF_SINCE(t0)
#endif
	.endm

	.text
	.balign	4
	.globl	soft_exit
soft_exit:
	csrrw	tp, sscratch, tp
	sd	t0, X(5)(tp)
	sd	t1, X(6)(tp)
	sd	t2, X(7)(tp)
	sd	t3, X(28)(tp)
	measure_irqoff
	csrr	t1, scause
	ld	t2, VCPU_SOFT_BASE(tp)
	csrr	t0, sepc
	ld	t3, SOFT_PRIVILEGE(t2)
	/* Sites are the guest's S-mode's, whose number is a breakpoint's. */
	bne	t1, t3, not_breakpoint

/* t0 = the guest's pc, which is sepc. */
site_at_pc:
	find_site
site_found:
	run_site

/* Two sites with the same index lie in a pair of entries. */
other_site:
	xori	t1, t1, 1 << SITE_SHIFT
	ld	t3, SITE_PC(t1)
	beq	t3, t0, site_found
no_site:
	/* After a call or fault that was entered here, nothing is left to be done. */
	csrr	t0, scause
	addi	t0, t0, -EXC_BREAKPOINT
	bnez	t0, return_to_guest
	j	soft_full_exit

/* t3 = its privilege. No trap has the cause 0, which U-mode has. */
not_breakpoint:
	addi	t1, t1, -EXC_ECALL_U
	bnez	t1, not_call
	beqz	t3, enter_call
1:	j	soft_full_exit

/* Page faults have the causes 12, 13 and 15. */
not_call:
	addi	t1, t1, EXC_ECALL_U - EXC_INSN_PAGE
	sltiu	t1, t1, EXC_STORE_PAGE - EXC_INSN_PAGE + 1
	beqz	t1, soft_full_exit
	call_c	soft_quick_fault
	beqz	t3, soft_full_exit
	count	VCPU_QUICK_SHADOW
	addi	t3, t3, -SOFT_FAULT_INJECTED
	csrr	t0, sepc
	beqz	t3, site_at_pc
	j	leave

/* ECALL of the guest's user mode (Priv. 1.13, 12.1.1): t0 = its address. */
enter_call:
	ld	t1, SOFT_FAST_S_VERSION(t2)
	ld	t3, SOFT_VERSION(t2)
	bne	t1, t3, 1b
	ld	t3, SOFT_SSTATUS(t2)
	lui	t1, SUM_MXR_UPPER
	and	t1, t1, t3
	bnez	t1, 1b
	sd	t0, SOFT_SEPC(t2)
	andi	t1, t3, SSTATUS_SIE
	slli	t1, t1, 4
	andi	t3, t3, ~(SSTATUS_SIE | SSTATUS_SPIE | SSTATUS_SPP)
	or	t3, t3, t1
	sd	t3, SOFT_SSTATUS(t2)
	li	t1, EXC_ECALL_U
	ld	t0, SOFT_STVEC(t2)
	sd	t1, SOFT_SCAUSE(t2)
	sd	zero, SOFT_STVAL(t2)
	li	t1, SOFT_S
	li	t3, SOFT_VIEW_S
	andi	t0, t0, ~3
	sd	t1, SOFT_PRIVILEGE(t2)
	sd	t3, SOFT_VIEW(t2)
	ld	t1, SOFT_FAST_S_SATP(t2)
	ld	t3, SOFT_FAST_S_ROOT(t2)
	csrw	sepc, t0
	sd	t1, SOFT_HOST_SATP(t2)
	sd	t3, SOFT_SELECTED(t2)
	csrw	satp, t1
	find_site
	run_site

/* The ops. */

/* The last: the guest goes on at the address that stands in place of one more op. */
	.globl	soft_fast_end
soft_fast_end:
	ld	t3, OP_HANDLER + OP_SIZE(t1)
	csrw	sepc, t3
	j	return_to_guest

/* The same, from the op before it. */
	.globl	soft_fast_finish
soft_fast_finish:
	ld	t3, OP_HANDLER + 2 * OP_SIZE(t1)
	csrw	sepc, t3
return_to_guest:
	count	VCPU_QUICK_PRIVILEGED
leave:
	leave_to_guest

/* The op cannot be done here: its instruction is for C, as if it had been trapped alone. */
not_simple:
	lhu	t0, OP_OFFSET(t1)
	csrr	t3, sepc
	add	t3, t3, t0
	csrw	sepc, t3
	csrr	t0, scause
	addi	t0, t0, -EXC_BREAKPOINT
	beqz	t0, soft_full_exit
	/* A call was entered before: the guest traps again at the instruction. */
	j	return_to_guest

/* t3 = the immediate `csr`. */
	.globl	soft_fast_immediate
soft_fast_immediate:
	lh	t3, OP_CSR(t1)
	next

/* t3 = the CSR at `csr`. */
	.globl	soft_fast_get_value
soft_fast_get_value:
	lh	t0, OP_CSR(t1)
	add	t0, t0, t2
	ld	t3, 0(t0)
	next

/* t3 and the CSR at `csr` change places. */
	.globl	soft_fast_exchange
soft_fast_exchange:
	lh	t0, OP_CSR(t1)
	add	t0, t0, t2
	amoswap.d t3, t3, (t0)
	next

/* sepc holds no odd addresses. */
	.globl	soft_fast_even
soft_fast_even:
	andi	t3, t3, ~1
	next

/* sstatus.SIE alone, set or cleared. */
	.macro	sie_set
	lw	t0, VCPU_IRQ(tp)
	bnez	t0, not_simple
	ld	t0, SOFT_SSTATUS(t2)
	ori	t0, t0, SSTATUS_SIE
	sd	t0, SOFT_SSTATUS(t2)
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
	ld	t0, SOFT_SSTATUS(t2)
	andi	t0, t0, ~SSTATUS_SIE
	sd	t0, SOFT_SSTATUS(t2)
	.endm

	.globl	soft_fast_sie_clear
soft_fast_sie_clear:
	sie_clear
	next
	.globl	soft_fast_sie_clear_last
soft_fast_sie_clear_last:
	sie_clear
	finish

/* The same with what sstatus was before in t3. */
	.globl	soft_fast_sie_clear_read
soft_fast_sie_clear_read:
	read_status
	/* t0 is the part of it that is here. */
	andi	t0, t0, ~SSTATUS_SIE
	sd	t0, SOFT_SSTATUS(t2)
	next

/* t3 = sstatus, which is kept for the instruction's end, too. */
	.globl	soft_fast_status_read
soft_fast_status_read:
	read_status
	sd	t3, SOFT_STASH(t2)
	next

/*
 * SIE or nothing of sstatus, in t3, is set: what was read from there, restored. t3 is lost. Goes on behind
 * it, or at status_set.
 */
	.macro	sie_restore
	andi	t0, t3, ~SSTATUS_SIE
	bnez	t0, status_set
	beqz	t3, 1f
	lw	t0, VCPU_IRQ(tp)
	bnez	t0, not_simple
	ld	t0, SOFT_SSTATUS(t2)
	or	t0, t0, t3
	sd	t0, SOFT_SSTATUS(t2)
1:
	.endm

/* sstatus's bits in t3 set, where what it was is not asked for. */
	.globl	soft_fast_sie_restore
soft_fast_sie_restore:
	sie_restore
	next
	.globl	soft_fast_sie_restore_last
soft_fast_sie_restore_last:
	sie_restore
	finish

/*
 * sstatus = t3; or its bits in t3 set, or cleared; then t3 = what was kept. What is not done at once
 * comes to write_status with t0 = what sstatus was, t3 = what it will be, t5 = FS and VS.
 */
	.globl	soft_fast_status_set
soft_fast_status_set:
status_set:
	sd	t4, X(29)(tp)
	sd	t5, X(30)(tp)
	old_status
	ld	t4, SOFT_WRITABLE(t2)
	and	t3, t3, t4
	or	t3, t3, t0
	j	write_status

	.globl	soft_fast_status_clear
soft_fast_status_clear:
	sd	t4, X(29)(tp)
	sd	t5, X(30)(tp)
	old_status
	not	t3, t3
	and	t3, t3, t0
	j	write_status

/*
 * The same with what sstatus was, which need not have been kept before, in t3. At once if SUM and MXR stay:
 * what is cleared makes no interrupt possible.
 */
	.globl	soft_fast_status_clear_read
soft_fast_status_clear_read:
	sd	t4, X(29)(tp)
	sd	t5, X(30)(tp)
	csrr	t4, sstatus
	ld	t0, SOFT_READ_FIELDS(t2)
	ld	t5, SOFT_SSTATUS(t2)
	and	t0, t0, t4
	or	t0, t0, t5
	sd	t0, SOFT_STASH(t2)
	lui	t0, SUM_MXR_UPPER
	and	t0, t0, t3
	and	t0, t0, t5
	bnez	t0, clear_not_plain
	not	t0, t3
	and	t0, t0, t5
	ld	t5, SOFT_FP_FIELDS(t2)
	sd	t0, SOFT_SSTATUS(t2)
	and	t3, t3, t5
	and	t5, t5, t4
	srli	t0, t5, 1
	and	t0, t0, t5
	bnez	t0, clear_dirty
1:	csrc	sstatus, t3
	ld	t3, SOFT_STASH(t2)
	ld	t4, X(29)(tp)
	ld	t5, X(30)(tp)
	next

clear_not_plain:
	old_status
	not	t3, t3
	and	t3, t3, t0
	j	write_status

/* As was_dirty. */
clear_dirty:
	ld	t5, SOFT_UNSAVED_FP(t2)
	or	t5, t5, t0
	sd	t5, SOFT_UNSAVED_FP(t2)
	j	1b

/* At once if SIE, SUM and MXR stay. */
	.globl	soft_fast_status_write
soft_fast_status_write:
	sd	t4, X(29)(tp)
	sd	t5, X(30)(tp)
	ld	t5, SOFT_SSTATUS(t2)
	lui	t0, SUM_MXR_UPPER
	xor	t4, t5, t3
	addi	t0, t0, SSTATUS_SIE
	and	t0, t0, t4
	bnez	t0, write_not_plain
	andi	t4, t4, SSTATUS_SPIE | SSTATUS_SPP
	xor	t5, t5, t4
	csrr	t4, sstatus
	sd	t5, SOFT_SSTATUS(t2)
	ld	t5, SOFT_FP_FIELDS(t2)
	xor	t0, t3, t4
	and	t0, t0, t5
	beqz	t0, 1f
	/* FS or VS changes: t0 are the bits that do. */
	and	t5, t5, t4
	srli	t3, t5, 1
	and	t3, t3, t5
	bnez	t3, write_dirty
2:	xor	t4, t4, t0
	csrw	sstatus, t4
1:	ld	t3, SOFT_STASH(t2)
	ld	t4, X(29)(tp)
	ld	t5, X(30)(tp)
	next

write_not_plain:
	old_status
	ld	t4, SOFT_WRITABLE(t2)
	and	t3, t3, t4
	j	write_status

/* As was_dirty. */
write_dirty:
	ld	t5, SOFT_UNSAVED_FP(t2)
	or	t5, t5, t3
	sd	t5, SOFT_UNSAVED_FP(t2)
	j	2b

write_status:
	xor	t4, t0, t3
	lui	t0, SUM_MXR_UPPER
	addi	t0, t0, SSTATUS_SIE
	and	t0, t0, t4
	bnez	t0, not_plain
plain:
	and	t4, t4, t5
	beqz	t4, 1f
	/* FS or VS changes. */
	csrr	t0, sstatus
	and	t0, t0, t5
	srli	t4, t0, 1
	and	t4, t4, t0
	bnez	t4, was_dirty
dirty_noted:
	csrc	sstatus, t5
	and	t4, t3, t5
	csrs	sstatus, t4
1:	not	t5, t5
	and	t3, t3, t5
	sd	t3, SOFT_SSTATUS(t2)
	ld	t4, X(29)(tp)
	ld	t5, X(30)(tp)
	ld	t3, SOFT_STASH(t2)
	next

/* What was dirty, in both bits of its field, has not been saved by us. */
was_dirty:
	ld	t0, SOFT_UNSAVED_FP(t2)
	or	t0, t0, t4
	sd	t0, SOFT_UNSAVED_FP(t2)
	j	dirty_noted

/* SIE, SUM or MXR change, in t4: SIE is not for here to set while something is pending. */
not_plain:
	and	t0, t4, t3
	andi	t0, t0, SSTATUS_SIE
	beqz	t0, 1f
	lw	t0, VCPU_IRQ(tp)
	bnez	t0, status_not_simple
1:	lui	t0, SUM_MXR_UPPER
	and	t0, t0, t4
	beqz	t0, plain

/* SUM changes, and is as in t3 then: another root, if nothing is to be caught up with. */
	sd	t4, SOFT_SCRATCH(t2)
	or	t4, t4, t3
	lui	t0, SSTATUS_MXR >> 12
	and	t4, t4, t0
	bnez	t4, status_not_simple
	lui	t0, SSTATUS_SUM >> 12
	and	t0, t0, t3
	addi	t4, t2, SOFT_FAST_S
	beqz	t0, 1f
	addi	t4, t2, SOFT_FAST_SUM
1:	ld	t0, FAST_VERSION(t4)
	ld	t5, SOFT_VERSION(t2)
	bne	t0, t5, status_not_simple
	ld	t0, FAST_HOST_SATP(t4)
	ld	t5, FAST_ROOT(t4)
	ld	t4, FAST_VIEW(t4)
	sd	t0, SOFT_HOST_SATP(t2)
	sd	t5, SOFT_SELECTED(t2)
	sd	t4, SOFT_VIEW(t2)
	csrw	satp, t0
	ld	t4, SOFT_SCRATCH(t2)
	ld	t5, SOFT_FP_FIELDS(t2)
	j	plain

status_not_simple:
	ld	t4, X(29)(tp)
	ld	t5, X(30)(tp)
	j	not_simple

/*
 * SFENCE.VMA for the address in t3, all ASIDs: noted for C, where the root in use cannot have a
 * translation for it (struct soft_vcpu). All other roots are out of date from now on.
 */
	.globl	soft_fast_fence
soft_fast_fence:
	bltz	t3, fence_page
	ld	t0, SOFT_VIEW(t2)
	addi	t0, t0, -SOFT_VIEW_S
	bnez	t0, fence_page
	ld	t0, SOFT_LOW_PAGES(t2)
	bnez	t0, fence_page
	ld	t0, SOFT_FENCE_COUNT(t2)
	addi	t0, t0, -SOFT_FENCES_MOST
	beqz	t0, not_simple
	addi	t0, t0, SOFT_FENCES_MOST
	slli	t0, t0, 3
	add	t0, t0, t2
	sd	t3, SOFT_FENCES_FIRST(t0)
	ld	t0, SOFT_FENCE_COUNT(t2)
	ld	t3, SOFT_VERSION(t2)
	addi	t0, t0, 1
	addi	t3, t3, 1
	sd	t0, SOFT_FENCE_COUNT(t2)
	sd	t3, SOFT_VERSION(t2)
	next

/* The others. */
fence_page:
	call_c	soft_fence_page
	beqz	t3, not_simple
	next

/* SRET (Priv. 1.13, 12.1.1, 3.3.2). */
	.globl	soft_fast_sret
soft_fast_sret:
	lw	t3, VCPU_IRQ(tp)
	bnez	t3, not_simple
	ld	t0, SOFT_SSTATUS(t2)
	andi	t3, t0, SSTATUS_SPP
	bnez	t3, 1f
	lui	t3, SUM_MXR_UPPER
	and	t3, t3, t0
	bnez	t3, not_simple
	ld	t1, SOFT_FAST_U_VERSION(t2)
	ld	t3, SOFT_VERSION(t2)
	bne	t1, t3, enter_user
	ld	t1, SOFT_FAST_U_SATP(t2)
	ld	t3, SOFT_FAST_U_ROOT(t2)
	sd	zero, SOFT_PRIVILEGE(t2)
	sd	zero, SOFT_VIEW(t2)
	sd	t1, SOFT_HOST_SATP(t2)
	sd	t3, SOFT_SELECTED(t2)
	csrw	satp, t1
1:	andi	t3, t0, SSTATUS_SPIE
	srli	t3, t3, 4
	andi	t0, t0, ~(SSTATUS_SIE | SSTATUS_SPP)
	or	t0, t0, t3
	ori	t0, t0, SSTATUS_SPIE
	ld	t3, SOFT_SEPC(t2)
	sd	t0, SOFT_SSTATUS(t2)
	csrw	sepc, t3
	count	VCPU_QUICK_PRIVILEGED
	leave_to_guest

/* Its root is not up to date. */
enter_user:
	call_c	soft_enter_user
	ld	t0, SOFT_SSTATUS(t2)
	j	1b
