/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_VIRTIO_MMIO_H
#define DEVICE_VIRTIO_MMIO_H

/*
 * A virtio-mmio slot (Virtio 1.2, 4.2): the registers by which a guest finds a device, sets it up
 * and notifies it; or an empty one, as on QEMU's `virt`.
 */

#include "device/virtio/device.h"
#include "vmm/bus.h"

#define VIRTIO_SLOT_SIZE 0x200 /* bytes that answer, of the page that each slot has */

struct virtio_slot {
	struct mmio_device mmio;      /* for the VM's bus */
	struct virtio_device *device; /* or NULL */
};

/* `index` is 0 to MACHINE_VIRTIO_SLOTS - 1; `device` has been readied, or is NULL. */
void virtio_slot_init(struct virtio_slot *slot, unsigned index, struct virtio_device *device);

#endif
