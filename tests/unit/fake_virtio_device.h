/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_FAKE_VIRTIO_DEVICE_H
#define TESTS_UNIT_FAKE_VIRTIO_DEVICE_H

/*
 * The device's side of virtqueues, split and packed, by the specification alone (Virtio 1.3, 2.7
 * and 2.8), and a transport to it. Physical addresses are pointers. What a driver may not do fails
 * the test.
 */

#include "driver/virtio/transport.h"
#include "tests/unit/fake_kernel.h"

#define FAKE_QUEUES 4
#define FAKE_CHAIN  256

/* A chain that was taken from a queue. */
struct fake_chain {
	unsigned queue;
	uint16_t id;
	unsigned descriptors; /* in the ring */
	unsigned readable, writable;
	struct virtqueue_buffer pieces[FAKE_CHAIN];
};

struct fake_queue {
	unsigned size, notices;
	char *desc, *driver, *device;
	uint16_t avail, used; /* indexes, or places in a packed ring */
	bool avail_wrap, used_wrap;
};

static struct {
	uint64_t offered;
	uint32_t status, events, resets;
	unsigned queue_max, queue_count;
	bool legacy, refuses_features, refuses_queues;
	uint8_t config[64];
	struct fake_queue queues[FAKE_QUEUES];
} fake_device;

static uint64_t fake_features; /* that were agreed on */

static uint64_t fake_offered(struct host_virtio *device)
{
	assert_int_equal(fake_device.status, 3);
	assert_int_equal(device->legacy, fake_device.legacy);
	return fake_device.offered;
}

static void fake_accept(struct host_virtio *device)
{
	assert_int_equal(device->features & ~fake_device.offered, 0);
	fake_features = device->features;
}

static uint32_t fake_status(struct host_virtio *device)
{
	(void)device;
	return fake_device.status;
}

static void fake_set_status(struct host_virtio *device, uint32_t status)
{
	(void)device;
	fake_device.status = status;
	if (status & 8 && fake_device.refuses_features)
		fake_device.status &= ~8U;
	if (status == 0) {
		fake_device.resets++;
		memset(fake_device.queues, 0, sizeof(fake_device.queues));
	}
}

static unsigned fake_queue_max(struct host_virtio *device, unsigned index)
{
	(void)device;
	return index < fake_device.queue_count ? fake_device.queue_max : 0;
}

static int fake_set_queue(struct host_virtio *device, struct virtqueue *queue)
{
	(void)device;
	assert_in_range(queue->index, 0, fake_device.queue_count - 1);
	assert_false(fake_device.status & 4);
	if (fake_device.refuses_queues)
		return ERR_EXIST;
	fake_device.queues[queue->index] = (struct fake_queue){
	    .size = queue->size,
	    .desc = (char *)virtqueue_desc(queue).v,
	    .driver = (char *)virtqueue_driver_area(queue).v,
	    .device = (char *)virtqueue_device_area(queue).v,
	    .avail_wrap = true,
	    .used_wrap = true,
	};
	return 0;
}

static void fake_notify(struct host_virtio *device, const struct virtqueue *queue)
{
	(void)device;
	assert_true(fake_device.status & 4);
	fake_device.queues[queue->index].notices++;
}

static uint32_t fake_take_events(struct host_virtio *device)
{
	uint32_t events = fake_device.events;

	(void)device;
	fake_device.events = 0;
	return events;
}

static uint32_t fake_config(struct host_virtio *device, unsigned offset, unsigned size)
{
	uint32_t value = 0;

	(void)device;
	assert_true(offset % size == 0 && offset + size <= sizeof(fake_device.config));
	memcpy(&value, fake_device.config + offset, size);
	return value;
}

static uint32_t fake_generation(struct host_virtio *device)
{
	(void)device;
	return 0;
}

static const struct host_virtio_transport fake_transport = {
    .offered = fake_offered,
    .accept = fake_accept,
    .status = fake_status,
    .set_status = fake_set_status,
    .queue_max = fake_queue_max,
    .set_queue = fake_set_queue,
    .notify = fake_notify,
    .take_events = fake_take_events,
    .config = fake_config,
    .generation = fake_generation,
};

static void fake_add_piece(struct fake_chain *chain, uint64_t address, uint32_t length,
			   bool writable)
{
	unsigned count = chain->readable + chain->writable;

	assert_true(count < FAKE_CHAIN);
	assert_true(writable || chain->writable == 0);
	chain->pieces[count] = (struct virtqueue_buffer){HPA(address), length};
	chain->readable += !writable;
	chain->writable += writable;
}

static void fake_read_split(struct fake_chain *chain, const struct virtq_desc *table, unsigned size,
			    unsigned at)
{
	for (unsigned i = 0;; i++) {
		struct virtq_desc desc = table[at];

		assert_true(i < size && at < size);
		if (desc.flags & 4) {
			assert_true(fake_features & VIRTIO_F_INDIRECT_DESC);
			assert_int_equal(desc.flags, 4);
			assert_int_equal(desc.length % 16, 0);
			assert_true(desc.length / 16 <= fake_device.queues[chain->queue].size);
			fake_read_split(chain, (const void *)desc.address, desc.length / 16, 0);
			return;
		}
		fake_add_piece(chain, desc.address, desc.length, desc.flags & 2);
		if (!(desc.flags & 1))
			return;
		at = desc.next;
	}
}

