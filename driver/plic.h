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

/*
 * A source whose interrupts a guest deals with: `handler` is called as above, and the interrupt
 * stays claimed, so that the source is quiet, until host_plic_complete(). It is masked at first.
 * ERR_NOENT: there is no such source; ERR_EXIST: it has a handler. Boot hart, in a job.
 */
int host_plic_forward(uint32_t source, void (*handler)(void *argument), void *argument);

/* Completes a forwarded source's interrupt, if it is claimed. Any hart, no matter which locks. */
void host_plic_complete(uint32_t source);

/*
 * Masks a forwarded source, after it has completed what is claimed; lets it interrupt again; and
 * takes the handler away, of one that was enabled as well, masked. Boot hart, in a job; what guests
 * complete has been completed.
 */
void host_plic_mask(uint32_t source);
void host_plic_unmask(uint32_t source);
void host_plic_release(uint32_t source);

/* Sources are below the first; how many interrupts of one of them were taken. Any hart. */
uint32_t host_plic_source_count(void);
uint64_t host_plic_interrupts(uint32_t source);

#endif
