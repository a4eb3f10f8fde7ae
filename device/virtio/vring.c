/* SPDX-License-Identifier: MIT */
#include "device/virtio/vring.h"

#include "kernel/error.h"
#include "kernel/trap.h"
#include "vmm/gmem.h"
#include "vmm/vm.h"

#define CHAIN_BYTES_MAX GIB(4) /* 2.7.4.2: a chain of more than 2^32 bytes must not be */
#define LOOKED_AT_MAX   (2 * VRING_SIZE_MAX) /* descriptors of a chain, and its indirect table's */

/* 2.7.5: a descriptor. */
struct vring_descriptor {
	uint64_t gpa;
	uint32_t length;
	uint16_t flags, next;
};

#define DESCRIPTOR_NEXT     BIT(0)
#define DESCRIPTOR_WRITE    BIT(1)
#define DESCRIPTOR_INDIRECT BIT(2)

/* 2.7.6, 2.7.8: flags, index, the ring, and the other side's event. */
#define RING_FLAGS 0
#define RING_INDEX 2
#define RING_START 4

#define AVAILABLE_NO_INTERRUPT BIT(0)

struct vring_used {
	uint32_t head, written;
};

/* Chains may have many small segments, each of which takes some hundred instructions. */
#define PIECES_A_STRETCH 32

static void pause_now_and_then(unsigned pieces)
{
	if (pieces % PIECES_A_STRETCH == 0)
		preempt_point();
}

static uint64_t available_bytes(uint32_t size)
{
	return RING_START + 2 * (uint64_t)size + 2;
}

static uint64_t used_bytes(uint32_t size)
{
	return RING_START + sizeof(struct vring_used) * (uint64_t)size + 2;
}

struct vring_place vring_legacy_place(uint64_t base, uint32_t size, uint32_t align)
{
	struct vring_place place = {.size = size, .descriptors = base};

	place.available = base + sizeof(struct vring_descriptor) * (uint64_t)size;
	place.used = align_up(place.available + available_bytes(size), align);
	return place;
}

int vring_init(struct vring *ring, struct vm *vm, const struct vring_place *place,
	       uint64_t features)
{
	uint32_t size = place->size;
	int error;

	*ring = (struct vring){
	    .vm = vm,
	    .size = (uint16_t)size,
	    .indirect = features & VRING_F_INDIRECT_DESC,
	    .event_idx = features & VRING_F_EVENT_IDX,
	};
	if (size == 0 || size > VRING_SIZE_MAX || (size & (size - 1)) != 0)
		return ERR_INVAL;
	if (!is_aligned(place->descriptors, 16) || !is_aligned(place->available, 2) ||
	    !is_aligned(place->used, 4))
		return ERR_INVAL;
	error = gmem_window_open(&ring->descriptors, vm, GPA(place->descriptors),
				 sizeof(struct vring_descriptor) * (uint64_t)size, 8);
	if (!error)
		error = gmem_window_open(&ring->available, vm, GPA(place->available),
					 available_bytes(size), 2);
	if (!error)
		error = gmem_window_open(&ring->used, vm, GPA(place->used), used_bytes(size), 4);
	return error;
}

/*
 * What is available.
 */

static uint64_t slot_of(const struct vring *ring, uint16_t index)
{
	return RING_START + 2 * (uint64_t)(index % ring->size);
}

/* 2.7.10: in the available ring, the driver's event comes after it. */
static uint64_t used_event_of(const struct vring *ring)
{
	return RING_START + 2 * (uint64_t)ring->size;
}

/* And the device's after the used ring, in that. */
static uint64_t available_event_of(const struct vring *ring)
{
	return RING_START + sizeof(struct vring_used) * (uint64_t)ring->size;
}

static int look(struct vring *ring)
{
	int error = gmem_window_load_u16(&ring->available, RING_INDEX, &ring->seen);

	/* No more can be available than the ring has places. */
	if (!error && (uint16_t)(ring->seen - ring->next) > ring->size)
		return ERR_INVAL;
	return error;
}

/* One word of what the driver reads. */
static int store_u16(struct vring *ring, uint64_t offset, uint16_t value)
{
	int error;

	gmem_window_begin_write(&ring->used);
	error = gmem_window_store_u16(&ring->used, offset, value);
	gmem_window_end_write(&ring->used);
	return error;
}

/*
 * Whether there is something to take. If not the driver is asked to notify, and then it is looked
 * once more: what became available before the driver could see that has not been notified of.
 */
static int find_available(struct vring *ring)
{
	int error = ring->seen == ring->next ? look(ring) : 0;

	if (error || ring->seen != ring->next)
		return error;
	if (ring->event_idx) {
		error = store_u16(ring, available_event_of(ring), ring->next);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (!error)
			error = look(ring);
		if (error)
			return error;
	}
	return ring->seen == ring->next ? ERR_NOENT : 0;
}

/*
 * Chains.
 */

