/* SPDX-License-Identifier: MIT */
/*
 * lbench [NAME...]: prints `lbench NAME NS` for each of the operations below (or those named):
 * the guest time one of them takes, in ns, as the least mean of several batches. Where QEMU
 * counts instructions (-icount shift=0) a ns is an instruction. What needs a second CPU is
 * left out where there is none.
 *
 * lbench --run NAME COMMAND...: the same for one run of a command.
 */
#define _GNU_SOURCE
#include "lbench.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE      4096
#define HANDOVERS 10000
#define BATCHES   3
/* What the kernel still does in the background when init has started is over by then. */
#define SETTLE_S 5

/* Does the operation `count` times and returns the ns that took, without what it set up. */
struct bench {
	const char *name;
	uint64_t (*run)(unsigned count);
	unsigned count;
	unsigned cpus; /* that it needs */
	bool asked;    /* only if it is named */
};

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void cpu_bind(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0) {
		perror("lbench: sched_setaffinity");
		_exit(1);
	}
}

void must(long result, const char *what)
{
	if (result >= 0)
		return;
	fprintf(stderr, "lbench: %s: %s\n", what, strerror(errno));
	_exit(1);
}

char *map_anonymous(size_t bytes, int flags)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	must(p == MAP_FAILED ? -1 : 0, "mmap");
	/* Huge pages would make one fault of 512. */
	madvise(p, bytes, MADV_NOHUGEPAGE);
	return p;
}

static uint64_t bench_getppid(unsigned count)
{
	uint64_t start = now_ns();

	while (count--)
		syscall(SYS_getppid);
	return now_ns() - start;
}

static uint64_t bench_clock_gettime(unsigned count)
{
	uint64_t start = now_ns();

	while (count--)
		now_ns();
	return now_ns() - start;
}

static uint64_t bench_fork(unsigned count)
{
	uint64_t start = now_ns();

	while (count--) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		must(pid, "fork");
		must(waitpid(pid, NULL, 0), "waitpid");
	}
	return now_ns() - start;
}

static uint64_t bench_exec(unsigned count)
{
	uint64_t start = now_ns();

	while (count--) {
		int status = 0;
		pid_t pid = fork();

		if (pid == 0) {
			execl("/proc/self/exe", "lbench", "--exit", (char *)NULL);
			_exit(127);
		}
		must(pid, "fork");
		must(waitpid(pid, &status, 0), "waitpid");
		must(WIFEXITED(status) && WEXITSTATUS(status) == 42 ? 0 : -1, "exec");
	}
	return now_ns() - start;
}

static uint64_t bench_fault_anonymous(unsigned count)
{
	volatile char *p = map_anonymous((size_t)count * PAGE, MAP_PRIVATE);
	uint64_t start = now_ns();

	for (size_t i = 0; i < count; i++)
		p[i * PAGE] = 1;
	start = now_ns() - start;
	munmap((void *)p, (size_t)count * PAGE);
	return start;
}

/* The parent's writes, while a child that only waits shares all pages. */
static uint64_t bench_fault_cow(unsigned count)
{
	volatile char *p = map_anonymous((size_t)count * PAGE, MAP_PRIVATE);
	uint64_t start;
	pid_t pid;

	for (size_t i = 0; i < count; i++)
		p[i * PAGE] = 1;
	pid = fork();
	must(pid, "fork");
	if (pid == 0) {
		for (;;)
			pause();
	}
	start = now_ns();
	for (size_t i = 0; i < count; i++)
		p[i * PAGE] = 2;
	start = now_ns() - start;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	munmap((void *)p, (size_t)count * PAGE);
	return start;
}

static uint64_t bench_mmap(unsigned count)
{
	uint64_t start = now_ns();

	while (count--) {
		volatile char *p = map_anonymous(4 * PAGE, MAP_PRIVATE);

		*p = 1;
		munmap((void *)p, 4 * PAGE);
	}
	return now_ns() - start;
}

