/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_MACHINE_MEMORY_H
#define TESTS_UNIT_MACHINE_MEMORY_H

/* A machine's memory, half a GiB, behind the direct map. For one source file of a test. */

#include <sys/mman.h>

#include "kernel/mmu.h"
#include "kernel/types.h"

#define BASE UINT64_C(0x80000000)
#define SIZE MIB(512)
#define END  (BASE + SIZE)

static char *memory;

/* All zeroes; what is not touched takes none of the test's. */
static void memory_map(void)
{
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	direct_map_offset = (uint64_t)(uintptr_t)memory - BASE;
}

static void memory_unmap(void)
{
	munmap(memory, SIZE);
}

#endif
