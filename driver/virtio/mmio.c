/* SPDX-License-Identifier: MIT */

#include "driver/virtio/mmio.h"

#include "kernel/error.h"

/* Virtio 1.3, 4.2.2, and 4.2.4 for those of the legacy interface. */
#define MAGIC_VALUE         0x000
#define VERSION             0x004
#define DEVICE_ID           0x008
#define DEVICE_FEATURES     0x010
#define DEVICE_FEATURES_SEL 0x014
#define DRIVER_FEATURES     0x020
#define DRIVER_FEATURES_SEL 0x024
#define LEGACY_PAGE_SIZE    0x028
#define QUEUE_SEL           0x030
#define QUEUE_SIZE_MAX      0x034
#define QUEUE_SIZE          0x038
#define LEGACY_QUEUE_ALIGN  0x03c
#define LEGACY_QUEUE_PFN    0x040
#define QUEUE_READY         0x044
#define QUEUE_NOTIFY        0x050
#define INTERRUPT_STATUS    0x060
#define INTERRUPT_ACK       0x064
#define STATUS              0x070
#define QUEUE_DESC          0x080
#define QUEUE_DRIVER        0x090
#define QUEUE_DEVICE        0x0a0
#define CONFIG              0x100

#define MAGIC 0x74726976 /* "virt" */

#define STATUS_ACKNOWLEDGE 1
#define STATUS_DRIVER      2
#define STATUS_DRIVER_OK   4
#define STATUS_FEATURES_OK 8
#define STATUS_FAILED      128

#define RESET_TRIES 1000

static uint32_t get(struct host_virtio *device, unsigned offset)
{
	return host_virtio_register_read(device, offset);
}

static void set(struct host_virtio *device, unsigned offset, uint32_t value)
{
	host_virtio_register_write(device, offset, value);
}

static void set_pair(struct host_virtio *device, unsigned offset, uint64_t value)
{
	set(device, offset, (uint32_t)value);
	set(device, offset + 4, (uint32_t)(value >> 32));
}

static void add_status(struct host_virtio *device, uint32_t bits)
{
	set(device, STATUS, get(device, STATUS) | bits);
}

int host_virtio_probe(struct host_virtio *device, volatile void *registers)
{
	*device = (struct host_virtio){.registers = registers};
	if (get(device, MAGIC_VALUE) != MAGIC)
		return ERR_NOENT;
	device->version = get(device, VERSION);
	if (device->version != 1 && device->version != 2)
		return ERR_NOSYS;
	/* 4.2.3.1.1: where it is 0 no other register may be touched. */
	device->id = get(device, DEVICE_ID);
	return device->id ? 0 : ERR_NOENT;
}

static int reset(struct host_virtio *device)
{
	set(device, STATUS, 0);
	for (unsigned i = 0; i < RESET_TRIES; i++) {
		if (get(device, STATUS) == 0)
			return 0;
	}
	return ERR_IO;
}

static uint32_t device_features(struct host_virtio *device, uint32_t word)
{
	set(device, DEVICE_FEATURES_SEL, word);
	return get(device, DEVICE_FEATURES);
}

static void set_driver_features(struct host_virtio *device, uint32_t word, uint32_t features)
{
	set(device, DRIVER_FEATURES_SEL, word);
	set(device, DRIVER_FEATURES, features);
}

/* 3.1.2: a legacy device has 32 features, and no FEATURES_OK. */
static int negotiate_legacy(struct host_virtio *device, uint64_t wanted)
{
	device->features = device_features(device, 0) & wanted;
	set_driver_features(device, 0, (uint32_t)device->features);
	set(device, LEGACY_PAGE_SIZE, PAGE_SIZE);
	return 0;
}

static int negotiate_modern(struct host_virtio *device, uint64_t wanted)
{
	uint64_t offered = device_features(device, 0);

	offered |= (uint64_t)device_features(device, 1) << 32;
	/* 6.1: a driver must accept it where it is offered, and may fail where it is not. */
	if (!(offered & VIRTIO_F_VERSION_1))
		return ERR_IO;
	device->features = offered & (wanted | VIRTIO_F_VERSION_1);
	set_driver_features(device, 0, (uint32_t)device->features);
	set_driver_features(device, 1, (uint32_t)(device->features >> 32));
	add_status(device, STATUS_FEATURES_OK);
	return get(device, STATUS) & STATUS_FEATURES_OK ? 0 : ERR_IO;
}

int host_virtio_negotiate(struct host_virtio *device, uint64_t wanted)
{
	int error = reset(device);

	if (error)
		return error;
	add_status(device, STATUS_ACKNOWLEDGE);
	add_status(device, STATUS_DRIVER);
	return device->version == 1 ? negotiate_legacy(device, wanted)
				    : negotiate_modern(device, wanted);
}

void host_virtio_fail(struct host_virtio *device)
{
	reset(device);
	add_status(device, STATUS_FAILED);
}

unsigned host_virtio_queue_max(struct host_virtio *device, unsigned index)
{
	set(device, QUEUE_SEL, index);
	return get(device, QUEUE_SIZE_MAX);
}

static int set_queue_legacy(struct host_virtio *device, hpa_t memory)
{
	uint64_t page = memory.v >> PAGE_SHIFT;

	if (page > UINT32_MAX)
		return ERR_RANGE;
	if (get(device, LEGACY_QUEUE_PFN) != 0)
		return ERR_EXIST;
	set(device, LEGACY_QUEUE_ALIGN, VIRTQUEUE_ALIGN);
	set(device, LEGACY_QUEUE_PFN, (uint32_t)page);
	return 0;
}

static int set_queue_modern(struct host_virtio *device, const struct virtqueue *queue, hpa_t memory)
{
	uint64_t base = (uint64_t)(uintptr_t)queue->desc;

	if (get(device, QUEUE_READY) != 0)
		return ERR_EXIST;
	set_pair(device, QUEUE_DESC, memory.v);
	set_pair(device, QUEUE_DRIVER, memory.v + ((uint64_t)(uintptr_t)queue->avail - base));
	set_pair(device, QUEUE_DEVICE, memory.v + ((uint64_t)(uintptr_t)queue->used - base));
	set(device, QUEUE_READY, 1);
	return 0;
}

int host_virtio_set_queue(struct host_virtio *device, unsigned index, const struct virtqueue *queue,
			  hpa_t memory)
{
	if (host_virtio_queue_max(device, index) < queue->size)
		return ERR_NOENT;
	set(device, QUEUE_SIZE, queue->size);
	return device->version == 1 ? set_queue_legacy(device, memory)
				    : set_queue_modern(device, queue, memory);
}

void host_virtio_ready(struct host_virtio *device)
{
	add_status(device, STATUS_DRIVER_OK);
}

void host_virtio_notify(struct host_virtio *device, unsigned index)
{
	set(device, QUEUE_NOTIFY, index);
}

uint32_t host_virtio_take_events(struct host_virtio *device)
{
	uint32_t events =
	    get(device, INTERRUPT_STATUS) & (HOST_VIRTIO_EVENT_QUEUE | HOST_VIRTIO_EVENT_CONFIG);

	if (events)
		set(device, INTERRUPT_ACK, events);
	return events;
}

uint32_t host_virtio_config(struct host_virtio *device, unsigned offset)
{
	return get(device, CONFIG + offset);
}