/* 2.7.5.3: the last descriptor of a chain may name a table that goes on with it. */
static int open_indirect(const struct vring *ring, const struct vring_descriptor *descriptor,
			 struct gmem_window *table)
{
	if (!ring->indirect || descriptor->flags & DESCRIPTOR_NEXT || descriptor->length == 0 ||
	    descriptor->length % sizeof(struct vring_descriptor) != 0)
		return ERR_INVAL;
	return gmem_window_open(table, ring->vm, GPA(descriptor->gpa), descriptor->length, 8);
}

/* Copies one, once. */
static inline int copy_descriptor(const struct gmem_window *table, uint32_t index,
				  struct vring_descriptor *descriptor)
{
	uint64_t pair[2], offset = sizeof(*descriptor) * (uint64_t)index;
	int error;

	if (offset >= table->size)
		return ERR_RANGE;
	error = gmem_window_load_pair(table, offset, pair);
	if (error)
		return error;
	descriptor->gpa = pair[0];
	descriptor->length = (uint32_t)pair[1];
	descriptor->flags = (uint16_t)(pair[1] >> 32);
	descriptor->next = (uint16_t)(pair[1] >> 48);
	return 0;
}

static inline int add_segment(const struct vring *ring, struct vring_chain *chain,
			      const struct vring_descriptor *descriptor)
{
	uint32_t length = descriptor->length;
	unsigned count = chain->count;

	/* 2.7.4.2: what the device writes comes after all that it reads. */
	if (!(descriptor->flags & DESCRIPTOR_WRITE) && chain->writable_bytes > 0)
		return ERR_INVAL;
	if (length == 0)
		return 0;
	if (!vm_is_ram(ring->vm, GPA(descriptor->gpa), length))
		return ERR_RANGE;
	if (count == VRING_SIZE_MAX)
		return ERR_TOO_LARGE;
	chain->gpas[count] = descriptor->gpa;
	chain->lengths[count] = length;
	chain->count = ++count;
	if (descriptor->flags & DESCRIPTOR_WRITE) {
		chain->writable_bytes += length;
	} else {
		chain->readable_bytes += length;
		chain->readable = count;
	}
	return 0;
}

/* Adds a chain's segments. A loop is a chain that is too long. */
static int follow(const struct vring *ring, struct vring_chain *chain)
{
	const struct gmem_window *table = &ring->descriptors;
	struct vring_descriptor descriptor;
	struct gmem_window indirect;
	uint32_t index = chain->head;
	unsigned limit = ring->size; /* descriptors that it may still have in this table */
	int error;

	for (; limit > 0; limit--) {
		error = copy_descriptor(table, index, &descriptor);
		if (error)
			return error;
		chain->looked_at++;
		pause_now_and_then(limit);
		if (!(descriptor.flags & DESCRIPTOR_INDIRECT)) {
			error = add_segment(ring, chain, &descriptor);
			if (error || !(descriptor.flags & DESCRIPTOR_NEXT))
				return error;
			index = descriptor.next;
			continue;
		}
		if (table == &indirect)
			return ERR_INVAL;
		error = open_indirect(ring, &descriptor, &indirect);
		if (error)
			return error;
		table = &indirect;
		index = 0;
		limit = VRING_SIZE_MAX + 1;
	}
	return ERR_TOO_LARGE;
}

static void clear_chain(struct vring_chain *chain)
{
	chain->count = chain->readable = chain->looked_at = 0;
	chain->readable_bytes = chain->writable_bytes = 0;
}

/* Adds the next one to what is in the chain. */
static int pop_more(struct vring *ring, struct vring_chain *chain)
{
	int error = find_available(ring);

	if (!error)
		error =
		    gmem_window_load_u16(&ring->available, slot_of(ring, ring->next), &chain->head);
	if (error)
		return error;
	ring->next++;
	error = follow(ring, chain);
	/* None of its chains can have so many that these would wrap. */
	if (!error && (chain->looked_at > LOOKED_AT_MAX ||
		       chain->readable_bytes + chain->writable_bytes > CHAIN_BYTES_MAX))
		error = ERR_TOO_LARGE;
	return error;
}

int vring_pop(struct vring *ring, struct vring_chain *chain)
{
	int error = find_available(ring);

	if (error)
		return error;
	clear_chain(chain);
	return pop_more(ring, chain);
}

/* All are in one chain, so that they cannot be much more work than one. */
static int pop_buffer(struct vring *ring, struct vring_batch *batch)
{
	struct vring_chain *chain = &batch->chain;
	uint64_t before = chain->writable_bytes;
	int error = pop_more(ring, chain);

	if (error)
		return error;
	if (chain->readable)
		return ERR_INVAL;
	batch->heads[batch->count] = chain->head;
	batch->sizes[batch->count++] = (uint32_t)(chain->writable_bytes - before);
	return 0;
}

