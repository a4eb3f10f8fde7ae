/* SPDX-License-Identifier: MIT */
#ifndef DRIVER_VIRTIO_REGISTRY_H
#define DRIVER_VIRTIO_REGISTRY_H

/*
 * The host's virtio devices: all of them, by name, and who has each. They are found once at boot;
 * each is given to the driver of its kind. All of this is the boot hart's, at boot or in a job.
 */

#include "driver/virtio/device.h"

#define HOST_VIRTIO_MAX 64 /* devices that are known; more are reported and left alone */

/* What a driver is to the registry: one for each kind of device. */
struct host_virtio_driver {
	uint32_t id; /* VIRTIO_ID_… */
	const char *name;
	const char *in_use; /* why nobody else can have it when unbind() says so, in words */
	/* Gets the device going; at boot. Any error: it is not used, and has failed. */
	int (*bind)(struct host_virtio *device);
	/*
	 * Lets the device go, for good: ERR_EXIST if it is in use. It is reset after this, and
	 * does not interrupt any more. NULL: it is always in use.
	 */
	int (*unbind)(struct host_virtio *device);
};

extern const struct host_virtio_driver host_blk_driver;     /* driver/virtio/blk.c */
extern const struct host_virtio_driver host_console_driver; /* driver/virtio/console.c */
extern const struct host_virtio_driver host_entropy_driver; /* driver/entropy.c */
extern const struct host_virtio_driver host_net_driver;     /* driver/virtio/net.c */

/*
 * Finds the devices and binds them, those behind mmio by ascending address, then those on PCI by
 * their numbers there. At boot, once there are jobs; what is wrong with one is logged.
 */
void host_virtio_init(void);

/*
 * The device with this name: virtio-blk0, virtio-net0 (counted by kind in the order above), a path
 * of the host's device tree, or pci:00:02.0. NULL: there is none.
 */
struct host_virtio *host_virtio_by_name(const char *name);

/* The one after this, or the first for NULL; NULL: there are no more. */
struct host_virtio *host_virtio_next(const struct host_virtio *device);

/*
 * Takes the device from its driver, if it has one, for somebody who drives it by itself, such as a
 * VM that it is passed to; `owner`, who that is, stays. It has been reset and does not use memory.
 * ERR_EXIST: somebody uses it (device->owner); ERR_IO: it cannot be reset, and stays nobody's.
 */
int host_virtio_take(struct host_virtio *device, const char *owner);

/* Its owner gives it back. It has no driver any more, and can be taken again. */
void host_virtio_give_back(struct host_virtio *device);

#endif
