/* SPDX-License-Identifier: MIT */
#ifndef VMM_GVMEM_H
#define VMM_GVMEM_H

/*
 * A guest's virtual memory for those who look at a VM from outside: crash reports and the shell.
 * The guest's tables are walked by software, and nothing is changed or backed. Permissions, and A
 * and D, are not asked: what is mapped can be seen. (What a guest's own access would do is the
 * engines' business; engine/soft/walk.h.)
 */

#include "kernel/types.h"

struct vm;

/*
 * Where `satp` (as the guest has it) translates the address to, whether or not there is RAM.
 * ERR_FAULT: nowhere. ERR_CORRUPT: a table that has to be read is in no RAM that is backed. Any
 * hart, as long as the VM is not taken down meanwhile; vCPUs may run, and change the tables.
 */
int gvmem_translate(const struct vm *vm, uint64_t satp, gva_t address, gpa_t *gpa);

/*
 * Copies from guest-virtual memory, with the errors of gvmem_translate() and gmem_peek();
 * ERR_RANGE too if the range wraps. A part may have been copied then. Likewise.
 */
int gvmem_read(const struct vm *vm, uint64_t satp, gva_t address, void *to, uint64_t size);

#endif
