/* SPDX-License-Identifier: MIT */
/*
 * keeps DEVICE: writes files to the ext4 file system there until it is ended, and prints of each
 * `keeps: NAME CRC32`, once fsync() has returned. Others are written meanwhile, and not synced.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES_MAX 100000
#define FILES     20 /* that are kept at a time: those before are removed */
#define LOST      400000

static void must(int result, const char *what)
{
	if (result >= 0)
		return;
	printf("keeps: FAILED ");
	fflush(stdout);
	perror(what);
	exit(1);
}

/* As zlib's. */
static uint32_t crc32(const unsigned char *bytes, size_t count)
{
	uint32_t crc = UINT32_MAX;

	while (count--) {
		crc ^= *bytes++;
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

static void fill(unsigned char *bytes, size_t count)
{
	static uint64_t state;

	if (!state)
		must((int)getrandom(&state, sizeof(state), 0), "getrandom");
	while (count--) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		*bytes++ = (unsigned char)(state >> 56);
	}
}

static void write_file(const char *path, const void *bytes, size_t count, int synced)
{
	int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	must(file, path);
	must(write(file, bytes, count) == (ssize_t)count ? 0 : -1, "write");
	if (synced)
		must(fsync(file), "fsync");
	close(file);
}

/* What is always on its way to the disk. */
static void *write_more(void *argument)
{
	static unsigned char bytes[LOST];

	for (unsigned n = 0;; n++) {
		memset(bytes, (int)n, sizeof(bytes));
		write_file("/mnt/lost", bytes, sizeof(bytes), 0);
		must(rename("/mnt/lost", "/mnt/old"), "rename");
		usleep(2000);
	}
	return argument;
}

static void write_kept(unsigned n)
{
	static unsigned char bytes[BYTES_MAX];
	size_t count = n * n * 7919 % BYTES_MAX + 1;
	char path[32];

	snprintf(path, sizeof(path), "/mnt/%u", n);
	fill(bytes, count);
	write_file(path, bytes, count, 1);
	printf("keeps: %u %08x\n", n, crc32(bytes, count));
	if (n > FILES) {
		snprintf(path, sizeof(path), "/mnt/%u", n - FILES);
		must(unlink(path), "unlink");
	}
}

/* Those of the last time, of which there are no more than that. */
static void remove_old(void)
{
	char path[32];

	for (unsigned n = 1; n < 10000; n++) {
		snprintf(path, sizeof(path), "/mnt/%u", n);
		unlink(path);
	}
	sync();
}

int main(int argc, char **argv)
{
	pthread_t thread;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 2)
		return 2;
	mkdir("/mnt", 0700);
	must(mount(argv[1], "/mnt", "ext4", 0, NULL), "mount");
	remove_old();
	printf("keeps: begins\n");
	must(-pthread_create(&thread, NULL, write_more, NULL), "pthread_create");
	for (unsigned n = 1;; n++)
		write_kept(n);
}
