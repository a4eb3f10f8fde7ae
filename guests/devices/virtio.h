/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_DEVICES_VIRTIO_H
#define GUESTS_DEVICES_VIRTIO_H

/* One queue of a virtio device behind memory-mapped registers, legacy or not. */

#include "kernel/types.h"

#define VIRTIO_QUEUE 8

#define VIRTIO_DESC_NEXT  1
#define VIRTIO_DESC_WRITE 2

struct virtio_desc {
	uint64_t address;
	uint32_t length;
	uint16_t flags, next;
};

struct virtio_ring {
	struct virtio_desc desc[VIRTIO_QUEUE];
	volatile uint16_t avail_flags, avail_index;
	volatile uint16_t avail[VIRTIO_QUEUE + 1];
	uint8_t gap[4096 - 16 * VIRTIO_QUEUE - 4 - 2 * (VIRTIO_QUEUE + 1)];
	volatile uint16_t used_flags, used_index;
	volatile struct {
		uint32_t id, length;
	} used[VIRTIO_QUEUE];
};

struct virtio {
	uint64_t base;
	uint32_t interrupt;
	struct virtio_ring *ring;
	uint64_t interrupts; /* taken */
};

/* Gets the device going. NULL, or what is wrong. */
const char *virtio_begin(struct virtio *virtio, uint32_t id);

/* Has the device do what the first `count` descriptors say, and waits for its interrupt. */
const char *virtio_do(struct virtio *virtio, unsigned count);

/* 32 bits of its configuration. */
uint32_t virtio_config(const struct virtio *virtio, unsigned offset);

/* Lets a source interrupt the boot hart; and waits for it, claims it: not completed yet. */
void plic_begin(uint32_t source);
bool plic_wait(uint32_t source);
void plic_complete(uint32_t source);

#endif
