/* SPDX-License-Identifier: MIT */

#include "driver/virtio/console.h"

#include "driver/virtio/registry.h"
#include "kernel/error.h"
#include "kernel/lock.h"
#include "kernel/mmu.h"
#include "kernel/page.h"
#include "kernel/printable.h"
#include "vmm/copy.h"
#include "vmm/schedule.h"

#include <string.h>

/* Virtio 1.3, 5.3.3 and 5.3.6.2. */
#define F_MULTIPORT      BIT(1)
#define CONFIG_MAX_PORTS 4
#define CONTROL_RECEIVE  2
#define CONTROL_TRANSMIT 3

enum control_event {
	DEVICE_READY = 0,
	PORT_ADD = 1,
	PORT_REMOVE = 2,
	PORT_READY = 3,
	CONSOLE_PORT = 4,
	PORT_OPEN = 6,
	PORT_NAME = 7,
};

struct control {
	uint32_t id;
	uint16_t event, value;
};

/*
 * A page holds a queue and the buffers that go through it. A device may throw control messages
 * away for which there is no buffer; at its start it announces all its ports at once.
 */
#define DATA_QUEUE      8
#define DATA_BUFFERS    7
#define DATA_SIZE       512
#define CONTROL_QUEUE   32
#define CONTROL_BUFFERS 32
#define CONTROL_SIZE    96 /* of which a name is as much as may be */

#define PORTS_MAX    128 /* of a device */
#define PORTS_A_STEP 16

struct channel {
	struct virtqueue queue;
	unsigned buffers, buffer_size; /* how many, and of how many bytes */
	uint8_t *page;                 /* the queue, and at the page's end the buffers */
	uint64_t idle;                 /* buffers that the device does not have, a bit each */
};

enum { TELL_READY = 1, TELL_OPEN = 2 };

struct host_port {
	struct spinlock lock; /* guards the channels, and the four below */
	struct channel receive, transmit;
	struct virtqueue_slot slots[2][DATA_QUEUE];
	const uint8_t *unread; /* the rest of a buffer that was received, or NULL */
	unsigned unread_length;
	bool open;      /* the other side */
	bool cut_short; /* a write was cut short */

	/* All below is the boot hart's. */
	struct console_device *device;
	uint32_t id;
	bool present;
	unsigned to_tell; /* TELL_…: what the device is to be told yet */
	void *owner;
	char name[HOST_PORT_NAME_MAX];
};

struct console_device {
	struct console_device *following;
	struct host_virtio *virtio;
	struct channel control_in, control_out;
	struct virtqueue_slot slots[2][CONTROL_QUEUE];
	struct job job;
	bool busy;     /* the job is queued, or runs */
	bool again;    /* an interrupt came meanwhile */
	unsigned next; /* port that the job looks at next */
	unsigned port_count;
	struct host_port ports[];
};

static const struct host_port_events *events;
static struct console_device *devices; /* the boot hart's */

static hpa_t buffer_address(const void *buffer)
{
	return pointer_to_hpa(buffer);
}

/* Buffers lie behind the queue. */
static uint8_t *buffer_of(const struct channel *channel, unsigned n)
{
	return channel->page + PAGE_SIZE - (uint64_t)(channel->buffers - n) * channel->buffer_size;
}

static unsigned number_of(const struct channel *channel, const uint8_t *buffer)
{
	return (unsigned)((uint64_t)(buffer - buffer_of(channel, 0)) / channel->buffer_size);
}

/* Takes an idle buffer; there is one. */
static uint8_t *take_idle(struct channel *channel)
{
	unsigned n = (unsigned)__builtin_ctzll(channel->idle);

	channel->idle &= ~BIT(n);
	return buffer_of(channel, n);
}

static void give(struct channel *channel, uint8_t *buffer, uint32_t length, bool writable)
{
	struct virtqueue_buffer piece = {buffer_address(buffer), length};

	if (virtqueue_add(&channel->queue, &piece, !writable, writable, buffer) != 0)
		channel->idle |= BIT(number_of(channel, buffer));
}

static void notify(struct console_device *device, struct channel *channel)
{
	if (virtqueue_wants_notice(&channel->queue))
		host_virtio_notify(device->virtio, &channel->queue);
}

