/* SPDX-License-Identifier: MIT */
#ifndef LBENCH_H
#define LBENCH_H

/* Work of user mode alone, as much on every machine: the ns that `count` portions take. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t user_integer(unsigned count);
uint64_t user_float(unsigned count);
uint64_t user_memory(unsigned count);

/* `count` times 1000 steps along pointers that lead through 48 MiB in no order. */
uint64_t user_chase(unsigned count);

/* Reads from /dev/vda, 64 KiB one after the other, or 4 KiB anywhere: the ns that `count` take. */
uint64_t disk_sequential(unsigned count);
uint64_t disk_random(unsigned count);

/* What the files share. */
uint64_t now_ns(void);
char *map_anonymous(size_t bytes, int flags);
void must(long result, const char *what);

#endif
