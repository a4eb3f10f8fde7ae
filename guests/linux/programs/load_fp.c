/* SPDX-License-Identifier: MIT */
/*
 * The steps of the load that keep results in FP and vector registers while timer signals,
 * whose handler spoils those registers, and other workers come in between.
 */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <fenv.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define HWCAP_VECTOR (1ul << ('V' - 'A'))
#define LANES        8
#define ITERATIONS   20000
#define SIGNAL_STACK 65536
#define VLENB_MAX    8192

static __thread volatile unsigned ticks;
static __thread timer_t tick_timer;
static __thread bool stack_installed;

static void vector_spoil(void)
{
	__asm__ volatile(".option push\n"
			 ".option arch, +v\n"
			 "vsetvli t0, zero, e64, m8, ta, ma\n"
			 "vmv.v.i v0, -1\n"
			 "vmv.v.i v8, -1\n"
			 "vmv.v.i v16, -1\n"
			 "vmv.v.i v24, -1\n"
			 ".option pop\n" ::
			     : "t0", "memory");
}

static void float_spoil(void)
{
	uint64_t junk = 0x7ff4deadbeef0000;

	/* All of them: the kernel restores the interrupted ones when the handler returns. */
	__asm__ volatile(".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,"
			 "24,25,26,27,28,29,30,31\n"
			 "fmv.d.x f\\n, %0\n"
			 ".endr\n"
			 "fscsr zero, %1" ::"r"(junk),
			 "r"(0x3f));
}

static void tick_handler(int signal)
{
	(void)signal;
	ticks++;
	float_spoil();
	if (getauxval(AT_HWCAP) & HWCAP_VECTOR)
		vector_spoil();
}

/* The kernel's frame holds the whole vector state: far more than MINSIGSTKSZ. */
void signal_stack_install(void)
{
	stack_t stack = {.ss_size = SIGNAL_STACK};

	if (stack_installed)
		return;
	stack.ss_sp =
	    mmap(NULL, SIGNAL_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_installed = stack.ss_sp != MAP_FAILED && sigaltstack(&stack, NULL) == 0;
}

int ticks_start(unsigned interval_us)
{
	struct sigaction action = {.sa_handler = tick_handler, .sa_flags = SA_ONSTACK | SA_RESTART};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN};
	struct itimerspec interval = {.it_value.tv_nsec = interval_us * 1000l,
				      .it_interval.tv_nsec = interval_us * 1000l};

	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	sigaction(SIGRTMIN, &action, NULL);
	ticks = 0;
	if (timer_create(CLOCK_MONOTONIC, &event, &tick_timer) < 0)
		return -1;
	return timer_settime(tick_timer, 0, &interval, NULL);
}

void ticks_stop(void)
{
	timer_delete(tick_timer);
}

unsigned ticks_seen(void)
{
	return ticks;
}

/* x = 3.9 x (1 - x), chaotic: one wrong bit anywhere changes all bits of the result. */
static const uint64_t logistic_result[LANES] = {
    0x3fd6249ba973b2a5, 0x3fede103306a64fa, 0x3fee3409628115c8, 0x3fc37dda61089b91,
    0x3fecb755b4474c61, 0x3fef31bfe94595d4, 0x3febc0409a10e726, 0x3fee90dd91a08ca2,
};

static void logistic_run(double x[LANES])
{
	double a = x[0], b = x[1], c = x[2], d = x[3], e = x[4], f = x[5], g = x[6], h = x[7];

	for (unsigned i = 0; i < ITERATIONS; i++) {
		a = 3.9 * a * (1.0 - a);
		b = 3.9 * b * (1.0 - b);
		c = 3.9 * c * (1.0 - c);
		d = 3.9 * d * (1.0 - d);
		e = 3.9 * e * (1.0 - e);
		f = 3.9 * f * (1.0 - f);
		g = 3.9 * g * (1.0 - g);
		h = 3.9 * h * (1.0 - h);
	}
	x[0] = a, x[1] = b, x[2] = c, x[3] = d, x[4] = e, x[5] = f, x[6] = g, x[7] = h;
}

