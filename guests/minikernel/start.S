/* SPDX-License-Identifier: MIT */

/*
 * The kernel's first instructions. Firmware (or a hypervisor) enters at the first byte of
 * the image, in S-mode, with translation and interrupts off, a0 = the number of this hart
 * and a1 = the physical address of the device tree.
 *
 * The image is linked at KERNEL_BASE but runs, at first, wherever it was loaded. Code here
 * therefore takes addresses relative to the pc only (lla), which makes them physical ones
 * until translation is on and virtual ones from then on.
 */

#include "guests/minikernel/layout.h"
#include "riscv/csr.h"
#include "riscv/sbi.h"

#define PTE_TABLE 0x01 /* V */
#define PTE_RWX   0xef /* V R W X, G, A D: one 2 MiB page, until vm_init() makes small ones */
#define PTE_READ  0x63 /* V R, G, A */

	.section .text.start, "ax"

/*
 * The header of a RISC-V Linux Image: boot loaders know by it where to put the image (at a
 * multiple of 2 MiB, text_offset above such a multiple) and how much room it needs. Its
 * first two words are instructions.
 */
	.globl _start
_start:
	.option push
	.option norvc
	j boot
	nop
	.option pop
	.dword KERNEL_OFFSET	/* text_offset */
	.dword image_size	/* with .bss, which is not in the file */
	.dword 0		/* flags: little-endian */
	.word 2			/* header version 0.2 */
	.word 0
	.dword 0
	.ascii "RISCV\0\0\0"
	.ascii "RSC\005"
	.word 0

/*
 * Turn translation on with the root table at physical address \root, and continue at the
 * label \next at its virtual address. That there is no identity mapping is what makes this
 * work: when satp is written, the pc still holds a physical address, which now means
 * nothing. The next fetch faults, and a fault goes to stvec.
 */
.macro translate root, next
	ld t1, \next\()_address
	csrw stvec, t1
	srli t0, \root, 12
	li t1, ATP_MODE_SV39
	slli t1, t1, ATP_MODE_SHIFT
	or t0, t0, t1
	sfence.vma
	csrw satp, t0
	unimp
.endm

/* What \next needs: a trap handler, the sign that the kernel runs, and no user memory. */
.macro settle
	lla t0, trap_vector
	csrw stvec, t0
	csrw sscratch, zero
	li t0, SSTATUS_SIE | SSTATUS_SPIE | SSTATUS_FS | SSTATUS_VS | SSTATUS_SUM | SSTATUS_MXR
	csrc sstatus, t0
	fence.i
.endm

/* The boot hart. */
boot:
	csrw sie, zero
	mv s0, a0
	mv s1, a1
	lla s2, _start
	slli t0, s2, 64 - 21
	bnez t0, misplaced

	lla t0, bss_start
	lla t1, bss_end
1:	sd zero, (t0)
	addi t0, t0, 8
	bltu t0, t1, 1b

	/* early_root[510], which covers the top 2 GiB but one: early_table. */
	lla s3, early_root
	lla s4, early_table
	srli t0, s4, 12
	slli t0, t0, 10
	addi t0, t0, PTE_TABLE
	li t1, 510 * 8
	add t1, t1, s3
	sd t0, (t1)

	/* early_table[0]: the image. */
	srli t0, s2, 12
	slli t0, t0, 10
	addi t0, t0, PTE_RWX
	sd t0, (s4)

	/* early_table[256] and [257]: the device tree, which may lie across two pages. */
	li t2, 256 * 8
	add s4, s4, t2
	srli t0, s1, 21
	slli t0, t0, 19
	addi t0, t0, PTE_READ
	sd t0, (s4)
	li t1, 1 << 19
	add t0, t0, t1
	sd t0, 8(s4)

	translate s3, boot_high

	.balign 8
boot_high_address:
	.dword boot_high
	.balign 4
boot_high:
	settle
	lla tp, boot_hart
	lla sp, boot_stack_end
	sd sp, HART_STACK(tp)
	lla t0, boot_trap_stack_end
	sd t0, HART_TRAP_SP(tp)
	mv a0, s0
	li a1, FDT_BASE
	slli t0, s1, 64 - 21
	srli t0, t0, 64 - 21
	add a1, a1, t0
	mv a2, s2
	call kernel_main
1:	wfi
	j 1b

/* Not at a multiple of 2 MiB: there is nothing to print with yet. Say so in the exit. */
misplaced:
	li a7, SBI_EXT_SRST
	li a6, SBI_SRST_RESET
	li a0, SBI_SRST_SHUTDOWN
	li a1, SBI_SRST_REASON_FAILURE
	ecall
1:	wfi
	j 1b

/*
 * The other harts start here, when hart_start_others() asks SBI's HSM extension to, with
 * a0 = the number of the hart and a1 = its struct hart (a virtual address).
 */
	.globl start_secondary
	.balign 4
start_secondary:
	csrw sie, zero
	ld t2, kernel_root
	translate t2, secondary_high

	.balign 8
secondary_high_address:
	.dword secondary_high
	.balign 4
secondary_high:
	settle
	mv tp, a1
	ld sp, HART_STACK(tp)
	call hart_main
1:	wfi
	j 1b

	.section .bss.pages, "aw", @nobits
	.balign 4096
early_root:
	.skip 4096
early_table:
	.skip 4096
boot_stack:
	.skip 4096
boot_stack_end:
	.skip 4096
boot_trap_stack_end:
