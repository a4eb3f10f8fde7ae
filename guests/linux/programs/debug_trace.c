/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own probes, through tracefs: it changes its instructions while it runs, and the
 * probes must be met just as often as the code is executed.
 */
#define _GNU_SOURCE
#include "debug.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRACEFS "/sys/kernel/tracing"
#define CALLS   200
#define ROUNDS  10
/* Nothing but the checks calls it. */
#define FUNCTION "__riscv_sys_getppid"

/* Writes a line to a file of tracefs: 0, or what errno was. */
static int control(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int control(const char *name, const char *format, ...)
{
	char path[256], line[256];
	int flags = O_WRONLY | (strstr(name, "_events") && *format ? O_APPEND : O_TRUNC), file, n;
	int error = 0;
	va_list args;

	snprintf(path, sizeof(path), TRACEFS "/%s", name);
	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	file = open(path, flags);
	if (file < 0)
		return errno;
	if (n > 0 && write(file, line, (size_t)n) != n)
		error = errno;
	close(file);
	return error;
}

#define CONTROL(...)                          \
	do {                                  \
		errno = control(__VA_ARGS__); \
		REQUIRE(errno == 0);          \
	} while (0)

static FILE *trace_open(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), TRACEFS "/%s", name);
	return fopen(path, "r");
}

/* The lines of the trace that contain a text; UINT_MAX if it cannot be read. */
static unsigned trace_count(const char *text)
{
	FILE *file = trace_open("trace");
	unsigned count = 0;
	char line[512];

	if (!file)
		return ~0u;
	while (fgets(line, sizeof(line), file))
		count += *line != '#' && strstr(line, text);
	fclose(file);
	return count;
}

/* How often a probe was met, from a profile's lines `… NAME HITS …`; UINT64_MAX: unknown. */
static uint64_t probe_hits(const char *profile, const char *name)
{
	FILE *file = trace_open(profile);
	unsigned long hits = ~0ul;
	char line[512];

	while (file && fgets(line, sizeof(line), file)) {
		char *at = strstr(line, name);

		if (at && (at == line || at[-1] == ' '))
			sscanf(at + strlen(name), "%lu", &hits);
	}
	if (file)
		fclose(file);
	return hits;
}

/* Everything off and empty, whatever a check before has left. */
static int trace_start(void)
{
	struct stat stat_buffer;

	if (stat(TRACEFS, &stat_buffer) < 0)
		return check_skip("no tracefs");
	if (stat(TRACEFS "/trace", &stat_buffer) < 0 &&
	    mount("tracefs", TRACEFS, "tracefs", 0, NULL) < 0)
		return check_fail("mount of tracefs: %s", strerror(errno));
	CONTROL("tracing_on", "0");
	CONTROL("current_tracer", "nop");
	CONTROL("events/enable", "0");
	CONTROL("kprobe_events", "%s", "");
	CONTROL("uprobe_events", "%s", "");
	CONTROL("set_ftrace_filter", "%s", "");
	CONTROL("trace", "%s", "");
	CONTROL("buffer_size_kb", "4096");
	CONTROL("tracing_on", "1");
	return 0;
}

static void calls(unsigned count)
{
	while (count--)
		syscall(SYS_getppid);
}

static int expect_count(const char *what, uint64_t count, uint64_t right)
{
	return count == right ? 0 : check_fail("%s: %lu, not %lu", what, count, right);
}

/*
 * Probes on several instructions of a function: each is replaced by a breakpoint and, when it
 * is met, executed elsewhere. The first 8 bytes belong to ftrace.
 */
int check_kprobe(void)
{
	unsigned probes = 0;
	char name[32];

	TRY(trace_start());
	for (unsigned offset = 8; offset < 16; offset += 2) {
		if (control("kprobe_events", "p:pilae/at%u " FUNCTION "+%u", offset, offset) == 0)
			probes++;
	}
	REQUIRE(probes >= 2);
	for (unsigned i = 1; i <= ROUNDS; i++) {
		CONTROL("events/pilae/enable", "1");
		calls(CALLS);
		CONTROL("events/pilae/enable", "0");
		calls(CALLS);
		for (unsigned offset = 8; offset < 16; offset += 2) {
			uint64_t hits;

			snprintf(name, sizeof(name), "at%u", offset);
			hits = probe_hits("kprobe_profile", name);
			if (hits != ~0ul)
				TRY(expect_count(name, hits, i * CALLS));
		}
	}
	return trace_start();
}

