/* SPDX-License-Identifier: MIT */
#ifndef VMM_REPORT_TEXT_H
#define VMM_REPORT_TEXT_H

/*
 * The lines of a report: registers in words, code, stack, exits. What a guest left there is shown
 * and never relied on. Each line has at most REPORT_WIDTH columns and no newline.
 */

#include "engine/state.h"
#include "kernel/types.h"

struct exit_note;
struct vcpu;
struct vm;

#define REPORT_WIDTH 73 /* behind "pilae: " that makes 80 */

/* Where lines go. `put` may pass preemption points. */
struct report_sink {
	void (*put)(void *context, const char *line);
	void *context;
};

/* The ABI's name of a register, x0 to x31. */
const char *report_register_name(unsigned n);

/* scause in words; the mode of satp likewise. Never NULL. */
void report_cause(uint64_t scause, char *text, size_t size);
void report_satp(uint64_t satp, char *text, size_t size);

/* Why guest memory cannot be shown, in words: an error of gvmem_read(). */
const char *report_memory_error(int error);

/* All of them return how many lines that were. */
unsigned report_text_registers(const struct report_sink *sink, const struct vcpu_state *state);
unsigned report_text_csrs(const struct report_sink *sink, const struct vcpu_state *state);

/* The instructions before pc, and those from pc on, as far as they can be read. */
unsigned report_text_code(const struct report_sink *sink, const struct vm *vm,
			  const struct vcpu_state *state);

/*
 * Return addresses by frame pointers (s0 points behind the saved ra and the caller's s0), as far
 * as they lead through RAM and upwards, on two lines at most.
 */
unsigned report_text_stack(const struct report_sink *sink, const struct vm *vm,
			   const struct vcpu_state *state);

/* The last exits of a vCPU, the newest first, on so many lines at most. */
unsigned report_text_exits(const struct report_sink *sink, const struct vcpu *vcpu, unsigned lines);

#endif
