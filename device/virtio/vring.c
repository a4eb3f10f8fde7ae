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

#define READ_AHEAD   8
#define USED_AT_ONCE 32

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

	*ring = (struct vring){
	    .vm = vm,
	    .descriptors = GPA(place->descriptors),
	    .available = GPA(place->available),
	    .used = GPA(place->used),
	    .size = (uint16_t)size,
	    .indirect = features & VRING_F_INDIRECT_DESC,
	    .event_idx = features & VRING_F_EVENT_IDX,
	};
	if (size == 0 || size > VRING_SIZE_MAX || (size & (size - 1)) != 0)
		return ERR_INVAL;
	if (!is_aligned(place->descriptors, 16) || !is_aligned(place->available, 2) ||
	    !is_aligned(place->used, 4))
		return ERR_INVAL;
	if (!vm_is_ram(vm, ring->descriptors, sizeof(struct vring_descriptor) * (uint64_t)size) ||
	    !vm_is_ram(vm, ring->available, available_bytes(size)) ||
	    !vm_is_ram(vm, ring->used, used_bytes(size)))
		return ERR_RANGE;
	return 0;
}

/*
 * What is available.
 */

static gpa_t slot_of(const struct vring *ring, uint16_t index)
{
	return GPA(ring->available.v + RING_START + 2 * (uint64_t)(index % ring->size));
}

/* 2.7.10: the driver's event comes after its ring, the device's after the used one. */
static gpa_t used_event_of(const struct vring *ring)
{
	return GPA(ring->available.v + RING_START + 2 * (uint64_t)ring->size);
}

static gpa_t available_event_of(const struct vring *ring)
{
	return GPA(ring->used.v + RING_START + sizeof(struct vring_used) * (uint64_t)ring->size);
}