/* Gives the device all buffers to write to. */
static void fill(struct console_device *device, struct channel *channel)
{
	if (!channel->idle || channel->queue.broken)
		return;
	while (channel->idle && channel->queue.free_count > 0 && !channel->queue.broken)
		give(channel, take_idle(channel), channel->buffer_size, true);
	notify(device, channel);
}

/* Takes back what the device has read. */
static void reclaim(struct channel *channel)
{
	uint32_t written;
	uint8_t *buffer;

	while ((buffer = virtqueue_take(&channel->queue, &written)) != NULL)
		channel->idle |= BIT(number_of(channel, buffer));
}

static void look(struct console_device *device);

/*
 * Ports, for their users.
 */

struct host_port *host_port_by_name(const char *name)
{
	for (struct console_device *device = devices; device; device = device->following) {
		for (unsigned i = 0; i < device->port_count; i++) {
			struct host_port *port = &device->ports[i];

			if (port->present && strcmp(port->name, name) == 0)
				return port;
		}
	}
	return NULL;
}

void *host_port_owner(const struct host_port *port)
{
	return port->owner;
}

bool host_port_is_open(const struct host_port *port)
{
	return __atomic_load_n(&port->open, __ATOMIC_RELAXED);
}

/*
 * What is read and what is told come by different queues (Virtio 1.3, 5.3.2). A device that has
 * opened a port before it passed on what came through it has told so by the time that is read.
 */
bool host_port_is_up_to_date(struct host_port *port)
{
	if (!virtqueue_has_used(&port->device->control_in.queue))
		return true;
	look(port->device);
	return false;
}

static bool next_received(struct host_port *port)
{
	uint32_t length;

	if (port->unread)
		return true;
	port->unread = virtqueue_take(&port->receive.queue, &length);
	port->unread_length = length;
	return port->unread != NULL;
}

static void take_received(struct host_port *port, uint8_t *bytes, unsigned count)
{
	uint8_t *buffer = buffer_of(&port->receive, number_of(&port->receive, port->unread));

	copy_bytes(bytes, port->unread, count);
	port->unread += count;
	port->unread_length -= count;
	if (port->unread_length > 0)
		return;
	port->unread = NULL;
	give(&port->receive, buffer, DATA_SIZE, true);
	notify(port->device, &port->receive);
}

unsigned host_port_read(struct host_port *port, uint8_t *bytes, unsigned size)
{
	unsigned done = 0;

	spin_lock(&port->lock);
	/* A device may return buffers with nothing in them, again and again. */
	for (unsigned i = 0; i < DATA_BUFFERS && done < size && next_received(port); i++) {
		unsigned count = (unsigned)min_u64(size - done, port->unread_length);

		take_received(port, bytes + done, count);
		done += count;
	}
	spin_unlock(&port->lock);
	return done;
}

/* Hands over as much as there are buffers for. */
static unsigned send_some(struct host_port *port, const uint8_t *bytes, unsigned count)
{
	struct channel *channel = &port->transmit;
	unsigned done = 0;

	reclaim(channel);
	while (done < count && channel->idle && channel->queue.free_count > 0) {
		unsigned length = (unsigned)min_u64(count - done, DATA_SIZE);
		uint8_t *buffer = take_idle(channel);

		copy_bytes(buffer, bytes + done, length);
		give(channel, buffer, length, false);
		done += length;
	}
	if (done > 0)
		notify(port->device, channel);
	return done;
}

unsigned host_port_write(struct host_port *port, const uint8_t *bytes, unsigned count)
{
	unsigned done = 0;

	spin_lock(&port->lock);
	if (port->open && !port->transmit.queue.broken) {
		virtqueue_set_interrupt(&port->transmit.queue, false);
		done = send_some(port, bytes, count);
		if (done < count) {
			/* What is added after this is announced when it has been sent. */
			virtqueue_set_interrupt(&port->transmit.queue, true);
			done += send_some(port, bytes + done, count - done);
		}
		port->cut_short = done < count;
	}
	spin_unlock(&port->lock);
	return done;
}

