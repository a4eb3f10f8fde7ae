/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_PASSTHROUGH_H
#define DEVICE_PASSTHROUGH_H

/*
 * Devices of the host that a VM has for itself (pilae,passthrough): their registers are mapped into
 * the guest's space at the same address, or forwarded where they share a page with others, and
 * their interrupts come through the guest's PLIC by the same number. All on the boot hart, in a job
 * or at boot.
 */

#include "kernel/types.h"
#include "vmm/guest_fdt.h"

struct passed;
struct plic;
struct vm;

struct passthrough {
	struct vm *vm;
	unsigned count;
	struct passed *devices;
	struct guest_fdt_device *described; /* `count` of them */
};

/* Finds out which devices the system file names. At boot, before the other harts start. */
void passthrough_init(void);

/*
 * Gives a VM that is being built its devices; of `plic` all that has a line is known. What is
 * wrong is reported: ERR_INVAL; or ERR_NOMEM. passthrough_release() is due in any case.
 */
int passthrough_build(struct passthrough *pass, struct vm *vm, struct plic *plic);

/*
 * Whether registers of the guest's own devices, at this address and with this interrupt, have to
 * stand back for one of these.
 */
bool passthrough_takes(const struct passthrough *pass, uint64_t base, uint64_t size,
		       uint32_t interrupt);

/*
 * For a reset of the VM, none of whose vCPUs runs: stops the devices and masks their interrupts,
 * before the guest's PLIC is reset; and lets them interrupt again after that.
 */
void passthrough_quiet(struct passthrough *pass);
void passthrough_open(struct passthrough *pass);

/* Takes the devices away again, which have been made quiet. */
void passthrough_release(struct passthrough *pass);

#endif
