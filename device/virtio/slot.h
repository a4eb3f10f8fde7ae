/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_VIRTIO_SLOT_H
#define DEVICE_VIRTIO_SLOT_H

/* A virtio-mmio slot without a device, as guests find it on QEMU's `virt`. */

#include "kernel/types.h"
#include "vmm/bus.h"

#define VIRTIO_SLOT_SIZE 0x200 /* bytes that answer, of the page that each slot has */

struct virtio_slot {
	struct mmio_device device; /* for the VM's bus */
};

/* `index` is 0 to MACHINE_VIRTIO_SLOTS - 1. */
void virtio_slot_init(struct virtio_slot *slot, unsigned index);

#endif
