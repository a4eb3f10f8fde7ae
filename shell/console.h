/* SPDX-License-Identifier: MIT */
#ifndef SHELL_CONSOLE_H
#define SHELL_CONSOLE_H

/*
 * One UART, many VMs. The VM that is focused has the terminal as if it were its own; lines of
 * the others are shown whole, after their VM's name. Input goes to the focused VM; an escape
 * character (pilae.escape=, Ctrl-] at first) and a digit focus another.
 */

#include "kernel/types.h"

/* Takes over the hypervisor's own messages as well. `command_line`: for pilae.escape. */
void console_init(const char *command_line);

#endif
