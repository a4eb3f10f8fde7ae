/* SPDX-License-Identifier: MIT */

#include "kernel/alloc_fault.h"

#ifdef PILAE_FAIL_ALLOCATIONS

#include <string.h>

#include "kernel/log.h"
#include "kernel/options.h"

static struct {
	bool enabled, armed;
	enum alloc_fault_phase phase;
	unsigned nth;  /* to fail, with those after it */
	unsigned done; /* since the beginning */
} fault;

void alloc_fault_enable(const char *command_line)
{
	char value[8] = "";

	option_find(command_line, "fail", value, sizeof(value));
	fault.phase = strcmp(value, "life") == 0 ? ALLOC_FAULT_LIFE : ALLOC_FAULT_MAKING;
	fault.enabled = true;
}

void alloc_fault_begin(enum alloc_fault_phase phase)
{
	if (!fault.enabled || phase != fault.phase)
		return;
	fault.armed = true;
	fault.nth++;
	fault.done = 0;
}

void alloc_fault_end(enum alloc_fault_phase phase)
{
	if (!fault.armed || phase != fault.phase)
		return;
	fault.armed = false;
	if (fault.done >= fault.nth) {
		log_raw("pilae: fault: allocation %u failed\n", fault.nth);
		return;
	}
	log_raw("pilae: fault: none of %u allocations failed\n", fault.done);
	fault.nth = 0;
}

bool alloc_fault(void)
{
	return fault.armed && ++fault.done >= fault.nth;
}

#endif
