/* SPDX-License-Identifier: MIT */
#ifndef DRIVER_VIRTIO_DEVICE_H
#define DRIVER_VIRTIO_DEVICE_H

/*
 * A virtio device of the host, however it is reached (driver/virtio/transport.h). In the order of
 * declaration: negotiate, the queues, listen, ready, and then notices and interrupts. One caller
 * at a time, but for host_virtio_notify(), which any hart may call at any time after
 * host_virtio_ready(). Who finds the devices and who drives which: driver/virtio/registry.h.
 */

#include "driver/virtio/queue.h"
#include "kernel/timer.h"
#include "kernel/types.h"

#define VIRTIO_ID_NET     1
#define VIRTIO_ID_BLOCK   2
#define VIRTIO_ID_CONSOLE 3
#define VIRTIO_ID_ENTROPY 4

#define VIRTIO_F_VERSION_1 BIT(32)

#define HOST_VIRTIO_EVENT_QUEUE  1 /* a buffer was returned, in any queue */
#define HOST_VIRTIO_EVENT_CONFIG 2

#define HOST_VIRTIO_NAME_MAX 24 /* with the terminator, as the next */
#define HOST_VIRTIO_PATH_MAX 64

struct host_virtio_driver;
struct host_virtio_transport;

struct host_virtio {
	const struct host_virtio_transport *transport;
	uint32_t id;        /* VIRTIO_ID_… */
	bool legacy;        /* the interface of before Virtio 1.0 */
	uint64_t features;  /* that were agreed on */
	uint32_t interrupt; /* PLIC source; 0: none, it is polled */

	/* The transport's: registers, and over PCI those that lie elsewhere. */
	volatile char *registers, *isr, *config, *doorbells;
	uint32_t config_size, doorbells_size, doorbell_step;
	struct host_pci_function *function;

	/* host_virtio_listen()'s; the boot hart's. */
	void (*handle)(void *context, uint32_t events);
	void *context;
	struct host_virtio *next_listening;
	struct timer poll;

	/* The registry's. */
	char name[HOST_VIRTIO_NAME_MAX], path[HOST_VIRTIO_PATH_MAX];
	const struct host_virtio_driver *driver; /* that drives it, or NULL */
	const char *owner;                       /* who has it: a driver's or VM's name, or NULL */
	void *data;                              /* its driver's */
};

/*
 * Resets the device and agrees on those of the `wanted` features that it has; VIRTIO_F_VERSION_1
 * is added where it is needed. ERR_IO: the device does not follow.
 */
int host_virtio_negotiate(struct host_virtio *device, uint64_t wanted);

/*
 * Gives the device up: resets it, keeps it from memory where that can be done, and tells it that
 * it failed. ERR_IO: it has not been reset, and may still use what it was given.
 */
int host_virtio_fail(struct host_virtio *device);

/* Resets it for its next owner; it is no longer listened to. ERR_IO as above. Boot hart. */
int host_virtio_reset(struct host_virtio *device);

/* The most entries that queue `index` can have; 0: there is no such queue. */
unsigned host_virtio_queue_max(struct host_virtio *device, unsigned index);

/*
 * Tells the device where queue `index` is, and the queue which it is. ERR_NOENT: no such queue,
 * or not of that size; ERR_EXIST: it has been set; ERR_RANGE: a legacy device does not reach it,
 * or the device names a place for notices that is not there.
 */
int host_virtio_set_queue(struct host_virtio *device, unsigned index, struct virtqueue *queue);

/*
 * Has `handle` called with HOST_VIRTIO_EVENT_…, on the boot hart, with interrupts off and no lock
 * held: on interrupts or, where there are none, a hundred times a second. Boot hart.
 */
void host_virtio_listen(struct host_virtio *device, void (*handle)(void *context, uint32_t events),
			void *context);

/* From here on the device works. */
void host_virtio_ready(struct host_virtio *device);

/* Whether it says, with a HOST_VIRTIO_EVENT_CONFIG, that it cannot go on (2.1.2). */
bool host_virtio_needs_reset(struct host_virtio *device);

/* A buffer was added to that queue. */
void host_virtio_notify(struct host_virtio *device, const struct virtqueue *queue);

/* What the device interrupts for: HOST_VIRTIO_EVENT_…, which is acknowledged. */
uint32_t host_virtio_take_events(struct host_virtio *device);

/*
 * Reads a field of the device's own configuration, aligned to its size and below offset 0x100;
 * what the device has not got is 0.
 */
uint8_t host_virtio_config8(struct host_virtio *device, unsigned offset);
uint16_t host_virtio_config16(struct host_virtio *device, unsigned offset);
uint32_t host_virtio_config32(struct host_virtio *device, unsigned offset);
uint64_t host_virtio_config64(struct host_virtio *device, unsigned offset);

#endif
