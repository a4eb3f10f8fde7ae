/* SPDX-License-Identifier: MIT */
#ifndef SHELL_TERMINAL_H
#define SHELL_TERMINAL_H

/*
 * What the host's UART shows: Pilae's messages, the shell or one VM's console, and whole lines of
 * other VMs after their names. All of these wait in places of their own until the UART has room,
 * and take turns then; so who writes much misses some of it, and nobody else does.
 */

#include "kernel/types.h"
#include "shell/line.h"
#include "vmm/vm_console.h"

#define TERMINAL_LINE_MAX 256 /* of a VM that is not focused; a longer line is cut there */

/* `color`: names of VMs, and messages, are coloured. */
void terminal_init(bool color);

/* A VM's console is new, or goes. Boot hart, no lock held. */
void terminal_add(struct vm_console *console);
void terminal_remove(struct vm_console *console);

/*
 * The VM has written; with its lock held, whether terminal_wake() is to be called without it.
 * Any hart.
 */
bool terminal_is_due(const struct vm_console *console);
void terminal_wake(struct vm_console *console);

/*
 * Gives the terminal to a VM's console, or to the shell (NULL), after a line of text. What is kept
 * of a console is shown then. Boot hart, no lock held.
 */
void terminal_focus(struct vm_console *console, const char *text, unsigned length);
struct vm_console *terminal_focused(void);

/* Whether lines of VMs are shown that are not focused. Boot hart, no lock held. */
void terminal_show_others(bool shown);
bool terminal_shows_others(void);

/* Looks again what is to be shown of a VM: its port came or went. Boot hart, no lock held. */
void terminal_update(struct vm_console *console);

/* Lines of Pilae's own, each with its newline. Any hart; takes the terminal's lock. */
void terminal_message(const char *text, size_t length);

/*
 * Shows text of the shell's (`\n` is a new line), if it is focused. `prompt`, of `prompt_length`
 * bytes up to LINE_RENDER_MAX, shows its prompt and line again from now on; 0: there is none.
 */
void terminal_shell_output(const char *text, unsigned length, const char *prompt,
			   unsigned prompt_length);

/* Shows what the UART has room for. Any hart, no lock held. */
void terminal_fill(void);

/* For the end of the machine: shows all that waits; and, from then on, what `last` is given alone.
 */
void terminal_flush(void);
void terminal_write_last(const char *text, size_t length);

#endif