long debug_steps(long x);
extern const uint64_t debug_steps_at[];

/* Where in this program's file an address of its text is from. */
static uint64_t file_offset(uint64_t address)
{
	const Elf64_Phdr *header = (const Elf64_Phdr *)getauxval(AT_PHDR);

	for (uint64_t i = 0; i < getauxval(AT_PHNUM); i++) {
		if (header[i].p_type == PT_LOAD && address >= header[i].p_vaddr &&
		    address - header[i].p_vaddr < header[i].p_filesz)
			return address - header[i].p_vaddr + header[i].p_offset;
	}
	return 0;
}

/* Breakpoints that the kernel puts into user code, of 4 and of 2 bytes, and on its return. */
int check_uprobe(void)
{
	char program[256] = "";

	TRY(trace_start());
	REQUIRE(readlink("/proc/self/exe", program, sizeof(program) - 1) > 0);
	for (unsigned i = 0; i < 3; i++)
		CONTROL("uprobe_events", "p:pilae/u%u %s:%#lx", i, program,
			file_offset(debug_steps_at[i]));
	CONTROL("uprobe_events", "r:pilae/ret %s:%#lx value=$retval", program,
		file_offset(debug_steps_at[0]));
	for (unsigned i = 1; i <= ROUNDS; i++) {
		CONTROL("events/pilae/enable", "1");
		for (unsigned k = 0; k < CALLS / 10; k++)
			REQUIRE(debug_steps(k) == 16 * k + 19);
		CONTROL("events/pilae/enable", "0");
		for (unsigned k = 0; k < CALLS / 10; k++)
			REQUIRE(debug_steps(k) == 16 * k + 19);
		TRY(expect_count("u0", probe_hits("uprobe_profile", "u0"), i * CALLS / 10));
		TRY(expect_count("u2", probe_hits("uprobe_profile", "u2"), i * CALLS / 10));
		TRY(expect_count("traced u1", trace_count(" u1: "), i * CALLS / 10));
		TRY(expect_count("returned 19", trace_count("value=0x13"), 2 * i));
	}
	return trace_start();
}

/* A jump that is put in and taken out while other CPUs may be there. */
int check_tracepoint(void)
{
	TRY(trace_start());
	for (unsigned i = 1; i <= ROUNDS; i++) {
		CONTROL("events/syscalls/sys_enter_getppid/enable", "1");
		CONTROL("events/syscalls/sys_exit_getppid/enable", "1");
		calls(CALLS);
		CONTROL("events/syscalls/sys_enter_getppid/enable", "0");
		CONTROL("events/syscalls/sys_exit_getppid/enable", "0");
		calls(CALLS);
		TRY(expect_count("entries", trace_count("sys_getppid()"), i * CALLS));
		TRY(expect_count("exits", trace_count("sys_getppid -> "), i * CALLS));
	}
	return trace_start();
}

static int trace_function(const char *tracer, const char *line)
{
	TRY(trace_start());
	CONTROL("set_ftrace_filter", FUNCTION);
	for (unsigned i = 1; i <= ROUNDS; i++) {
		CONTROL("current_tracer", "%s", tracer);
		calls(CALLS);
		TRY(expect_count(tracer, trace_count(line), CALLS));
		CONTROL("current_tracer", "nop");
		calls(CALLS);
		TRY(expect_count("nop", trace_count(line), 0));
	}
	return trace_start();
}

int check_function_tracer(void)
{
	return trace_function("function", FUNCTION);
}

int check_function_graph(void)
{
	return trace_function("function_graph", FUNCTION);
}

/* Every function of the kernel is changed, and changed back. */
int check_trace_everything(void)
{
	static const char *const tracers[] = {"function", "function_graph"};

	TRY(trace_start());
	for (unsigned i = 0; i < 2; i++) {
		CONTROL("current_tracer", "%s", tracers[i]);
		calls(CALLS);
		CONTROL("tracing_on", "0");
		CONTROL("current_tracer", "nop");
		CONTROL("tracing_on", "1");
		for (unsigned k = 0; k < ROUNDS; k++) {
			pid_t pid = fork();

			if (pid == 0)
				_exit(7);
			REQUIRE(child_wait(pid) == 7);
		}
	}
	return trace_start();
}
