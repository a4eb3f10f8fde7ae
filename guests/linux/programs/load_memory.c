/* SPDX-License-Identifier: MIT */
/* The steps of the load that work on memory: mappings, copy on write, programs, files. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096

static __thread sigjmp_buf fault_return;
static __thread void *volatile fault_address;
static __thread bool fault_expected;

int child_exit_code(unsigned token)
{
	return (int)((token * 7 + 3) & 0x7f);
}

static void fault_handler(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	if (!fault_expected)
		_exit(101);
	fault_address = info->si_addr;
	siglongjmp(fault_return, 1);
}

/* Whether an access to `address` faults with just that address. */
static bool access_faults(volatile uint64_t *address, bool store)
{
	struct sigaction action = {.sa_sigaction = fault_handler,
				   .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

	sigaction(SIGSEGV, &action, NULL);
	fault_address = NULL;
	fault_expected = true;
	if (sigsetjmp(fault_return, 1) == 0) {
		if (store)
			*address = 1;
		else
			(void)*address;
		fault_expected = false;
		return false;
	}
	fault_expected = false;
	return fault_address == (void *)address;
}

/* A child that runs this program again and must come back with the code for its token. */
int step_exec(struct worker *worker)
{
	for (unsigned i = 0; i < 4; i++) {
		unsigned token = (unsigned)worker_seed(worker, i) & 0xffff;
		char text[16];
		int code;
		pid_t pid;

		snprintf(text, sizeof(text), "%u", token);
		pid = fork();
		if (pid == 0) {
			execl("/proc/self/exe", "load", "--child", text, (char *)NULL);
			_exit(127);
		}
		if (pid < 0)
			return worker_fail(worker, "fork: %s", strerror(errno));
		code = child_wait(pid);
		if (code != child_exit_code(token + worker_sabotage(worker)))
			return worker_fail(worker, "token %u came back as exit code %d", token,
					   code);
	}
	return 0;
}

static int map_protections(struct worker *worker, char *base)
{
	uint64_t seed = worker_seed(worker, 0);
	uint64_t *middle = (uint64_t *)(base + worker->bytes / 2);

	if (mprotect(base, worker->bytes, PROT_READ) < 0)
		return worker_fail(worker, "mprotect: %s", strerror(errno));
	if (!access_faults(middle, true))
		return worker_fail(worker, "a store to a read-only page did not fault");
	mprotect(base, worker->bytes, PROT_NONE);
	if (!access_faults(middle + 1, false))
		return worker_fail(worker, "a load from a closed page did not fault");
	mprotect(base, worker->bytes, PROT_READ | PROT_WRITE);
	base[worker->bytes - 1] ^= (char)worker_sabotage(worker);
	if (!pattern_holds(base, worker->bytes, seed))
		return worker_fail(worker, "memory changed while its protection did");
	return 0;
}

/* Takes the middle half out, looks at what is left, and maps fresh pages into the hole. */
static int map_hole(struct worker *worker, char *base)
{
	size_t quarter = (worker->bytes / 4) & ~(size_t)(PAGE - 1);
	uint64_t first = checksum(base, quarter);
	uint64_t last = checksum(base + 3 * quarter, quarter);
	char *fresh;

	munmap(base + quarter, 2 * quarter);
	if (!worker->is_thread && !access_faults((uint64_t *)(base + quarter), false))
		return worker_fail(worker, "a load from an unmapped page did not fault");
	fresh = mmap(NULL, 2 * quarter, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fresh == MAP_FAILED)
		return worker_fail(worker, "mmap: %s", strerror(errno));
	for (size_t i = 0; i < 2 * quarter; i += PAGE) {
		if (*(uint64_t *)(fresh + i) != 0)
			return worker_fail(worker, "a fresh page is not zero");
	}
	munmap(fresh, 2 * quarter);
	if (checksum(base, quarter) != first || checksum(base + 3 * quarter, quarter) != last)
		return worker_fail(worker, "pages beside the hole changed");
	munmap(base, quarter);
	munmap(base + 3 * quarter, worker->bytes - 3 * quarter);
	return 0;
}

int step_map(struct worker *worker)
{
	char *base =
	    mmap(NULL, worker->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *moved;

	if (base == MAP_FAILED)
		return worker_fail(worker, "mmap: %s", strerror(errno));
	pattern_fill(base, worker->bytes, worker_seed(worker, 0));
	if (map_protections(worker, base) < 0)
		return -1;
	moved = mremap(base, worker->bytes, worker->bytes * 2, MREMAP_MAYMOVE);
	if (moved == MAP_FAILED)
		return worker_fail(worker, "mremap: %s", strerror(errno));
	if (!pattern_holds(moved, worker->bytes, worker_seed(worker, 0)))
		return worker_fail(worker, "memory changed while it moved");
	munmap(moved + worker->bytes, worker->bytes);
	return map_hole(worker, moved);
}

/* In the child: sees the parent's data, then writes over all of it. */
static int cow_child(const struct worker *worker, char *buffer, size_t bytes)
{
	if (!pattern_holds(buffer, bytes, worker_seed(worker, 0)))
		return 2;
	pattern_fill(buffer, bytes, worker_seed(worker, 1));
	if (!pattern_holds(buffer, bytes, worker_seed(worker, 1)))
		return 3;
	return 0;
}

static int cow_compare(struct worker *worker, char *buffer, size_t half)
{
	uint64_t kept = checksum(buffer + half, half);
	pid_t pid = fork();
	int code;

	if (pid == 0)
		_exit(cow_child(worker, buffer, 2 * half));
	if (pid < 0)
		return worker_fail(worker, "fork: %s", strerror(errno));
	pattern_fill(buffer, half, worker_seed(worker, 2));
	code = child_wait(pid);
	if (code != 0)
		return worker_fail(worker, "the child ended with %d", code);
	buffer[2 * half - 1] ^= (char)worker_sabotage(worker);
	if (!pattern_holds(buffer, half, worker_seed(worker, 2)))
		return worker_fail(worker, "the parent's new data changed");
	if (checksum(buffer + half, half) != kept)
		return worker_fail(worker, "the parent's old data changed");
	return 0;
}

/*
 * Both sides write to shared pages at the same time; neither may see the other's. A thread
 * works on less: each of its faults is a remote fence to every CPU that runs a thread.
 */
int step_cow(struct worker *worker)
{
	size_t bytes = worker->is_thread ? worker->bytes / 8 : worker->bytes;
	char *buffer =
	    mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int result;

	if (buffer == MAP_FAILED)
		return worker_fail(worker, "mmap: %s", strerror(errno));
	pattern_fill(buffer, bytes, worker_seed(worker, 0));
	result = cow_compare(worker, buffer, bytes / 2);
	munmap(buffer, bytes);
	return result;
}

static int file_copy_check(struct worker *worker, int fd, char *buffer)
{
	char *mapped;
	int result = 0;

	memset(buffer, 0, worker->bytes);
	if (pread(fd, buffer, worker->bytes, 0) != (ssize_t)worker->bytes)
		return worker_fail(worker, "read: %s", strerror(errno));
	buffer[8] ^= (char)worker_sabotage(worker);
	if (!pattern_holds(buffer, worker->bytes, worker_seed(worker, 0)))
		return worker_fail(worker, "read back something else than was written");
	mapped = mmap(NULL, worker->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mapped == MAP_FAILED)
		return worker_fail(worker, "mmap: %s", strerror(errno));
	if (!pattern_holds(mapped, worker->bytes, worker_seed(worker, 0)))
		result = worker_fail(worker, "mapping shows something else than was written");
	pattern_fill(mapped, worker->bytes, worker_seed(worker, 1));
	munmap(mapped, worker->bytes);
	if (pread(fd, buffer, worker->bytes, 0) != (ssize_t)worker->bytes ||
	    !pattern_holds(buffer, worker->bytes, worker_seed(worker, 1)))
		result = worker_fail(worker, "what was stored through the mapping is not read");
	return result;
}

static int file_check(struct worker *worker, const char *path, char *buffer)
{
	char other[80];
	struct stat status;
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	int result;

	if (fd < 0)
		return worker_fail(worker, "open %s: %s", path, strerror(errno));
	pattern_fill(buffer, worker->bytes, worker_seed(worker, 0));
	for (size_t done = 0; done < worker->bytes; done += PAGE) {
		if (write(fd, buffer + done, PAGE) != PAGE)
			return worker_fail(worker, "write: %s", strerror(errno));
	}
	result = file_copy_check(worker, fd, buffer);
	close(fd);
	snprintf(other, sizeof(other), "%s.moved", path);
	if (rename(path, other) < 0 || stat(other, &status) < 0 ||
	    status.st_size != (off_t)worker->bytes || unlink(other) < 0)
		return worker_fail(worker, "rename, stat or unlink: %s", strerror(errno));
	return result;
}

int step_file(struct worker *worker)
{
	char path[64];
	char *buffer = malloc(worker->bytes);
	int result;

	if (!buffer)
		return worker_fail(worker, "malloc: %s", strerror(errno));
	mkdir("/tmp", 0777);
	snprintf(path, sizeof(path), "/tmp/load.%d.%u.%u", (int)getpid(), worker->id,
		 worker->round);
	result = file_check(worker, path, buffer);
	free(buffer);
	return result;
}
