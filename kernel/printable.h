/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_PRINTABLE_H
#define KERNEL_PRINTABLE_H

/*
 * What is shown of a byte of a text that may be from outside, so that a terminal only shows it:
 * itself, or '?' for what is no printable ASCII. A new line is not, either.
 */
static inline char printable(char byte)
{
	return byte >= ' ' && byte <= '~' ? byte : '?';
}

#endif
