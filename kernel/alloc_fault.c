/* SPDX-License-Identifier: MIT */

#include "kernel/alloc_fault.h"

#ifdef PILAE_FAIL_ALLOCATIONS

#include "kernel/log.h"

static struct {
	bool enabled, armed;
	unsigned nth;  /* to fail, with those after it */
	unsigned done; /* since the beginning */
} fault;

void alloc_fault_enable(void)
{
	fault.enabled = true;
}

void alloc_fault_begin(void)
{
	if (!fault.enabled)
		return;
	fault.armed = true;
	fault.nth++;
	fault.done = 0;
}

void alloc_fault_end(void)
{
	if (!fault.armed)
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
