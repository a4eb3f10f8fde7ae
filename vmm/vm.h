/* SPDX-License-Identifier: MIT */
#ifndef VMM_VM_H
#define VMM_VM_H

/*
 * A virtual machine: its memory, vCPUs, devices, and its life from description to end.
 *
 * The list of VMs is changed by jobs alone, which all run on the boot hart, one after the other
 * (and before the harts run guests). So whoever runs on the boot hart, in a job or in an
 * interrupt handler, may walk it without a lock, and a VM that was found there stays until this
 * step of the job has ended, preemption points or not; a job of several steps looks it up again.
 * Other harts do not walk the list: they know a VM by its vCPUs, and none of these is active when
 * it goes.
 */

#include "engine/engine.h"
#include "kernel/arena.h"
#include "kernel/list.h"
#include "kernel/lock.h"
#include "kernel/timer.h"
#include "vmm/bus.h"
#include "vmm/identity.h"
#include "vmm/load.h"
#include "vmm/report.h"
#include "vmm/run_queue.h"
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
	VM_PAUSING,  /* its vCPUs are leaving the guest, to go on later */
	VM_PAUSED,   /* they have left it */
	VM_STOPPING, /* its vCPUs are leaving the guest for good, or its memory is given back */
};

/* Why a VM stops. */
enum vm_end { VM_END_POWEROFF, VM_END_REBOOT, VM_END_CRASH };

#define VM_FOUND_PAGES 64

struct vm {
	struct guest guest;
	struct arena arena; /* everything below that is allocated */
	struct vmconfig config;
	struct vm *next; /* in the list of all VMs, by their numbers */
	unsigned number; /* from 1 up; a VM that is defined gets the lowest that is free */

	/* Guards state, end, crashed, pause_loaded, active, paused and every vCPU's hsm_state. */
	struct spinlock lock;
	enum vm_state state;
	bool started;      /* once at least; the boot hart's alone, as the next */
	bool forget;       /* it is to go with its description when it has ended */
	enum vm_end end;   /* why it is STOPPING */
	bool crashed;      /* since it was loaded; it may be PAUSED all the same */
	bool pause_loaded; /* LOADING: it is to be PAUSED then */
	uint32_t active;   /* vCPUs that are not stopped, by HSM or for good */
	uint32_t paused;   /* of these, put aside */

	struct vcpu **vcpus;
	uint64_t harts; /* that can run it: a bit for each index */
	struct entity_group group;
	struct bus bus;
	/* For full exits alone: registers of the host's, which may fault; flash. */
	struct bus forwarded;
	struct machine *machine;   /* its devices; device/machine.c */
	struct vm_console console; /* shell/console.c */
	uint64_t ram_base, ram_size;
	struct identity *identity;      /* what is reserved for it, or NULL; vmm/identity.c */
	uint32_t backing;               /* pages that are being filled for its vCPUs; atomic */
	uint64_t found[VM_FOUND_PAGES]; /* vmm/gmem.c */
	uint32_t puts_off;              /* devices put something off until a vCPU is idle; atomic */

	bool quiescing; /* it is STOPPING, and a device still works for it; the boot hart's */

	struct loader loader;    /* while it is LOADING; its plan ever since */
	struct job job;          /* of loading it and of taking it down */
	struct timer stop_timer; /* ends it by force; the boot hart's */
	unsigned stop_seconds;   /* how long that was */
	struct report report;    /* of its last crash */
	struct job report_job;   /* of showing that when it is paused */
};

static inline struct vm *vm_of(const struct vcpu *vcpu)
{
	return container_of(vcpu->guest, struct vm, guest);
}

/* The one that has this console. */
static inline struct vm *vm_with(const struct vm_console *console)
{
	return container_of(console, struct vm, console);
}

/* Whether [gpa, gpa + size) lies in the VM's RAM. Inline: every access exit asks. */
static inline bool vm_is_ram(const struct vm *vm, gpa_t gpa, uint64_t size)
{
	return range_within(gpa.v, size, vm->ram_base, vm->ram_size);
}

/* Whether it has been built: it has vCPUs, devices and memory. */
static inline bool vm_is_alive(const struct vm *vm)
{
	return vm->state >= VM_LOADING;
}

/*
 * Whether it is paused, or about to be: its devices end what they have begun, and begin nothing.
 * Any hart, no lock: machine_resume() (vmm/hooks.h) comes after the end of that.
 */
