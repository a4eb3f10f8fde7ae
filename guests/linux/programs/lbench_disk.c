/* SPDX-License-Identifier: MIT */
/*
 * Reads from /dev/vda without the kernel's cache, in batches of requests. Nothing waits: a process
 * that runs when nobody else wants to counts what it does, which is taken off, so that what is
 * left is what the requests take, and not how long the disk does.
 */
#define _GNU_SOURCE
#include "lbench.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BATCH      32
#define SPIN_STEPS 100
#define CALIBRATE  20000

static volatile uint64_t *spins;

/* The same instructions every time; not to be inlined, so that they are. */
static __attribute__((noinline)) void spin_once(void)
{
	for (volatile unsigned i = 0; i < SPIN_STEPS; i++)
		;
	++*spins;
}

static double spin_ns(void)
{
	uint64_t least = UINT64_MAX;

	for (unsigned n = 0; n < 5; n++) {
		uint64_t start = now_ns();

		for (unsigned i = 0; i < CALIBRATE; i++)
			spin_once();
		start = now_ns() - start;
		least = start < least ? start : least;
	}
	return (double)least / CALIBRATE;
}

static pid_t spinner_start(void)
{
	struct sched_param none = {0};
	pid_t pid = fork();

	must(pid, "fork");
	if (pid == 0) {
		must(sched_setscheduler(0, SCHED_IDLE, &none), "sched_setscheduler");
		for (;;)
			spin_once();
	}
	return pid;
}

/* Requests go to the disk as they are, in the order in which they are made. */
static void queue_set(const char *name, const char *value)
{
	char path[64];
	int file;

	snprintf(path, sizeof(path), "/sys/block/vda/queue/%s", name);
	file = open(path, O_WRONLY);
	must(file, path);
	must(write(file, value, strlen(value)), path);
	close(file);
}

struct reader {
	int file;
	uint64_t size, at; /* of the disk; of the last request */
	size_t bytes;      /* of a request */
	char *buffers;
	aio_context_t context;
	bool random;
};

static uint64_t next_place(struct reader *reader)
{
	uint64_t places = reader->size / reader->bytes;

	reader->at = reader->random ? reader->at * 6364136223846793005u + 1442695040888963407u
				    : reader->at + 1;
	return (reader->random ? reader->at >> 33 : reader->at) % places * reader->bytes;
}

static void read_batch(struct reader *reader, unsigned count)
{
	struct iocb blocks[BATCH], *pointers[BATCH];
	struct io_event events[BATCH];

	for (unsigned i = 0; i < count; i++) {
		pointers[i] = &blocks[i];
		blocks[i] = (struct iocb){
		    .aio_lio_opcode = IOCB_CMD_PREAD,
		    .aio_fildes = (uint32_t)reader->file,
		    .aio_buf = (uintptr_t)(reader->buffers + i * reader->bytes),
		    .aio_nbytes = reader->bytes,
		    .aio_offset = (int64_t)next_place(reader),
		};
	}
	must(syscall(SYS_io_submit, reader->context, count, pointers) - count, "io_submit");
	must(syscall(SYS_io_getevents, reader->context, count, count, events, NULL) - count,
	     "io_getevents");
	for (unsigned i = 0; i < count; i++)
		must(events[i].res == (int64_t)reader->bytes ? 0 : -1, "reading");
}

static void open_disk(struct reader *reader)
{
	reader->file = open("/dev/vda", O_RDONLY | O_DIRECT);
	must(reader->file, "/dev/vda");
	must(ioctl(reader->file, BLKGETSIZE64, &reader->size), "BLKGETSIZE64");
	must(syscall(SYS_io_setup, BATCH, &reader->context), "io_setup");
	reader->buffers = map_anonymous(BATCH * reader->bytes, MAP_PRIVATE | MAP_POPULATE);
	queue_set("scheduler", "none");
	queue_set("nomerges", "2");
}

/* The ns that `count` requests take. */
static uint64_t read_disk(size_t bytes, bool random, unsigned count)
{
	struct reader reader = {.bytes = bytes, .random = random, .at = 1};
	uint64_t start, spun;
	double each;
	pid_t pid;

	spins = (void *)map_anonymous(4096, MAP_SHARED);
	open_disk(&reader);
	each = spin_ns();
	pid = spinner_start();
	read_batch(&reader, 1);
	start = now_ns();
	spun = *spins;
	for (unsigned done = 0; done < count; done += BATCH)
		read_batch(&reader, BATCH);
	start = now_ns() - start;
	spun = *spins - spun;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	syscall(SYS_io_destroy, reader.context);
	munmap(reader.buffers, BATCH * bytes);
	munmap((void *)spins, 4096);
	close(reader.file);
	return start - (uint64_t)((double)spun * each);
}

uint64_t disk_sequential(unsigned count)
{
	return read_disk(64 << 10, false, count);
}

uint64_t disk_random(unsigned count)
{
	return read_disk(4 << 10, true, count);
}
