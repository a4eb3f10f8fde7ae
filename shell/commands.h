/* SPDX-License-Identifier: MIT */
#ifndef SHELL_COMMANDS_H
#define SHELL_COMMANDS_H

/* The tables of commands, by subject. */

#include "shell/command.h"

extern const struct command shell_commands[]; /* shell/cmd_machine.c: all of them */
extern const struct command vm_commands[];    /* shell/cmd_vm.c: `vm …` */
extern const struct command trace_commands[]; /* shell/cmd_trace.c: `trace …` */
extern const struct command disk_commands[];  /* shell/cmd_disk.c: `disk …` */
extern const struct command net_commands[];   /* shell/cmd_net.c: `net …` */

/* shell/cmd_stats.c: `vm stats`, `irq`; shell/cmd_top.c: `top` */
void cmd_vm_stats(const struct command_call *call);
void cmd_irq(const struct command_call *call);
void cmd_top(const struct command_call *call);

/* shell/cmd_inspect.c, of the tables above. */
void inspect_regs(const struct command_call *call);
void inspect_dump(const struct command_call *call);
void inspect_mem(const struct command_call *call);
void inspect_log(const struct command_call *call);

/* shell/cmd_dt.c */
void inspect_tree(const struct command_call *call);

#endif
