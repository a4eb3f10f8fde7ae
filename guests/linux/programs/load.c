/* SPDX-License-Identifier: MIT */
/*
 * load [-w WORKERS] [-n ROUNDS] [-m KIB] [-t SECONDS] [-s STEP] [-x STEP]
 *
 * Runs WORKERS workers (default: two a CPU), half of them processes, half threads. Each runs
 * all steps (or the one named by -s) ROUNDS times on KIB of memory. Prints `load: ok …` and
 * exits 0, or `load: FAILED what` and exits 1. A run that takes longer than -t SECONDS has
 * failed. -x spoils the data of one step, to show that its check can fail.
 */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_WORKERS 256

static const struct step steps[] = {
    {"exec", step_exec},   {"map", step_map},       {"cow", step_cow},
    {"pipe", step_pipe},   {"futex", step_futex},   {"signal", step_signal},
    {"float", step_float}, {"vector", step_vector}, {"file", step_file},
};
#define STEPS (sizeof(steps) / sizeof(steps[0]))

struct options {
	unsigned workers;
	unsigned rounds;
	unsigned kib;
	unsigned limit_s;
	const char *only;
	const char *sabotage;
};

struct thread {
	pthread_t handle;
	struct worker worker;
	const struct options *options;
	int result;
};

static struct thread threads[MAX_WORKERS];
static pid_t processes[MAX_WORKERS];
static cpu_set_t all_cpus;

int worker_fail(const struct worker *worker, const char *format, ...)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "load: FAILED worker %u %s round %u: ", worker->id,
			 worker->step, worker->round);
	va_list args;

	va_start(args, format);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, format, args);
	va_end(args);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	(void)!write(STDOUT_FILENO, line, (size_t)n);
	return -1;
}

unsigned worker_sabotage(const struct worker *worker)
{
	return worker->sabotage && strcmp(worker->sabotage, worker->step) == 0;
}

uint64_t worker_seed(const struct worker *worker, unsigned salt)
{
	uint64_t x = ((uint64_t)worker->id << 40) ^ ((uint64_t)worker->round << 16) ^ salt;

	x = (x + 0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9;
	return x ^ (x >> 29);
}

void cpu_unbind(void)
{
	sched_setaffinity(0, sizeof(all_cpus), &all_cpus);
}

unsigned cpu_count(void)
{
	return (unsigned)CPU_COUNT(&all_cpus);
}

void cpu_bind(unsigned n)
{
	cpu_set_t set;
	unsigned cpu = 0;

	n %= cpu_count();
	for (;; cpu++) {
		if (CPU_ISSET(cpu, &all_cpus) && n-- == 0)
			break;
	}
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static int worker_run(struct worker *worker, const struct options *options)
{
	signal_stack_install();
	for (worker->round = 0; worker->round < options->rounds; worker->round++) {
		for (size_t i = 0; i < STEPS; i++) {
			if (options->only && strcmp(options->only, steps[i].name) != 0)
				continue;
			worker->step = steps[i].name;
			if (steps[i].run(worker) < 0)
				return -1;
		}
	}
	return 0;
}

static void *thread_main(void *argument)
{
	struct thread *thread = argument;

	thread->result = worker_run(&thread->worker, thread->options);
	return NULL;
}

static struct worker worker_make(unsigned id, const struct options *options)
{
	struct worker worker = {
	    .id = id,
	    .is_thread = id % 2 == 1,
	    .bytes = (size_t)options->kib * 1024,
	    .sabotage = options->sabotage,
	    .step = "start",
	};
	return worker;
}

/* The processes first: they are forked while this one has no other thread yet. */
static int workers_start(const struct options *options)
{
	for (unsigned id = 0; id < options->workers; id += 2) {
		struct worker worker = worker_make(id, options);

		processes[id] = fork();
		if (processes[id] < 0)
			return worker_fail(&worker, "fork: %s", strerror(errno));
		if (processes[id] == 0)
			_exit(worker_run(&worker, options) < 0 ? 1 : 0);
	}
	for (unsigned id = 1; id < options->workers; id += 2) {
		struct thread *thread = &threads[id];

		thread->worker = worker_make(id, options);
		thread->options = options;
		if (pthread_create(&thread->handle, NULL, thread_main, thread) != 0)
			return worker_fail(&thread->worker, "pthread_create failed");
	}
	return 0;
}

static int workers_wait(const struct options *options)
{
	int failed = 0;

	for (unsigned id = 0; id < options->workers; id += 2) {
		int code = child_wait(processes[id]);

		if (code > 1)
			printf("load: FAILED worker %u: exit code %d\n", id, code);
		failed += code != 0;
	}
	for (unsigned id = 1; id < options->workers; id += 2) {
		pthread_join(threads[id].handle, NULL);
		failed += threads[id].result != 0;
	}
	return failed;
}

static void limit_reached(int signal)
{
	static const char line[] = "load: FAILED time limit reached\n";

	(void)signal;
	(void)!write(STDOUT_FILENO, line, sizeof(line) - 1);
	kill(0, SIGKILL);
}

static int step_known(const char *name)
{
	for (size_t i = 0; i < STEPS; i++) {
		if (strcmp(steps[i].name, name) == 0)
			return 1;
	}
	printf("load: FAILED no step is called %s\n", name);
	return 0;
}

static int options_read(struct options *options, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "w:n:m:t:s:x:")) != -1) {
		switch (c) {
		case 'w':
			options->workers = (unsigned)atoi(optarg);
			break;
		case 'n':
			options->rounds = (unsigned)atoi(optarg);
			break;
		case 'm':
			options->kib = (unsigned)atoi(optarg) & ~3u;
			break;
		case 't':
			options->limit_s = (unsigned)atoi(optarg);
			break;
		case 's':
			options->only = optarg;
			break;
		case 'x':
			options->sabotage = optarg;
			break;
		default:
			return -1;
		}
	}
	if (options->workers < 1 || options->workers > MAX_WORKERS || options->rounds < 1 ||
	    options->kib < 64) {
		printf("load: FAILED options: 1 to %d workers, 1 round or more, 64 KiB or more\n",
		       MAX_WORKERS);
		return -1;
	}
	if ((options->only && !step_known(options->only)) ||
	    (options->sabotage && !step_known(options->sabotage)))
		return -1;
	return 0;
}

int main(int argc, char **argv)
{
	struct options options = {.rounds = 4, .kib = 512, .limit_s = 600};
	struct timespec start, end;
	int failed;

	if (argc == 3 && strcmp(argv[1], "--child") == 0)
		return child_exit_code((unsigned)atoi(argv[2]));
	setvbuf(stdout, NULL, _IOLBF, 0);
	sched_getaffinity(0, sizeof(all_cpus), &all_cpus);
	options.workers = 2 * cpu_count();
	if (options_read(&options, argc, argv) < 0)
		return 2;
	setpgid(0, 0);
	signal(SIGALRM, limit_reached);
	alarm(options.limit_s);
	clock_gettime(CLOCK_MONOTONIC, &start);
	if (workers_start(&options) < 0)
		kill(0, SIGKILL);
	failed = workers_wait(&options);
	clock_gettime(CLOCK_MONOTONIC, &end);
	if (failed) {
		printf("load: FAILED %d of %u workers\n", failed, options.workers);
		return 1;
	}
	printf("load: ok %.3f s, %u workers on %u CPUs, %u rounds\n",
	       (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9,
	       options.workers, cpu_count(), options.rounds);
	return 0;
}
