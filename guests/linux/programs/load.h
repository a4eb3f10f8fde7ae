/* SPDX-License-Identifier: MIT */
#ifndef LOAD_H
#define LOAD_H

/*
 * A checked load for a Linux guest: every step does work whose result is known beforehand
 * and compares it. One worker runs all steps, round after round, as a process or a thread.
 */

#include "child.h"
#include "pattern.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct worker {
	unsigned id;
	unsigned round;
	bool is_thread;
	size_t bytes;         /* size of the memory and files a step works on; whole pages */
	const char *sabotage; /* name of the step whose data is to be spoiled, or NULL */
	const char *step;     /* the one that runs now */
};

/*
 * A step returns 0 or, after worker_fail has told what went wrong, -1. Steps may run in
 * several threads of a process at once.
 */
struct step {
	const char *name;
	int (*run)(struct worker *worker);
};

/* Prints the line `load: FAILED worker N STEP: what` and returns -1. */
int worker_fail(const struct worker *worker, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* 1 if this step is the one to be spoiled, else 0: added to data to prove the checks. */
unsigned worker_sabotage(const struct worker *worker);

/* A number that differs for each worker, round and `salt`. */
uint64_t worker_seed(const struct worker *worker, unsigned salt);

/* Binds the calling thread to the nth CPU it may use, counted round. */
void cpu_bind(unsigned n);

/* Lets the calling thread use all CPUs again that the program was started with. */
void cpu_unbind(void);

/* Number of CPUs that the program was started with. */
unsigned cpu_count(void);

/* Gives the calling thread an alternate signal stack, once. */
void signal_stack_install(void);

/*
 * A timer that sends SIGRTMIN to the calling thread every `interval_us`, and the number of
 * its signals that the thread has taken. The handler spoils all FP (and vector) registers.
 */
int ticks_start(unsigned interval_us);
void ticks_stop(void);
unsigned ticks_seen(void);

int step_exec(struct worker *worker);
int step_map(struct worker *worker);
int step_cow(struct worker *worker);
int step_file(struct worker *worker);
int step_pipe(struct worker *worker);
int step_futex(struct worker *worker);
int step_signal(struct worker *worker);
int step_float(struct worker *worker);
int step_vector(struct worker *worker);

/* What `load --child TOKEN` exits with. */
int child_exit_code(unsigned token);

#endif
