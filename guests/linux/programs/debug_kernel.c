/* SPDX-License-Identifier: MIT */
/* Code that the kernel loads or makes while it runs: modules, and socket filters. */
#define _GNU_SOURCE
#include "debug.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MODULES "/lib/modules/"
#define ROUNDS  20

static bool module_listed(const char *name)
{
	FILE *file = fopen("/proc/modules", "r");
	size_t length = strlen(name);
	bool found = false;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		found |= strncmp(line, name, length) == 0 && line[length] == ' ';
	if (file)
		fclose(file);
	return found;
}

static int module_load(const char *name)
{
	char path[128];
	int file;

	snprintf(path, sizeof(path), MODULES "%s.ko", name);
	file = open(path, O_RDONLY);
	REQUIRE(file >= 0);
	REQUIRE(syscall(SYS_finit_module, file, "", 0) == 0);
	close(file);
	REQUIRE(module_listed(name));
	return 0;
}

static int module_unload(const char *name)
{
	REQUIRE(syscall(SYS_delete_module, name, O_NONBLOCK) == 0);
	REQUIRE(!module_listed(name));
	return 0;
}

/* One that others use, and one that uses it: other code comes to lie where theirs was. */
int check_modules(void)
{
	if (access(MODULES "failover.ko", R_OK) < 0 || access(MODULES "net_failover.ko", R_OK) < 0)
		return check_skip("no modules");
	if (module_listed("failover"))
		return check_skip("the modules are in use");
	for (unsigned i = 0; i < ROUNDS; i++) {
		TRY(module_load("failover"));
		TRY(module_load("net_failover"));
		REQUIRE(syscall(SYS_delete_module, "failover", O_NONBLOCK) == -1);
		TRY(module_unload("net_failover"));
		TRY(module_unload("failover"));
	}
	return 0;
}

/* Lets packets pass whose second byte is `byte`, as the kernel makes code of it. */
static int filter_attach(int end, unsigned byte)
{
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 1),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, byte, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, 0xffff),
	    BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

	return setsockopt(end, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

static int packet_passes(const int ends[2], unsigned byte, bool pass)
{
	unsigned char packet[2] = {0x5a, (unsigned char)byte}, got[2] = {0};
	ssize_t n;

	n = send(ends[0], packet, sizeof(packet), MSG_DONTWAIT);
	REQUIRE(n == sizeof(packet) || (!pass && n == -1 && errno == EPERM));
	n = recv(ends[1], got, sizeof(got), MSG_DONTWAIT);
	if (pass)
		REQUIRE(n == sizeof(got) && memcmp(packet, got, sizeof(got)) == 0);
	else
		REQUIRE(n == -1 && errno == EAGAIN);
	return 0;
}

int check_kernel_jit(void)
{
	int file = open("/proc/sys/net/core/bpf_jit_enable", O_RDWR), ends[2];

	if (file < 0 || write(file, "1", 1) != 1)
		return check_skip("no bpf_jit_enable");
	for (unsigned i = 0; i < 10 * ROUNDS; i++) {
		REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0);
		for (unsigned k = 0; k < 3; k++) {
			unsigned byte = (i * 3 + k) & 0xff;

			REQUIRE(filter_attach(ends[1], byte) == 0);
			TRY(packet_passes(ends, byte, true));
			TRY(packet_passes(ends, byte ^ 0x10, false));
			TRY(packet_passes(ends, byte + 1, false));
		}
		close(ends[0]), close(ends[1]);
	}
	return 0;
}
