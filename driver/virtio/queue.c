/* SPDX-License-Identifier: MIT */

#include "driver/virtio/queue.h"

#include "driver/virtio/packed.h"
#include "kernel/error.h"

#define DESC_NEXT     1
#define DESC_WRITE    2
#define DESC_INDIRECT 4

#define AVAIL_NO_INTERRUPT 1
#define USED_NO_NOTIFY     1

/* Virtio 1.3, 2.7: flags, index, ring, and an event index. */
static uint64_t avail_bytes(unsigned size)
{
	return 2 * (3 + (uint64_t)size);
}

static uint64_t used_offset(unsigned size)
{
	return align_up(sizeof(struct virtq_desc) * size + avail_bytes(size), VIRTQUEUE_ALIGN);
}

static uint64_t ring_bytes(const struct virtqueue_kind *kind)
{
	uint64_t bytes = kind->features & VIRTIO_F_RING_PACKED
			     ? packed_bytes(kind->size)
			     : used_offset(kind->size) + 6 + 8 * (uint64_t)kind->size;

	return align_up(bytes, VIRTQUEUE_ALIGN);
}

static unsigned table_size(const struct virtqueue_kind *kind)
{
	return kind->features & VIRTIO_F_INDIRECT_DESC ? kind->table_size : 0;
}

uint64_t virtqueue_bytes(const struct virtqueue_kind *kind)
{
	uint64_t tables = (uint64_t)kind->size * table_size(kind) * sizeof(struct virtq_desc);

	return ring_bytes(kind) + tables;
}

/* The last entries of the rings (2.7.6, 2.7.8). */
static volatile uint16_t *used_event(const struct virtqueue *queue)
{
	return &queue->avail->ring[queue->size];
}

static volatile uint16_t *avail_event(const struct virtqueue *queue)
{
	return (volatile uint16_t *)&queue->used->ring[queue->size];
}

void virtqueue_init(struct virtqueue *queue, const struct virtqueue_kind *kind, void *memory,
		    hpa_t address, struct virtqueue_slot *slots)
{
	unsigned size = kind->size;

	*queue = (struct virtqueue){
	    .size = size,
	    .memory = address,
	    .base = memory,
	    .packed = kind->features & VIRTIO_F_RING_PACKED,
	    .event_index = kind->features & VIRTIO_F_EVENT_IDX,
	    .slots = slots,
	    .free_count = (uint16_t)size,
	    .table_size = table_size(kind),
	    .tables = ring_bytes(kind),
	};
	for (unsigned i = 0; i < size; i++)
		slots[i] = (struct virtqueue_slot){.next = (uint16_t)(i + 1)};
	if (queue->packed) {
		packed_init(queue);
		return;
	}
	queue->desc = memory;
	queue->avail = (void *)(queue->base + sizeof(struct virtq_desc) * size);
	queue->used = (void *)(queue->base + used_offset(size));
}

static hpa_t place_of(const struct virtqueue *queue, const volatile void *part)
{
	return HPA(queue->memory.v + (uint64_t)((const volatile char *)part - queue->base));
}

hpa_t virtqueue_desc(const struct virtqueue *queue)
{
	return queue->memory;
}

hpa_t virtqueue_driver_area(const struct virtqueue *queue)
{
	return queue->packed ? place_of(queue, queue->driver_event) : place_of(queue, queue->avail);
}

hpa_t virtqueue_device_area(const struct virtqueue *queue)
{
	return queue->packed ? place_of(queue, queue->device_event) : place_of(queue, queue->used);
}

static void write_desc(volatile struct virtq_desc *desc, hpa_t address, uint32_t length,
		       uint16_t flags, uint16_t next)
{
	desc->address = address.v;
	desc->length = length;
	desc->flags = flags;
	desc->next = next;
}

/* The flags of buffer i of a chain. */
static uint16_t chain_flags(unsigned i, unsigned readable, unsigned count)
{
	return (uint16_t)((i < readable ? 0 : DESC_WRITE) | (i + 1 < count ? DESC_NEXT : 0));
}

/* Writes the chain's descriptors, and returns the slot after them in the list of free ones. */
static uint16_t write_chain(struct virtqueue *queue, const struct virtqueue_buffer *buffers,
			    unsigned readable, unsigned count)
{
	uint16_t slot = queue->free_head;

	for (unsigned i = 0; i < count; i++) {
		uint16_t next = queue->slots[slot].next;

		write_desc(&queue->desc[slot], buffers[i].address, buffers[i].length,
			   chain_flags(i, readable, count), i + 1 < count ? next : 0);
		slot = next;
	}
	return slot;
}

/* 2.7.5.3: the chain in a table of its own, to which one descriptor points. */
static uint16_t write_indirect(struct virtqueue *queue, const struct virtqueue_buffer *buffers,
			       unsigned readable, unsigned count)
{
	uint16_t slot = queue->free_head;
	uint64_t place = virtqueue_table(queue, slot);
	volatile struct virtq_desc *table = (void *)(queue->base + place);

	for (unsigned i = 0; i < count; i++)
		write_desc(&table[i], buffers[i].address, buffers[i].length,
			   chain_flags(i, readable, count), i + 1 < count ? (uint16_t)(i + 1) : 0);
	write_desc(&queue->desc[slot], HPA(queue->memory.v + place),
		   (uint32_t)(count * sizeof(struct virtq_desc)), DESC_INDIRECT, 0);
	return queue->slots[slot].next;
}

