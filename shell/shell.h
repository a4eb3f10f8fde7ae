/* SPDX-License-Identifier: MIT */
#ifndef SHELL_SHELL_H
#define SHELL_SHELL_H

/*
 * The shell: reads lines and runs commands in a job on the boot hart. While it is focused, and
 * as long as it has anything to do, all that is typed comes through it, so that a command
 * which changes the focus does so before what was typed after it is dealt with.
 * Commands of a port's (shell/script.h) run in a job of their own.
 */

#include "kernel/types.h"

/* Shows the prompt, as soon as the shell is focused. Boot hart, as the others. */
void shell_init(void);

/* Whether bytes that were typed wait for it, or it is running a command. */
bool shell_is_busy(void);

/*
 * Takes a byte that was typed, for which there has to be room. It goes to console_key() in the
 * shell's job.
 */
void shell_queue(uint8_t byte);
bool shell_has_room(void);

/*
 * For a command that goes on: `show` is called now and about once a second, in the shell's job,
 * until a key is pressed or the shell is left; then `end`.
 */
void shell_begin_live(void (*show)(void), void (*end)(void));

/* A byte for the shell itself; in its job. */
void shell_key(uint8_t byte);

#endif
