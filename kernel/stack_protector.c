/* SPDX-License-Identifier: MIT */

/* What libfdt, which Debian builds with a stack protector, wants of its surroundings. */

#include "kernel/log.h"
#include "kernel/types.h"

extern uint64_t __stack_chk_guard;
void __stack_chk_fail(void) __noreturn;

/* A NUL byte first: what runs over a string buffer cannot write it. */
uint64_t __stack_chk_guard = 0x7e3a91c5d2b48600;

void __stack_chk_fail(void)
{
	panic("a library function overran its stack frame");
}