int vring_pop_batch(struct vring *ring, struct vring_batch *batch, uint64_t bytes, unsigned most)
{
	int error = 0;

	clear_chain(&batch->chain);
	batch->count = 0;
	while (!error && batch->chain.writable_bytes < bytes)
		error = batch->count < most ? pop_buffer(ring, batch) : ERR_TOO_LARGE;
	if (error == ERR_NOENT) {
		vring_return_batch(ring, batch);
	} else if (error == ERR_TOO_LARGE) {
		/* The first chain alone is too long, whatever is to be put there. */
		if (batch->count == 0)
			return ERR_INVAL;
		/* The one that was too much has been taken, too. */
		if (batch->count < most)
			ring->next--;
		vring_return_batch(ring, batch);
	}
	return error;
}

void vring_return_batch(struct vring *ring, const struct vring_batch *batch)
{
	ring->next -= (uint16_t)batch->count;
}

/*
 * What is used.
 */

/* Between gmem_window_begin_write() and gmem_window_end_write(): one that is used. */
static int put_used(struct vring *ring, uint16_t index, uint32_t head, uint32_t written)
{
	uint64_t place = RING_START + sizeof(struct vring_used) * (uint64_t)(index % ring->size);
	uint32_t words[] = {head, written};

	return gmem_window_store_words(&ring->used, place, words, 2);
}

/* Likewise: the driver sees so many more. */
static int publish_used(struct vring *ring, unsigned count)
{
	uint16_t index = (uint16_t)(ring->used_index + count);
	int error = gmem_window_store_u16(&ring->used, RING_INDEX, index);

	if (!error)
		ring->used_index = index;
	return error;
}

int vring_push(struct vring *ring, uint16_t head, uint32_t written)
{
	int error;

	gmem_window_begin_write(&ring->used);
	error = put_used(ring, ring->used_index, head, written);
	if (!error)
		error = publish_used(ring, 1);
	gmem_window_end_write(&ring->used);
	return error;
}

int vring_push_batch(struct vring *ring, const struct vring_batch *batch, uint64_t written)
{
	int error = 0;

	gmem_window_begin_write(&ring->used);
	for (unsigned i = 0; i < batch->count && !error; i++) {
		uint64_t part = min_u64(batch->sizes[i], written);

		error = put_used(ring, (uint16_t)(ring->used_index + i), batch->heads[i],
				 (uint32_t)part);
		written -= part;
	}
	if (!error)
		error = publish_used(ring, batch->count);
	gmem_window_end_write(&ring->used);
	preempt_point();
	return error;
}

/* Whether the driver wants to know that the index went from `before` to `now`. */
static int is_wanted(const struct vring *ring, uint16_t before, uint16_t now, bool *wanted)
{
	uint16_t word;
	int error;

	/* The driver writes what it wants, then looks at the index: we the other way round. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (ring->event_idx) {
		error = gmem_window_load_u16(&ring->available, used_event_of(ring), &word);
		/* 2.7.7.2: whether the event is one of those since then. */
		*wanted = !error && (uint16_t)(now - word - 1) < (uint16_t)(now - before);
	} else {
		error = gmem_window_load_u16(&ring->available, RING_FLAGS, &word);
		*wanted = !error && !(word & AVAILABLE_NO_INTERRUPT);
	}
	return error;
}

int vring_must_interrupt(struct vring *ring, bool *must)
{
	int error = 0;

	*must = false;
	if (ring->told != ring->used_index)
		error = is_wanted(ring, ring->told, ring->used_index, must);
	if (!*must)
		vring_told(ring);
	return error;
}

/*
 * The bytes of a chain.
 */

int vring_read(struct vring *ring, const struct vring_chain *chain, uint64_t offset, void *to,
	       uint64_t size)
{
	struct vring_cursor cursor = {0};

	if (size > 0)
		cursor = vring_seek(chain, false, offset);
	for (char *bytes = to; size > 0;) {
		struct vring_segment piece = vring_next(chain, &cursor, size);
		int error = gmem_read(ring->vm, piece.gpa, bytes, piece.length);

		if (error)
			return error;
		bytes += piece.length;
		size -= piece.length;
		pause_now_and_then(cursor.segment + 1);
	}
	return 0;
}

int vring_write(struct vring *ring, const struct vring_chain *chain, uint64_t offset,
		const void *from, uint64_t size)
{
	struct vring_cursor cursor = {0};

	if (size > 0)
		cursor = vring_seek(chain, true, offset);
	for (const char *bytes = from; size > 0;) {
		struct vring_segment piece = vring_next(chain, &cursor, size);
		int error = gmem_write(ring->vm, piece.gpa, bytes, piece.length);

		if (error)
			return error;
		bytes += piece.length;
		size -= piece.length;
		pause_now_and_then(cursor.segment + 1);
	}
	return 0;
}

int vring_write_last(struct vring *ring, const struct vring_chain *chain, uint8_t byte)
{
	unsigned last = chain->count - 1U;

	return gmem_write(ring->vm, GPA(chain->gpas[last] + (chain->lengths[last] - 1)), &byte, 1);
}
