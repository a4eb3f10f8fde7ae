/* SPDX-License-Identifier: MIT */
#ifndef SHELL_CONSOLE_H
#define SHELL_CONSOLE_H

/*
 * One UART, many VMs. The VM that is focused has the terminal as if it were its own; lines of
 * the others are shown whole, after their VM's name. Input goes to the focused VM; an escape
 * character (pilae.escape=, Ctrl-] at first) and a digit focus another, and `s` the shell, above
 * whose prompt the lines of all VMs are shown. All functions: on the boot hart, no lock held.
 */

#include "kernel/types.h"

/* Takes over the hypervisor's own messages as well. `command_line`: for pilae.escape. */
void console_init(const char *command_line);

/* Focuses the first VM that was started, or the shell; once the system has been taken in. */
void console_begin(void);

/* The number of the focused VM; 0 is the shell. */
unsigned console_focused(void);

/* Focuses the VM with this number, the shell with 0; the VM that was focused before the shell. */
void console_focus(unsigned number);
void console_leave_shell(void);

/* What to do with a byte that was typed, in the order of typing. */
void console_key(uint8_t byte);

/*
 * Shows text of the shell's (`\n` is a new line), if it is focused. `prompt`, of `prompt_length`
 * bytes up to LINE_RENDER_MAX, shows its prompt and line again from now on; 0: there is none.
 */
void console_shell_output(const char *text, unsigned length, const char *prompt,
			  unsigned prompt_length);

#endif
