/* SPDX-License-Identifier: MIT */
#ifndef DEBUG_H
#define DEBUG_H

/*
 * Checks of what debuggers, compilers at run time and the kernel's own probes do: they change
 * instructions that have been executed, and rely on each trap telling exactly where it was.
 */

#include "child.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PAGE          4096
#define CHECK_FAILED  1
#define CHECK_SKIPPED 2

/* 0, or what check_fail or check_skip returned. Each runs in a process of its own. */
struct check {
	const char *name;
	int (*run)(void);
};

/* Tell why: CHECK_FAILED, CHECK_SKIPPED. */
int check_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int check_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the function with CHECK_FAILED, and tells where, unless `condition` is true. */
#define REQUIRE(condition)                                                    \
	do {                                                                  \
		if (!(condition))                                             \
			return check_require(__FILE__, __LINE__, #condition); \
	} while (0)
int check_require(const char *file, int line, const char *condition);

/* Ends the function with what `check` returned, unless that is 0. */
#define TRY(check)                   \
	do {                         \
		int try_ = (check);  \
		if (try_ != 0)       \
			return try_; \
	} while (0)

/* Binds the calling thread to the nth CPU, counted round; how many there are. */
void cpu_bind(unsigned n);
unsigned cpu_count(void);

/* What a signal told, and the pc it interrupted. */
struct trap {
	int signal, code;
	uint64_t address, pc;
};

/* Calls `run(argument)`, which a signal must end: false if it returned. One thread at a time. */
bool trap_catch(void (*run)(const void *argument), const void *argument, struct trap *trap);

/* As a mapping that can be read, written and executed; the check's process ends if there is none.
 */
void *code_map(size_t bytes);

/* Makes changed instructions known to all threads of the process, on whatever CPU. */
void code_changed(void *start, size_t bytes);

/* Writes 12 bytes: a function that returns `value`. */
#define CODE_RETURN_BYTES 12
void code_return(void *at, int32_t value);
long code_call(const void *at);

/* An instruction of 2 or 4 bytes, wherever it lies. */
void code_put(void *at, uint32_t bits);
size_t code_length(uint32_t bits);
#define INSN_EBREAK   0x00100073u
#define INSN_C_EBREAK 0x9002u
#define INSN_RET      0x00008067u
#define INSN_C_NOP    0x0001u

int check_breakpoints(void);
int check_stepping(void);
int check_registers(void);
int check_system_calls(void);
int check_proc_mem(void);
int check_illegal(void);
int check_illegal_across_pages(void);
int check_own_breakpoints(void);
int check_kernel_addresses(void);
int check_fetch_across_pages(void);
int check_protection(void);
int check_bad_buffers(void);
int check_jit(void);
int check_jit_threads(void);
int check_jit_alias(void);
int check_jit_file(void);
int check_jit_fork(void);
int check_jit_frames(void);
int check_jit_protect(void);
int check_float_signals(void);
int check_vector_signals(void);
int check_float_switch(void);
int check_kernel_jit(void);
int check_kprobe(void);
int check_uprobe(void);
int check_tracepoint(void);
int check_function_tracer(void);
int check_function_graph(void);
int check_trace_everything(void);
int check_modules(void);

#endif
