/* SPDX-License-Identifier: MIT */
#ifndef MINIKERNEL_SYSCALL_H
#define MINIKERNEL_SYSCALL_H

/*
 * What programs and the kernel agree on. A program puts the number of the call into a7, its
 * arguments into a0 to a5, executes ecall, and finds the result in a0: negative for an error
 * (ERR_… of kernel/error.h). The declarations with what each does are in user/user.h.
 */

#define SYS_EXIT       0
#define SYS_FORK       1
#define SYS_EXEC       2
#define SYS_WAIT       3
#define SYS_KILL       4
#define SYS_GETPID     5
#define SYS_YIELD      6
#define SYS_SLEEP      7
#define SYS_SBRK       8
#define SYS_READ       9
#define SYS_WRITE      10
#define SYS_UPTIME     11
#define SYS_FOREGROUND 12
#define SYS_PS         13
#define SYS_SYSTEM     14
#define SYS_POWEROFF   15
#define SYS_REBOOT     16
#define SYS_PANIC      17
#define SYSCALLS       18

/* What wait() tells: an exit code, or one of these, when the kernel ended the process. */
#define STATUS_KILLED        256
#define STATUS_OUT_OF_MEMORY 257
#define STATUS_FAULT         512 /* plus the exception's number */

#define NAME_SIZE 16

#ifndef __ASSEMBLER__

#include "kernel/types.h"

enum proc_state { PROC_FREE, PROC_READY, PROC_RUNNING, PROC_SLEEPING, PROC_ZOMBIE };

/* One process, as ps shows it. Times in microseconds. */
struct proc_info {
	uint32_t pid;
	uint32_t parent;
	uint32_t state; /* enum proc_state */
	uint32_t hart;  /* where it runs, or ran last */
	uint64_t run_time;
	uint64_t pages; /* of memory, those shared with others included */
	char name[NAME_SIZE];
};

struct system_info {
	uint64_t pages;
	uint64_t free_pages;
	uint64_t timebase; /* ticks of rdtime in a second */
	uint32_t harts;
	uint32_t processes; /* as many as there can be */
};

#endif
#endif
