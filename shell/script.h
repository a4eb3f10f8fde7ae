/* SPDX-License-Identifier: MIT */
#ifndef SHELL_SCRIPT_H
#define SHELL_SCRIPT_H

/*
 * The shell on a port, for scripts: each line is a command, without echo, prompt or editing. What
 * a command prints is followed by a line `ok`, or one that begins with `error`. All functions: on
 * the boot hart, no lock held.
 */

#include "kernel/types.h"

struct host_port;

/* Takes commands from this port from now on; false if there is another. And no longer. */
bool script_begin(struct host_port *port);
void script_end(void);

/* The other side came or went: a line that is not complete is forgotten. */
void script_opened(bool open);

/* There is something to read. */
void script_received(void);

/* Whether a command of the port's runs; and what it prints (`\n` is a new line). In a job. */
bool script_runs(void);
void script_write(const char *text, unsigned length);

/* The command that runs has failed. */
void script_fail(void);

#endif
