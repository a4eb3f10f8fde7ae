/* SPDX-License-Identifier: MIT */
/* What a debugger does to another process. */
#define _GNU_SOURCE
#include "debug.h"

#include <asm/ptrace.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 50
#define STEPS  18

/*
 * debug_steps(x): instructions of both sizes without a jump, x -> 16 x + 19. debug_steps_at: the
 * addresses of all. debug_float(in, out): loads all f registers, stops, and stores them.
 */
__asm__(".pushsection .text\n"
	".balign 4\n"
	".globl debug_steps\n"
	"debug_steps:\n"
	".irp n, 0,1,2,3\n"
	"	.option push\n"
	"	.option norvc\n"
	"step_a\\n:	slli a0, a0, 1\n"
	"step_b\\n:	addi a1, a0, 1\n"
	"	.option pop\n"
	"step_c\\n:	c.addi a0, 1\n"
	"step_d\\n:	c.nop\n"
	".endr\n"
	"	.option push\n"
	"	.option norvc\n"
	"step_e:	addi a0, a0, 4\n"
	"step_f:	ret\n"
	"	.option pop\n"
	".globl debug_float\n"
	"debug_float:\n"
	".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,"
	"30,31\n"
	"	fld f\\n, 8*\\n(a0)\n"
	".endr\n"
	"	.option push\n"
	"	.option norvc\n"
	"	ebreak\n"
	"	.option pop\n"
	".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,"
	"30,31\n"
	"	fsd f\\n, 8*\\n(a1)\n"
	".endr\n"
	"	ret\n"
	".section .rodata\n"
	".balign 8\n"
	".globl debug_steps_at\n"
	"debug_steps_at:\n"
	".irp n, 0,1,2,3\n"
	"	.dword step_a\\n, step_b\\n, step_c\\n, step_d\\n\n"
	".endr\n"
	"	.dword step_e, step_f\n"
	".popsection\n");

long debug_steps(long x);
void debug_float(const uint64_t *in, uint64_t *out);
extern const uint64_t debug_steps_at[STEPS];

/* A child that has been stopped before its first call of debug_steps. */
static pid_t tracee_start(int (*run)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(run());
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ||
	    WSTOPSIG(status) != SIGSTOP)
		return -1;
	ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);
	return pid;
}

static int run_steps(void)
{
	for (long i = 0; i < ROUNDS; i++) {
		if (debug_steps(i) != 16 * i + 19)
			return 99;
	}
	return 42;
}

static uint32_t tracee_insn(pid_t pid, uint64_t at)
{
	return (uint32_t)ptrace(PTRACE_PEEKTEXT, pid, (void *)at, NULL);
}

/* Puts an instruction of 2 or 4 bytes there, and returns the one that was. */
static uint32_t tracee_put(pid_t pid, uint64_t at, uint32_t bits)
{
	long word = ptrace(PTRACE_PEEKTEXT, pid, (void *)at, NULL);
	uint32_t old = (uint32_t)word;

	code_put(&word, bits);
	ptrace(PTRACE_POKETEXT, pid, (void *)at, (void *)word);
	return old;
}

static uint32_t break_at(pid_t pid, uint64_t at)
{
	bool wide = code_length(tracee_insn(pid, at)) == 4;

	return tracee_put(pid, at, wide ? INSN_EBREAK : INSN_C_EBREAK);
}

static int tracee_go(pid_t pid, int request, int *status)
{
	REQUIRE(ptrace((enum __ptrace_request)request, pid, NULL, NULL) == 0);
	REQUIRE(waitpid(pid, status, 0) == pid);
	return 0;
}

static int tracee_registers(pid_t pid, struct user_regs_struct *registers)
{
	struct iovec vector = {registers, sizeof(*registers)};

	REQUIRE(ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &vector) == 0);
	REQUIRE(vector.iov_len == sizeof(*registers));
	return 0;
}

/* Lets it run until it stops at a breakpoint, which must be the one at `at`. */
static int go_to(pid_t pid, uint64_t at, struct user_regs_struct *registers)
{
	siginfo_t info;
	int status;

	TRY(tracee_go(pid, PTRACE_CONT, &status));
	if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
		return check_fail("status %#x instead of a breakpoint at %#lx", status, at);
	TRY(tracee_registers(pid, registers));
	REQUIRE(ptrace(PTRACE_GETSIGINFO, pid, NULL, &info) == 0);
	if (registers->pc != at || (uint64_t)info.si_addr != at || info.si_code != TRAP_BRKPT)
		return check_fail("stopped at %#lx, si_addr %p, si_code %d, not at %#lx",
				  registers->pc, info.si_addr, info.si_code, at);
	return 0;
}

static int go_to_exit(pid_t pid, int code)
{
	int status;

	TRY(tracee_go(pid, PTRACE_CONT, &status));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
		return check_fail("the child ended with status %#x, not with %d", status, code);
	return 0;
}

/* Two breakpoints, of 4 and of 2 bytes, met in each of the child's rounds. */
int check_breakpoints(void)
{
	uint64_t first = debug_steps_at[1], second = debug_steps_at[2];
	struct user_regs_struct registers;
	pid_t pid = tracee_start(run_steps);
	uint32_t insn;

	REQUIRE(pid > 0);
	insn = break_at(pid, first);
	for (long i = 0; i < ROUNDS; i++) {
		uint32_t other;

		TRY(go_to(pid, first, &registers));
		REQUIRE((long)registers.a0 == 2 * i);
		tracee_put(pid, first, insn);
		other = break_at(pid, second);
		TRY(go_to(pid, second, &registers));
		REQUIRE((long)registers.a1 == 2 * i + 1);
		tracee_put(pid, second, other);
		break_at(pid, first);
		/* The page is the child's own copy. */
		REQUIRE(debug_steps(i) == 16 * i + 19);
	}
	tracee_put(pid, first, insn);
	return go_to_exit(pid, 42);
}

