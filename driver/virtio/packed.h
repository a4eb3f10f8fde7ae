/* SPDX-License-Identifier: MIT */
#ifndef DRIVER_VIRTIO_PACKED_H
#define DRIVER_VIRTIO_PACKED_H

/* Packed virtqueues, for driver/virtio/queue.c: the functions there say what these do. */

#include "driver/virtio/queue.h"

uint64_t packed_bytes(unsigned size);
void packed_init(struct virtqueue *queue);

/* The chain is not empty and there is room for it; `room`: what the device may write. */
void packed_add(struct virtqueue *queue, const struct virtqueue_buffer *buffers, unsigned readable,
		unsigned count, void *token, uint32_t room);

void *packed_take(struct virtqueue *queue, uint32_t *written);
bool packed_has_used(const struct virtqueue *queue);
bool packed_wants_notice(struct virtqueue *queue);
void packed_set_interrupt(struct virtqueue *queue, unsigned after);

/* Of driver/virtio/queue.c. Between accesses of ours to memory that the device shares. */
static inline void virtqueue_order(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Whether a chain of so many is put into its slot's indirect table. */
static inline bool virtqueue_is_indirect(const struct virtqueue *queue, unsigned count)
{
	return count > VIRTQUEUE_DIRECT_MAX && count <= queue->table_size;
}

/* Where the indirect table of a slot begins, counted from the queue's memory. */
static inline uint64_t virtqueue_table(const struct virtqueue *queue, uint16_t slot)
{
	return queue->tables + (uint64_t)slot * queue->table_size * sizeof(struct virtq_desc);
}

#endif
