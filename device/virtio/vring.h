/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_VIRTIO_VRING_H
#define DEVICE_VIRTIO_VRING_H

/*
 * The device's side of a split virtqueue (Virtio 1.2, 2.7) in a guest's memory. Everything in there
 * may be wrong, and change at any moment: each descriptor is copied once, and checked as copied.
 *
 * One user at a time. All of this reads and writes guest memory, and so passes preemption points:
 * no lock held. An error means that the ring makes no sense, or is not in RAM: the device is to
 * stop using it until it is reset.
 */

#include "kernel/types.h"
#include "vmm/gmem_window.h"

#define VRING_SIZE_MAX 256 /* descriptors of a ring, and of a chain */

/* Bits of the driver's features that change how a ring is read. */
#define VRING_F_INDIRECT_DESC BIT(28)
#define VRING_F_EVENT_IDX     BIT(29)

/* Where a ring is; guest-physical. */
struct vring_place {
	uint32_t size; /* descriptors: a power of two up to VRING_SIZE_MAX */
	uint64_t descriptors, available, used;
};

struct vring {
	struct vm *vm;
	struct gmem_window descriptors, available, used;
	uint16_t size;
	bool indirect, event_idx; /* negotiated */
	uint16_t next;       /* of the available ring, to be taken; as all of these, it wraps */
	uint16_t seen;       /* available up to here when last looked at */
	uint16_t used_index; /* what has been used */
	uint16_t told;       /* of these, when the driver was last told, or needed not be */
};

/* A piece of a buffer of the guest's, in RAM. */
struct vring_segment {
	gpa_t gpa;
	uint32_t length;
};

/* A chain of descriptors: what the device reads, then what it writes. */
struct vring_chain {
	uint16_t head;
	unsigned count, readable; /* segments; of these, the first that are the device's to read */
	unsigned looked_at;       /* descriptors, even of nothing */
	uint64_t readable_bytes, writable_bytes; /* 4 GiB at most together */
	uint32_t lengths[VRING_SIZE_MAX];        /* none is 0 */
	uint64_t gpas[VRING_SIZE_MAX];
};

#define VRING_BATCH_MAX 128 /* buffers */

/* Buffers for the device to write to, one after the other. */
struct vring_batch {
	struct vring_chain chain; /* the segments of all */
	unsigned count;
	uint16_t heads[VRING_BATCH_MAX];
	uint32_t sizes[VRING_BATCH_MAX];
};

/*
 * Begins to use a ring, whose driver has negotiated `features`. ERR_INVAL for a size that cannot
 * be, or addresses that are not aligned (2.7); ERR_RANGE if not all of it is in RAM.
 */
int vring_init(struct vring *ring, struct vm *vm, const struct vring_place *place,
	       uint64_t features);

/* The legacy layout from `base` on: the used ring comes at the next multiple of `align` (2.7.2). */
struct vring_place vring_legacy_place(uint64_t base, uint32_t size, uint32_t align);

/*
 * Takes the next chain. ERR_NOENT if there is none; what the driver makes available after that
 * brings a notification. Else errors as above.
 */
int vring_pop(struct vring *ring, struct vring_chain *chain);

/* Gives a chain back of whose writable bytes `written` were written. */
int vring_push(struct vring *ring, uint16_t head, uint32_t written);

/*
 * Takes buffers, `most` of them (1 to VRING_BATCH_MAX), until they have room for `bytes`. If they
 * have not, those that were taken are available again: ERR_NOENT, there are no more now;
 * ERR_TOO_LARGE, so many cannot hold it. Other errors as above.
 */
int vring_pop_batch(struct vring *ring, struct vring_batch *batch, uint64_t bytes, unsigned most);

/* Makes all of its buffers available again, instead of giving them back: the last that were taken.
 */
void vring_return_batch(struct vring *ring, const struct vring_batch *batch);

/* Gives its buffers back, all at once, of whose bytes the first `written` were written. */
int vring_push_batch(struct vring *ring, const struct vring_batch *batch, uint64_t written);

/*
 * Whether the driver wants an interrupt for what has been pushed since it was last told, or needed
 * not be. It may have seen that by itself when this is asked again.
 */
int vring_must_interrupt(struct vring *ring, bool *must);

/* The driver is told of all that has been pushed; and how many it has not been told of. */
static inline void vring_told(struct vring *ring)
{
	ring->told = ring->used_index;
}

static inline unsigned vring_untold(const struct vring *ring)
{
	return (uint16_t)(ring->used_index - ring->told);
}

/*
 * Copy `size` bytes from the readable, or to the writable part of a chain, `offset` bytes into it;
 * both lie within it. At most 16 KiB at a time.
 */
int vring_read(struct vring *ring, const struct vring_chain *chain, uint64_t offset, void *to,
	       uint64_t size);
int vring_write(struct vring *ring, const struct vring_chain *chain, uint64_t offset,
		const void *from, uint64_t size);

/* Writes the last byte of the writable part, which has one. */
int vring_write_last(struct vring *ring, const struct vring_chain *chain, uint8_t byte);

/* A place in a chain: so many bytes into a segment. */
struct vring_cursor {
	unsigned segment;
	uint64_t offset;
};

/* The place that is `offset` bytes into the readable or writable part, which has more than that. */
static inline struct vring_cursor vring_seek(const struct vring_chain *chain, bool writable,
					     uint64_t offset)
{
	unsigned n = writable ? chain->readable : 0;

	for (; offset >= chain->lengths[n]; n++)
		offset -= chain->lengths[n];
	return (struct vring_cursor){n, offset};
}

/* What is there of one segment, cut to `size`, which the part has; the cursor moves behind it. */
static inline struct vring_segment vring_next(const struct vring_chain *chain,
					      struct vring_cursor *cursor, uint64_t size)
{
	unsigned n = cursor->segment;
	uint64_t offset = cursor->offset, left = chain->lengths[n] - offset;

	if (size < left) {
		cursor->offset += size;
		left = size;
	} else {
		*cursor = (struct vring_cursor){n + 1, 0};
	}
	return (struct vring_segment){GPA(chain->gpas[n] + offset), (uint32_t)left};
}

#endif
