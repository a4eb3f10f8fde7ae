/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_LOG_H
#define KERNEL_LOG_H

/* The hypervisor's messages: `pilae: what: message`, one line each, to its console. */

#include "kernel/types.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Prints one line if `level` is at or above pilae.loglevel. No newline in the format. */
void log_at(enum log_level level, const char *format, ...) __printf(2, 3);

#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

/* The least severe level that is printed; LOG_INFO at first. */
extern enum log_level log_level;

#define LOG_LINE_MAX 512 /* bytes of a line, its end included; a longer one is cut off */

/*
 * The lines logged last, some 16 KiB of them, one after the other: *position is 0 for the oldest,
 * and is set to behind the one that was copied. Without a newline, cut off at `size`. false: there
 * are no more. Any hart; takes the log's lock.
 */
bool log_next(uint64_t *position, char *line, size_t size);

/*
 * Where lines go: until this is set, to the firmware's console. `output` is called with the
 * log's lock held, on any hart, and must not log.
 */
void log_set_output(void (*output)(const char *text, size_t length));

/*
 * What ends the machine prints by `last`, which takes no lock, from log_begin_last() on; and
 * log_flush() sees to it that what was printed has been sent.
 */
void log_set_last_output(void (*last)(const char *text, size_t length), void (*flush)(void));
void log_begin_last(void);
void log_flush(void);

/* Prints text as it is, without prefix or newline, whoever holds the log. */
void log_raw(const char *format, ...) __printf(1, 2);

/*
 * The end of the hypervisor: prints the message and a backtrace and ends the machine. For
 * broken invariants of the hypervisor itself; no guest-controlled value may lead here.
 */
void panic(const char *format, ...) __printf(1, 2) __noreturn;

#endif
