/* SPDX-License-Identifier: MIT */
#ifndef MINIKERNEL_SELFCHECK_H
#define MINIKERNEL_SELFCHECK_H

/*
 * Each check runs in a process of its own and returns NULL, or why it failed. selfcheck.c has
 * those of processes and time, checks.c those of memory and faults.
 */

struct check {
	const char *name;
	const char *(*run)(void);
};

extern const struct check memory_checks[];
extern const unsigned memory_check_count;

/* What wait() tells of a child that calls `body` and then ends with status 0; -1: no child. */
int status_of(void (*body)(void));

/* Fills all registers but sp, looks at them until `deadline` (ticks), and returns whether all
   of them have kept their values. registers.S */
_Bool registers_keep_until(unsigned long deadline);

#endif
