/* SPDX-License-Identifier: MIT */
/* The steps of the load in which two sides work together: pipes, futexes, signals. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BLOCK_WORDS 512
#define BLOCKS      48
#define HANDOVERS   200
#define CHILDREN    4

struct block {
	uint64_t number;
	uint64_t word[BLOCK_WORDS - 2];
	uint64_t sum;
};

static int block_write(int fd, struct block *block)
{
	const char *from = (const char *)block;
	size_t left = sizeof(*block);

	block->sum = checksum(block->word, sizeof(block->word)) + block->number;
	while (left) {
		ssize_t n = write(fd, from, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		from += n;
		left -= (size_t)n;
	}
	return 0;
}

static int block_read(int fd, struct block *block, uint64_t number)
{
	char *to = (char *)block;
	size_t left = sizeof(*block);

	while (left) {
		ssize_t n = read(fd, to, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		to += n;
		left -= (size_t)n;
	}
	if (block->number != number)
		return -1;
	return block->sum == checksum(block->word, sizeof(block->word)) + number ? 0 : -1;
}

/* The far side: checks each block, turns its bits over, and sends it back. */
static int pipe_peer(int in, int out)
{
	struct block block;

	for (uint64_t i = 0; i < BLOCKS; i++) {
		if (block_read(in, &block, i) < 0)
			return 2;
		for (size_t k = 0; k < BLOCK_WORDS - 2; k++)
			block.word[k] = ~block.word[k];
		if (block_write(out, &block) < 0)
			return 3;
	}
	return 0;
}

static int pipe_exchange(struct worker *worker, int in, int out)
{
	struct block block;

	for (uint64_t i = 0; i < BLOCKS; i++) {
		block.number = i;
		pattern_fill(block.word, sizeof(block.word), worker_seed(worker, (unsigned)i));
		if (block_write(out, &block) < 0)
			return worker_fail(worker, "write: %s", strerror(errno));
		if (block_read(in, &block, i) < 0)
			return worker_fail(worker, "block %u came back spoiled", (unsigned)i);
		for (size_t k = 0; k < BLOCK_WORDS - 2; k++)
			block.word[k] = ~block.word[k];
		block.word[0] += worker_sabotage(worker);
		if (!pattern_holds(block.word, sizeof(block.word),
				   worker_seed(worker, (unsigned)i)))
			return worker_fail(worker, "block %u holds something else", (unsigned)i);
	}
	return 0;
}

/* The pipes are closed on exec, but forks of other threads hold their ends for a while. */
int step_pipe(struct worker *worker)
{
	int there[2], back[2];
	int result, code;
	pid_t pid;

	if (pipe2(there, O_CLOEXEC) < 0 || pipe2(back, O_CLOEXEC) < 0)
		return worker_fail(worker, "pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0) {
		close(there[1]);
		close(back[0]);
		cpu_bind(worker->id + worker->round + 1);
		_exit(pipe_peer(there[0], back[1]));
	}
	if (pid < 0)
		return worker_fail(worker, "fork: %s", strerror(errno));
	close(there[0]);
	close(back[1]);
	cpu_bind(worker->id + worker->round);
	result = pipe_exchange(worker, back[0], there[1]);
	cpu_unbind();
	close(there[1]);
	close(back[0]);
	code = child_wait(pid);
	if (result == 0 && code != 0)
		result = worker_fail(worker, "the far side ended with %d", code);
	return result;
}

/* What the two sides of a futex share; whoever's turn it is owns the rest. */
struct handover {
	uint32_t turn; /* 0 or 1 */
	uint64_t count;
	uint64_t mixed;
	unsigned cpu; /* of side 1 */
};

