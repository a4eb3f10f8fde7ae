/* SPDX-License-Identifier: MIT */

#include "driver/register.h"
#include "driver/virtio/transport.h"
#include "kernel/error.h"
#include "virtio/registers.h"

/*
 * Virtio devices behind memory-mapped registers (Virtio 1.3, 4.2): version 2, and version 1, the
 * legacy one (4.2.4), which differs in how queues are placed.
 */

#define SIZE_MIN 0x200 /* bytes of registers, the first of the configuration with them */

static uint32_t get(struct host_virtio *device, unsigned offset)
{
	return register_read(device->registers + offset, 4);
}

static void set(struct host_virtio *device, unsigned offset, uint32_t value)
{
	register_write(device->registers + offset, 4, value);
}

static void set_pair(struct host_virtio *device, unsigned offset, uint64_t value)
{
	set(device, offset, (uint32_t)value);
	set(device, offset + 4, (uint32_t)(value >> 32));
}

static uint32_t offered_word(struct host_virtio *device, uint32_t word)
{
	set(device, MMIO_DEVICE_FEATURES_SEL, word);
	return get(device, MMIO_DEVICE_FEATURES);
}

/* 3.1.2: a legacy device has 32 features. */
static uint64_t offered(struct host_virtio *device)
{
	uint64_t features = offered_word(device, 0);

	return device->legacy ? features : features | (uint64_t)offered_word(device, 1) << 32;
}

static void accept(struct host_virtio *device)
{
	set(device, MMIO_DRIVER_FEATURES_SEL, 0);
	set(device, MMIO_DRIVER_FEATURES, (uint32_t)device->features);
	if (device->legacy) {
		set(device, MMIO_GUEST_PAGE_SIZE, PAGE_SIZE);
		return;
	}
	set(device, MMIO_DRIVER_FEATURES_SEL, 1);
	set(device, MMIO_DRIVER_FEATURES, (uint32_t)(device->features >> 32));
}

static uint32_t status(struct host_virtio *device)
{
	return get(device, MMIO_STATUS);
}

static void set_status(struct host_virtio *device, uint32_t value)
{
	set(device, MMIO_STATUS, value);
}

static unsigned queue_max(struct host_virtio *device, unsigned index)
{
	set(device, MMIO_QUEUE_SEL, index);
	return get(device, MMIO_QUEUE_SIZE_MAX);
}

static int set_queue_legacy(struct host_virtio *device, const struct virtqueue *queue)
{
	uint64_t page = queue->memory.v >> PAGE_SHIFT;

	if (page > UINT32_MAX)
		return ERR_RANGE;
	if (get(device, MMIO_QUEUE_PFN) != 0)
		return ERR_EXIST;
	set(device, MMIO_QUEUE_SIZE, queue->size);
	set(device, MMIO_QUEUE_ALIGN, VIRTQUEUE_ALIGN);
	set(device, MMIO_QUEUE_PFN, (uint32_t)page);
	return 0;
}

static int set_queue(struct host_virtio *device, struct virtqueue *queue)
{
	set(device, MMIO_QUEUE_SEL, queue->index);
	if (device->legacy)
		return set_queue_legacy(device, queue);
	if (get(device, MMIO_QUEUE_READY) != 0)
		return ERR_EXIST;
	set(device, MMIO_QUEUE_SIZE, queue->size);
	set_pair(device, MMIO_QUEUE_DESC_LOW, virtqueue_desc(queue).v);
	set_pair(device, MMIO_QUEUE_DRIVER_LOW, virtqueue_driver_area(queue).v);
	set_pair(device, MMIO_QUEUE_DEVICE_LOW, virtqueue_device_area(queue).v);
	set(device, MMIO_QUEUE_READY, 1);
	return 0;
}

static void notify(struct host_virtio *device, const struct virtqueue *queue)
{
	set(device, MMIO_QUEUE_NOTIFY, queue->index);
}

static uint32_t take_events(struct host_virtio *device)
{
	uint32_t events = get(device, MMIO_INTERRUPT_STATUS) &
			  (HOST_VIRTIO_EVENT_QUEUE | HOST_VIRTIO_EVENT_CONFIG);

	if (events)
		set(device, MMIO_INTERRUPT_ACK, events);
	return events;
}

static uint32_t config(struct host_virtio *device, unsigned offset, unsigned size)
{
	return register_read(device->registers + MMIO_CONFIG + offset, size);
}

static uint32_t generation(struct host_virtio *device)
{
	return device->legacy ? 0 : get(device, MMIO_CONFIG_GENERATION);
}

static const struct host_virtio_transport mmio = {
    .offered = offered,
    .accept = accept,
    .status = status,
    .set_status = set_status,
    .queue_max = queue_max,
    .set_queue = set_queue,
    .notify = notify,
    .take_events = take_events,
    .config = config,
    .generation = generation,
};

int host_virtio_mmio_probe(struct host_virtio *device, volatile void *registers, uint64_t size)
{
	uint32_t version;

	*device = (struct host_virtio){.transport = &mmio, .registers = registers};
	if (size < SIZE_MIN || get(device, MMIO_MAGIC_VALUE) != VIRTIO_MAGIC)
		return ERR_NOENT;
	version = get(device, MMIO_VERSION);
	if (version != 1 && version != 2)
		return ERR_NOSYS;
	device->legacy = version == 1;
	/* 4.2.3.1.1: where it is 0 no other register may be touched. */
	device->id = get(device, MMIO_DEVICE_ID);
	return device->id ? 0 : ERR_NOENT;
}
