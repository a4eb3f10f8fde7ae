/* SPDX-License-Identifier: MIT */
#ifndef DRIVER_VIRTIO_MMIO_H
#define DRIVER_VIRTIO_MMIO_H

/*
 * A virtio device behind memory-mapped registers (Virtio 1.3, 4.2): version 2, and version 1,
 * the legacy one (4.2.4), which differs in how queues are placed. In the order of
 * declaration: probe, negotiate, the queues, ready, and then notices and interrupts. One caller at
 * a time, but for host_virtio_notify(), which any hart may call at any time after
 * host_virtio_ready().
 */

#include "driver/virtio/queue.h"
#include "kernel/types.h"

#define VIRTIO_MMIO_SIZE 0x200 /* bytes of registers, the first of the configuration with them */

#define VIRTIO_ID_NET     1
#define VIRTIO_ID_BLOCK   2
#define VIRTIO_ID_CONSOLE 3

#define VIRTIO_F_VERSION_1 BIT(32)

#define HOST_VIRTIO_EVENT_QUEUE  1 /* a buffer was returned, in any queue */
#define HOST_VIRTIO_EVENT_CONFIG 2

struct host_virtio {
	volatile void *registers;
	unsigned version;  /* 1: legacy, 2 */
	uint32_t id;       /* VIRTIO_ID_… */
	uint64_t features; /* that were agreed on */
};

/*
 * Looks what is at these registers. ERR_NOENT: nothing; ERR_NOSYS: a device of a version that is
 * not known.
 */
int host_virtio_probe(struct host_virtio *device, volatile void *registers);

/*
 * Resets the device and agrees on those of the `wanted` features that it has; VIRTIO_F_VERSION_1
 * is added where it is needed. ERR_IO: the device does not follow.
 */
int host_virtio_negotiate(struct host_virtio *device, uint64_t wanted);

/* Gives the device up: resets it, and tells that it failed. */
void host_virtio_fail(struct host_virtio *device);

/* The most entries that queue `index` can have; 0: there is no such queue. */
unsigned host_virtio_queue_max(struct host_virtio *device, unsigned index);

/*
 * Tells the device where the queue is. `memory` is that of virtqueue_init(), page-aligned.
 * ERR_NOENT: no such queue, or not of that size; ERR_RANGE: a legacy device does not reach it.
 */
int host_virtio_set_queue(struct host_virtio *device, unsigned index, const struct virtqueue *queue,
			  hpa_t memory);

/* From here on the device works. */
void host_virtio_ready(struct host_virtio *device);

/* A buffer was added to queue `index`. */
void host_virtio_notify(struct host_virtio *device, unsigned index);

/* What the device interrupts for: HOST_VIRTIO_EVENT_…, which is acknowledged. */
uint32_t host_virtio_take_events(struct host_virtio *device);

/* Reads the device's own configuration at this offset, aligned to 4 and below 0x100. */
uint32_t host_virtio_config(struct host_virtio *device, unsigned offset);

/* Accesses to registers, of 32 bits; unit tests define the functions below themselves. */
#ifdef PILAE_HOST
uint32_t host_virtio_register_read(const struct host_virtio *device, unsigned offset);
void host_virtio_register_write(const struct host_virtio *device, unsigned offset, uint32_t value);
#else
static inline volatile uint32_t *host_virtio_register(const struct host_virtio *device,
						      unsigned offset)
{
	return (volatile uint32_t *)((volatile char *)device->registers + offset);
}

/* Memory and registers are ordered by these alone (RISC-V, FENCE: o and i beside w and r). */
static inline uint32_t host_virtio_register_read(const struct host_virtio *device, unsigned offset)
{
	uint32_t value = *host_virtio_register(device, offset);

	__asm__ volatile("fence i, iorw" ::: "memory");
	return value;
}

static inline void host_virtio_register_write(const struct host_virtio *device, unsigned offset,
					      uint32_t value)
{
	__asm__ volatile("fence iorw, o" ::: "memory");
	*host_virtio_register(device, offset) = value;
}
#endif

#endif
