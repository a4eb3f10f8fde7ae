/* SPDX-License-Identifier: MIT */
#ifndef VMM_GUEST_FDT_HOST_H
#define VMM_GUEST_FDT_HOST_H

/* The host's devices in a guest's device tree: a part of vmm/guest_fdt.c. */

#include "vmm/guest_fdt.h"

struct guest_fdt_copy {
	int offset; /* of the property; 0 before the first */
	const char *name;
	const void *value;
	size_t size;
};

/*
 * The next property of the host's node that means the same in the guest's tree; false after the
 * last. Addresses and interrupts are written anew; what refers to other nodes would name what is
 * not there.
 */
bool guest_fdt_next_copy(const struct guest_fdt_device *device, struct guest_fdt_copy *copy);

#endif
