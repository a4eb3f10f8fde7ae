/* SPDX-License-Identifier: MIT */
#ifndef VMM_VM_H
#define VMM_VM_H

/* A virtual machine: its memory, vCPUs, devices, and its life from description to end. */

#include "engine/engine.h"
#include "kernel/arena.h"
#include "kernel/list.h"
#include "kernel/lock.h"
#include "vmm/bus.h"
#include "vmm/load.h"
#include "vmm/schedule.h"
#include "vmm/vm_console.h"
#include "vmm/vmconfig.h"

struct machine;

enum vm_state {
	VM_OFF,     /* described; not started yet, or ended cleanly */
	VM_CRASHED, /* ended otherwise, or it could not be started */
	VM_REFUSED, /* its description cannot be used: it will never start */
	VM_LOADING, /* its images are being checked and copied */
	VM_RUNNING,
	VM_STOPPING, /* its vCPUs are leaving the guest */
};

/* Why a VM stops. */
enum vm_end { VM_END_POWEROFF, VM_END_REBOOT, VM_END_CRASH };

struct vm {
	struct guest guest;
	struct arena arena; /* everything below that is allocated */
	struct vmconfig config;
	struct vm *next; /* in the list of all VMs */
	unsigned number; /* from 1 up, in the order of the system file */

	struct spinlock lock; /* guards state, end, active and every vCPU's hsm_state */
	enum vm_state state;
	bool started;    /* once at least */
	enum vm_end end; /* why it is STOPPING */
	uint32_t active; /* vCPUs that are not parked */

	struct vcpu **vcpus;
	struct bus bus;
	struct machine *machine;   /* its devices; device/machine.c */
	struct vm_console console; /* shell/console.c */
	uint64_t ram_base, ram_size;

	struct loader loader; /* while it is LOADING */
	struct job job;       /* of loading it and of taking it down */
};

static inline struct vm *vm_of(const struct vcpu *vcpu)
{
	return container_of(vcpu->guest, struct vm, guest);
}

/* Whether [gpa, gpa + size) lies in the VM's RAM. Inline: every access exit asks. */
static inline bool vm_is_ram(const struct vm *vm, gpa_t gpa, uint64_t size)
{
	return range_within(gpa.v, size, vm->ram_base, vm->ram_size);
}

/*
 * Takes in all VMs of the system file and starts those that are not manual: what is wrong is
 * reported, and the other VMs start. On the boot hart, before the harts run guests. `engine`:
 * the engine for VMs that leave it open.
 */
void vm_start_system(const void *system, uint64_t size, enum vmconfig_engine engine);

/*
 * Starts a VM that is OFF or CRASHED, anew if it has run before. In a job: passes preemption
 * points. ERR_EXIST: it is in another state; ERR_INVAL: what is wrong has been reported.
 */
int vm_start(struct vm *vm);

/*
 * Ends a running VM for this reason: its vCPUs leave the guest, then it is taken down or
 * started again. A VM that is not running stays as it is. Any hart, no lock held; a vCPU that
 * calls it for its own VM must return to the run loop.
 */
void vm_end(struct vm *vm, enum vm_end end);

/* A VM stopped by Pilae itself: reports why, in words, and ends it as crashed. */
void vm_crash(struct vm *vm, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Called by the run loop when a vCPU has been parked: the last active one of a VM that is
 * stopping sets its end going.
 */
void vm_vcpu_parked(struct vcpu *vcpu);

/* The VM with that number, or NULL; VMs are never forgotten. */
struct vm *vm_by_number(unsigned number);
unsigned vm_count(void);

/* How many VMs are LOADING, RUNNING or STOPPING, and whether any has crashed or was refused. */
unsigned vm_count_alive(void);
bool vm_any_crashed(void);

/* Bytes promised to the VMs that are alive, and what Pilae itself took at boot. */
uint64_t vm_committed_bytes(void);

#endif
