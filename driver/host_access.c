/* SPDX-License-Identifier: MIT */

#include "driver/host_device.h"

#include "kernel/error.h"
#include "kernel/trap.h"

/* clang-format off */
#define LOAD(insn)                                                            \
	__asm__ goto("1: " insn " %0, (%1)\n" EXCEPTION_ENTRY(1b, %l[failed]) \
		     : "=r"(*value)                                           \
		     : "r"(at)                                                \
		     : "t0", "memory"                                         \
		     : failed)

#define STORE(insn)                                                            \
	__asm__ goto("1: " insn " %z0, (%1)\n" EXCEPTION_ENTRY(1b, %l[failed]) \
		     :                                                         \
		     : "rJ"(value), "r"(at)                                    \
		     : "t0", "memory"                                          \
		     : failed)
/* clang-format on */

int host_register_read(volatile void *at, unsigned size, uint64_t *value)
{
	switch (size) {
	case 1:
		LOAD("lbu");
		break;
	case 2:
		LOAD("lhu");
		break;
	case 4:
		LOAD("lwu");
		break;
	default:
		LOAD("ld");
		break;
	}
	/* The guest's own fences count for what it believes to be its access. */
	__asm__ volatile("fence i, iorw" ::: "memory");
	return 0;
failed:
	return ERR_FAULT;
}

int host_register_write(volatile void *at, unsigned size, uint64_t value)
{
	__asm__ volatile("fence iorw, o" ::: "memory");
	switch (size) {
	case 1:
		STORE("sb");
		break;
	case 2:
		STORE("sh");
		break;
	case 4:
		STORE("sw");
		break;
	default:
		STORE("sd");
		break;
	}
	return 0;
failed:
	return ERR_FAULT;
}