/*
 * Control messages (5.3.6.2).
 */

static bool tell(struct console_device *device, uint32_t id, enum control_event event)
{
	struct channel *channel = &device->control_out;
	struct control message = {id, (uint16_t)event, 1};
	uint8_t *buffer;

	reclaim(channel);
	if (!channel->idle)
		return false;
	buffer = take_idle(channel);
	memcpy(buffer, &message, sizeof(message));
	give(channel, buffer, sizeof(message), false);
	notify(device, channel);
	return true;
}

/* Whether something was told. */
static bool tell_of_port(struct host_port *port)
{
	unsigned what = port->to_tell & TELL_READY ? TELL_READY : port->to_tell & TELL_OPEN;

	if (!what || !tell(port->device, port->id, what == TELL_READY ? PORT_READY : PORT_OPEN))
		return false;
	port->to_tell &= ~what;
	return true;
}

void host_port_claim(struct host_port *port, void *owner)
{
	port->owner = owner;
	spin_lock(&port->lock);
	fill(port->device, &port->receive);
	spin_unlock(&port->lock);
	port->to_tell |= TELL_OPEN;
	look(port->device);
}

void host_port_release(struct host_port *port)
{
	port->owner = NULL;
}

static void set_open(struct host_port *port, bool open)
{
	spin_lock(&port->lock);
	port->open = open;
	spin_unlock(&port->lock);
	events->opened(port, open);
}

/* What cannot be part of a VM's name is shown as '?'. QEMU sends a terminator with it. */
static void set_name(struct host_port *port, const uint8_t *name, uint32_t length)
{
	unsigned count = 0;

	for (; count < length && count < HOST_PORT_NAME_MAX - 1 && name[count]; count++)
		port->name[count] = name[count] == ' ' ? '?' : printable((char)name[count]);
	port->name[count] = '\0';
	events->named(port, port->name);
}

static void handle_message(struct console_device *device, const uint8_t *bytes, uint32_t length)
{
	struct control message;
	struct host_port *port;

	if (length < sizeof(message))
		return;
	memcpy(&message, bytes, sizeof(message));
	if (message.id >= device->port_count)
		return;
	port = &device->ports[message.id];
	if (message.event != PORT_ADD && !port->present)
		return;
	switch (message.event) {
	case PORT_ADD:
		port->present = true;
		port->to_tell |= TELL_READY;
		break;
	case PORT_REMOVE:
		set_open(port, false);
		port->present = false;
		port->name[0] = '\0';
		events->removed(port);
		break;
	case CONSOLE_PORT:
		port->to_tell |= TELL_OPEN;
		break;
	case PORT_OPEN:
		set_open(port, message.value != 0);
		break;
	case PORT_NAME:
		set_name(port, bytes + sizeof(message), length - (uint32_t)sizeof(message));
		break;
	}
}

/* One message; false if there is none. */
static bool control_step(struct console_device *device)
{
	struct channel *channel = &device->control_in;
	uint32_t length;
	uint8_t *buffer = virtqueue_take(&channel->queue, &length);

	if (!buffer)
		return false;
	handle_message(device, buffer, length);
	give(channel, buffer, CONTROL_SIZE, true);
	notify(device, channel);
	return true;
}

/*
 * The job of a device: begins anew with each interrupt.
 */

/* Whether there was something to do. */
static bool port_step(struct host_port *port)
{
	bool received, drained;

	if (!port->present)
		return false;
	/* The device answers, and there have to be buffers for that: so it is told of one at a
	 * time. */
	if (tell_of_port(port)) {
		port->device->again = true;
		return true;
	}
	spin_lock(&port->lock);
	received = virtqueue_has_used(&port->receive.queue);
	drained = port->cut_short && virtqueue_has_used(&port->transmit.queue);
	spin_unlock(&port->lock);
	if (!port->owner)
		return false;
	if (received)
		events->received(port);
	if (drained)
		events->drained(port);
	return received || drained;
}

