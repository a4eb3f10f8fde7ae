/* SPDX-License-Identifier: MIT */
/*
 * flood disk DEVICE DEPTH [COUNT]
 * flood net ADDRESS:PORT [COUNT]
 *
 * `disk` reads blocks of 4 KiB anywhere on the device, DEPTH at a time; `net` sends datagrams of
 * 1400 bytes; as quickly as they are taken, without an end, or until COUNT are done: then it
 * prints `flood: WHAT US us`, the time that they took.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BLOCK     4096
#define DEPTH_MAX 64
#define DATAGRAM  1400

static void must(long result, const char *what)
{
	if (result >= 0)
		return;
	printf("flood: FAILED %s: %s\n", what, strerror(errno));
	_exit(1);
}

static uint64_t now_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

struct reader {
	int file;
	aio_context_t context;
	uint64_t blocks, random;
};

static void read_one(struct reader *reader, struct iocb *request)
{
	reader->random = reader->random * 6364136223846793005u + 1442695040888963407u;
	request->aio_offset = (int64_t)((reader->random >> 33) % reader->blocks * BLOCK);
	must(syscall(SYS_io_submit, reader->context, 1, &request) - 1, "io_submit");
}

static void flood_disk(const char *device, unsigned depth, uint64_t count)
{
	static char buffers[DEPTH_MAX][BLOCK] __attribute__((aligned(BLOCK)));
	static struct iocb requests[DEPTH_MAX];
	struct reader reader = {.file = open(device, O_RDONLY | O_DIRECT), .random = 1};
	struct io_event event;

	must(reader.file, device);
	must(ioctl(reader.file, BLKGETSIZE64, &reader.blocks), "BLKGETSIZE64");
	reader.blocks /= BLOCK;
	must(syscall(SYS_io_setup, depth, &reader.context), "io_setup");
	for (unsigned i = 0; i < depth; i++) {
		requests[i] = (struct iocb){
		    .aio_lio_opcode = IOCB_CMD_PREAD,
		    .aio_fildes = (uint32_t)reader.file,
		    .aio_buf = (uintptr_t)buffers[i],
		    .aio_nbytes = BLOCK,
		};
		read_one(&reader, &requests[i]);
	}
	for (uint64_t done = 0; count == 0 || done < count; done++) {
		must(syscall(SYS_io_getevents, reader.context, 1, 1, &event, NULL) - 1,
		     "io_getevents");
		must(event.res == BLOCK ? 0 : -1, "reading");
		read_one(&reader, (struct iocb *)(uintptr_t)event.obj);
	}
}

static void flood_net(const char *where, uint64_t count)
{
	static const char bytes[DATAGRAM];
	struct sockaddr_in address = {.sin_family = AF_INET};
	int file = socket(AF_INET, SOCK_DGRAM, 0);
	char host[64] = "";
	uint16_t port = 0;

	must(sscanf(where, "%63[^:]:%hu", host, &port) - 2, "the address");
	must(inet_pton(AF_INET, host, &address.sin_addr) - 1, "the address");
	address.sin_port = htons(port);
	for (uint64_t done = 0; count == 0 || done < count; done++)
		must(sendto(file, bytes, sizeof(bytes), 0, (struct sockaddr *)&address,
			    sizeof(address)),
		     "sendto");
}

int main(int argc, char **argv)
{
	bool disk = argc >= 4 && strcmp(argv[1], "disk") == 0;
	int given = disk ? 4 : 3;
	uint64_t count = argc > given ? strtoull(argv[given], NULL, 10) : 0;
	uint64_t begin = now_us();

	setvbuf(stdout, NULL, _IOLBF, 0);
	must(argc >= given ? 0 : -1, "arguments");
	if (disk)
		flood_disk(argv[2], (unsigned)strtoul(argv[3], NULL, 10) % (DEPTH_MAX + 1), count);
	else
		flood_net(argv[2], count);
	printf("flood: %s %llu us\n", argv[1], (unsigned long long)(now_us() - begin));
	return 0;
}