static uint64_t bench_mprotect(unsigned count)
{
	volatile char *p = map_anonymous(PAGE, MAP_PRIVATE);
	uint64_t start;

	*p = 1;
	start = now_ns();
	for (unsigned i = 0; i < count; i++)
		mprotect((void *)p, PAGE, i % 2 ? PROT_READ | PROT_WRITE : PROT_READ);
	start = now_ns() - start;
	munmap((void *)p, PAGE);
	return start;
}

static uint64_t bench_yield(unsigned count)
{
	pid_t pid = fork();
	uint64_t start;

	must(pid, "fork");
	if (pid == 0) {
		for (;;)
			sched_yield();
	}
	sched_yield();
	start = now_ns();
	for (unsigned i = 0; i < count; i++)
		sched_yield();
	start = now_ns() - start;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return start / 2;
}

static void signal_handler(int signal)
{
	(void)signal;
}

static uint64_t bench_signal(unsigned count)
{
	uint64_t start;

	signal(SIGUSR1, signal_handler);
	start = now_ns();
	while (count--)
		raise(SIGUSR1);
	return now_ns() - start;
}

/* What each round of the last hand-over took. */
static uint64_t round_ns[HANDOVERS];

/* Sends a byte to and fro `count` times between this process and one on `cpu`. */
static uint64_t pipe_rounds(unsigned count, unsigned cpu)
{
	int there[2], back[2];
	uint64_t start, first = 0;
	char byte = 0;
	pid_t pid;

	must(pipe(there), "pipe");
	must(pipe(back), "pipe");
	pid = fork();
	must(pid, "fork");
	if (pid == 0) {
		cpu_bind(cpu);
		close(there[1]);
		while (read(there[0], &byte, 1) == 1)
			(void)!write(back[1], &byte, 1);
		_exit(0);
	}
	for (unsigned i = 0; i <= count; i++) {
		start = now_ns();
		first = i == 1 ? start : first;
		must(write(there[1], &byte, 1) - 1, "write");
		must(read(back[0], &byte, 1) - 1, "read");
		if (i > 0)
			round_ns[i - 1] = now_ns() - start;
	}
	start = now_ns() - first;
	close(there[0]), close(there[1]), close(back[0]), close(back[1]);
	waitpid(pid, NULL, 0);
	return start;
}

static uint64_t bench_pipe(unsigned count)
{
	return pipe_rounds(count, 0);
}

static uint64_t bench_handover_pipe(unsigned count)
{
	return pipe_rounds(count, 1);
}

static uint32_t turn;
static unsigned handovers, handover_cpu;

static void turn_pass(uint32_t mine)
{
	while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != mine)
		syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, 1 - mine, NULL, NULL, 0);
	__atomic_store_n(&turn, 1 - mine, __ATOMIC_RELEASE);
	syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *handover_thread(void *argument)
{
	(void)argument;
	cpu_bind(handover_cpu);
	for (unsigned i = 0; i <= handovers; i++)
		turn_pass(1);
	return NULL;
}

/* Passes a turn to and fro `count` times between this thread and one on `cpu`. */
static uint64_t futex_rounds(unsigned count, unsigned cpu)
{
	pthread_t thread;
	uint64_t first;

	turn = 0;
	handovers = count;
	handover_cpu = cpu;
	must(-pthread_create(&thread, NULL, handover_thread, NULL), "pthread_create");
	turn_pass(0);
	first = now_ns();
	for (unsigned i = 0; i < count; i++) {
		uint64_t start = now_ns();

		turn_pass(0);
		round_ns[i] = now_ns() - start;
	}
	first = now_ns() - first;
	pthread_join(thread, NULL);
	return first;
}

static uint64_t bench_futex(unsigned count)
{
	return futex_rounds(count, 0);
}

static uint64_t bench_handover_futex(unsigned count)
{
	return futex_rounds(count, 1);
}

/* Few enough, so that nobody who reads them has to be waited for. */
static uint64_t bench_console(unsigned count)
{
	static const char line[] =
	    "lbench: a line of 64 bytes, as a program may print to a console\n";
	int console = open("/dev/console", O_WRONLY | O_NOCTTY);
	uint64_t start;

	must(console, "/dev/console");
	start = now_ns();
	while (count--)
		must(write(console, line, 64) - 64, "write");
	start = now_ns() - start;
	close(console);
	return start;
}

