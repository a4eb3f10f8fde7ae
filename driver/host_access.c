/* SPDX-License-Identifier: MIT */

#include "driver/host_device.h"

#include "kernel/error.h"
#include "kernel/trap_access.h"

int host_register_read(volatile void *at, unsigned size, uint64_t *value)
{
	if (!trap_load((uint64_t)(uintptr_t)at, size, value))
		return ERR_FAULT;
	/* The guest's own fences count for what it believes to be its access. */
	__asm__ volatile("fence i, iorw" ::: "memory");
	return 0;
}

int host_register_write(volatile void *at, unsigned size, uint64_t value)
{
	__asm__ volatile("fence iorw, o" ::: "memory");
	return trap_store((uint64_t)(uintptr_t)at, size, value) ? 0 : ERR_FAULT;
}
