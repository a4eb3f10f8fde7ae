/* SPDX-License-Identifier: MIT */
#include "device/virtio/console.h"

#include "kernel/error.h"

#include <string.h>

#define CONSOLE_DEVICE_ID     3
#define CONSOLE_F_EMERG_WRITE BIT(2)

/* 5.3.2: the queues of port 0. */
#define CONSOLE_RECEIVE  0
#define CONSOLE_TRANSMIT 1
#define CONSOLE_QUEUES   2

#define OUTPUT_STEP 256

static struct virtio_console *console_of(struct virtio_device *device)
{
	return container_of(device, struct virtio_console, device);
}

/*
 * Output.
 */

static void put(struct virtio_console *console, const uint8_t *bytes, uint64_t count)
{
	if (count)
		console->line.output(console->line.context, bytes, (unsigned)count);
}

static int transmit(struct virtio_console *console, struct virtio_queue *queue)
{
	struct vring_chain *chain = &console->output;
	uint8_t bytes[OUTPUT_STEP];
	uint64_t count;
	int error = console->sending ? 0 : vring_pop(&queue->ring, chain);

	if (error)
		return error == ERR_NOENT ? 0 : error;
	if (!console->sending)
		console->sent = 0;
	count = min_u64(sizeof(bytes), chain->readable_bytes - console->sent);
	error = vring_read(&queue->ring, chain, console->sent, bytes, count);
	if (error)
		return error;
	put(console, bytes, count);
	console->sent += count;
	console->sending = console->sent < chain->readable_bytes;
	if (!console->sending)
		error = vring_push(&queue->ring, chain->head, 0);
	return error ? error : ERR_AGAIN;
}

/* 5.3.4: a byte, from a driver that has not set up anything yet. */
static void console_write_config(struct virtio_device *device, uint64_t offset, unsigned size,
				 uint32_t value)
{
	uint8_t byte = (uint8_t)value;

	if (offset == offsetof(struct virtio_console_config, early) && size == 4)
		put(console_of(device), &byte, 1);
}

/*
 * Input.
 */

static unsigned count_waiting(struct virtio_console *console)
{
	unsigned count;

	spin_lock(&console->lock);
	count = console->head - console->tail;
	spin_unlock(&console->lock);
	return count;
}

/* Takes bytes out of the FIFO, as many as there are. */
static unsigned take_bytes(struct virtio_console *console, uint8_t *bytes, uint64_t size,
			   bool *drained)
{
	unsigned count = 0;

	spin_lock(&console->lock);
	while (count < size && console->tail != console->head)
		bytes[count++] = console->fifo[console->tail++ % VIRTIO_CONSOLE_FIFO];
	*drained = count > 0 && console->refused;
	if (*drained)
		console->refused = false;
	spin_unlock(&console->lock);
	return count;
}

static int receive(struct virtio_console *console, struct virtio_queue *queue)
{
	struct vring_chain *chain = &console->input;
	uint8_t bytes[VIRTIO_CONSOLE_FIFO];
	unsigned count;
	bool drained;
	int error;

	if (count_waiting(console) == 0)
		return 0;
	error = vring_pop(&queue->ring, chain);
	if (error)
		return error == ERR_NOENT ? 0 : error;
	count = take_bytes(console, bytes, min_u64(sizeof(bytes), chain->writable_bytes), &drained);
	error = vring_write(&queue->ring, chain, 0, bytes, count);
	if (!error)
		error = vring_push(&queue->ring, chain->head, count);
	if (drained)
		console->line.drained(console->line.context);
	return error ? error : ERR_AGAIN;
}

bool virtio_console_receive(struct virtio_console *console, uint8_t byte, bool more)
{
	bool accepts;

	spin_lock(&console->lock);
	accepts = console->head - console->tail < VIRTIO_CONSOLE_FIFO;
	if (accepts)
		console->fifo[console->head++ % VIRTIO_CONSOLE_FIFO] = byte;
	console->refused |= more || !accepts;
	spin_unlock(&console->lock);
	virtio_queue_wake(&console->device.queues[CONSOLE_RECEIVE]);
	return accepts;
}

bool virtio_console_take(struct virtio_console *console, uint8_t *byte)
{
	bool drained;
	bool any = take_bytes(console, byte, 1, &drained) > 0;

	if (drained)
		console->line.drained(console->line.context);
	return any;
}

static int console_work(struct virtio_device *device, struct virtio_queue *queue)
{
	struct virtio_console *console = console_of(device);

	return queue == &device->queues[CONSOLE_TRANSMIT] ? transmit(console, queue)
							  : receive(console, queue);
}

static void console_reset(struct virtio_device *device, struct virtio_queue *queue)
{
	struct virtio_console *console = console_of(device);
	bool drained;

	if (queue == &device->queues[CONSOLE_TRANSMIT]) {
		console->sending = false;
		return;
	}
	spin_lock(&console->lock);
	console->tail = console->head;
	drained = console->refused;
	console->refused = false;
	spin_unlock(&console->lock);
	if (drained)
		console->line.drained(console->line.context);
}

void virtio_console_init(struct virtio_console *console, const struct virtio_console_line *line,
			 struct vm *vm, struct irq_line irq, bool legacy)
{
	static const struct virtio_ops ops = {
	    .id = CONSOLE_DEVICE_ID,
	    .work = console_work,
	    .reset = console_reset,
	    .write_config = console_write_config,
	};
	struct virtio_type type = {
	    .ops = &ops,
	    .features = CONSOLE_F_EMERG_WRITE,
	    .queues = CONSOLE_QUEUES,
	    .config = &console->config,
	    .config_size = sizeof(console->config),
	};

	memset(console, 0, sizeof(*console));
	console->line = *line;
	virtio_device_init(&console->device, &type, vm, irq, legacy);
}
