/* SPDX-License-Identifier: MIT */
#ifndef VMM_VMCONFIG_DEVICE_H
#define VMM_VMCONFIG_DEVICE_H

/* The device nodes of a VM's description: a part of vmm/vmconfig.c. */

#include "vmm/vmconfig.h"

/*
 * Reads all device nodes of config->node into config->devices and checks them against each
 * other. Everything wrong is reported; ERR_INVAL if anything was.
 */
int vmconfig_read_devices(struct vmconfig *config, const struct fit *fit);

/* The flash at `bank`, or NULL. */
const struct vmconfig_device *vmconfig_find_flash(const struct vmconfig *config, uint32_t bank);

/* Whether the kind is one of our own virtio devices, which take a slot. */
bool vmconfig_is_virtio(enum vmconfig_device_kind kind);

/* The kind's `compatible`. */
const char *vmconfig_device_compatible(enum vmconfig_device_kind kind);

#endif