static int float_check(struct worker *worker)
{
	double x[LANES];

	for (unsigned i = 0; i < LANES; i++)
		x[i] = (double)(i + 1) / 16.0;
	logistic_run(x);
	for (unsigned i = 0; i < LANES; i++) {
		uint64_t bits;

		memcpy(&bits, &x[i], sizeof(bits));
		if (bits != logistic_result[i] + worker_sabotage(worker))
			return worker_fail(worker, "lane %u is %#llx", i, (unsigned long long)bits);
	}
	return 0;
}

/* 1/3 is rounded down to nearest and up upwards: shows which mode is really in force. */
static int rounding_check(struct worker *worker, int mode)
{
	volatile double one = 1.0, three = 3.0;
	double third = one / three;
	uint64_t bits;

	memcpy(&bits, &third, sizeof(bits));
	if (fegetround() != mode || bits != 0x3fd5555555555555 + (mode == FE_UPWARD))
		return worker_fail(worker, "the rounding mode changed");
	if (!fetestexcept(FE_INEXACT) || fetestexcept(FE_DIVBYZERO))
		return worker_fail(worker, "the exception flags changed");
	return 0;
}

static int float_under_ticks(struct worker *worker)
{
	struct timespec start, now;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		int mode = worker->id / 2 % 2 ? FE_UPWARD : FE_TONEAREST;

		if (float_check(worker) < 0)
			return -1;
		feclearexcept(FE_ALL_EXCEPT);
		fesetround(mode);
		for (unsigned i = 0; i < 500; i++) {
			if (rounding_check(worker, mode) < 0)
				return -1;
		}
		fesetround(FE_TONEAREST);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (ticks_seen() < 4 && now.tv_sec - start.tv_sec < 120);
	return 0;
}

int step_float(struct worker *worker)
{
	int result;

	if (ticks_start(1000) < 0)
		return worker_fail(worker, "timer_create: %s", strerror(errno));
	result = float_under_ticks(worker);
	ticks_stop();
	fesetround(FE_TONEAREST);
	return result;
}

/*
 * Loads all vector registers, spins without a system call (Linux drops vector state at
 * each), and stores them again.
 */
static void vector_hold(const void *from, void *to, uint64_t spins)
{
	__asm__ volatile(".option push\n"
			 ".option arch, +v\n"
			 "vsetvli t0, zero, e8, m8, ta, ma\n"
			 "vle8.v v0, (%0)\n"
			 "add %0, %0, t0\n"
			 "vle8.v v8, (%0)\n"
			 "add %0, %0, t0\n"
			 "vle8.v v16, (%0)\n"
			 "add %0, %0, t0\n"
			 "vle8.v v24, (%0)\n"
			 "1: addi %2, %2, -1\n"
			 "bnez %2, 1b\n"
			 "vse8.v v0, (%1)\n"
			 "add %1, %1, t0\n"
			 "vse8.v v8, (%1)\n"
			 "add %1, %1, t0\n"
			 "vse8.v v16, (%1)\n"
			 "add %1, %1, t0\n"
			 "vse8.v v24, (%1)\n"
			 ".option pop\n"
			 : "+r"(from), "+r"(to), "+r"(spins)
			 :
			 : "t0", "memory");
}

static uint64_t vector_vlenb(void)
{
	uint64_t vlenb;

	__asm__ volatile("csrr %0, 0xc22" : "=r"(vlenb));
	return vlenb;
}

static int vector_check(struct worker *worker, char *from, char *to, size_t bytes)
{
	uint64_t seed = worker_seed(worker, 7);

	pattern_fill(from, bytes, seed);
	memset(to, 0, bytes);
	vector_hold(from, to, 100000);
	to[bytes - 1] ^= (char)worker_sabotage(worker);
	if (!pattern_holds(to, bytes, seed))
		return worker_fail(worker, "vector registers changed");
	return 0;
}

int step_vector(struct worker *worker)
{
	char *buffer;
	size_t bytes;
	int result = 0;

	if (!(getauxval(AT_HWCAP) & HWCAP_VECTOR))
		return 0;
	bytes = 32 * vector_vlenb();
	if (bytes > 32 * VLENB_MAX)
		return worker_fail(worker, "vlenb is %zu", bytes / 32);
	buffer = malloc(2 * bytes);
	if (!buffer || ticks_start(1000) < 0)
		return worker_fail(worker, "malloc or timer_create: %s", strerror(errno));
	while (result == 0 && ticks_seen() < 2)
		result = vector_check(worker, buffer, buffer + bytes, bytes);
	ticks_stop();
	free(buffer);
	return result;
}
