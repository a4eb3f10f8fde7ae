/* SPDX-License-Identifier: MIT */
#ifndef SHELL_COMMAND_H
#define SHELL_COMMAND_H

/*
 * The shell's language: a command is a word of a table, or a group's and then one of the
 * group's table; each may be cut down to what still tells it from the others. What is wrong
 * with a line is told with shell_print(), and what was expected. It touches no hardware.
 * In the shell's job, no lock held.
 */

#include "kernel/types.h"
#include "shell/completion.h"

#define COMMAND_WORDS_MAX   8
#define COMMAND_NUMBERS_MAX 1

/* What a command takes. */
enum command_takes {
	COMMAND_NAME = 1,   /* the name of a VM, which has to be there */
	COMMAND_JSON = 2,   /* --json */
	COMMAND_NUMBER = 4, /* a number; it may be left out */
	COMMAND_WORD = 16,  /* any word, not of digits alone; it may be left out */
};

/* A command as it was called. */
struct command_call {
	const char *vm; /* of a command with COMMAND_NAME; there is one of that name */
	bool json;
	unsigned number_count; /* that were given */
	uint64_t numbers[COMMAND_NUMBERS_MAX];
	const char *word; /* NULL: not given */
};

struct command {
	const char *name;            /* NULL ends a table */
	const char *help;            /* a line, no newline */
	const struct command *group; /* the commands of a group, or NULL */
	unsigned takes;              /* enum command_takes */
	void (*run)(const struct command_call *call);
};

/* Runs the command in `line`, which is changed. An empty line does nothing. */
void command_run(const struct command *table, char *line);

/* Offers what may follow the first `length` bytes of `text`. */
void command_complete(const struct command *table, const char *text, unsigned length,
		      struct completion *completion);

/* Prints all commands of a table, a line each. */
void command_help(const struct command *table);

/* shell/cmd_vm.c: the name of the VM with this index, from 0 up; NULL after the last. */
const char *command_vm_name(unsigned index);

#endif
