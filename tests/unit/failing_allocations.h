/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_FAILING_ALLOCATIONS_H
#define TESTS_UNIT_FAILING_ALLOCATIONS_H

/*
 * Allocations that fail when a test says so, though there is memory: for one source file of a test
 * program that is linked with -Wl,--wrap=NAME for each NAME that MAY_FAIL() is there for. A file's
 * calls of what it defines itself are not reached so.
 */

#include "kernel/types.h"

static struct {
	unsigned nth;  /* to fail, from 1 on; 0: none */
	bool alone;    /* or with all after it */
	unsigned done; /* since fail_from() */
} fail;

/* From now on, the nth fails. */
static inline void fail_from(unsigned nth, bool alone)
{
	fail.nth = nth;
	fail.alone = alone;
	fail.done = 0;
}

static inline bool allocation_fails(void)
{
	fail.done++;
	return fail.nth && (fail.alone ? fail.done == fail.nth : fail.done >= fail.nth);
}

/* A function that returns a pointer, by its parameters and their names. */
#define MAY_FAIL(name, parameters, ...)                                        \
	void *__real_##name parameters;                                        \
	void *__wrap_##name parameters;                                        \
	void *__wrap_##name parameters                                         \
	{                                                                      \
		return allocation_fails() ? NULL : __real_##name(__VA_ARGS__); \
	}

#endif
