/* SPDX-License-Identifier: MIT */
/*
 * traffic serve [-f | -n COUNT] [-q]
 * traffic send ADDRESS[:PORT] KIB [-q]
 *
 * `serve` takes one TCP connection on port 5000 after the other, reads all that comes, and sends as
 * much back; with -f until it is ended, else until COUNT (1) were good. `send` sends KIB KiB to
 * ADDRESS, and reads as many. What is sent tells its place, and both check every byte. Prints
 * `traffic: ok …` and exits 0, or `traffic: FAILED what` and exits 1. Before it connects, `send`
 * waits until it can be. With -q on both sides they neither make nor look at what is sent, so that
 * the time taken is the network's.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORT  5000
#define CHUNK (128 << 10) /* what iperf3 gives the kernel at a time */
#define THERE UINT64_C(0x1234567)
#define BACK  UINT64_C(0x89abcdef)

static bool quiet;

static int fail(const char *what)
{
	printf("traffic: FAILED %s\n", what);
	return 1;
}

/* The 64-bit word that is at this place. */
static uint64_t word_at(uint64_t seed, uint64_t place)
{
	uint64_t word = (seed + place) * UINT64_C(0x9e3779b97f4a7c15);

	return word ^ word >> 29;
}

static void make(uint64_t *words, uint64_t seed, uint64_t offset)
{
	for (unsigned i = 0; i < CHUNK / 8; i++)
		words[i] = word_at(seed, offset / 8 + i);
}

static bool send_all(int file, uint64_t seed, uint64_t size)
{
	static uint64_t words[CHUNK / 8];

	for (uint64_t done = 0; done < size; done += CHUNK) {
		uint64_t part = size - done < CHUNK ? size - done : CHUNK;

		if (!quiet)
			make(words, seed, done);
		for (uint64_t at = 0; at < part;) {
			ssize_t count = send(file, (char *)words + at, part - at, MSG_NOSIGNAL);

			if (count <= 0)
				return false;
			at += (uint64_t)count;
		}
	}
	return true;
}

/* Until the end, or `most` bytes; what came, or -1: a byte of it is not what it has to be. */
static int64_t read_all(int file, uint64_t seed, uint64_t most)
{
	static uint64_t words[CHUNK / 8], expected[CHUNK / 8];
	uint64_t done = 0;

	while (done < most) {
		uint64_t at = done % CHUNK;
		ssize_t count = recv(file, (char *)words + at, CHUNK - at, 0);

		if (count <= 0)
			return count < 0 ? -1 : (int64_t)done;
		if (at == 0 && !quiet)
			make(expected, seed, done);
		if (!quiet && memcmp((char *)words + at, (char *)expected + at, (size_t)count) != 0)
			return -1;
		done += (uint64_t)count;
	}
	return (int64_t)done;
}

static uint64_t now_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

/* Waits until the peer has all, as the machine may end next; or for ten seconds. */
static void end_connection(int file)
{
	int waiting = 1;

	shutdown(file, SHUT_WR);
	for (unsigned i = 0; i < 1000 && waiting > 0; i++) {
		if (ioctl(file, SIOCOUTQ, &waiting) != 0)
			break;
		usleep(10000);
	}
	close(file);
}

/* `count`: how many are to be good; 0: there is no end. */
static int serve(uint64_t count)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    listen(listener, 5) != 0)
		return fail("listen");
	for (;;) {
		int file = accept(listener, NULL, NULL);
		int64_t size = read_all(file, THERE, UINT64_MAX);
		bool good = size >= 0 && send_all(file, BACK, (uint64_t)size);

		end_connection(file);
		if (good)
			printf("traffic: ok served %lld KiB\n", (long long)size / 1024);
		if (!good && count > 0)
			return fail("serve");
		if (good && count > 0 && --count == 0)
			return 0;
	}
}

static int connect_to(const char *where)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	char host[64] = "";
	uint16_t other;

	if (sscanf(where, "%63[^:]:%hu", host, &other) == 2)
		address.sin_port = htons(other);
	if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
		return -1;
	for (unsigned i = 0; i < 100; i++) {
		int file = socket(AF_INET, SOCK_STREAM, 0);

		if (connect(file, (struct sockaddr *)&address, sizeof(address)) == 0)
			return file;
		close(file);
		usleep(100000);
	}
	return -1;
}

static int send_to(const char *where, uint64_t size)
{
	uint64_t begin, middle, end;
	int file = connect_to(where);

	if (file < 0)
		return fail("connect");
	begin = now_us();
	if (!send_all(file, THERE, size) || shutdown(file, SHUT_WR) != 0)
		return fail("send");
	middle = now_us();
	if (read_all(file, BACK, size) != (int64_t)size)
		return fail("what came back");
	end = now_us();
	printf("traffic: ok %llu KiB there in %llu ms, back in %llu ms, %llu us in all\n",
	       (unsigned long long)size / 1024, (unsigned long long)(middle - begin) / 1000,
	       (unsigned long long)(end - middle) / 1000, (unsigned long long)(end - begin));
	close(file);
	return 0;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 2 && strcmp(argv[argc - 1], "-q") == 0) {
		quiet = true;
		argc--;
	}
	if (argc == 2 && strcmp(argv[1], "serve") == 0)
		return serve(1);
	if (argc == 3 && strcmp(argv[1], "serve") == 0 && strcmp(argv[2], "-f") == 0)
		return serve(0);
	if (argc == 4 && strcmp(argv[1], "serve") == 0 && strcmp(argv[2], "-n") == 0 &&
	    atoi(argv[3]) > 0)
		return serve(strtoull(argv[3], NULL, 10));
	if (argc == 4 && strcmp(argv[1], "send") == 0)
		return send_to(argv[2], strtoull(argv[3], NULL, 10) * 1024);
	return fail("arguments");
}
