/* SPDX-License-Identifier: MIT */
#ifndef DRIVER_VIRTIO_MMIO_H
#define DRIVER_VIRTIO_MMIO_H

/*
 * A virtio device behind memory-mapped registers (Virtio 1.3, 4.2): version 2, and version 1,
 * the legacy one (4.2.4), which differs in how queues are placed. In the order of
 * declaration: probe, negotiate, the queues, ready, and then notices and interrupts. One caller at
 * a time, but for virtio_notify(), which any hart may call at any time after virtio_ready().
 */

#include "driver/virtio/queue.h"
#include "kernel/types.h"

#define VIRTIO_MMIO_SIZE 0x200 /* bytes of registers, the first of the configuration with them */

#define VIRTIO_ID_NET     1
#define VIRTIO_ID_BLOCK   2
#define VIRTIO_ID_CONSOLE 3

#define VIRTIO_F_VERSION_1 BIT(32)

#define VIRTIO_EVENT_QUEUE  1 /* a buffer was returned, in any queue */
#define VIRTIO_EVENT_CONFIG 2

struct virtio_device {
	volatile void *registers;
	unsigned version;  /* 1: legacy, 2 */
	uint32_t id;       /* VIRTIO_ID_… */
	uint64_t features; /* that were agreed on */
};

/*
 * Looks what is at these registers. ERR_NOENT: nothing; ERR_NOSYS: a device of a version that is
 * not known.
 */
int virtio_probe(struct virtio_device *device, volatile void *registers);

/*
 * Resets the device and agrees on those of the `wanted` features that it has; VIRTIO_F_VERSION_1
 * is added where it is needed. ERR_IO: the device does not follow.
 */
int virtio_negotiate(struct virtio_device *device, uint64_t wanted);

/* Resets the device (4.2.2.1), which then touches no memory. ERR_IO: it does not follow. */
int virtio_reset(struct virtio_device *device);

/* Gives the device up: resets it, and tells that it failed. */
void virtio_fail(struct virtio_device *device);

/* The most entries that queue `index` can have; 0: there is no such queue. */
unsigned virtio_queue_max(struct virtio_device *device, unsigned index);

/*
 * Tells the device where the queue is. `memory` is that of virtqueue_init(), page-aligned.
 * ERR_NOENT: no such queue, or not of that size; ERR_RANGE: a legacy device does not reach it.
 */
int virtio_set_queue(struct virtio_device *device, unsigned index, const struct virtqueue *queue,
		     hpa_t memory);

/* From here on the device works. */
void virtio_ready(struct virtio_device *device);

/* A buffer was added to queue `index`. */
void virtio_notify(struct virtio_device *device, unsigned index);

/* What the device interrupts for: VIRTIO_EVENT_…, which is acknowledged. */
uint32_t virtio_take_events(struct virtio_device *device);

/* Reads the device's own configuration at this offset, aligned to 4 and below 0x100. */
uint32_t virtio_config(struct virtio_device *device, unsigned offset);

/* Accesses to registers, of 32 bits; unit tests define the functions below themselves. */
#ifdef PILAE_HOST
uint32_t virtio_register_read(const struct virtio_device *device, unsigned offset);
void virtio_register_write(const struct virtio_device *device, unsigned offset, uint32_t value);
#else
static inline volatile uint32_t *virtio_register(const struct virtio_device *device,
						 unsigned offset)
{
	return (volatile uint32_t *)((volatile char *)device->registers + offset);
}

/* Memory and registers are ordered by these alone (RISC-V, FENCE: o and i beside w and r). */
static inline uint32_t virtio_register_read(const struct virtio_device *device, unsigned offset)
{
	uint32_t value = *virtio_register(device, offset);

	__asm__ volatile("fence i, iorw" ::: "memory");
	return value;
}

static inline void virtio_register_write(const struct virtio_device *device, unsigned offset,
					 uint32_t value)
{
	__asm__ volatile("fence iorw, o" ::: "memory");
	*virtio_register(device, offset) = value;
}
#endif

#endif
