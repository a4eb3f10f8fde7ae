/* SPDX-License-Identifier: MIT */
#ifndef SHELL_PRINT_H
#define SHELL_PRINT_H

/* The output of the shell's commands. In the shell's job, no lock held. */

#include "kernel/types.h"

#define SHELL_PRINT_MAX 256 /* bytes of one call, with a terminator; more is cut off */

/* Prints, with preemption points: newlines are `\n`. */
void shell_print(const char *format, ...) __printf(1, 2);

/* The same for why a command does not do what it was to do, which a script is told besides. */
void shell_refuse(const char *format, ...) __printf(1, 2);

/*
 * Prints a string from outside, of any length: what is no printable ASCII is shown as `?`, as it
 * might do something to the terminal, or look like another line.
 */
void shell_print_text(const char *string);

/* Prints a string of JSON, in quotes and escaped (RFC 8259, section 7). */
void shell_print_json(const char *string);

/* An array of objects in JSON, printed a member at a time. */
struct shell_json {
	unsigned objects; /* printed so far, of the array */
	unsigned members; /* printed so far, of the object */
};

void shell_json_begin(struct shell_json *json);  /* the array */
void shell_json_object(struct shell_json *json); /* its next object */
void shell_json_string(struct shell_json *json, const char *name, const char *value);
void shell_json_number(struct shell_json *json, const char *name, uint64_t value);
void shell_json_bool(struct shell_json *json, const char *name, bool value);
void shell_json_end(struct shell_json *json); /* of the array */

/* shell/shell.c: shows text where the command came from, and passes a preemption point. */
void shell_write(const char *text, unsigned length);

/* shell/shell.c: the command has not done what it was to do, which has been told; a script wants to
 * know. */
void shell_fail(void);

/* shell/shell.c: whether the command came from a script, which no terminal shows anything. */
bool shell_is_script(void);

#endif
