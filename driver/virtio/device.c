/* SPDX-License-Identifier: MIT */

#include "driver/virtio/device.h"

#include "driver/plic.h"
#include "driver/virtio/transport.h"
#include "kernel/error.h"
#include "kernel/platform.h"

/* Virtio 1.3, 2.1. */
#define STATUS_ACKNOWLEDGE 1
#define STATUS_DRIVER      2
#define STATUS_DRIVER_OK   4
#define STATUS_FEATURES_OK 8
#define STATUS_NEEDS_RESET 64
#define STATUS_FAILED      128

#define RESET_TRIES      1000
#define CONFIG_TRIES     10
#define POLLS_PER_SECOND 100

/* All that are listened to; some may share an interrupt. */
static struct host_virtio *listening;

static void add_status(struct host_virtio *device, uint32_t bits)
{
	device->transport->set_status(device, device->transport->status(device) | bits);
}

static int reset(struct host_virtio *device)
{
	device->transport->set_status(device, 0);
	for (unsigned i = 0; i < RESET_TRIES; i++) {
		if (device->transport->status(device) == 0)
			return 0;
	}
	return ERR_IO;
}

static void let_use_memory(struct host_virtio *device, bool may)
{
	if (device->transport->let_use_memory)
		device->transport->let_use_memory(device, may);
}

int host_virtio_negotiate(struct host_virtio *device, uint64_t wanted)
{
	uint64_t offered;
	int error = reset(device);

	if (error)
		return error;
	let_use_memory(device, true);
	add_status(device, STATUS_ACKNOWLEDGE);
	add_status(device, STATUS_DRIVER);
	offered = device->transport->offered(device);
	if (!device->legacy) {
		/* 6.1: a driver must accept it where it is offered, and may fail where not. */
		if (!(offered & VIRTIO_F_VERSION_1))
			return ERR_IO;
		wanted |= VIRTIO_F_VERSION_1;
	}
	device->features = offered & wanted;
	device->transport->accept(device);
	/* 3.1.2: a legacy device has no FEATURES_OK. */
	if (device->legacy)
		return 0;
	add_status(device, STATUS_FEATURES_OK);
	return device->transport->status(device) & STATUS_FEATURES_OK ? 0 : ERR_IO;
}

int host_virtio_fail(struct host_virtio *device)
{
	int error = reset(device);

	let_use_memory(device, false);
	add_status(device, STATUS_FAILED);
	return error;
}

static bool is_listened_to(uint32_t interrupt)
{
	for (const struct host_virtio *device = listening; device;
	     device = device->next_listening) {
		if (device->interrupt == interrupt)
			return true;
	}
	return false;
}

static void stop_listening(struct host_virtio *device)
{
	struct host_virtio **link = &listening;

	while (*link && *link != device)
		link = &(*link)->next_listening;
	if (!*link)
		return;
	*link = device->next_listening;
	if (device->poll.expired)
		timer_cancel(&device->poll);
	else if (!is_listened_to(device->interrupt))
		host_plic_release(device->interrupt);
}

int host_virtio_reset(struct host_virtio *device)
{
	int error = reset(device);

	let_use_memory(device, false);
	stop_listening(device);
	return error;
}

unsigned host_virtio_queue_max(struct host_virtio *device, unsigned index)
{
	return device->transport->queue_max(device, index);
}

int host_virtio_set_queue(struct host_virtio *device, unsigned index, struct virtqueue *queue)
{
	if (host_virtio_queue_max(device, index) < queue->size)
		return ERR_NOENT;
	queue->index = (uint16_t)index;
	return device->transport->set_queue(device, queue);
}

/* An interrupt: of any that share it. */
static void handle_interrupt(void *source)
{
	for (struct host_virtio *device = listening; device; device = device->next_listening) {
		uint32_t events;

		if (device->interrupt != (uint32_t)(uintptr_t)source)
			continue;
		events = host_virtio_take_events(device);
		if (events)
			device->handle(device->context, events);
	}
}

static void poll(struct timer *timer)
{
	struct host_virtio *device = container_of(timer, struct host_virtio, poll);

	device->handle(device->context, host_virtio_take_events(device) | HOST_VIRTIO_EVENT_QUEUE);
	timer_set(timer, time_now() + platform.timebase / POLLS_PER_SECOND);
}

void host_virtio_listen(struct host_virtio *device, void (*handle)(void *context, uint32_t events),
			void *context)
{
	device->handle = handle;
	device->context = context;
	device->next_listening = listening;
	listening = device;
	if (device->interrupt && host_plic_enable(device->interrupt, handle_interrupt,
						  (void *)(uintptr_t)device->interrupt) == 0)
		return;
	timer_init(&device->poll, poll);
	timer_set(&device->poll, time_now());
}

void host_virtio_ready(struct host_virtio *device)
{
	add_status(device, STATUS_DRIVER_OK);
}

bool host_virtio_needs_reset(struct host_virtio *device)
{
	return device->transport->status(device) & STATUS_NEEDS_RESET;
}

void host_virtio_notify(struct host_virtio *device, const struct virtqueue *queue)
{
	device->transport->notify(device, queue);
}

uint32_t host_virtio_take_events(struct host_virtio *device)
{
	return device->transport->take_events(device) &
	       (HOST_VIRTIO_EVENT_QUEUE | HOST_VIRTIO_EVENT_CONFIG);
}

uint8_t host_virtio_config8(struct host_virtio *device, unsigned offset)
{
	return (uint8_t)device->transport->config(device, offset, 1);
}

uint16_t host_virtio_config16(struct host_virtio *device, unsigned offset)
{
	return (uint16_t)device->transport->config(device, offset, 2);
}

uint32_t host_virtio_config32(struct host_virtio *device, unsigned offset)
{
	return device->transport->config(device, offset, 4);
}

/*
 * 2.5.1: a field of more than 32 bits may change between the reads of its halves, which the
 * generation tells; a legacy device has none.
 */
uint64_t host_virtio_config64(struct host_virtio *device, unsigned offset)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < CONFIG_TRIES; i++) {
		uint32_t generation = device->transport->generation(device);
		uint32_t low = host_virtio_config32(device, offset);

		value = (uint64_t)host_virtio_config32(device, offset + 4) << 32 | low;
		if (host_virtio_config32(device, offset) == low &&
		    device->transport->generation(device) == generation)
			break;
	}
	return value;
}
