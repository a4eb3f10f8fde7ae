/* SPDX-License-Identifier: MIT */
#ifndef DRIVER_VIRTIO_QUEUE_H
#define DRIVER_VIRTIO_QUEUE_H

/*
 * The driver's side of a split virtqueue (Virtio 1.3, 2.7). What the device writes is checked:
 * a device that returns what it was not given makes its queue broken, and nothing else. No
 * notification is sent from here, and no lock is taken: one caller at a time.
 */

#include "kernel/types.h"

#define VIRTQUEUE_SIZE_MAX 256

/* The legacy interface wants the used ring aligned to this (QueueAlign), 4 would do for modern. */
#define VIRTQUEUE_ALIGN 64

/* 2.7.5, 2.7.6, 2.7.8; little-endian, as the hypervisor is. */
struct virtq_desc {
	uint64_t address; /* host-physical */
	uint32_t length;
	uint16_t flags, next;
};

struct virtq_avail {
	uint16_t flags, index;
	uint16_t ring[];
};

struct virtq_used {
	uint16_t flags, index;
	struct {
		uint32_t id, length;
	} ring[];
};

/* A piece of memory for the device. */
struct virtqueue_buffer {
	hpa_t address;
	uint32_t length;
};

/* What the driver knows of a descriptor; the table itself is read by the device alone. */
struct virtqueue_slot {
	void *token;       /* of a chain that begins here and that the device has; else NULL */
	uint32_t writable; /* bytes of it that the device may write */
	uint16_t next;     /* free or of a chain */
	uint16_t count;    /* descriptors of the chain */
};

struct virtqueue {
	unsigned size; /* a power of two */
	volatile struct virtq_desc *desc;
	volatile struct virtq_avail *avail;
	volatile struct virtq_used *used;
	struct virtqueue_slot *slots;
	uint16_t free_head, free_count;
	uint16_t avail_index; /* ours; what the device sees follows */
	uint16_t used_index;  /* up to which we have seen */
	bool broken;          /* the device returned what it does not have */
};

/* Bytes of memory that a queue of `size` takes: table and rings as the legacy interface wants. */
uint64_t virtqueue_bytes(unsigned size);

/*
 * Readies an empty queue of `size`, a power of two up to VIRTQUEUE_SIZE_MAX, in cleared memory of
 * virtqueue_bytes(size), aligned to a page. `slots`: `size` of them.
 */
void virtqueue_init(struct virtqueue *queue, void *memory, unsigned size,
		    struct virtqueue_slot *slots);

/*
 * Offers the device a chain of `readable` buffers and then `writable` ones, at least one in all.
 * `token`, not NULL, comes back with it. ERR_AGAIN: no descriptors are free; ERR_INVAL: the
 * queue is broken, or could never hold the chain.
 */
int virtqueue_add(struct virtqueue *queue, const struct virtqueue_buffer *buffers,
		  unsigned readable, unsigned writable, void *token);

/*
 * Takes back a chain that the device is done with: its token, or NULL if there is none. `written`:
 * how much the device says that it wrote, at most what it was allowed to.
 */
void *virtqueue_take(struct virtqueue *queue, uint32_t *written);

/* Whether the device has returned a chain that was not taken yet. */
bool virtqueue_has_used(const struct virtqueue *queue);

/* Whether the device is to be told of what was added. Call after virtqueue_add(). */
bool virtqueue_wants_notice(const struct virtqueue *queue);

/*
 * Asks for an interrupt when a chain is returned, or does without. It is only a hint, and after
 * it was asked for virtqueue_has_used() tells whether one came just before.
 */
void virtqueue_set_interrupt(struct virtqueue *queue, bool wanted);

#endif
