/* SPDX-License-Identifier: MIT */
#ifndef VMM_HOOKS_H
#define VMM_HOOKS_H

/*
 * What a VM needs of the layers that are built on top of this one: they implement these
 * functions, once each.
 */

#include "kernel/types.h"

struct guest_fdt_device;
struct net;
struct vcpu;
struct vm;
struct vmconfig;

/* sbi/sbi.c: answers the ECALL that the vCPU is at, as the specification says. */
void sbi_handle(struct vcpu *vcpu);

/* sbi/sbi.c: the extensions that guests are offered, 0-terminated. */
extern const uint64_t sbi_extension_ids[];

/* sbi/hsm.c: a vCPU that HSM suspended has an interrupt to take; loaded on this hart. */
void vcpu_resume(struct vcpu *vcpu);

/*
 * device/machine.c: builds the devices of the guest's machine on vm->bus, from vm->arena.
 * ERR_NOMEM; any other error: what is wrong has been reported. And brings them back to their state
 * at reset; no vCPU of the VM runs, and they are quiescent.
 */
int machine_build(struct vm *vm);
void machine_reset(struct vm *vm);

/*
 * device/machine.c: the machine goes, which has been reset unless building it failed: what it has
 * of the host is free again. And the host's devices that it has, for the guest's device tree.
 */
void machine_unbuild(struct vm *vm);
const struct guest_fdt_device *machine_host_devices(const struct vm *vm, unsigned *count);

/*
 * device/net_uplink.c: plugs the host's network device that is named net->uplink into the switch;
 * false: what is wrong has been reported. At boot.
 */
bool machine_uplink(struct net *net);

/*
 * device/machine.c: reads what devices hold at first, step by step, before a vCPU runs: ERR_AGAIN
 * until that is done. Any other error has been reported. Boot hart, in a job.
 */
int machine_load(struct vm *vm);

/*
 * device/machine.c: bytes that the devices of such a machine may take, besides what every VM takes.
 */
uint64_t machine_overhead(const struct vmconfig *config);

/*
 * device/machine.c: maps the page around `gpa`, which is not RAM, if a device has memory there
 * that may be executed now. ERR_FAULT: none has. Any hart, no lock held.
 */
int machine_map(struct vm *vm, gpa_t gpa);

/*
 * device/machine.c: does what vCPUs have notified devices of. On a vCPU's hart, out of the guest,
 * no lock held; passes preemption points.
 */
void machine_work(struct vm *vm);

/*
 * device/machine.c: what devices put off telling, as vm->puts_off says, they tell now if somebody
 * may wait for it: a vCPU has nothing to do. As above.
 */
void machine_idle(struct vm *vm);

/*
 * device/machine.c: no vCPU of the VM is active any more, and its memory is about to be reused: its
 * devices begin nothing more. ERR_AGAIN if a device of the host still works for one of them; then
 * vm_quiesced() is called when that may have ended. Boot hart, in a job.
 */
int machine_quiesce(struct vm *vm);

/*
 * device/machine.c: a paused VM goes on, and so do devices that had work left (vm_is_paused()).
 * Boot hart, in a job.
 */
void machine_resume(struct vm *vm);

/*
 * device/machine.c: presses the machine's power button, if it has one that the guest listens to;
 * false: it has not. Boot hart.
 */
bool machine_request_shutdown(struct vm *vm);

/*
 * device/machine.c: a byte from the console for the VM; false if there is no room for it now.
 * console_drained() is called when there is, or with `more`, when the guest has read something.
 */
bool machine_console_input(struct vm *vm, uint8_t byte, bool more);

/* device/machine.c: takes a byte that the guest has not read yet, for SBI calls. */
bool machine_console_take(struct vm *vm, uint8_t *byte);

/*
 * shell/console.c: the console of a VM, from its description on; ERR_NOMEM. And the VM goes. Boot
 * hart, in a job or at boot, no lock held, as the next ones. console_kept_bytes(): what it takes.
 */
int console_add(struct vm *vm);
void console_remove(struct vm *vm);
uint64_t console_kept_bytes(void);

/*
 * shell/console.c: the VM is built anew: its former life's output is forgotten. And it has
 * stopped, and its devices are about to be reset or taken down; its state is none of a running
 * one already.
 */
void console_restart(struct vm *vm);
void console_forget(struct vm *vm);

/*
 * shell/console.c: the guest's output, of which at least one byte is taken (how many is
 * returned); and room again after an input byte was refused. Any hart, no lock held.
 */
unsigned console_output(struct vm *vm, const uint8_t *bytes, unsigned count);
void console_drained(struct vm *vm);

#endif
