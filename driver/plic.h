/* SPDX-License-Identifier: MIT */
#ifndef DRIVER_PLIC_H
#define DRIVER_PLIC_H

/* The host's PLIC (RISC-V PLIC specification 1.0.0). External interrupts go to the boot hart. */

#include "kernel/types.h"

/* Finds and readies it; all sources are off. Without one, drivers poll. Boot hart. */
void host_plic_init(void);

/*
 * Calls `handler` on each interrupt of that source, on the boot hart, with interrupts off and
 * no lock held. ERR_NOENT if there is no such source. Boot only.
 */
int host_plic_enable(uint32_t source, void (*handler)(void *argument), void *argument);

/* Sources are below the first; how many interrupts of one of them were taken. Any hart. */
uint32_t host_plic_source_count(void);
uint64_t host_plic_interrupts(uint32_t source);

#endif
