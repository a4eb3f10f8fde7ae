/* SPDX-License-Identifier: MIT */
#ifndef DRIVER_REGISTER_H
#define DRIVER_REGISTER_H

/*
 * Accesses to the registers of the host's devices, of 1, 2 or 4 bytes, little-endian. They are
 * ordered among themselves and with memory. Unit tests define the two functions themselves.
 */

#include "kernel/types.h"

#ifdef PILAE_HOST
uint32_t register_read(const volatile void *address, unsigned size);
void register_write(volatile void *address, unsigned size, uint32_t value);
#else
/* Memory and registers are ordered by these alone (RISC-V, FENCE: o and i beside w and r). */
static inline uint32_t register_read(const volatile void *address, unsigned size)
{
	uint32_t value = size == 1   ? *(const volatile uint8_t *)address
			 : size == 2 ? *(const volatile uint16_t *)address
				     : *(const volatile uint32_t *)address;

	__asm__ volatile("fence i, iorw" ::: "memory");
	return value;
}

static inline void register_write(volatile void *address, unsigned size, uint32_t value)
{
	__asm__ volatile("fence iorw, o" ::: "memory");
	if (size == 1)
		*(volatile uint8_t *)address = (uint8_t)value;
	else if (size == 2)
		*(volatile uint16_t *)address = (uint16_t)value;
	else
		*(volatile uint32_t *)address = value;
}
#endif

#endif
