/* SPDX-License-Identifier: MIT */
#ifndef MINIKERNEL_USER_H
#define MINIKERNEL_USER_H

/* What programs have to work with: the system calls, and the small library lib.c. */

#include "guests/minikernel/syscall.h"
#include "guests/minikernel/text.h"
#include "kernel/error.h"
#include "kernel/types.h"

/*
 * System calls. Results are negative for errors: ERR_FAULT for a pointer to what the program
 * may not access, ERR_NOMEM, and what is said below.
 */

/* Ends the program; the parent's wait() tells the lower 8 bits of `status`. */
void exit(int status) __noreturn;
/* A second process like this one. Returns twice: the child's pid in the parent, 0 in the child.
   ERR_AGAIN: there are as many processes as there can be. */
int64_t fork(void);
/* Replace the program by another. `argv` ends with NULL. Returns on errors only. ERR_NOENT. */
int64_t exec(const char *name, const char *const *argv);
/* Wait for child `pid` to end, or any if 0; returns its pid. `status` may be NULL. ERR_NOENT:
   no such child. ERR_AGAIN: `poll` was not 0, and none has ended. */
int64_t wait(int64_t pid, int *status, int poll);
/* ERR_NOENT. ERR_DENIED: not the first process. */
int64_t kill(int64_t pid);
int64_t getpid(void);
int64_t yield(void);
int64_t sleep(uint64_t milliseconds);
/* Moves the end of the heap by `change` bytes; returns where it was. New memory is zero. */
int64_t sbrk(int64_t change);
/* From and to the console. read() returns at the end of a line, and 0 at the end of input. */
int64_t read(void *to, uint64_t size);
int64_t write(const void *from, uint64_t size);
/* Microseconds since the kernel started. */
int64_t uptime(void);
/* Which process ^C kills; 0: none. */
int64_t foreground(int64_t pid);
/* Fills in up to `room` processes; returns how many. */
int64_t processes(struct proc_info *info, uint64_t room);
int64_t system_info(struct system_info *info);
void poweroff(void) __noreturn;
void reboot(void) __noreturn;
/* The byte that the kernel finds at `address`, which need not be there: then it panics. */
int64_t kernel_read(const void *address);
/* ERR_NOSYS. */
int64_t no_such_call(void);

/* lib.c */

/* Up to 256 characters appear in one piece, whatever others print. */
void print(const char *text, ...) __printf(1, 2);
/* A decimal number; false if `text` is anything else. */
bool parse_number(const char *text, uint64_t *number);
/* The machine's clock, in ticks of system_info.timebase. */
uint64_t ticks(void);

int main(int argc, char **argv);

#endif
