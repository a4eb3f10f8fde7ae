/* SPDX-License-Identifier: MIT */
/*
 * procs [-n PROCESSES] [-k KIB] [-r ROUNDS] [-x PROCESS]
 *
 * Starts PROCESSES processes (default 200) that are all there at once, each with KIB (default
 * 384) of memory of its own: half of it in one piece, half in single pages 2 MiB apart, so that
 * each of them takes a page of page tables. They run in turns, ROUNDS times (default 3); each
 * checks its memory and gives it new contents. Then all do so at once. Prints `procs: ok …` and
 * exits 0, or `procs: FAILED what` and exits 1. -x spoils a process's memory, to show that the
 * check can fail.
 */
#define _GNU_SOURCE
#include "pattern.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE          4096
#define APART         (2ul << 20)
#define MAX_PROCESSES 1000
#define LIMIT_S       900

struct options {
	unsigned processes;
	unsigned kib;
	unsigned rounds;
	unsigned spoiled;
};

/* Whose turn it is, by the number of turns before it; a word for each, to wait on. */
struct ring {
	uint32_t turns[MAX_PROCESSES];
};

struct process {
	unsigned id;
	char *piece;
	size_t piece_bytes;
	char *spread;
	unsigned spread_pages;
};

static int fail(const struct process *process, const char *what, const char *why)
{
	char line[160];
	int n = snprintf(line, sizeof(line), "procs: FAILED process %u: %s%s\n", process->id, what,
			 why);

	(void)!write(STDOUT_FILENO, line, (size_t)n);
	return -1;
}

static uint64_t seed_of(const struct process *process, unsigned round, unsigned page)
{
	return (uint64_t)(process->id + 1) << 40 | (uint64_t)round << 20 | page;
}

static char *reserve(size_t bytes)
{
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, bytes, MADV_NOHUGEPAGE);
	return p;
}

static int process_map(struct process *process, unsigned kib)
{
	process->piece_bytes = (kib / 2 * 1024ul) & ~(PAGE - 1ul);
	process->spread_pages = (unsigned)(process->piece_bytes / PAGE);
	process->piece = reserve(process->piece_bytes);
	process->spread = reserve(process->spread_pages * APART);
	return process->piece && process->spread ? 0 : fail(process, "mmap: ", strerror(errno));
}

static void process_fill(struct process *process, unsigned round)
{
	pattern_fill(process->piece, process->piece_bytes, seed_of(process, round, ~0u));
	for (unsigned i = 0; i < process->spread_pages; i++)
		pattern_fill(process->spread + i * APART, PAGE, seed_of(process, round, i));
}

static int process_check(struct process *process, unsigned round)
{
	if (!pattern_holds(process->piece, process->piece_bytes, seed_of(process, round, ~0u)))
		return fail(process, "its memory has changed", "");
	for (unsigned i = 0; i < process->spread_pages; i++) {
		if (!pattern_holds(process->spread + i * APART, PAGE, seed_of(process, round, i)))
			return fail(process, "a page of its memory has changed", "");
	}
	return 0;
}

static void turn_await(uint32_t *word, uint32_t turn)
{
	uint32_t value;

	while ((value = __atomic_load_n(word, __ATOMIC_ACQUIRE)) != turn)
		syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void turn_give(uint32_t *word, uint32_t turn)
{
	__atomic_store_n(word, turn, __ATOMIC_RELEASE);
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* The turn of round r is r + 1; after the last round there is one more, which starts all. */
static int process_run(struct process *process, struct ring *ring, const struct options *options)
{
	unsigned next = (process->id + 1) % options->processes;

	if (process_map(process, options->kib) < 0)
		return -1;
	for (unsigned round = 0; round <= options->rounds; round++) {
		turn_await(&ring->turns[process->id], round + 1);
		if (round == options->rounds && next != 0)
			turn_give(&ring->turns[next], round + 1);
		if (round > 0 && process_check(process, round - 1) < 0)
			return -1;
		process_fill(process, round);
		if (process->id == options->spoiled)
			process->spread[(process->spread_pages - 1) * APART + PAGE - 1] ^= 1;
		if (round < options->rounds)
			turn_give(&ring->turns[next], next == 0 ? round + 2 : round + 1);
	}
	return process_check(process, options->rounds);
}

static void limit_reached(int signal)
{
	static const char line[] = "procs: FAILED time limit reached\n";

	(void)signal;
	(void)!write(STDOUT_FILENO, line, sizeof(line) - 1);
	kill(0, SIGKILL);
}

/* A process that fails ends the ring's turns: the others are ended with it. */
static int processes_wait(unsigned count)
{
	while (count > 0) {
		int status;
		pid_t pid = wait(&status);

		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
			printf("procs: FAILED status %#x\n", status);
			return -1;
		}
		count--;
	}
	return 0;
}

static int processes_run(const struct options *options)
{
	struct ring *ring =
	    mmap(NULL, sizeof(*ring), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (ring == MAP_FAILED)
		return -1;
	for (unsigned id = 0; id < options->processes; id++) {
		struct process process = {.id = id};
		pid_t pid = fork();

		if (pid == 0)
			_exit(process_run(&process, ring, options) < 0 ? 1 : 0);
		if (pid < 0)
			return fail(&process, "fork: ", strerror(errno));
	}
	turn_give(&ring->turns[0], 1);
	return processes_wait(options->processes);
}

static int options_read(struct options *options, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "n:k:r:x:")) != -1) {
		unsigned value = optarg ? (unsigned)atoi(optarg) : 0;

		switch (c) {
		case 'n':
			options->processes = value;
			break;
		case 'k':
			options->kib = value;
			break;
		case 'r':
			options->rounds = value;
			break;
		case 'x':
			options->spoiled = value;
			break;
		default:
			return -1;
		}
	}
	if (options->processes < 2 || options->processes > MAX_PROCESSES || options->kib < 8 ||
	    options->rounds < 1) {
		printf("procs: FAILED options: 2 to %d processes, 8 KiB or more, 1 round or more\n",
		       MAX_PROCESSES);
		return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct options options = {.processes = 200, .kib = 384, .rounds = 3, .spoiled = ~0u};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (options_read(&options, argc, argv) < 0)
		return 2;
	setpgid(0, 0);
	signal(SIGALRM, limit_reached);
	alarm(LIMIT_S);
	if (processes_run(&options) < 0) {
		signal(SIGTERM, SIG_IGN);
		kill(0, SIGTERM);
		return 1;
	}
	printf("procs: ok %u processes of %u KiB, %u rounds\n", options.processes, options.kib,
	       options.rounds);
	return 0;
}
