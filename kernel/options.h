/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_OPTIONS_H
#define KERNEL_OPTIONS_H

/* Options on the host's command line: `name=value` words, separated by spaces. */

#include "kernel/types.h"

/*
 * Copies the value of `name` (with its `=`-less name, e.g. "pilae.engine") into `value`, cut
 * to fit. A bare name has the value "". false if it is not there. The last one counts.
 */
bool option_find(const char *command_line, const char *name, char *value, size_t size);

/* Logs a warning for each option that starts with "pilae." and is not in `known`. */
void option_warn_unknown(const char *command_line, const char *const *known, unsigned count);

#endif
