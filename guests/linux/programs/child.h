/* SPDX-License-Identifier: MIT */
#ifndef CHILD_H
#define CHILD_H

#include <sys/types.h>

/* Waits for a child: its exit code, 128 + the signal that ended it, or -1. */
int child_wait(pid_t pid);

#endif