static bool fake_pop_split(struct fake_queue *queue, struct fake_chain *chain)
{
	const struct virtq_avail *avail = (const void *)queue->driver;

	if (avail->index == queue->avail)
		return false;
	chain->id = avail->ring[queue->avail++ % queue->size];
	chain->descriptors = 1;
	fake_read_split(chain, (const void *)queue->desc, queue->size, chain->id);
	return true;
}

static void fake_step(struct fake_queue *queue, uint16_t *place, bool *wrap, unsigned count)
{
	*place = (uint16_t)(*place + count);
	if (*place >= queue->size) {
		*place = (uint16_t)(*place - queue->size);
		*wrap = !*wrap;
	}
}

static bool fake_is_available(const struct fake_queue *queue)
{
	uint16_t flags = ((const struct virtq_packed_desc *)queue->desc)[queue->avail].flags;

	return !!(flags & 0x80) == queue->avail_wrap && !!(flags & 0x8000) != queue->avail_wrap;
}

static bool fake_pop_packed(struct fake_queue *queue, struct fake_chain *chain)
{
	struct virtq_packed_desc desc;

	if (!fake_is_available(queue))
		return false;
	do {
		assert_true(fake_is_available(queue));
		desc = ((const struct virtq_packed_desc *)queue->desc)[queue->avail];
		fake_step(queue, &queue->avail, &queue->avail_wrap, 1);
		chain->descriptors++;
		if (desc.flags & 4) {
			const struct virtq_packed_desc *table = (const void *)desc.address;

			assert_int_equal(chain->descriptors, 1);
			for (unsigned i = 0; i < desc.length / 16; i++)
				fake_add_piece(chain, table[i].address, table[i].length,
					       table[i].flags & 2);
			break;
		}
		fake_add_piece(chain, desc.address, desc.length, desc.flags & 2);
	} while (desc.flags & 1);
	chain->id = desc.id;
	return true;
}

/* The next chain of the queue; false if there is none. */
static inline bool fake_pop(unsigned index, struct fake_chain *chain)
{
	struct fake_queue *queue = &fake_device.queues[index];

	*chain = (struct fake_chain){.queue = index};
	if (queue->size == 0)
		return false;
	return fake_features & VIRTIO_F_RING_PACKED ? fake_pop_packed(queue, chain)
						    : fake_pop_split(queue, chain);
}

/* Whether the driver wants to be interrupted for what was just returned (2.7.7, 2.8.10). */
static bool fake_wants_interrupt(const struct fake_queue *queue, uint16_t before, bool wrap,
				 unsigned descriptors)
{
	const struct virtq_packed_event *event = (const void *)queue->driver;
	const struct virtq_avail *avail = (const void *)queue->driver;
	struct fake_queue at = {.size = queue->size, .used = before, .used_wrap = wrap};

	if (!(fake_features & VIRTIO_F_RING_PACKED))
		return fake_features & VIRTIO_F_EVENT_IDX ? avail->ring[queue->size] == before
							  : !(avail->flags & 1);
	if (event->flags != 2)
		return event->flags == 0;
	for (; descriptors > 0; descriptors--) {
		if (event->place == (at.used | (at.used_wrap ? 0x8000 : 0)))
			return true;
		fake_step(&at, &at.used, &at.used_wrap, 1);
	}
	return false;
}

/* Returns a chain, of which so much was written. */
static inline void fake_push(const struct fake_chain *chain, uint32_t written)
{
	struct fake_queue *queue = &fake_device.queues[chain->queue];
	uint16_t before = queue->used;
	bool wrap = queue->used_wrap;

	if (fake_features & VIRTIO_F_RING_PACKED) {
		struct virtq_packed_desc *desc =
		    (struct virtq_packed_desc *)queue->desc + queue->used;

		desc->id = chain->id;
		desc->length = written;
		desc->flags = queue->used_wrap ? 0x8080 : 0;
		fake_step(queue, &queue->used, &queue->used_wrap, chain->descriptors);
	} else {
		struct virtq_used *used = (void *)queue->device;

		used->ring[queue->used % queue->size].id = chain->id;
		used->ring[queue->used % queue->size].length = written;
		used->index = ++queue->used;
	}
	if (fake_wants_interrupt(queue, before, wrap, chain->descriptors))
		fake_device.events |= HOST_VIRTIO_EVENT_QUEUE;
}

static inline void fake_device_reset(void)
{
	memset(&fake_device, 0, sizeof(fake_device));
	fake_device.offered = VIRTIO_F_VERSION_1;
	fake_device.queue_max = 256;
	fake_device.queue_count = 1;
}

#endif
