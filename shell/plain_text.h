/* SPDX-License-Identifier: MIT */
#ifndef SHELL_PLAIN_TEXT_H
#define SHELL_PLAIN_TEXT_H

#include "kernel/types.h"

/*
 * What a guest's line is where it is one among those of others: text. Removes, in place, what a
 * terminal would do anything about but show it (ECMA-48): escape and control sequences, whole
 * strings of operating system and device commands, control characters but tabs, as bytes and, of
 * C1, in UTF-8; and bytes that are not UTF-8. A sequence that the line's end cuts off goes, too.
 * With `colors`, what selects colours and the like (SGR) stays. Returns how many of the `length`
 * bytes are left.
 */
unsigned plain_text(char *text, unsigned length, bool colors);

#endif