static int look(struct vring *ring)
{
	int error = gmem_load_u16(ring->vm, GPA(ring->available.v + RING_INDEX), &ring->seen);

	/* No more can be available than the ring has places. */
	if (!error && (uint16_t)(ring->seen - ring->next) > ring->size)
		return ERR_INVAL;
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
		error = gmem_store_u16(ring->vm, available_event_of(ring), ring->next);
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

/* A table of descriptors: the ring's, or an indirect one. */
struct table {
	gpa_t gpa;
	uint32_t entries;
	uint32_t limit;        /* descriptors that the chain may still have in it */
	uint32_t ahead;        /* that are read at a time, as they may follow one another */
	uint32_t first, count; /* which have been read */
	struct vring_descriptor read[READ_AHEAD];
};

static int add_segment(const struct vring *ring, struct vring_chain *chain,
		       const struct vring_descriptor *descriptor)
{
	bool writable = descriptor->flags & DESCRIPTOR_WRITE;
	uint64_t *bytes = writable ? &chain->writable_bytes : &chain->readable_bytes;

	/* 2.7.4.2: what the device writes comes after all that it reads. */
	if (!writable && chain->writable_bytes > 0)
		return ERR_INVAL;
	if (descriptor->length == 0)
		return 0;
	if (!vm_is_ram(ring->vm, GPA(descriptor->gpa), descriptor->length))
		return ERR_RANGE;
	if (chain->count == VRING_SIZE_MAX)
		return ERR_TOO_LARGE;
	*bytes += descriptor->length;
	if (chain->readable_bytes + chain->writable_bytes > CHAIN_BYTES_MAX)
		return ERR_TOO_LARGE;
	chain->gpas[chain->count] = descriptor->gpa;
	chain->lengths[chain->count++] = descriptor->length;
	if (!writable)
		chain->readable = chain->count;
	return 0;
}

/* 2.7.5.3: the last descriptor of a chain may name a table that goes on with it. */
static int enter_indirect(const struct vring *ring, const struct vring_descriptor *descriptor,
			  struct table *table)
{
	uint32_t entries = descriptor->length / sizeof(struct vring_descriptor);

	if (!ring->indirect || descriptor->flags & DESCRIPTOR_NEXT || entries == 0 ||
	    descriptor->length % sizeof(struct vring_descriptor) != 0)
		return ERR_INVAL;
	if (!vm_is_ram(ring->vm, GPA(descriptor->gpa), descriptor->length))
		return ERR_RANGE;
	table->gpa = GPA(descriptor->gpa);
	table->entries = entries;
	table->limit = VRING_SIZE_MAX;
	table->ahead = READ_AHEAD;
	table->count = 0;
	return 0;
}

static int copy_descriptor(const struct vring *ring, struct table *table, uint32_t index,
			   struct vring_descriptor *descriptor)
{
	int error;

	if (index >= table->entries)
		return ERR_RANGE;
	if (index - table->first >= table->count) {
		table->first = index;
		table->count = (uint32_t)min_u64(table->ahead, table->entries - index);
		error =
		    gmem_read(ring->vm, GPA(table->gpa.v + sizeof(*descriptor) * (uint64_t)index),
			      table->read, table->count * sizeof(*descriptor));
		if (error)
			return error;
	}
	*descriptor = table->read[index - table->first];
	return 0;
}

/* A loop is a chain that is too long. */
static int follow(const struct vring *ring, struct vring_chain *chain)
{
	struct vring_descriptor descriptor;
	struct table table;
	bool inside = false;
	uint32_t index = chain->head;

	table.gpa = ring->descriptors;
	table.entries = table.limit = ring->size;
	table.ahead = 1;
	table.first = table.count = 0;
	while (table.limit > 0) {
		int error = copy_descriptor(ring, &table, index, &descriptor);

		pause_now_and_then(table.limit--);
		if (error)
			return error;
		if (chain->looked_at++ == LOOKED_AT_MAX)
			break;
		if (descriptor.flags & DESCRIPTOR_INDIRECT) {
			if (inside)
				return ERR_INVAL;
			error = enter_indirect(ring, &descriptor, &table);
			inside = true;
			index = 0;
			if (error)
				return error;
			continue;
		}
		error = add_segment(ring, chain, &descriptor);
		if (error || !(descriptor.flags & DESCRIPTOR_NEXT))
			return error;
		index = descriptor.next;
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
		error = gmem_load_u16(ring->vm, slot_of(ring, ring->next), &chain->head);
	if (error)
		return error;
	ring->next++;
	return follow(ring, chain);
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

/* Up to the ring's end at most. */
static int put_used(struct vring *ring, uint16_t index, const struct vring_used *used,
		    unsigned count)
{
	gpa_t place =
	    GPA(ring->used.v + RING_START + sizeof(*used) * (uint64_t)(index % ring->size));

	return gmem_write(ring->vm, place, used, count * sizeof(*used));
}

/* The driver sees so many more. */
static int publish_used(struct vring *ring, unsigned count)
{
	uint16_t index = (uint16_t)(ring->used_index + count);
	int error = gmem_store_u16(ring->vm, GPA(ring->used.v + RING_INDEX), index);

	if (!error)
		ring->used_index = index;
	return error;
}

int vring_push(struct vring *ring, uint16_t head, uint32_t written)
{
	struct vring_used used = {head, written};
	int error = put_used(ring, ring->used_index, &used, 1);

	return error ? error : publish_used(ring, 1);
}

int vring_push_batch(struct vring *ring, const struct vring_batch *batch, uint64_t written)
{
	struct vring_used used[USED_AT_ONCE];
	unsigned count;

	for (unsigned first = 0; first < batch->count; first += count) {
		uint16_t index = (uint16_t)(ring->used_index + first);
		int error;

		/* The ring ends, and goes on from its beginning. */
		count = (unsigned)min_u64(batch->count - first, ring->size - index % ring->size);
		count = (unsigned)min_u64(count, USED_AT_ONCE);
		for (unsigned i = 0; i < count; i++) {
			uint64_t part = min_u64(batch->sizes[first + i], written);

			used[i] = (struct vring_used){batch->heads[first + i], (uint32_t)part};
			written -= part;
		}
		error = put_used(ring, index, used, count);
		if (error)
			return error;
		preempt_point();
	}
	return publish_used(ring, batch->count);
}

/* Whether the driver wants to know that the index went from `before` to `now`. */
static int is_wanted(const struct vring *ring, uint16_t before, uint16_t now, bool *wanted)
{
	uint16_t word;
	int error;

	/* The driver writes what it wants, then looks at the index: we the other way round. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (ring->event_idx) {
		error = gmem_load_u16(ring->vm, used_event_of(ring), &word);
		/* 2.7.7.2: whether the event is one of those since then. */
		*wanted = !error && (uint16_t)(now - word - 1) < (uint16_t)(now - before);
	} else {
		error = gmem_load_u16(ring->vm, GPA(ring->available.v + RING_FLAGS), &word);
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

/* The segment that has the byte at *offset of a part; *offset becomes the one within it. */
static unsigned find_segment(const struct vring_chain *chain, bool writable, uint64_t *offset)
{
	unsigned n = writable ? chain->readable : 0;

	for (; *offset >= chain->lengths[n]; n++)
		*offset -= chain->lengths[n];
	return n;
}

struct vring_cursor vring_seek(const struct vring_chain *chain, bool writable, uint64_t offset)
{
	unsigned n = find_segment(chain, writable, &offset);

	return (struct vring_cursor){n, offset};
}

struct vring_segment vring_next(const struct vring_chain *chain, struct vring_cursor *cursor,
				uint64_t size)
{
	uint32_t left = (uint32_t)(chain->lengths[cursor->segment] - cursor->offset);
	struct vring_segment piece = {GPA(chain->gpas[cursor->segment] + cursor->offset),
				      (uint32_t)min_u64(left, size)};

	cursor->offset += piece.length;
	if (piece.length == left)
		*cursor = (struct vring_cursor){cursor->segment + 1, 0};
	return piece;
}

int vring_read(struct vring *ring, const struct vring_chain *chain, uint64_t offset, void *to,
	       uint64_t size)
{
	unsigned n = size ? find_segment(chain, false, &offset) : 0;

	for (char *bytes = to; size > 0; n++) {
		uint64_t piece = min_u64(chain->lengths[n] - offset, size);
		int error = gmem_read(ring->vm, GPA(chain->gpas[n] + offset), bytes, piece);

		if (error)
			return error;
		bytes += piece;
		size -= piece;
		offset = 0;
		pause_now_and_then(n + 1);
	}
	return 0;
}

int vring_write(struct vring *ring, const struct vring_chain *chain, uint64_t offset,
		const void *from, uint64_t size)
{
	unsigned n = size ? find_segment(chain, true, &offset) : 0;

	for (const char *bytes = from; size > 0; n++) {
		uint64_t piece = min_u64(chain->lengths[n] - offset, size);
		int error = gmem_write(ring->vm, GPA(chain->gpas[n] + offset), bytes, piece);

		if (error)
			return error;
		bytes += piece;
		size -= piece;
		offset = 0;
		pause_now_and_then(n + 1);
	}
	return 0;
}
