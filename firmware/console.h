/* SPDX-License-Identifier: MIT */
#ifndef FIRMWARE_CONSOLE_H
#define FIRMWARE_CONSOLE_H

/* The debug console: an ns16550a, as it has been set up, without interrupts. */

#include "kernel/types.h"

/* One byte if there is room for it now. */
bool console_try_put(uint8_t byte);

/* One byte, when there is room. */
void console_put(uint8_t byte);

/* A byte that has come, or -1. */
int console_get(void);

/* Messages: %s, %u (of unsigned), %x (of uint64_t). */
void console_print(const char *format, ...);

#endif
