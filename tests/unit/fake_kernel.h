/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_FAKE_KERNEL_H
#define TESTS_UNIT_FAKE_KERNEL_H

/*
 * What kernel code needs of its surroundings, for one source file of a test program: harts,
 * of which the test chooses the present one, preemption points that are counted, panics that
 * assert_panics() expects, and host buffers as physical memory.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernel/error.h"
#include "kernel/hart.h"
#include "kernel/mmu.h"
#include "kernel/trace.h"
#include "kernel/trap.h"
#include "tests/unit/fake_log.h"

#define FAKE_HARTS   4
#define PANIC_STATUS 42

static struct hart harts[FAKE_HARTS];
static __thread struct hart *present_hart = &harts[0]; /* of each thread */
static unsigned preemptions;
static void (*preempt_hook)(void); /* what happens at the next one, or NULL */
static bool expecting_panic;

uint64_t direct_map_offset;
struct platform platform;

struct hart *this_hart(void)
{
	return present_hart;
}

unsigned harts_online = FAKE_HARTS;

struct hart *hart_by_index(unsigned index)
{
	return index < FAKE_HARTS ? &harts[index] : NULL;
}

void preempt_point(void)
{
	void (*hook)(void) = preempt_hook;

	preemptions++;
	preempt_hook = NULL;
	if (hook)
		hook();
}

void panic(const char *format, ...)
{
	if (expecting_panic)
		_exit(PANIC_STATUS);
	fprintf(stderr, "panic: %s\n", format);
	abort();
}

/* For code with trace points, unless kernel/trace.c is there: no hart records. */
__attribute__((weak)) void trace_record(enum trace_kind kind, uint64_t detail, uint32_t who,
					uint64_t a, uint64_t b)
{
	fail_msg("trace_record(%d, %lu, %u, %lu, %lu)", kind, detail, who, a, b);
}

/* A panic leaves locks behind, so that it is tried in a process of its own. */
#define assert_panics(expression)                                       \
	do {                                                            \
		int status_;                                            \
		pid_t child_ = fork();                                  \
                                                                        \
		if (child_ == 0) {                                      \
			expecting_panic = true;                         \
			expression;                                     \
			_exit(0);                                       \
		}                                                       \
		assert_int_equal(waitpid(child_, &status_, 0), child_); \
		assert_true(WIFEXITED(status_));                        \
		assert_int_equal(WEXITSTATUS(status_), PANIC_STATUS);   \
	} while (0)

/* Forgets what the fakes have noted. */
static inline void fake_reset(void)
{
	memset(harts, 0, sizeof(harts));
	for (unsigned i = 0; i < FAKE_HARTS; i++)
		harts[i].index = i;
	present_hart = &harts[0];
	preemptions = 0;
	preempt_hook = NULL;
	messages[0] = '\0';
}

/* The same numbers on every run (xorshift64*). */
static uint64_t fake_random_state = 0x9e3779b97f4a7c15;

static inline uint64_t fake_random(void)
{
	fake_random_state ^= fake_random_state >> 12;
	fake_random_state ^= fake_random_state << 25;
	fake_random_state ^= fake_random_state >> 27;
	return fake_random_state * 0x2545f4914f6cdd1d;
}

static inline unsigned fake_random_below(unsigned limit)
{
	return (unsigned)(fake_random() >> 33) % limit;
}

#endif