static void split_add(struct virtqueue *queue, const struct virtqueue_buffer *buffers,
		      unsigned readable, unsigned count, void *token, uint32_t room)
{
	bool indirect = virtqueue_is_indirect(queue, count);
	uint16_t head = queue->free_head;
	struct virtqueue_slot *slot = &queue->slots[head];

	queue->free_head = indirect ? write_indirect(queue, buffers, readable, count)
				    : write_chain(queue, buffers, readable, count);
	slot->token = token;
	slot->writable = room;
	slot->count = indirect ? 1 : (uint16_t)count;
	queue->free_count = (uint16_t)(queue->free_count - slot->count);

	/* 2.7.13: the chain, then the entry, then the index that shows it. */
	queue->avail->ring[queue->avail_index % queue->size] = head;
	virtqueue_order();
	queue->avail->index = ++queue->avail_index;
}

int virtqueue_add(struct virtqueue *queue, const struct virtqueue_buffer *buffers,
		  unsigned readable, unsigned writable, void *token)
{
	unsigned count = readable + writable;
	unsigned entries = virtqueue_is_indirect(queue, count) ? 1 : count;
	uint32_t room = 0;

	if (queue->broken || count == 0 || entries > queue->size)
		return ERR_INVAL;
	if (entries > queue->free_count)
		return ERR_AGAIN;
	for (unsigned i = readable; i < count; i++) {
		if (__builtin_add_overflow(room, buffers[i].length, &room))
			return ERR_INVAL;
	}
	if (queue->packed)
		packed_add(queue, buffers, readable, count, token, room);
	else
		split_add(queue, buffers, readable, count, token, room);
	return 0;
}

bool virtqueue_has_used(const struct virtqueue *queue)
{
	if (queue->broken)
		return false;
	return queue->packed ? packed_has_used(queue) : queue->used->index != queue->used_index;
}

/* Gives the descriptors of a chain back to the list of free ones. */
static void free_chain(struct virtqueue *queue, uint16_t head)
{
	uint16_t last = head;

	for (unsigned i = 1; i < queue->slots[head].count; i++)
		last = queue->slots[last].next;
	queue->slots[last].next = queue->free_head;
	queue->free_head = head;
	queue->free_count = (uint16_t)(queue->free_count + queue->slots[head].count);
}

static void *split_take(struct virtqueue *queue, uint32_t *written)
{
	uint16_t index = queue->used->index;
	struct virtqueue_slot *slot;
	uint32_t id, length;
	void *token;

	if (index == queue->used_index)
		return NULL;
	virtqueue_order();
	id = queue->used->ring[queue->used_index % queue->size].id;
	length = queue->used->ring[queue->used_index % queue->size].length;
	/* More than it was given, or what it was not given. */
	if ((uint16_t)(index - queue->used_index) > queue->size || id >= queue->size ||
	    !queue->slots[id].token) {
		queue->broken = true;
		return NULL;
	}
	queue->used_index++;
	slot = &queue->slots[id];
	token = slot->token;
	/* Legacy devices say anything for chains that they only read (2.7.8.1). */
	*written = (uint32_t)min_u64(length, slot->writable);
	slot->token = NULL;
	free_chain(queue, (uint16_t)id);
	return token;
}

void *virtqueue_take(struct virtqueue *queue, uint32_t *written)
{
	if (queue->broken)
		return NULL;
	return queue->packed ? packed_take(queue, written) : split_take(queue, written);
}

static bool split_wants_notice(struct virtqueue *queue)
{
	uint16_t told = queue->told_index;

	queue->told_index = queue->avail_index;
	if (!queue->event_index)
		return !(queue->used->flags & USED_NO_NOTIFY);
	/* 2.7.10: whether the index that it waits for has been passed. */
	return (uint16_t)(queue->avail_index - *avail_event(queue) - 1) <
	       (uint16_t)(queue->avail_index - told);
}

bool virtqueue_wants_notice(struct virtqueue *queue)
{
	/* 2.7.13.4, 2.8.21: what was added is there before this is read. */
	virtqueue_order();
	if (queue->broken)
		return false;
	return queue->packed ? packed_wants_notice(queue) : split_wants_notice(queue);
}

void virtqueue_set_interrupt(struct virtqueue *queue, unsigned after)
{
	if (queue->packed)
		packed_set_interrupt(queue, after);
	else if (queue->event_index)
		/* 2.7.7: when this index is passed; for none one that is behind us. */
		*used_event(queue) = (uint16_t)(queue->used_index + after - 1);
	else
		queue->avail->flags = after ? 0 : AVAIL_NO_INTERRUPT;
	virtqueue_order();
}
