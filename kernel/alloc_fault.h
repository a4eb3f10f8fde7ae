/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_ALLOC_FAULT_H
#define KERNEL_ALLOC_FAULT_H

/*
 * Lets allocations fail, in a build made with -DPILAE_FAIL_ALLOCATIONS; costs nothing in any
 * other. Of what is done between begin and end all allocations fail from the nth on, n being
 * one more each time, and 1 again after none was left to fail: so a test that tries until then has
 * seen each fail. For one hart, as other harts' allocations count as well.
 */

#include "kernel/types.h"

/* What is to fail, of a VM: `fail=life` on the command line, or without that its making. */
enum alloc_fault_phase {
	ALLOC_FAULT_MAKING,
	ALLOC_FAULT_LIFE, /* while it is loaded, and runs */
};

#ifdef PILAE_FAIL_ALLOCATIONS

/* From now on: what is done at boot does not fail. */
void alloc_fault_enable(const char *command_line);

void alloc_fault_begin(enum alloc_fault_phase phase);

/* Logs which one was the first to fail; nothing, if this phase did not begin. */
void alloc_fault_end(enum alloc_fault_phase phase);

/* For allocators: whether this one is to fail. */
bool alloc_fault(void);

#else

static inline void alloc_fault_enable(const char *command_line)
{
	(void)command_line;
}

static inline void alloc_fault_begin(enum alloc_fault_phase phase)
{
	(void)phase;
}

static inline void alloc_fault_end(enum alloc_fault_phase phase)
{
	(void)phase;
}

static inline bool alloc_fault(void)
{
	return false;
}

#endif

#endif
