/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_SELFTEST_TEST_H
#define GUESTS_SELFTEST_TEST_H

#include "guests/lib/console.h"
#include "guests/lib/insn.h"
#include "guests/lib/irq.h"
#include "guests/lib/machine.h"
#include "guests/lib/memory.h"
#include "guests/lib/sync.h"
#include "guests/lib/trap.h"
#include "riscv/csr.h"
#include "riscv/sbi.h"

/* One line of output: run() calls expect…() any number of times, the first failure counts. */
struct test {
	const char *name;
	void (*run)(void);
};

struct test_group {
	const char *name;
	const struct test *tests;
	size_t count;
};

#define TEST_GROUP(name, tests) \
	const struct test_group group_##name = {#name, tests, ARRAY_SIZE(tests)}

/* May be called on any hart. */
__printf(1, 2) void test_fail(const char *format, ...);
/* Ends in "skip" unless something failed; the test returns after it. */
__printf(1, 2) void test_skip(const char *format, ...);
bool test_failed(void);

#define expect(condition, ...)                  \
	do {                                    \
		if (!(condition))               \
			test_fail(__VA_ARGS__); \
	} while (0)

/* Two numbers are the same; the rest says what they are. */
#define expect_eq(got, want, ...)                                          \
	do {                                                               \
		uint64_t got_ = (uint64_t)(got), want_ = (uint64_t)(want); \
		if (got_ != want_)                                         \
			test_differs(got_, want_, __VA_ARGS__);            \
	} while (0)

__printf(3, 4) void test_differs(uint64_t got, uint64_t want, const char *format, ...);

/* The last exception of this hart was `cause` with `tval`. */
#define expect_trap(cause_, tval_, ...)                                                      \
	do {                                                                                 \
		const struct trap_frame *trap_ = &hart_self()->trap;                         \
		if (trap_->cause != (uint64_t)(cause_) || trap_->tval != (uint64_t)(tval_))  \
			test_wrong_trap((uint64_t)(cause_), (uint64_t)(tval_), __VA_ARGS__); \
	} while (0)

__printf(3, 4) void test_wrong_trap(uint64_t cause, uint64_t tval, const char *format, ...);

/* The seed of everything random, from bootargs' seed=, never 0. */
extern uint64_t test_seed;

/* Runs work(argument) on every hart, on this one too, and waits. */
void test_everywhere(void (*work)(void *argument), void *argument);

/* `milliseconds` of time, spent spinning. */
void test_delay(uint64_t ms);

/* Does one fatal thing, if bootargs ask for it with crash=. */
void crash_if_asked(void);

#endif