static inline bool vm_is_paused(const struct vm *vm)
{
	enum vm_state state = __atomic_load_n(&vm->state, __ATOMIC_RELAXED);

	return state == VM_PAUSING || state == VM_PAUSED;
}

/*
 * Taking in the system, and the list. vmm/vm.c; boot hart, in a job or at boot.
 */

/*
 * Takes in all VMs of the system file and starts those that are not manual: what is wrong is
 * reported, and the other VMs start. On the boot hart, before the harts run guests. `engine`:
 * the engine for VMs that leave it open.
 */
void vm_start_system(const void *system, uint64_t size, enum vmconfig_engine engine);

/* The first VM for NULL, and the next by number; NULL after the last. */
struct vm *vm_next(const struct vm *vm);

/* The VM with that number or name, or NULL. Numbers may have gaps. */
struct vm *vm_by_number(unsigned number);
struct vm *vm_by_name(const char *name);
unsigned vm_count(void);

/*
 * The name of the next VM that the system file describes, by a name that it may have, and that is
 * not in the list; NULL after the last. *at is 0 at first. Passes preemption points.
 */
const char *vm_next_described(int *at);

/*
 * Puts a VM that the system file describes into the list, not started. ERR_EXIST: it is there;
 * ERR_NOENT: it is not described; ERR_INVAL: what is wrong with it has been reported; ERR_NOMEM.
 */
int vm_define(const char *name);

/* How many VMs are alive, and whether any has crashed or was refused. */
unsigned vm_count_alive(void);
bool vm_any_crashed(void);

/* Bytes promised to the VMs that are alive, and what Pilae itself took at boot. */
uint64_t vm_committed_bytes(void);

/*
 * Sets memory aside for Pilae itself, which VMs then are not promised, and gives it back. false:
 * all is promised. Boot hart, in a job.
 */
bool vm_commit_own(uint64_t bytes);
void vm_uncommit_own(uint64_t bytes);

/*
 * What can be done with a VM. vmm/vm_life.c. Those that return an error change nothing with
 * ERR_EXIST, as the VM's state is another than they expect.
 */

/*
 * Starts a VM that is OFF or CRASHED, anew if it has run before. Boot hart, in a job: passes
 * preemption points. ERR_INVAL: what is wrong has been reported.
 */
int vm_start(struct vm *vm);

/*
 * Ends a VM for this reason: its vCPUs leave the guest, then it is taken down or started again;
 * or it is paused, if that is what its description wants when it crashes. A VM that is not alive,
 * or STOPPING, stays as it is. Any hart, no lock held; a vCPU that calls it for its own VM must
 * return to the run loop.
 */
void vm_end(struct vm *vm, enum vm_end end);

/* A VM stopped by Pilae itself: reports why, in words, and ends it as crashed. */
void vm_crash(struct vm *vm, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Ends a VM as vm_end() does, but even one that was about to restart. Boot hart, no lock held. */
void vm_kill(struct vm *vm);

/*
 * Asks a VM's guest to shut down, and kills it when it has not ended after so many seconds.
 * ERR_NOSYS: it cannot be asked, and has been killed. Boot hart, no lock held.
 */
int vm_stop(struct vm *vm, unsigned seconds);

/*
 * A VM that is LOADING or RUNNING: its vCPUs are put aside (one that is LOADING stops before its
 * first instruction), with all that is pending for them and comes meanwhile. `time` goes on.
 * vm_resume() undoes that, at any moment; ERR_DENIED: it has crashed. Any hart, no lock held.
 */
int vm_pause(struct vm *vm);
int vm_resume(struct vm *vm);

/*
 * Ends a VM, if it is alive, and takes it from the list; all that it had comes back. It may be
 * gone when this returns. Boot hart, in a job.
 */
void vm_destroy(struct vm *vm);

/*
 * For devices: nothing that was begun for the VM is under way any more, in one of them. The VM goes
 * on to its end, if that is what it waits for. Boot hart, any context, no lock held.
 */
void vm_quiesced(struct vm *vm);

/*
 * For the run loop, when a vCPU was parked (as HSM or the end of its VM wants), or put aside as
 * VCPU_PAUSE asks. On the vCPU's hart, which has nothing of it any more, no lock held; the VM may
 * be gone when these return.
 */
void vm_vcpu_parked(struct vcpu *vcpu);
void vm_vcpu_paused(struct vcpu *vcpu);

#endif
