/* SPDX-License-Identifier: MIT */
#ifndef VMM_VM_OWN_H
#define VMM_VM_OWN_H

/* Between vmm/vm.c, vm_build.c and vm_life.c; all on the boot hart, in a job or at boot. */

#include "vmm/vm.h"

/*
 * vmm/vm_build.c: chooses the VM's engine and builds what it is made of: all that can fail. What
 * is wrong is reported; then false, with nothing left. Passes preemption points. `otherwise`: the
 * engine of a VM that leaves it open; `committed`: bytes that other VMs were promised.
 */
bool vm_build(struct vm *vm, enum vmconfig_engine otherwise, uint64_t committed);

/*
 * Gives all but the arena's pages back, which arena_destroy_step() does: no vCPU is active, no
 * timer of the VM's queued.
 */
void vm_unbuild(struct vm *vm);

/* What a VM that has been built takes at the most: its RAM, its engine's tables, and the rest. */
uint64_t vm_commitment(const struct vm *vm);

/* vmm/vm.c: counts a VM that was built, and one that has ended. */
void vm_count_start(const struct vm *vm);
void vm_count_end(const struct vm *vm, bool crashed);

/* vmm/vm.c: takes a VM that is not alive from the list and frees it. */
void vm_forget(struct vm *vm);

/* vmm/vm.c: ends the machine if no VM is alive and none is waited for. */
void vm_check_last(void);

/* vmm/vm.c: the system, and the engine for VMs that leave it open. */
struct fit *vm_system(void);
enum vmconfig_engine vm_default_engine(void);

#endif
