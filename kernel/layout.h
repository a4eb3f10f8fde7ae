/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_LAYOUT_H
#define KERNEL_LAYOUT_H

/*
 * The hypervisor's virtual address space. All of it lies in the upper half, but for some pages of
 * code that are mapped once more (engine/soft/pin.h); the top GiB is the same in every paging
 * mode:
 *
 *	0xffffffffc0000000	the image, as linked
 *	0xffffffffd0000000	stacks, one a hart and one for jobs
 *	0xffffffffe0000000	device registers
 *	0xfffffffff0000000	the device tree, until all memory is mapped
 *	0xfffffffffffff000	a vCPU's CSRs, for its guest (pilae,fast-csr of the soft engine)
 *
 * Below it, all RAM is mapped in one piece (the direct map): from 0xffffffc000000000 on in
 * Sv39 (255 GiB), from 0xffff800000000000 on in Sv48 and from 0xff00000000000000 on in Sv57
 * (127 TiB): in these two, outside the addresses of the next smaller mode, which are a guest's
 * when the soft engine runs it.
 * Usable from assembly.
 */

#define IMAGE_BASE      0xffffffffc0000000
#define STACK_BASE      0xffffffffd0000000
#define IOMAP_BASE      0xffffffffe0000000
#define IOMAP_END       0xfffffffff0000000
#define EARLY_FDT       0xfffffffff0000000
#define FAST_CSRS       0xfffffffffffff000
#define EARLY_FDT_INDEX 384 /* of its first 2 MiB page in the table of the top GiB */

#define DIRECT_MAP_SV39      0xffffffc000000000
#define DIRECT_MAP_SV39_SIZE 0x3fc0000000
#define DIRECT_MAP_SV48      0xffff800000000000
#define DIRECT_MAP_SV48_SIZE 0x7f0000000000
#define DIRECT_MAP_SV57      0xff00000000000000

#define MEGAPAGE_BYTES 0x200000

/*
 * A stack lies in the upper half of a slot of twice its size, so that one bit of sp tells
 * whether it still points into it. The lower half is not mapped.
 */
#define STACK_SHIFT 14
#define STACK_BYTES (1 << STACK_SHIFT)

/* What stack_switch() leaves on a stack (kernel/stack_switch.S): ra, s0 to s10. */
#define STACK_FRAME 96

/* Offsets in struct hart_start, checked in kernel/hart.c. */
#define HART_START_SATP 0
#define HART_START_SP   8
#define HART_START_TP   16

/* Offset in struct hart, checked in kernel/hart.c. */
#define HART_EMERGENCY_SP 32

#ifdef __ASSEMBLER__
#define PAGE_SHIFT 12
#endif

#endif
