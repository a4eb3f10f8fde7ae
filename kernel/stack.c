/* SPDX-License-Identifier: MIT */

#include "kernel/stack.h"

#include "kernel/layout.h"
#include "kernel/types.h"

#include <string.h>

/* With no frame pointer to follow, a backtrace ends there. */
char *stack_prepare(char *top, void (*function)(void))
{
	char *frame = top - STACK_FRAME;
	uint64_t ra = (uint64_t)function;

	memset(frame, 0, STACK_FRAME);
	memcpy(frame, &ra, sizeof(ra));
	return frame;
}
