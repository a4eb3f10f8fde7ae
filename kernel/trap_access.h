/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_TRAP_ACCESS_H
#define KERNEL_TRAP_ACCESS_H

/*
 * Loads and stores that may raise an exception, of 1, 2, 4 or 8 bytes, at an address that is
 * aligned to that: false if one did, and nothing else has happened. One instruction each, so always
 * inline, where the size is mostly known.
 */

#include "kernel/trap.h"
#include "kernel/types.h"

/* clang-format off */
#define TRAP_LOAD(insn)                                                       \
	__asm__ goto("1: " insn " %0, (%1)\n" EXCEPTION_ENTRY(1b, %l[failed]) \
		     : "=r"(*value)                                           \
		     : "r"(address)                                           \
		     : "t0", "memory"                                         \
		     : failed)

#define TRAP_STORE(insn)                                                       \
	__asm__ goto("1: " insn " %z0, (%1)\n" EXCEPTION_ENTRY(1b, %l[failed]) \
		     :                                                         \
		     : "rJ"(value), "r"(address)                               \
		     : "t0", "memory"                                          \
		     : failed)
/* clang-format on */

__attribute__((always_inline)) static inline bool trap_load(uint64_t address, unsigned size,
							    uint64_t *value)
{
	switch (size) {
	case 1:
		TRAP_LOAD("lbu");
		break;
	case 2:
		TRAP_LOAD("lhu");
		break;
	case 4:
		TRAP_LOAD("lwu");
		break;
	default:
		TRAP_LOAD("ld");
		break;
	}
	return true;
failed:
	return false;
}

__attribute__((always_inline)) static inline bool trap_store(uint64_t address, unsigned size,
							     uint64_t value)
{
	switch (size) {
	case 1:
		TRAP_STORE("sb");
		break;
	case 2:
		TRAP_STORE("sh");
		break;
	case 4:
		TRAP_STORE("sw");
		break;
	default:
		TRAP_STORE("sd");
		break;
	}
	return true;
failed:
	return false;
}

#undef TRAP_LOAD
#undef TRAP_STORE

#endif
