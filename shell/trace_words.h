/* SPDX-License-Identifier: MIT */
#ifndef SHELL_TRACE_WORDS_H
#define SHELL_TRACE_WORDS_H

/* A record of tracing in words. It touches no hardware. */

#include "kernel/trace_ring.h"

/* Writes what happened into `text`, of `size` bytes, terminated; cut off if it does not fit. */
void trace_words(const struct trace_record *record, char *text, size_t size);

#endif
