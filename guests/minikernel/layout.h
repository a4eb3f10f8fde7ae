/* SPDX-License-Identifier: MIT */
#ifndef MINIKERNEL_LAYOUT_H
#define MINIKERNEL_LAYOUT_H

/*
 * The address space, as every process sees it. Sv39 translates 39 bits, and bit 38 is
 * repeated in all bits above it, so that there are two halves with a large gap between:
 *
 *   0000000000010000  the program: text, data, then the heap, growing upwards
 *   0000003ffff00000  the stack (1 MiB, backed when touched)
 *   0000003fffffffff  end of the user half
 *
 *   ffffffc000000000  free RAM, all of it (the direct map), read and write
 *   ffffffe000000000  device registers
 *   ffffffe080000000  kernel stacks, with a hole below each
 *   ffffffff80000000  the kernel's image: text, read-only data, data
 *   ffffffffa0000000  the device tree, until vm_init()
 *
 * The upper half is the same in every address space: its entries in the root page table
 * are copied from the kernel's own. Also used from assembly and the linker script.
 */

#define KERNEL_BASE 0xffffffff80000000
#define FDT_BASE    0xffffffffa0000000

/* Where the ELF asks to be loaded. The flat image takes any address, aligned to 2 MiB. */
#define KERNEL_LOAD   0x80200000
#define KERNEL_OFFSET 0x200000

#define DIRECT_BASE 0xffffffc000000000
#define DIRECT_SIZE 0x2000000000
#define DEVICE_BASE 0xffffffe000000000
#define DEVICE_SIZE 0x80000000
#define STACK_BASE  0xffffffe080000000

#define USER_BASE       0x10000
#define USER_TOP        0x4000000000
#define USER_STACK_SIZE 0x100000

/* The fields of struct hart that assembly uses, checked in hart.c. */
#define HART_SAVED_SP  0
#define HART_KERNEL_SP 8
#define HART_TRAP_SP   16
#define HART_STACK     24

/* struct frame, checked in trap.c: x1 to x31 at 8 times their number, then these. */
#define FRAME_PC     256
#define FRAME_STATUS 264
#define FRAME_CAUSE  272
#define FRAME_VALUE  280
#define FRAME_SIZE   288

#endif
