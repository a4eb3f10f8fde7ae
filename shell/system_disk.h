/* SPDX-License-Identifier: MIT */
#ifndef SHELL_SYSTEM_DISK_H
#define SHELL_SYSTEM_DISK_H

#include "kernel/types.h"

/*
 * Reads the system file from the raw disk of that name and calls `start` with it, in a job; it
 * stays in memory. What is wrong is reported, and ends the machine as crashed. Boot hart, at boot.
 */
void system_disk_begin(const char *name, void (*start)(const void *system, uint64_t size));

#endif
