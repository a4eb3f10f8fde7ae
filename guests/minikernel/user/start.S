/* SPDX-License-Identifier: MIT */

/* Where programs start, with main's arguments in a0 and a1, and how they call the kernel. */

#include "guests/minikernel/syscall.h"

	.text
	.globl _start
_start:
	call main
	call exit

.macro system_call name, number
	.globl \name
\name:
	li a7, \number
	ecall
	ret
.endm

	system_call exit, SYS_EXIT
	system_call fork, SYS_FORK
	system_call exec, SYS_EXEC
	system_call wait, SYS_WAIT
	system_call kill, SYS_KILL
	system_call getpid, SYS_GETPID
	system_call yield, SYS_YIELD
	system_call sleep, SYS_SLEEP
	system_call sbrk, SYS_SBRK
	system_call read, SYS_READ
	system_call write, SYS_WRITE
	system_call uptime, SYS_UPTIME
	system_call foreground, SYS_FOREGROUND
	system_call processes, SYS_PS
	system_call system_info, SYS_SYSTEM
	system_call poweroff, SYS_POWEROFF
	system_call reboot, SYS_REBOOT
	system_call kernel_read, SYS_PANIC
	system_call no_such_call, SYSCALLS
