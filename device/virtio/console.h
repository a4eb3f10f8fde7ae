/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_VIRTIO_CONSOLE_H
#define DEVICE_VIRTIO_CONSOLE_H

/* A console (Virtio 1.2, 5.3) of one port, without a size; the driver may write a byte early. */

#include "device/virtio/device.h"
#include "kernel/lock.h"

#define VIRTIO_CONSOLE_FIFO 64 /* bytes that wait for the driver's buffers; a power of two */

/* What it is connected to. All are called on any hart, with no lock held. */
struct virtio_console_line {
	void (*output)(void *context, const uint8_t *bytes, unsigned count);
	/* There is room after virtio_console_receive() refused a byte or had `more`; may call it.
	 */
	void (*drained)(void *context);
	void *context;
};

struct virtio_console {
	struct virtio_device device;
	struct virtio_console_line line;
	struct virtio_console_config {
		uint16_t columns, rows;
		uint32_t ports, early;
	} config; /* 5.3.4; all of it is zero */

	struct spinlock lock; /* guards the next four */
	uint8_t fifo[VIRTIO_CONSOLE_FIFO];
	unsigned head, tail; /* free-running; head - tail bytes wait */
	bool refused;        /* `drained` is due */

	/* Of who is busy with the queue. */
	struct vring_chain input;
	struct vring_chain output;
	uint64_t sent; /* bytes of `output` */
	bool sending;
};

/* Readies the console; `line` is copied. */
void virtio_console_init(struct virtio_console *console, const struct virtio_console_line *line,
			 struct vm *vm, struct irq_line irq, bool legacy);

/* As uart_receive() and uart_take(). Any hart; takes a schedule's lock, too. */
bool virtio_console_receive(struct virtio_console *console, uint8_t byte, bool more);
bool virtio_console_take(struct virtio_console *console, uint8_t *byte);

#endif
