/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_PANIC_H
#define KERNEL_PANIC_H

#include "kernel/log.h"
#include "kernel/trap.h"

/* panic() for a trap: prints the registers as well, and starts the backtrace at the trap. */
void panic_trap(const char *message, const struct trap_frame *frame) __noreturn;

/*
 * Ends the machine. `failure`: QEMU ends with status 1 where the host has a test finisher,
 * else SRST reports "system failure". Never returns.
 */
void machine_end(bool failure) __noreturn;

/* Lets the machine start anew. Returns only if the firmware cannot do that. */
void machine_reboot(void);

/* Finds what machine_end() writes to; at boot. */
void machine_init_end(void);

#endif
