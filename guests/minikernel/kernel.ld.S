/* SPDX-License-Identifier: MIT */
#include "guests/minikernel/layout.h"

/*
 * Linked high, loaded low: each section's load address is what the ELF's program headers
 * give as the physical one. Everything that needs its own permissions starts a new page.
 */
OUTPUT_ARCH(riscv)
ENTRY(start_load)

PHDRS
{
	text PT_LOAD FLAGS(5);
	rodata PT_LOAD FLAGS(4);
	data PT_LOAD FLAGS(6);
}

SECTIONS
{
	. = KERNEL_BASE;
	.text : AT(KERNEL_LOAD) {
		*(.text.start)
		*(.text .text.*)
	} :text
	. = ALIGN(4096);
	.rodata : AT(ADDR(.rodata) - KERNEL_BASE + KERNEL_LOAD) {
		rodata_start = .;
		*(.rodata .rodata.* .srodata .srodata.*)
		. = ALIGN(4096);
		*(.programs)
	} :rodata
	. = ALIGN(4096);
	.data : AT(ADDR(.data) - KERNEL_BASE + KERNEL_LOAD) {
		data_start = .;
		*(.data .data.* .sdata .sdata.*)
		. = ALIGN(8);
	} :data
	.bss : AT(ADDR(.bss) - KERNEL_BASE + KERNEL_LOAD) {
		bss_start = .;
		*(.bss.pages)
		*(.bss .bss.* .sbss .sbss.* COMMON)
		. = ALIGN(4096);
		bss_end = .;
	} :data
	image_end = .;
	image_size = image_end - KERNEL_BASE;
	start_load = KERNEL_LOAD;

	/DISCARD/ : { *(.comment) *(.riscv.attributes) *(.note*) *(.eh_frame*) }
}

ASSERT(image_size <= 0x200000, "the image must fit one 2 MiB page, which start.S maps")