static const struct bench benches[] = {
    {"getppid", bench_getppid, 5000, 1, false},
    {"clock-gettime", bench_clock_gettime, 5000, 1, false},
    {"fork-exit", bench_fork, 50, 1, false},
    {"fork-exec", bench_exec, 20, 1, false},
    {"fault-anonymous", bench_fault_anonymous, 1000, 1, false},
    {"fault-cow", bench_fault_cow, 1000, 1, false},
    {"mmap-munmap", bench_mmap, 500, 1, false},
    {"mprotect", bench_mprotect, 1000, 1, false},
    {"pipe", bench_pipe, 500, 1, false},
    {"futex", bench_futex, 500, 1, false},
    {"yield", bench_yield, 1000, 1, false},
    {"signal", bench_signal, 1000, 1, false},
    {"console-write", bench_console, 8, 1, false},
    {"user-integer", user_integer, 8, 1, false},
    {"user-float", user_float, 8, 1, false},
    {"user-memory", user_memory, 8, 1, false},
    {"chase", user_chase, 2000, 1, true},
    {"disk-sequential-64k", disk_sequential, 1024, 1, true},
    {"disk-random-4k", disk_random, 1024, 1, true},
    {"handover-futex", bench_handover_futex, HANDOVERS, 2, false},
    {"handover-pipe", bench_handover_pipe, HANDOVERS, 2, false},
    /* Minutes of next to no exits: after another one, whose exits can then be asked for. */
    {"busy", user_integer, 10000, 1, true},
};

static void line_print(const char *name, const char *what, uint64_t ns)
{
	printf("lbench %s%s %llu\n", name, what, (unsigned long long)ns);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/*
 * Where QEMU counts instructions it lets the harts run in turns of up to some ms, and a hart
 * that waits for a lock of one whose turn is over spins through its own. The tenth of the
 * rounds that go fastest are free of that; the mean tells how often it happens.
 */
static void handover_print(const struct bench *bench)
{
	uint64_t ns = bench->run(bench->count);

	qsort(round_ns, bench->count, sizeof(round_ns[0]), compare);
	line_print(bench->name, "", round_ns[bench->count / 10]);
	line_print(bench->name, "-mean", ns / bench->count);
}

static void bench_print(const struct bench *bench)
{
	uint64_t least = UINT64_MAX;

	if (bench->asked)
		printf("lbench: %s begins\n", bench->name);
	bench->run(bench->count / 4); /* caches and pages */
	for (unsigned i = 0; i < BATCHES; i++) {
		uint64_t ns = bench->run(bench->count);

		least = ns < least ? ns : least;
	}
	line_print(bench->name, "", (least + bench->count / 2) / bench->count);
}

static void bench_one(const struct bench *bench)
{
	if (bench->cpus == 1)
		bench_print(bench);
	else if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		handover_print(bench);
}

static void command_print(const char *name, char **command)
{
	uint64_t start = now_ns();
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		execvp(command[0], command);
		_exit(127);
	}
	must(pid, "fork");
	must(waitpid(pid, &status, 0), "waitpid");
	start = now_ns() - start;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		line_print(name, "", start);
	else
		printf("lbench: %s: failed, status 0x%x\n", command[0], (unsigned)status);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--exit") == 0)
		_exit(42);
	cpu_bind(0);
	if (!getenv("LBENCH_BOUND")) {
		/* In a fresh address space, which no other CPU has to be told of. */
		setenv("LBENCH_BOUND", "", 1);
		sleep(SETTLE_S);
		execv("/proc/self/exe", argv);
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 3 && strcmp(argv[1], "--run") == 0) {
		command_print(argv[2], argv + 3);
		return 0;
	}
	for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++) {
		bool wanted = argc == 1 && !benches[i].asked;

		for (int k = 1; k < argc; k++)
			wanted |= strcmp(argv[k], benches[i].name) == 0;
		if (wanted)
			bench_one(&benches[i]);
	}
	printf("lbench end 0\n");
	return 0;
}
