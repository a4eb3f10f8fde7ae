/* SPDX-License-Identifier: MIT */

/*
 * The first instructions. Pilae is entered like Linux on RISC-V: in S-mode (HS-mode where
 * the hart has H), satp = 0, interrupts off, a0 = hart id, a1 = physical address of the
 * device tree, anywhere that is 2 MiB-aligned. This page runs at its physical address,
 * maps the image at its link address with Sv39 (which every hart with a larger mode has
 * too: Priv. 1.13, 12.5), and goes there.
 */

#include "kernel/layout.h"
#include "riscv/csr.h"
#include "riscv/pte.h"

	.section .head, "ax"
	.globl _start
_start:
	/* The boot image header of Linux (Documentation/arch/riscv/boot-image-header.rst). */
	j	entry
	.balign	8
	.dword	0x200000		/* text_offset: 2 MiB above the start of RAM */
	.dword	image_size		/* effective size, .bss included */
	.dword	0			/* flags: little endian */
	.word	2			/* header version 0.2 */
	.word	0
	.dword	0
	.ascii	"RISCV\0\0\0"
	.ascii	"RSC\x05"
	.word	0

	/* Boot hart: clears .bss, builds the early tables, enters kernel_main. */
entry:
	csrw	sie, zero
	mv	s0, a0
	mv	s1, a1
	lla	s2, _start		/* where the image is loaded */

	lla	t0, bss_start
	lla	t1, bss_end
1:	sd	zero, 0(t0)
	addi	t0, t0, 8
	bltu	t0, t1, 1b

	/*
	 * early_root[511] covers the top GiB, where the image is linked; its table maps the
	 * image by 2 MiB pages, and eight of them from the device tree on.
	 */
	lla	t0, early_root
	lla	t1, early_megapages
	srli	t2, t1, PAGE_SHIFT - PTE_PPN_SHIFT
	ori	t2, t2, PTE_V
	li	t3, 511 * 8
	add	t3, t0, t3
	sd	t2, 0(t3)

	srli	t2, s2, PAGE_SHIFT - PTE_PPN_SHIFT
	ori	t2, t2, PTE_V | PTE_R | PTE_W | PTE_X | PTE_A | PTE_D
	li	t3, MEGAPAGE_BYTES >> (PAGE_SHIFT - PTE_PPN_SHIFT)
	lla	t4, image_end
	sub	t4, t4, s2
	li	t5, MEGAPAGE_BYTES
1:	sd	t2, 0(t1)
	add	t2, t2, t3
	addi	t1, t1, 8
	sub	t4, t4, t5
	bgtz	t4, 1b

	lla	t1, early_megapages + EARLY_FDT_INDEX * 8
	li	t4, -MEGAPAGE_BYTES
	and	t2, s1, t4
	srli	t2, t2, PAGE_SHIFT - PTE_PPN_SHIFT
	ori	t2, t2, PTE_V | PTE_R | PTE_A | PTE_D
	li	t4, 8
1:	sd	t2, 0(t1)
	add	t2, t2, t3
	addi	t1, t1, 8
	addi	t4, t4, -1
	bgtz	t4, 1b

	srli	t0, t0, PAGE_SHIFT
	li	t1, ATP_MODE_SV39 << ATP_MODE_SHIFT
	or	a0, t0, t1
	ld	a1, boot_entry_address
	j	enter_virtual

	/*
	 * A hart that HSM starts: a0 = hart id, a1 = its struct hart_start (physical address).
	 */
	.globl	secondary_start
secondary_start:
	csrw	sie, zero
	mv	s0, a0
	ld	tp, HART_START_TP(a1)
	ld	sp, HART_START_SP(a1)
	ld	a0, HART_START_SATP(a1)
	ld	a1, secondary_entry_address

	/*
	 * Turns on satp = a0 and goes to the virtual address a1. The next fetch, still at the
	 * physical address, faults, and the trap vector is where we want to be: no identity
	 * mapping is needed, so the load address may be one that Sv39 cannot map to itself.
	 */
enter_virtual:
	csrw	stvec, a1
	sfence.vma
	csrw	satp, a0
	nop
1:	wfi				/* not reached */
	j	1b

	.balign	8
boot_entry_address:
	.dword	boot_entry
secondary_entry_address:
	.dword	secondary_entry

	.text
	.balign	4
boot_entry:
	lla	t0, kernel_trap_vector
	csrw	stvec, t0
	csrw	sscratch, zero
	la	tp, boot_hart
	la	sp, boot_stack_top
	mv	a0, s0			/* hart id */
	mv	a1, s1			/* device tree, physical */
	mv	a2, s2			/* load address, physical */
	mv	fp, zero		/* the end of every backtrace */
	call	kernel_main
	j	.

	.balign	4
secondary_entry:
	lla	t0, kernel_trap_vector
	csrw	stvec, t0
	csrw	sscratch, zero
	mv	fp, zero
	call	hart_secondary_main
	j	.

	.bss
	.balign	4096
	.globl	early_root
early_root:
	.skip	4096
early_megapages:
	.skip	4096