static long futex(uint32_t *word, int operation, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

/* Waits until it is this side's turn; -1 if no wake-up came for a very long time. */
static int handover_take(struct handover *h, uint32_t side)
{
	struct timespec limit = {.tv_sec = 120};

	while (__atomic_load_n(&h->turn, __ATOMIC_ACQUIRE) != side) {
		if (futex(&h->turn, FUTEX_WAIT, 1 - side, &limit) < 0 && errno == ETIMEDOUT)
			return -1;
	}
	return 0;
}

static int handover_run(struct handover *h, uint32_t side)
{
	for (unsigned i = 0; i < HANDOVERS; i++) {
		if (handover_take(h, side) < 0)
			return -1;
		h->count++;
		h->mixed = h->mixed * 31 + side;
		__atomic_store_n(&h->turn, 1 - side, __ATOMIC_RELEASE);
		futex(&h->turn, FUTEX_WAKE, 1, NULL);
	}
	return 0;
}

static void *handover_thread(void *argument)
{
	struct handover *h = argument;

	cpu_bind(h->cpu);
	return handover_run(h, 1) < 0 ? h : NULL;
}

static uint64_t handover_expected(void)
{
	uint64_t mixed = 0;

	for (unsigned i = 0; i < 2 * HANDOVERS; i++)
		mixed = mixed * 31 + i % 2;
	return mixed;
}

/* Side 1 is another thread for a thread, another process for a process. */
static int handover_both(struct worker *worker, struct handover *h)
{
	pthread_t thread;
	void *returned = NULL;
	pid_t pid = -1;
	int failed;

	if (worker->is_thread) {
		if (pthread_create(&thread, NULL, handover_thread, h) != 0)
			return worker_fail(worker, "pthread_create failed");
	} else {
		pid = fork();
		if (pid == 0)
			_exit(handover_thread(h) ? 2 : 0);
		if (pid < 0)
			return worker_fail(worker, "fork: %s", strerror(errno));
	}
	cpu_bind(worker->id + worker->round);
	failed = handover_run(h, 0) < 0;
	cpu_unbind();
	if (worker->is_thread)
		pthread_join(thread, &returned);
	else
		failed |= child_wait(pid) != 0;
	if (failed || returned)
		return worker_fail(worker, "no wake-up came");
	return 0;
}

int step_futex(struct worker *worker)
{
	struct handover *h =
	    mmap(NULL, sizeof(*h), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int result;

	if (h == MAP_FAILED)
		return worker_fail(worker, "mmap: %s", strerror(errno));
	h->cpu = worker->id + worker->round + 1;
	result = handover_both(worker, h);
	h->count += worker_sabotage(worker);
	if (result == 0 && (h->count != 2 * HANDOVERS || h->mixed != handover_expected()))
		result = worker_fail(worker, "two sides had the turn at once");
	munmap(h, sizeof(*h));
	return result;
}

static unsigned children_reaped;

static void child_handler(int signal)
{
	(void)signal;
	__atomic_add_fetch(&children_reaped, 1, __ATOMIC_RELAXED);
}

/* Only in a process of its own: SIGCHLD goes to the process as a whole. */
static int signal_children(struct worker *worker)
{
	struct sigaction action = {.sa_handler = child_handler, .sa_flags = SA_ONSTACK};
	struct timespec nap = {.tv_nsec = 1000000};

	sigaction(SIGCHLD, &action, NULL);
	for (unsigned i = 0; i < CHILDREN; i++) {
		unsigned before = __atomic_load_n(&children_reaped, __ATOMIC_RELAXED);
		pid_t pid = fork();

		if (pid == 0)
			_exit(40 + (int)i);
		if (child_wait(pid) != 40 + (int)(i + worker_sabotage(worker)))
			return worker_fail(worker, "a child's exit code is wrong");
		for (unsigned k = 0; k < 10000; k++) {
			if (__atomic_load_n(&children_reaped, __ATOMIC_RELAXED) != before)
				break;
			nanosleep(&nap, NULL);
		}
		if (__atomic_load_n(&children_reaped, __ATOMIC_RELAXED) != before + 1)
			return worker_fail(worker, "a child ended without one SIGCHLD");
	}
	signal(SIGCHLD, SIG_DFL);
	return 0;
}

/* A signal from another process ends a child, and the parent is told which. */
static int signal_kill(struct worker *worker)
{
	pid_t pid = fork();
	int code;

	if (pid == 0) {
		for (;;)
			pause();
	}
	if (pid < 0)
		return worker_fail(worker, "fork: %s", strerror(errno));
	kill(pid, SIGTERM);
	code = child_wait(pid);
	if (code != 128 + SIGTERM + (int)worker_sabotage(worker))
		return worker_fail(worker, "a child that was sent SIGTERM ended with %d", code);
	return 0;
}

int step_signal(struct worker *worker)
{
	struct timespec start, now;

	if (signal_kill(worker) < 0)
		return -1;
	if (!worker->is_thread && signal_children(worker) < 0)
		return -1;
	if (ticks_start(2000) < 0)
		return worker_fail(worker, "timer_create: %s", strerror(errno));
	clock_gettime(CLOCK_MONOTONIC, &start);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while (ticks_seen() < 5 && now.tv_sec - start.tv_sec < 120);
	ticks_stop();
	if (ticks_seen() < 5)
		return worker_fail(worker, "%u signals of a timer in 120 s", ticks_seen());
	return 0;
}
