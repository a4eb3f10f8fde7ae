/* SPDX-License-Identifier: MIT */
/*
 * debug [NAME...]
 *
 * Makes all checks, or those named; prints `ok NAME`, `not ok NAME: why` or `skip NAME: why` for
 * each and then `debug: N ok, N not ok, N skipped`. Exits 0 if none was not ok.
 */
#define _GNU_SOURCE
#include "debug.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/cachectl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define LIMIT_S 600

static const struct check checks[] = {
    {"breakpoints", check_breakpoints},
    {"stepping", check_stepping},
    {"registers", check_registers},
    {"system-calls", check_system_calls},
    {"proc-mem", check_proc_mem},
    {"illegal", check_illegal},
    {"illegal-across-pages", check_illegal_across_pages},
    {"own-breakpoints", check_own_breakpoints},
    {"kernel-addresses", check_kernel_addresses},
    {"fetch-across-pages", check_fetch_across_pages},
    {"protection", check_protection},
    {"bad-buffers", check_bad_buffers},
    {"jit", check_jit},
    {"jit-threads", check_jit_threads},
    {"jit-alias", check_jit_alias},
    {"jit-file", check_jit_file},
    {"jit-fork", check_jit_fork},
    {"jit-frames", check_jit_frames},
    {"jit-protect", check_jit_protect},
    {"float-signals", check_float_signals},
    {"vector-signals", check_vector_signals},
    {"float-switch", check_float_switch},
    {"kernel-jit", check_kernel_jit},
    {"kprobe", check_kprobe},
    {"uprobe", check_uprobe},
    {"tracepoint", check_tracepoint},
    {"function-tracer", check_function_tracer},
    {"function-graph", check_function_graph},
    {"trace-everything", check_trace_everything},
    {"modules", check_modules},
};
#define CHECKS (sizeof(checks) / sizeof(checks[0]))

/* Shared with the process that runs the check. */
static char *why;

static sigjmp_buf trap_return;
static struct trap trap_seen;

static void tell(const char *format, va_list args)
{
	vsnprintf(why, PAGE, format, args);
}

int check_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell(format, args);
	va_end(args);
	return CHECK_FAILED;
}

int check_skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell(format, args);
	va_end(args);
	return CHECK_SKIPPED;
}

int check_require(const char *file, int line, const char *condition)
{
	const char *slash = strrchr(file, '/');

	return check_fail("%s:%d: %s (errno: %s)", slash ? slash + 1 : file, line, condition,
			  strerror(errno));
}

unsigned cpu_count(void)
{
	return (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
}

void cpu_bind(unsigned n)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(n % cpu_count(), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void trap_handler(int signal, siginfo_t *info, void *context)
{
	const ucontext_t *user = context;

	trap_seen = (struct trap){
	    .signal = signal,
	    .code = info->si_code,
	    .address = (uint64_t)info->si_addr,
	    .pc = user->uc_mcontext.__gregs[REG_PC],
	};
	siglongjmp(trap_return, 1);
}

bool trap_catch(void (*run)(const void *argument), const void *argument, struct trap *trap)
{
	static const int signals[] = {SIGILL, SIGTRAP, SIGSEGV, SIGBUS};
	static bool installed;
	struct sigaction action = {.sa_sigaction = trap_handler, .sa_flags = SA_SIGINFO};

	for (size_t i = 0; !installed && i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
	installed = true;
	if (sigsetjmp(trap_return, 1) == 0) {
		run(argument);
		return false;
	}
	*trap = trap_seen;
	return true;
}

void *code_map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	if (p == MAP_FAILED)
		_exit(check_fail("mmap: %s", strerror(errno)));
	return p;
}

void code_changed(void *start, size_t bytes)
{
	__riscv_flush_icache(start, (char *)start + bytes, 0);
}

size_t code_length(uint32_t bits)
{
	return (bits & 3) == 3 ? 4 : 2;
}

void code_put(void *at, uint32_t bits)
{
	memcpy(at, &bits, code_length(bits));
}

/* lui a0, upper; addiw a0, a0, lower; ret */
void code_return(void *at, int32_t value)
{
	uint32_t lower = (uint32_t)value & 0xfff;
	uint32_t upper = ((uint32_t)value - lower + ((lower & 0x800) << 1)) & 0xfffff000;
	char *p = at;

	code_put(p, upper | 10u << 7 | 0x37);
	code_put(p + 4, lower << 20 | 10u << 15 | 10u << 7 | 0x1b);
	code_put(p + 8, INSN_RET);
}

long code_call(const void *at)
{
	long (*function)(void);

	memcpy(&function, &at, sizeof(function));
	return function();
}

static void limit_reached(int signal)
{
	(void)signal;
	check_fail("no end after %d s", LIMIT_S);
	_exit(CHECK_FAILED);
}

/* In a process group of its own, so that what is left of it can be ended. */
static int check_in_child(const struct check *check)
{
	pid_t pid = fork();
	int code;

	if (pid == 0) {
		setpgid(0, 0);
		signal(SIGALRM, limit_reached);
		alarm(LIMIT_S);
		_exit(check->run());
	}
	if (pid < 0)
		return check_fail("fork: %s", strerror(errno));
	code = child_wait(pid);
	kill(-pid, SIGKILL);
	if (code != 0 && !*why)
		return check_fail("exit code %d", code);
	return code;
}

static bool wanted(const char *name, int argc, char **argv)
{
	bool found = argc == 1;

	for (int i = 1; i < argc; i++)
		found |= strcmp(argv[i], name) == 0;
	return found;
}

int main(int argc, char **argv)
{
	unsigned ok = 0, failed = 0, skipped = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	why = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (why == MAP_FAILED)
		return 1;
	for (size_t i = 0; i < CHECKS; i++) {
		if (!wanted(checks[i].name, argc, argv))
			continue;
		*why = 0;
		switch (check_in_child(&checks[i])) {
		case 0:
			printf("ok %s\n", checks[i].name);
			ok++;
			break;
		case CHECK_SKIPPED:
			printf("skip %s: %s\n", checks[i].name, why);
			skipped++;
			break;
		default:
			printf("not ok %s: %s\n", checks[i].name, why);
			failed++;
		}
	}
	printf("debug: %u ok, %u not ok, %u skipped\n", ok, failed, skipped);
	return failed || ok + skipped == 0;
}
