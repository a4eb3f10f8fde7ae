/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_SELFTEST_PAGING_H
#define GUESTS_SELFTEST_PAGING_H

#include "guests/lib/paging.h"
#include "guests/selftest/test.h"

/* Virtual addresses that nothing else uses: data, and code for U-mode. */
#define WINDOW    UINT64_C(0x1000000000)
#define USER_CODE UINT64_C(0x1800000000)

enum access { ACCESS_LOAD, ACCESS_STORE, ACCESS_FETCH, ACCESS_KINDS };

/*
 * Tries an access of 4 bytes at `va`, in U-mode if `user`. 0: it worked; else the exception's
 * cause, and stval has been checked to be `va`. A page that is fetched from or written to
 * holds an ebreak.
 */
uint64_t paging_try(enum access access, uint64_t va, bool user);

/* The cause of a page fault, or of an access fault, of this kind of access. */
uint64_t paging_page_fault(enum access access);
uint64_t paging_access_fault(enum access access);

/* A page with an ebreak in all of its words. */
uint64_t paging_new_page(void);

/*
 * Calls test(tables) for each mode of satp there is, with paging on (ASID 0), everything mapped
 * to itself, and code for paging_try() in U-mode.
 */
void paging_each_mode(void (*test)(struct paging *tables));

#endif
