/* SPDX-License-Identifier: MIT */
#ifndef DRIVER_VIRTIO_TRANSPORT_H
#define DRIVER_VIRTIO_TRANSPORT_H

/* How a virtio device is reached: what driver/virtio/device.c is built on. One caller at a time. */

#include "driver/virtio/device.h"

struct host_virtio_transport {
	uint64_t (*offered)(struct host_virtio *device); /* features */
	void (*accept)(struct host_virtio *device);      /* device->features */
	uint32_t (*status)(struct host_virtio *device);
	void (*set_status)(struct host_virtio *device, uint32_t status); /* 0: reset */
	unsigned (*queue_max)(struct host_virtio *device, unsigned index);
	/* The queue's size is one that the device has; its index is set. */
	int (*set_queue)(struct host_virtio *device, struct virtqueue *queue);
	void (*notify)(struct host_virtio *device, const struct virtqueue *queue);
	uint32_t (*take_events)(struct host_virtio *device);
	uint32_t (*config)(struct host_virtio *device, unsigned offset, unsigned size);
	uint32_t (*generation)(struct host_virtio *device);           /* of the configuration */
	void (*let_use_memory)(struct host_virtio *device, bool may); /* or NULL: it always may */
};

/*
 * Looks what is at these registers (Virtio 1.3, 4.2), of `size` bytes. ERR_NOENT: nothing;
 * ERR_NOSYS: a device of a version that is not known.
 */
int host_virtio_mmio_probe(struct host_virtio *device, volatile void *registers, uint64_t size);

/*
 * Whether that function is a virtio device (4.1), and where its registers are. ERR_NOENT: it is
 * none; ERR_NOSYS: it has the legacy interface only; ERR_INVAL: its registers are not where it
 * says. Boot only, as it maps them.
 */
struct host_pci_function;
int host_virtio_pci_probe(struct host_virtio *device, struct host_pci_function *function);

#endif
