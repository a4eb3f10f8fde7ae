/* SPDX-License-Identifier: MIT */
/*
 * disk [-d DEVICE] [-t THREADS] [-n OPERATIONS] [-s SEED] [-x] [-f]
 *
 * Each of THREADS threads (default 4) has a part of the disk DEVICE (default /dev/vda), and does
 * OPERATIONS (default 300) at random places in it, without the kernel's cache: writes sectors in
 * several buffers, reads them, writes zeroes, discards. It knows what each sector must hold, and
 * compares. Prints `disk: ok …` and exits 0, or `disk: FAILED what` and exits 1. -x spoils a
 * sector, to show that the check can fail; -f goes on without an end.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define SECTORS_MAX 512 /* of one operation */
#define VECTORS     7
#define THREADS_MAX 16
#define UNKNOWN     UINT32_MAX
#define ZERO        0

/* The disk's logical blocks. */
static unsigned sector_bytes;

struct options {
	const char *device;
	unsigned threads, operations;
	unsigned seed;
	bool spoil, forever;
};

struct worker {
	const struct options *options;
	pthread_t thread;
	unsigned id;
	int file;
	uint64_t first, count; /* sectors that are its own */
	uint32_t *stamps;      /* what each was written with; ZERO, or UNKNOWN */
	uint64_t random;
	uint32_t stamp;
	unsigned char *buffer;
	const char *failed;
	uint64_t bytes;
};

static uint32_t next(struct worker *worker, uint64_t limit)
{
	worker->random = worker->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((worker->random >> 33) % limit);
}

static uint64_t word(const struct worker *worker, uint64_t sector, uint32_t stamp, unsigned n)
{
	uint64_t value = (sector << 32 ^ (uint64_t)worker->id << 56) + stamp * 0x9e3779b97f4a7c15u;

	return stamp == ZERO ? 0 : value + n;
}

static void fill(const struct worker *worker, uint64_t sector, unsigned count, uint32_t stamp)
{
	uint64_t *words = (uint64_t *)worker->buffer;

	for (unsigned i = 0; i < count; i++) {
		for (unsigned n = 0; n < sector_bytes / 8; n++)
			*words++ = word(worker, sector + i, stamp, n);
	}
}

static bool holds(const struct worker *worker, uint64_t sector, unsigned count)
{
	const uint64_t *words = (const uint64_t *)worker->buffer;

	for (unsigned i = 0; i < count; i++) {
		uint32_t stamp = worker->stamps[sector - worker->first + i];

		for (unsigned n = 0; n < sector_bytes / 8; n++, words++) {
			if (stamp != UNKNOWN && *words != word(worker, sector + i, stamp, n))
				return false;
		}
	}
	return true;
}

static void note(struct worker *worker, uint64_t sector, unsigned count, uint32_t stamp)
{
	for (unsigned i = 0; i < count; i++)
		worker->stamps[sector - worker->first + i] = stamp;
}

/* Reads or writes in pieces of whole sectors, which are buffers of their own. */
static bool transfer(struct worker *worker, uint64_t sector, unsigned count, bool writes)
{
	struct iovec vectors[VECTORS];
	size_t left = (size_t)count * sector_bytes;
	unsigned char *at = worker->buffer;
	off_t offset = (off_t)(sector * sector_bytes);
	int used = 0;
	ssize_t done;

	while (left > 0) {
		size_t piece = used == VECTORS - 1
				   ? left
				   : sector_bytes * (1 + next(worker, left / sector_bytes));

		vectors[used++] = (struct iovec){at, piece};
		at += piece;
		left -= piece;
	}
	done = writes ? pwritev(worker->file, vectors, used, offset)
		      : preadv(worker->file, vectors, used, offset);
	worker->bytes += (uint64_t)count * sector_bytes;
	return done == (ssize_t)((size_t)count * sector_bytes);
}

static bool check(struct worker *worker, uint64_t sector, unsigned count)
{
	if (!transfer(worker, sector, count, false))
		worker->failed = "reading";
	else if (!holds(worker, sector, count))
		worker->failed = "comparing";
	return !worker->failed;
}

