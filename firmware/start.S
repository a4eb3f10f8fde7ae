/* SPDX-License-Identifier: MIT */

/* From reset to C, on every hart; and the way to S-mode. */

#include "firmware/layout.h"
#include "riscv/machine.h"

/*
 * a0: this hart; a1: the device tree; a2: struct fw_dynamic_info, perhaps. All harts come here at
 * once: the first to draw from the lottery boots the machine, the others wait for it.
 */
	.section .text.start, "ax"
	.global _start
_start:
	/* Where there are double traps (Smdbltrp), the hart comes with one already taken: MDT. */
	csrw	mie, zero
	csrw	mstatus, zero
	la	t0, park
	csrw	mtvec, t0
	csrr	a0, mhartid
	li	t0, FW_HARTS_MAX
	bgeu	a0, t0, park
	/* Who has no S-mode can boot nothing. */
	csrr	t0, misa
	srli	t0, t0, 'S' - 'A'
	andi	t0, t0, 1
	beqz	t0, park
	la	t0, boot_lottery
	li	t1, 1
	amoswap.w.aqrl t0, t1, (t0)
	bnez	t0, wait_for_boot

	la	t0, __bss_start
	la	t1, __bss_end
1:	sd	zero, (t0)
	addi	t0, t0, 8
	bltu	t0, t1, 1b
	la	sp, boot_stack + FW_BOOT_STACK_SIZE
	call	point_tp
	call	firmware_boot
	j	park

wait_for_boot:
	la	t0, boot_done
1:	.4byte	0x0100000f /* pause */
	lw	t1, (t0)
	beqz	t1, 1b
	fence	r, rw
	call	point_tp
	ld	sp, FW_STACK(tp)
	call	firmware_join

	.balign	4
park:
	wfi
	j	park

/* tp: this hart's structure. a0 to a2 are kept. */
point_tp:
	li	t0, FW_HART_SIZE
	mul	t0, t0, a0
	la	tp, fw_harts
	add	tp, tp, t0
	la	t0, guard_entry
	csrw	mtvec, t0
	ret

/* hart_enter(hart, argument, address, mstatus): to S-mode, with nothing of the firmware's. */
	.text
	.global hart_enter
hart_enter:
	csrw	mepc, a2
	csrw	mstatus, a3
	csrw	mscratch, tp
	la	t0, trap_entry
	csrw	mtvec, t0
	csrw	sie, zero
	csrw	satp, zero
	fence.i
	sfence.vma
	.irp	x, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, \
		25, 26, 27, 28, 29, 30, 31
	li	x\x, 0
	.endr
	mret

/* hart_reset_stack(function): goes on there, on the hart's own stack. */
	.global hart_reset_stack
hart_reset_stack:
	ld	sp, FW_STACK(tp)
	jr	a0

/* Not cleared by the hart that boots, which finds out here that it does. */
	.data
	.balign	4
boot_lottery:
	.word	0
	.global boot_done
boot_done:
	.word	0
