/* SPDX-License-Identifier: MIT */

#include "driver/virtio/packed.h"

/*
 * Packed virtqueues (Virtio 1.3, 2.8): one ring of descriptors that driver and device go around,
 * each with a counter of one bit that changes with each round. A slot stands for a chain here; its
 * number is the chain's buffer id.
 */

#define DESC_NEXT     BIT(0)
#define DESC_WRITE    BIT(1)
#define DESC_INDIRECT BIT(2)
#define DESC_AVAIL    BIT(7)
#define DESC_USED     BIT(15)

#define EVENT_ENABLE  0
#define EVENT_DISABLE 1
#define EVENT_DESC    2
#define EVENT_WRAP    BIT(15)

uint64_t packed_bytes(unsigned size)
{
	return size * sizeof(struct virtq_packed_desc) + 2 * sizeof(struct virtq_packed_event);
}

void packed_init(struct virtqueue *queue)
{
	queue->ring = (void *)queue->base;
	queue->driver_event =
	    (void *)(queue->base + queue->size * sizeof(struct virtq_packed_desc));
	queue->device_event = queue->driver_event + 1;
	queue->avail_wrap = queue->used_wrap = true;
}

/* 2.8.1: what makes a descriptor available in this round. */
static uint16_t avail_flags(const struct virtqueue *queue)
{
	return queue->avail_wrap ? DESC_AVAIL : DESC_USED;
}

/* Writes the next descriptor but for its flags, which are returned with those of its round. */
static uint16_t write_desc(struct virtqueue *queue, hpa_t address, uint32_t length, uint16_t id,
			   uint64_t flags)
{
	volatile struct virtq_packed_desc *desc = &queue->ring[queue->next_avail];
	uint16_t all = (uint16_t)(flags | avail_flags(queue));

	desc->address = address.v;
	desc->length = length;
	desc->id = id;
	if (++queue->next_avail == queue->size) {
		queue->next_avail = 0;
		queue->avail_wrap = !queue->avail_wrap;
	}
	return all;
}

/* Writes all of a chain but the first one's flags, by which the device sees it. */
static uint16_t write_chain(struct virtqueue *queue, const struct virtqueue_buffer *buffers,
			    unsigned readable, unsigned count, uint16_t id)
{
	uint16_t first = 0;

	for (unsigned i = 0; i < count; i++) {
		volatile struct virtq_packed_desc *desc = &queue->ring[queue->next_avail];
		uint64_t kind = (i < readable ? 0 : DESC_WRITE) | (i + 1 < count ? DESC_NEXT : 0);
		uint16_t flags = write_desc(queue, buffers[i].address, buffers[i].length, id, kind);

		if (i == 0)
			first = flags;
		else
			desc->flags = flags;
	}
	return first;
}

/* 2.8.7: in a table of its own, in which the order is that of its entries. */
static uint16_t write_indirect(struct virtqueue *queue, const struct virtqueue_buffer *buffers,
			       unsigned readable, unsigned count, uint16_t id)
{
	uint64_t place = virtqueue_table(queue, id);
	volatile struct virtq_packed_desc *table = (void *)(queue->base + place);

	for (unsigned i = 0; i < count; i++) {
		table[i].address = buffers[i].address.v;
		table[i].length = buffers[i].length;
		table[i].id = 0;
		table[i].flags = i < readable ? 0 : DESC_WRITE;
	}
	return write_desc(queue, HPA(queue->memory.v + place),
			  (uint32_t)(count * sizeof(struct virtq_packed_desc)), id, DESC_INDIRECT);
}

void packed_add(struct virtqueue *queue, const struct virtqueue_buffer *buffers, unsigned readable,
		unsigned count, void *token, uint32_t room)
{
	bool indirect = virtqueue_is_indirect(queue, count);
	volatile struct virtq_packed_desc *head = &queue->ring[queue->next_avail];
	uint16_t id = queue->free_head;
	struct virtqueue_slot *slot = &queue->slots[id];
	uint16_t flags = indirect ? write_indirect(queue, buffers, readable, count, id)
				  : write_chain(queue, buffers, readable, count, id);

	queue->free_head = slot->next;
	slot->token = token;
	slot->writable = room;
	slot->count = indirect ? 1 : (uint16_t)count;
	queue->free_count = (uint16_t)(queue->free_count - slot->count);
	queue->untold = (uint16_t)(queue->untold + slot->count);
	virtqueue_order();
	head->flags = flags;
}

/* 2.8.1: used in this round, if both bits are the counter's. */
bool packed_has_used(const struct virtqueue *queue)
{
	uint16_t flags = queue->ring[queue->next_used].flags;

	return !!(flags & DESC_AVAIL) == queue->used_wrap &&
	       !!(flags & DESC_USED) == queue->used_wrap;
}

/* The device has written a used descriptor over the chain's first; it passes over the rest. */
static void pass_over(struct virtqueue *queue, unsigned count)
{
	unsigned place = queue->next_used + count;

	if (place >= queue->size) {
		place -= queue->size;
		queue->used_wrap = !queue->used_wrap;
	}
	queue->next_used = (uint16_t)place;
}

void *packed_take(struct virtqueue *queue, uint32_t *written)
{
	struct virtqueue_slot *slot;
	uint32_t length;
	uint16_t id;
	void *token;

	if (!packed_has_used(queue))
		return NULL;
	virtqueue_order();
	id = queue->ring[queue->next_used].id;
	length = queue->ring[queue->next_used].length;
	if (id >= queue->size || !queue->slots[id].token) {
		queue->broken = true;
		return NULL;
	}
	slot = &queue->slots[id];
	token = slot->token;
	*written = (uint32_t)min_u64(length, slot->writable);
	pass_over(queue, slot->count);
	queue->free_count = (uint16_t)(queue->free_count + slot->count);
	slot->token = NULL;
	slot->next = queue->free_head;
	queue->free_head = id;
	return token;
}

/* 2.8.10: whether the descriptor that the device waits for is among those just added. */
bool packed_wants_notice(struct virtqueue *queue)
{
	uint16_t flags = queue->device_event->flags & 3;
	uint16_t place = queue->device_event->place;
	uint16_t added = queue->untold;
	unsigned wanted = place & (EVENT_WRAP - 1);
	unsigned behind;

	queue->untold = 0;
	if (flags != EVENT_DESC)
		return flags == EVENT_ENABLE && added > 0;
	/* How far the next one to be added is ahead of it, around the ring if need be. */
	behind = queue->next_avail - wanted;
	if (!!(place & EVENT_WRAP) != queue->avail_wrap)
		behind += queue->size;
	return (uint16_t)(behind - 1) < added;
}

void packed_set_interrupt(struct virtqueue *queue, unsigned after)
{
	unsigned place = queue->next_used + (unsigned)min_u64(after, queue->size) - 1;
	bool wrap = queue->used_wrap;

	if (!after || !queue->event_index) {
		queue->driver_event->flags = after ? EVENT_ENABLE : EVENT_DISABLE;
		return;
	}
	if (place >= queue->size) {
		place -= queue->size;
		wrap = !wrap;
	}
	queue->driver_event->place = (uint16_t)(place | (wrap ? EVENT_WRAP : 0));
	virtqueue_order();
	queue->driver_event->flags = EVENT_DESC;
}