/* Over all instructions by a breakpoint on each next one: this kernel has no single steps. */
int check_stepping(void)
{
	struct user_regs_struct registers;
	pid_t pid = tracee_start(run_steps);
	uint32_t insn;

	REQUIRE(pid > 0);
	REQUIRE(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == -1 && errno == EIO);
	insn = break_at(pid, debug_steps_at[0]);
	for (unsigned i = 0; i < 4 * STEPS; i++) {
		uint64_t at = debug_steps_at[i % STEPS];

		TRY(go_to(pid, at, &registers));
		tracee_put(pid, at, insn);
		insn = break_at(pid, debug_steps_at[(i + 1) % STEPS]);
	}
	tracee_put(pid, debug_steps_at[0], insn);
	return go_to_exit(pid, 42);
}

static uint64_t float_value(unsigned i, unsigned round)
{
	return 0x4000000000000000 + (uint64_t)i * 0x0001000100010001 + round;
}

static int run_float(void)
{
	uint64_t in[32], out[32];

	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < 32; i++)
			in[i] = float_value(i, round);
		debug_float(in, out);
		for (unsigned i = 0; i < 32; i++) {
			if (out[i] != float_value(31 - i, round))
				return 99;
		}
	}
	return 43;
}

/* Reads what the child has loaded, and gives it the same in the opposite order. */
static int exchange_float(pid_t pid, unsigned round)
{
	struct __riscv_d_ext_state state;
	struct iovec vector = {&state, sizeof(state)};

	REQUIRE(ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRFPREG, &vector) == 0);
	for (unsigned i = 0; i < 32; i++) {
		if (state.f[i] != float_value(i, round))
			return check_fail("f%u is %#llx", i, state.f[i]);
		state.f[i] = float_value(31 - i, round);
	}
	REQUIRE(ptrace(PTRACE_SETREGSET, pid, (void *)NT_PRFPREG, &vector) == 0);
	return 0;
}

/* Integer and FP registers of a stopped child: read, changed, and the changes seen by it. */
int check_registers(void)
{
	struct user_regs_struct registers;
	struct iovec vector = {&registers, sizeof(registers)};
	pid_t pid = tracee_start(run_float);
	int status;

	REQUIRE(pid > 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		TRY(tracee_go(pid, PTRACE_CONT, &status));
		REQUIRE(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
		TRY(exchange_float(pid, round));
		TRY(tracee_registers(pid, &registers));
		REQUIRE(tracee_insn(pid, registers.pc) == INSN_EBREAK);
		registers.pc += 4;
		REQUIRE(ptrace(PTRACE_SETREGSET, pid, (void *)NT_PRSTATUS, &vector) == 0);
	}
	return go_to_exit(pid, 43);
}

static int run_system_calls(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		if (syscall(SYS_getppid) != 1000 + (long)i)
			return 99;
	}
	return 44;
}

/* Stops at the entry and the exit of each system call, and puts in another result. */
int check_system_calls(void)
{
	struct user_regs_struct registers;
	struct iovec vector = {&registers, sizeof(registers)};
	pid_t pid = tracee_start(run_system_calls);
	int status;

	REQUIRE(pid > 0);
	for (unsigned i = 0; i < 2 * ROUNDS; i++) {
		TRY(tracee_go(pid, PTRACE_SYSCALL, &status));
		REQUIRE(WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80));
		TRY(tracee_registers(pid, &registers));
		REQUIRE(registers.a7 == SYS_getppid);
		if (i % 2 == 0)
			continue;
		REQUIRE((long)registers.a0 == getpid());
		registers.a0 = 1000 + i / 2;
		REQUIRE(ptrace(PTRACE_SETREGSET, pid, (void *)NT_PRSTATUS, &vector) == 0);
	}
	return go_to_exit(pid, 44);
}

/* The kernel writes into pages that this process itself may only read and execute. */
static int change_own_code(int file)
{
	uint64_t at = debug_steps_at[STEPS - 2];
	uint32_t insn, changed;

	memcpy(&insn, (void *)at, sizeof(insn));
	for (unsigned i = 0; i < ROUNDS; i++) {
		/* addi a0, a0, 4 + i */
		changed = insn + (i << 20);
		REQUIRE(pwrite(file, &changed, sizeof(changed), (off_t)at) == sizeof(changed));
		code_changed((void *)at, sizeof(changed));
		REQUIRE(debug_steps(1) == 35 + (long)i);
	}
	REQUIRE(pwrite(file, &insn, sizeof(insn), (off_t)at) == sizeof(insn));
	code_changed((void *)at, sizeof(insn));
	REQUIRE(debug_steps(1) == 35);
	return 0;
}

int check_proc_mem(void)
{
	static const size_t bytes = 3 * PAGE;
	char *memory = malloc(bytes), *copy = malloc(bytes);
	int file = open("/proc/self/mem", O_RDWR);
	uint64_t word;

	REQUIRE(file >= 0 && memory && copy);
	for (size_t i = 0; i < bytes; i++)
		memory[i] = (char)(i * 7);
	REQUIRE(pread(file, copy, bytes, (off_t)memory) == (ssize_t)bytes);
	REQUIRE(memcmp(memory, copy, bytes) == 0);
	REQUIRE(pread(file, copy, 64, (off_t)debug_steps_at[0]) == 64);
	REQUIRE(memcmp((void *)debug_steps_at[0], copy, 64) == 0);
	REQUIRE(pread(file, &word, sizeof(word), 0) == -1 && errno == EIO);
	return change_own_code(file);
}
