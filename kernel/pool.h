/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_POOL_H
#define KERNEL_POOL_H

/*
 * Each hart's stock of 2 MiB pages that are cleared already, so that a guest's first touch
 * of its memory is quick. Filled while the hart is idle, a little at a time.
 */

#include "kernel/types.h"

/* Lets the stocks be filled: once memory has been promised to the VMs. Boot hart. */
void pool_begin(void);

/* A cleared 2 MiB page from this hart's stock, or NULL if it is empty. */
void *pool_take_megapage(void);

/*
 * Whether this hart's stock is to be filled: a page has been asked of it since it was full, or
 * since memory was too short to keep some aside.
 */
bool pool_wants_refill(void);

/*
 * Bytes that nobody uses: of the page allocator, and of the stocks, where a page counts while it
 * is cleared, too. No lock held.
 */
uint64_t pool_free_bytes(void);

/* Clears one step's worth towards a full stock. false if that is not wanted. */
bool pool_refill_step(void);

/* Gives the stocks of all harts back to the page allocator. false if there was nothing. */
bool pool_reclaim(void);

#endif