static int step(struct job *job)
{
	struct console_device *device = container_of(job, struct console_device, job);

	if (device->again) {
		device->again = false;
		device->next = 0;
	}
	if (control_step(device))
		return ERR_AGAIN;
	for (unsigned i = 0; i < PORTS_A_STEP && device->next < device->port_count; i++) {
		if (port_step(&device->ports[device->next++]))
			break;
	}
	if (device->next < device->port_count || device->again)
		return ERR_AGAIN;
	device->busy = false;
	return 0;
}

static void look(struct console_device *device)
{
	device->again = true;
	if (device->busy)
		return;
	device->busy = true;
	schedule_job(&device->job, step);
}

static void handle_events(void *context, uint32_t what)
{
	if (what & HOST_VIRTIO_EVENT_QUEUE)
		look(context);
}

/*
 * Finding them.
 */

/* What channels are made of, for data and for control messages. */
struct channel_kind {
	unsigned queue_size, buffers, buffer_size;
};

static const struct channel_kind data_channel = {DATA_QUEUE, DATA_BUFFERS, DATA_SIZE};
static const struct channel_kind control_channel = {CONTROL_QUEUE, CONTROL_BUFFERS, CONTROL_SIZE};

static int channel_init(struct console_device *device, struct channel *channel, unsigned index,
			const struct channel_kind *kind, struct virtqueue_slot *slots)
{
	const struct virtqueue_kind made = {.size = kind->queue_size};

	channel->buffers = kind->buffers;
	channel->buffer_size = kind->buffer_size;
	channel->idle = BIT(channel->buffers) - 1;
	channel->page = page_alloc_zeroed(0);
	if (!channel->page)
		return ERR_NOMEM;
	virtqueue_init(&channel->queue, &made, channel->page, pointer_to_hpa(channel->page), slots);
	return host_virtio_set_queue(device->virtio, index, &channel->queue);
}

/* 5.3.2: port 0 has the queues before the control queues, the others those behind them. */
static int port_init(struct console_device *device, uint32_t id)
{
	struct host_port *port = &device->ports[id];
	unsigned first = id == 0 ? 0 : 2 + 2 * id;
	int error = channel_init(device, &port->receive, first, &data_channel, port->slots[0]);

	port->device = device;
	port->id = id;
	return error ? error
		     : channel_init(device, &port->transmit, first + 1, &data_channel,
				    port->slots[1]);
}

static int queues_init(struct console_device *device)
{
	int error = channel_init(device, &device->control_in, CONTROL_RECEIVE, &control_channel,
				 device->slots[0]);

	if (!error)
		error = channel_init(device, &device->control_out, CONTROL_TRANSMIT,
				     &control_channel, device->slots[1]);
	for (uint32_t id = 0; id < device->port_count && !error; id++)
		error = port_init(device, id);
	return error;
}

static struct console_device *new_device(struct host_virtio *virtio, unsigned ports)
{
	uint64_t size = sizeof(struct console_device) + ports * sizeof(struct host_port);
	struct console_device *device = page_alloc_zeroed(page_order(size));

	if (device) {
		device->virtio = virtio;
		device->port_count = ports;
	}
	return device;
}

static int bind(struct host_virtio *virtio)
{
	struct console_device *device;
	int error = host_virtio_negotiate(virtio, F_MULTIPORT);
	unsigned ports;

	if (error)
		return error;
	if (!(virtio->features & F_MULTIPORT))
		return ERR_NOSYS;
	ports = host_virtio_config32(virtio, CONFIG_MAX_PORTS);
	device = new_device(virtio, ports < PORTS_MAX ? ports : PORTS_MAX);
	if (!device)
		return ERR_NOMEM;
	/* What was allocated stays, as nothing tells whether the device has really let go of it. */
	error = queues_init(device);
	if (error)
		return error;
	device->following = devices;
	devices = device;
	host_virtio_ready(virtio);
	fill(device, &device->control_in);
	host_virtio_listen(virtio, handle_events, device);
	tell(device, 0, DEVICE_READY);
	return 0;
}

const struct host_virtio_driver host_console_driver = {
    .id = VIRTIO_ID_CONSOLE,
    .name = "ports",
    .in_use = "its ports are consoles, which Pilae drives",
    .bind = bind,
};

void host_ports_init(const struct host_port_events *its_events)
{
	events = its_events;
}
