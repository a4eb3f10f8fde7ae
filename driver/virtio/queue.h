/* SPDX-License-Identifier: MIT */
#ifndef DRIVER_VIRTIO_QUEUE_H
#define DRIVER_VIRTIO_QUEUE_H

/*
 * The driver's side of a virtqueue, split or packed (Virtio 1.3, 2.7 and 2.8), as was agreed on
 * with the device. What the device writes is checked: a device that returns what it was not given
 * makes its queue broken, and nothing else. No notification is sent from here, and no lock is
 * taken: one caller at a time.
 */

#include "kernel/types.h"

#define VIRTIO_F_INDIRECT_DESC BIT(28)
#define VIRTIO_F_EVENT_IDX     BIT(29)
#define VIRTIO_F_RING_PACKED   BIT(34)

#define VIRTQUEUE_SIZE_MAX 256

/* The legacy interface wants the used ring aligned to this (QueueAlign), 4 would do for modern. */
#define VIRTQUEUE_ALIGN 64

/* A chain that is longer is put into an indirect table, where there are such. */
#define VIRTQUEUE_DIRECT_MAX 2

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

/* 2.8.13 and 2.8.14. */
struct virtq_packed_desc {
	uint64_t address;
	uint32_t length;
	uint16_t id, flags;
};

struct virtq_packed_event {
	uint16_t place; /* of a descriptor, and in bit 15 the wrap counter then */
	uint16_t flags;
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
	uint16_t count;    /* descriptors of the chain, in the ring */
};

/* What a queue is made like. */
struct virtqueue_kind {
	unsigned size;       /* a power of two up to VIRTQUEUE_SIZE_MAX */
	unsigned table_size; /* longest chain in an indirect table, or 0; needs INDIRECT_DESC */
	uint64_t features;   /* that were agreed on; those above matter */
};

struct virtqueue {
	unsigned size;
	uint16_t index;          /* which of the device's it is, and where it is notified: */
	volatile void *doorbell; /* host_virtio_set_queue() sets both */
	hpa_t memory;
	char *base; /* the same */
	bool packed, event_index;
	bool broken; /* the device returned what it does not have */
	struct virtqueue_slot *slots;
	uint16_t free_head;  /* of slots */
	uint16_t free_count; /* descriptors */
	unsigned table_size;
	uint64_t tables; /* offset of the indirect tables, one a slot */

	/* Of a split one. What the device sees follows. */
	volatile struct virtq_desc *desc;
	volatile struct virtq_avail *avail;
	volatile struct virtq_used *used;
	uint16_t avail_index;
	uint16_t used_index; /* up to which we have seen */
	uint16_t told_index; /* avail_index when virtqueue_wants_notice() was last asked */

	/* Of a packed one (driver/virtio/packed.c). */
	volatile struct virtq_packed_desc *ring;
	volatile struct virtq_packed_event *driver_event, *device_event;
	uint16_t next_avail, next_used; /* places in the ring */
	bool avail_wrap, used_wrap;
	uint16_t untold; /* descriptors added since virtqueue_wants_notice() was last asked */
};

/* Bytes of memory that such a queue takes; split rings lie as the legacy interface wants. */
uint64_t virtqueue_bytes(const struct virtqueue_kind *kind);

/*
 * Readies an empty queue in cleared memory of virtqueue_bytes(), aligned to a page, which is at
 * `address` for the device. `slots`: kind->size of them.
 */
void virtqueue_init(struct virtqueue *queue, const struct virtqueue_kind *kind, void *memory,
		    hpa_t address, struct virtqueue_slot *slots);

/* Where its parts are: descriptors; what the driver writes else; what the device writes. */
hpa_t virtqueue_desc(const struct virtqueue *queue);
hpa_t virtqueue_driver_area(const struct virtqueue *queue);
hpa_t virtqueue_device_area(const struct virtqueue *queue);

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

/*
 * Whether the device is to be told of what was added since this was asked last. Call after
 * virtqueue_add(), and tell it if so.
 */
bool virtqueue_wants_notice(struct virtqueue *queue);

/*
 * Asks for an interrupt when `after` more chains are returned (or the next, where the device does
 * not count them), or 0 for none. It is only a hint, and after it was asked for
 * virtqueue_has_used() tells whether one came just before.
 */
void virtqueue_set_interrupt(struct virtqueue *queue, unsigned after);

#endif
