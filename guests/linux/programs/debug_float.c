/* SPDX-License-Identifier: MIT */
/*
 * FP and vector registers while signals and other processes come in between; the first two are
 * steps of the load.
 */
#define _GNU_SOURCE
#include "debug.h"
#include "load.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROCESSES    6
#define ROUNDS       300
#define HWCAP_VECTOR (1ul << ('V' - 'A'))

int worker_fail(const struct worker *worker, const char *format, ...)
{
	char text[128];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	check_fail("process %u: %s", worker->id, text);
	return -1;
}

unsigned worker_sabotage(const struct worker *worker)
{
	(void)worker;
	return 0;
}

uint64_t worker_seed(const struct worker *worker, unsigned salt)
{
	return worker->id * 1000 + salt;
}

/* Several at once on one CPU. */
static int in_processes(int (*run)(struct worker *worker))
{
	pid_t pids[PROCESSES];
	int failed = 0;

	cpu_bind(0);
	for (unsigned i = 0; i < PROCESSES; i++) {
		struct worker worker = {.id = i};

		pids[i] = fork();
		if (pids[i] == 0)
			_exit(run(&worker) ? 1 : 0);
	}
	for (unsigned i = 0; i < PROCESSES; i++)
		failed |= child_wait(pids[i]) != 0;
	return failed ? CHECK_FAILED : 0;
}

int check_float_signals(void)
{
	return in_processes(step_float);
}

int check_vector_signals(void)
{
	if (!(getauxval(AT_HWCAP) & HWCAP_VECTOR))
		return check_skip("no vectors");
	return in_processes(step_vector);
}

#define EACH                                                                                    \
	".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28," \
	"29,30,31\n"

#define FLOATS                                                                                  \
	"f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9", "f10", "f11", "f12", "f13", \
	    "f14", "f15", "f16", "f17", "f18", "f19", "f20", "f21", "f22", "f23", "f24", "f25", \
	    "f26", "f27", "f28", "f29", "f30", "f31"

/* Loads all FP registers and the rounding mode, lets others run, and stores them. */
static void float_hold(const uint64_t *in, uint64_t *out, uint64_t *fcsr, uint64_t spins)
{
	register uint64_t a7 __asm__("a7") = SYS_sched_yield;
	register uint64_t a0 __asm__("a0");

	__asm__ volatile("fscsr %5\n" EACH "fld f\\n, 8*\\n(%2)\n"
			 ".endr\n"
			 "ecall\n"
			 "1: addi %1, %1, -1\n"
			 "bnez %1, 1b\n"
			 "ecall\n" EACH "fsd f\\n, 8*\\n(%3)\n"
			 ".endr\n"
			 "frcsr %1\n"
			 "fscsr zero\n"
			 : "=r"(a0), "+r"(spins)
			 : "r"(in), "r"(out), "r"(a7), "r"(*fcsr)
			 : "memory", FLOATS);
	*fcsr = spins;
}

/* Every third process has no FP registers in use but for a moment. */
static int switch_run(struct worker *worker)
{
	uint64_t in[32], out[32];

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t fcsr = (worker->id % 4) << 5 | (round & 31), held = fcsr;

		if (worker->id % 3 == 2 && round % 50 != 0) {
			sched_yield();
			continue;
		}
		for (unsigned i = 0; i < 32; i++)
			in[i] = ((uint64_t)worker->id << 32 | round << 8 | i) * 0x9e3779b97f4a7c15;
		float_hold(in, out, &held, 2000);
		if (memcmp(in, out, sizeof(in)) != 0)
			return worker_fail(worker, "round %u: the f registers changed", round);
		if (held != fcsr)
			return worker_fail(worker, "round %u: fcsr %#lx, not %#lx", round, held,
					   fcsr);
	}
	return 0;
}

int check_float_switch(void)
{
	return in_processes(switch_run);
}
