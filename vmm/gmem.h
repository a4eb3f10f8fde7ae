/* SPDX-License-Identifier: MIT */
#ifndef VMM_GMEM_H
#define VMM_GMEM_H

/*
 * A VM's RAM: backed with pages of the host when it is first touched, 2 MiB at a time (4 KiB
 * where memory is short). What an image fills wholly is copied then, too. Guest memory is touched
 * only through the functions here.
 */

#include "engine/vcpu.h"
#include "kernel/types.h"

struct load_segment;
struct vm;

/* 2 MiB pages that vCPUs of a VM can have at a time while they are cleared. */
#define GMEM_BACKING_MAX 4

/*
 * A vCPU touched a page of RAM that is not backed: does a bounded part of backing it. 0: done
 * (by this call, or by another vCPU before); ERR_AGAIN: part of the filling is done, let the
 * vCPU touch it again; ERR_NOMEM.
 */
int gmem_fault(struct vcpu *vcpu, gpa_t gpa);

/* Gives back what an unfinished gmem_fault of this vCPU holds. */
void gmem_fault_abandon(struct vcpu *vcpu);

/* Backs the page at `gpa` in RAM, with preemption points. ERR_NOMEM. No lock held. */
int gmem_back(struct vm *vm, gpa_t gpa);

/*
 * The part of the VM's images that fills all of the 2 MiB around `gpa`, which is in RAM, or NULL.
 * Until they have been touched these pages need not be loaded.
 */
const struct load_segment *gmem_segment(const struct vm *vm, gpa_t gpa);

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
 * Reads or writes two bytes, which `gpa` is aligned to (else ERR_RANGE), in one access: for what
 * the guest's vCPUs read and write at the same moment. What the guest wrote before it wrote the
 * value is there after the load; what was written here before the store is there when the guest
 * sees that.
 */
int gmem_load_u16(struct vm *vm, gpa_t gpa, uint16_t *value);
int gmem_store_u16(struct vm *vm, gpa_t gpa, uint16_t value);

/*
 * For DMA by a host's device: what backs the range's beginning, in one piece of the host's memory
 * of
 * `*piece` bytes, `size` at most. It is backed, as above, and stays so until the VM ends: who lets
 * a device write there sees to it that it is done before (machine_quiesce() in vmm/hooks.h). Errors
 * as above; `size` is not 0.
 */
int gmem_find(struct vm *vm, gpa_t gpa, uint64_t size, hpa_t *hpa, uint64_t *piece);

/*
 * Tells that a host's device has written to the range, which lies in RAM, before the guest is told:
 * what was derived from its old contents goes. No lock held; at most 64 KiB at a time.
 */
void gmem_note_written(struct vm *vm, gpa_t gpa, uint64_t size);

/*
 * Before and after a write to the range, which lies in RAM, by other means than these functions
 * (vmm/gmem_window.h): as gmem_note_written(), and nothing is derived anew in between.
 */
void gmem_begin_write(struct vm *vm, gpa_t gpa, uint64_t size);
void gmem_end_write(struct vm *vm);

/*
 * Whether anything is derived from the contents of the VM's RAM at all (by its engine: it stays as
 * it is). If not, gmem_note_written() has nothing to do. Any hart, no lock.
 */
bool gmem_is_derived_from(const struct vm *vm);

/*
 * Copies from the guest's RAM as far as it is backed, and backs nothing. ERR_RANGE if not all of
 * it lies in RAM, ERR_NOENT where it is not backed; then a part may have been copied. Any hart,
 * as long as the VM is not taken down meanwhile; vCPUs may run.
 */
int gmem_peek(const struct vm *vm, gpa_t gpa, void *to, uint64_t size);

#endif
