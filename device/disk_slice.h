/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_DISK_SLICE_H
#define DEVICE_DISK_SLICE_H

/* Slices of the host's disks, as the nodes of a VM's devices name them. */

#include "driver/disk.h"

struct vm;
struct vmconfig_device;

/*
 * Makes `client` the user of the slice that `config`, a node of the VM's, names: where it gives no
 * size, all from its offset on, but `sectors_most` at the most. Any error has been reported. It
 * ends by disk_client_quit(). Boot hart, in a job or at boot.
 */
int disk_slice_open(struct disk_client *client, const struct vm *vm,
		    const struct vmconfig_device *config, uint64_t sectors_most);

/* Reports why the device cannot have what the node names, and returns `error`. */
int disk_slice_refuse(const struct vm *vm, const struct vmconfig_device *config, int error,
		      const char *why);

#endif
