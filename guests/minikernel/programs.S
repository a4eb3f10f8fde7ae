/* SPDX-License-Identifier: MIT */

/*
 * The programs: ELF files from user/, each beginning with a page, and the table in which
 * exec.c looks for them. A file ends with a page, too: what is mapped shows nothing else.
 */

.macro program name
	.section .programs, "a"
	.balign 4096
1:	.incbin "\name\().elf"
2:	.balign 4096
	.section .rodata
3:	.asciz "\name"
	.section .rodata.programs, "a"
	.dword 3b, 1b, 2b
.endm

	.section .rodata.programs, "a"
	.balign 8
	.globl programs
programs:
	.irp name, init, sh, echo, ps, free, uptime, sleep, primes, spin, fork, crash, selfcheck
	program \name
	.endr
	.section .rodata.programs, "a"
	.dword 0, 0, 0
