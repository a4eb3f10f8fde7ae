/* SPDX-License-Identifier: MIT */
#ifndef SHELL_COMMANDS_H
#define SHELL_COMMANDS_H

/* The tables of commands, by subject. */

#include "shell/command.h"

extern const struct command shell_commands[]; /* shell/cmd_machine.c: all of them */
extern const struct command vm_commands[];    /* shell/cmd_vm.c: `vm …` */

#endif