static bool change(struct worker *worker, uint64_t sector, unsigned count)
{
	uint64_t range[2] = {sector * sector_bytes, (uint64_t)count * sector_bytes};
	unsigned what = next(worker, 8);

	if (what < 6) {
		fill(worker, sector, count, ++worker->stamp);
		if (!transfer(worker, sector, count, true))
			worker->failed = "writing";
		note(worker, sector, count, worker->stamp);
	} else {
		if (ioctl(worker->file, what == 6 ? BLKZEROOUT : BLKDISCARD, range) != 0)
			worker->failed = what == 6 ? "writing zeroes" : "discarding";
		note(worker, sector, count, what == 6 ? ZERO : UNKNOWN);
	}
	return !worker->failed;
}

static void spoil(struct worker *worker, uint64_t sector)
{
	memset(worker->buffer, 0xff, sector_bytes);
	transfer(worker, sector, 1, true);
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	const struct options *options = worker->options;

	for (unsigned i = 0; i < options->operations || options->forever; i++) {
		uint64_t at = next(worker, worker->count);
		uint64_t most = worker->count - at < SECTORS_MAX ? worker->count - at : SECTORS_MAX;
		unsigned count = 1 + next(worker, next(worker, 4) ? (most + 15) / 16 : most);
		uint64_t sector = worker->first + at;

		if (next(worker, 3) ? !change(worker, sector, count)
				    : !check(worker, sector, count))
			return worker;
		if (options->spoil && worker->id == 0 && i == 20)
			spoil(worker, sector);
		if (options->spoil && i >= 20 && worker->id == 0 && !check(worker, sector, 1))
			return worker;
	}
	/* All of it, in the end. */
	for (uint64_t at = 0; at < worker->count; at += SECTORS_MAX) {
		uint64_t left = worker->count - at;

		if (!check(worker, worker->first + at,
			   left < SECTORS_MAX ? (unsigned)left : SECTORS_MAX))
			return worker;
	}
	return NULL;
}

static bool set_up(struct worker *worker, uint64_t sectors)
{
	worker->file = open(worker->options->device, O_RDWR | O_DIRECT | O_CLOEXEC);
	worker->count = sectors / worker->options->threads;
	worker->first = worker->count * worker->id;
	worker->random = worker->options->seed * 1000u + worker->id;
	worker->stamps = malloc(worker->count * sizeof(*worker->stamps));
	worker->buffer = aligned_alloc(4096, SECTORS_MAX * sector_bytes);
	if (worker->file < 0 || !worker->stamps || !worker->buffer)
		return false;
	note(worker, worker->first, (unsigned)worker->count, UNKNOWN);
	return true;
}

static int run(const struct options *options, uint64_t sectors)
{
	static struct worker workers[THREADS_MAX];
	uint64_t bytes = 0;
	int failed = 0;

	for (unsigned i = 0; i < options->threads; i++) {
		workers[i] = (struct worker){.options = options, .id = i};
		if (!set_up(&workers[i], sectors)) {
			printf("disk: FAILED %s: %s\n", options->device, strerror(errno));
			return 1;
		}
	}
	for (unsigned i = 0; i < options->threads; i++)
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	for (unsigned i = 0; i < options->threads; i++) {
		void *result;

		pthread_join(workers[i].thread, &result);
		bytes += workers[i].bytes;
		if (result) {
			printf("disk: FAILED thread %u: %s\n", i, workers[i].failed);
			failed = 1;
		}
	}
	if (!failed)
		printf("disk: ok %u threads, %llu KiB\n", options->threads,
		       (unsigned long long)bytes >> 10);
	return failed;
}

int main(int argc, char **argv)
{
	struct options options = {"/dev/vda", 4, 300, 1, false, false};
	uint64_t bytes = 0;
	int option, file;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((option = getopt(argc, argv, "d:t:n:s:xf")) != -1) {
		switch (option) {
		case 'd':
			options.device = optarg;
			break;
		case 't':
			options.threads = (unsigned)atoi(optarg);
			break;
		case 'n':
			options.operations = (unsigned)atoi(optarg);
			break;
		case 's':
			options.seed = (unsigned)atoi(optarg);
			break;
		case 'x':
			options.spoil = true;
			break;
		case 'f':
			options.forever = true;
			break;
		default:
			return 2;
		}
	}
	file = open(options.device, O_RDWR | O_CLOEXEC);
	if (options.threads == 0 || options.threads > THREADS_MAX || file < 0 ||
	    ioctl(file, BLKGETSIZE64, &bytes) != 0 || ioctl(file, BLKSSZGET, &sector_bytes) != 0) {
		printf("disk: FAILED %s: %s\n", options.device, strerror(errno));
		return 1;
	}
	close(file);
	if (options.forever)
		printf("disk: begins\n");
	return run(&options, bytes / sector_bytes);
}
