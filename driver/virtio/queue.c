/* SPDX-License-Identifier: MIT */

#include "driver/virtio/queue.h"

#include "kernel/error.h"

#define DESC_NEXT  1
#define DESC_WRITE 2

#define AVAIL_NO_INTERRUPT 1
#define USED_NO_NOTIFY     1

/* Virtio 1.3, 2.7: flags, index, ring, and an event index that is not used. */
static uint64_t avail_bytes(unsigned size)
{
	return 2 * (3 + (uint64_t)size);
}

static uint64_t used_offset(unsigned size)
{
	return align_up(sizeof(struct virtq_desc) * size + avail_bytes(size), VIRTQUEUE_ALIGN);
}

uint64_t virtqueue_bytes(unsigned size)
{
	return align_up(used_offset(size) + 6 + 8 * (uint64_t)size, VIRTQUEUE_ALIGN);
}

/* Between accesses of ours to memory that the device shares. */
static void order(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void virtqueue_init(struct virtqueue *queue, void *memory, unsigned size,
		    struct virtqueue_slot *slots)
{
	char *base = memory;

	*queue = (struct virtqueue){
	    .size = size,
	    .desc = memory,
	    .avail = (void *)(base + sizeof(struct virtq_desc) * size),
	    .used = (void *)(base + used_offset(size)),
	    .slots = slots,
	    .free_count = (uint16_t)size,
	};
	for (unsigned i = 0; i < size; i++)
		slots[i] = (struct virtqueue_slot){.next = (uint16_t)(i + 1)};
}

/* Writes the chain's descriptors, and returns the slot after them in the list of free ones. */
static uint16_t write_chain(struct virtqueue *queue, const struct virtqueue_buffer *buffers,
			    unsigned readable, unsigned count)
{
	uint16_t slot = queue->free_head;

	for (unsigned i = 0; i < count; i++) {
		volatile struct virtq_desc *desc = &queue->desc[slot];

		desc->address = buffers[i].address.v;
		desc->length = buffers[i].length;
		desc->flags =
		    (uint16_t)((i < readable ? 0 : DESC_WRITE) | (i + 1 < count ? DESC_NEXT : 0));
		desc->next = i + 1 < count ? queue->slots[slot].next : 0;
		slot = queue->slots[slot].next;
	}
	return slot;
}

int virtqueue_add(struct virtqueue *queue, const struct virtqueue_buffer *buffers,
		  unsigned readable, unsigned writable, void *token)
{
	unsigned count = readable + writable;
	uint16_t head = queue->free_head;
	uint32_t room = 0;

	if (queue->broken || count == 0 || count > queue->size)
		return ERR_INVAL;
	if (count > queue->free_count)
		return ERR_AGAIN;
	for (unsigned i = readable; i < count; i++) {
		if (__builtin_add_overflow(room, buffers[i].length, &room))
			return ERR_INVAL;
	}
	queue->free_head = write_chain(queue, buffers, readable, count);
	queue->free_count = (uint16_t)(queue->free_count - count);
	queue->slots[head].token = token;
	queue->slots[head].writable = room;
	queue->slots[head].count = (uint16_t)count;

	/* 2.7.13: the chain, then the entry, then the index that shows it. */
	queue->avail->ring[queue->avail_index % queue->size] = head;
	order();
	queue->avail->index = ++queue->avail_index;
	return 0;
}

bool virtqueue_has_used(const struct virtqueue *queue)
{
	return !queue->broken && queue->used->index != queue->used_index;
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

void *virtqueue_take(struct virtqueue *queue, uint32_t *written)
{
	uint16_t index = queue->used->index;
	struct virtqueue_slot *slot;
	uint32_t id, length;
	void *token;

	if (queue->broken || index == queue->used_index)
		return NULL;
	order();
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

bool virtqueue_wants_notice(const struct virtqueue *queue)
{
	/* 2.7.13.4: the index is written before the flag is read. */
	order();
	return !queue->broken && !(queue->used->flags & USED_NO_NOTIFY);
}

void virtqueue_set_interrupt(struct virtqueue *queue, bool wanted)
{
	queue->avail->flags = wanted ? 0 : AVAIL_NO_INTERRUPT;
	order();
}
