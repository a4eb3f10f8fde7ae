/* SPDX-License-Identifier: MIT */
#ifndef VMM_GMEM_H
#define VMM_GMEM_H

/*
 * A VM's RAM: backed with pages of the host when it is first touched, 2 MiB at a time (4 KiB
 * where memory is short). Guest memory is touched only through the functions here.
 */

#include "engine/vcpu.h"
#include "kernel/types.h"

struct vm;

/* 2 MiB pages that vCPUs of a VM can have at a time while they are cleared. */
#define GMEM_BACKING_MAX 4

/*
 * A vCPU touched a page of RAM that is not backed: does a bounded part of backing it. 0: done
 * (by this call, or by another vCPU before); ERR_AGAIN: part of the clearing is done, let the
 * vCPU touch it again; ERR_NOMEM.
 */
int gmem_fault(struct vcpu *vcpu, gpa_t gpa);

/* Gives back what an unfinished gmem_fault of this vCPU holds. */
void gmem_fault_abandon(struct vcpu *vcpu);

/*
 * Backs the page at `gpa` in RAM, with preemption points. `cleared` false: the caller writes
 * every byte of its 2 MiB before any vCPU of the VM runs. ERR_NOMEM. No lock held.
 */
int gmem_back(struct vm *vm, gpa_t gpa, bool cleared);

/*
 * Copies from or to the guest's RAM. ERR_RANGE if not all of it lies in RAM, ERR_NOMEM where
 * it cannot be backed; then a part may have been copied. Passes preemption points where
 * memory is backed: no lock held. At most 64 KiB at a time.
 */
int gmem_read(struct vm *vm, gpa_t gpa, void *to, uint64_t size);
int gmem_write(struct vm *vm, gpa_t gpa, const void *from, uint64_t size);

/* Writes zeroes, likewise. */
int gmem_clear(struct vm *vm, gpa_t gpa, uint64_t size);

/*
 * Copies from the guest's RAM as far as it is backed, and backs nothing. ERR_RANGE if not all of
 * it lies in RAM, ERR_NOENT where it is not backed; then a part may have been copied. Any hart,
 * as long as the VM is not taken down meanwhile; vCPUs may run.
 */
int gmem_peek(const struct vm *vm, gpa_t gpa, void *to, uint64_t size);

#endif
