/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_VIRTIO_NET_H
#define DEVICE_VIRTIO_NET_H

/*
 * A network interface (Virtio 1.2, 5.1), which is a port of a switch. What its guest sends is
 * delivered by who works on its transmit queue, who for that takes the receiver's receive queue:
 * see vmm/net.h.
 */

#include "device/virtio/device.h"
#include "vmm/net.h"

/* 5.1.4: the device's configuration. */
struct net_config {
	uint8_t mac[MAC_BYTES];
	uint16_t status;
} __packed;

struct net_device {
	struct virtio_device device;
	struct net_port port;
	struct net_config config;

	/* Of who has the transmit queue. */
	bool sending; /* the chain's frame is on its way */
	uint32_t header_size;
	struct vring_chain chain;
	struct net_source source;
	struct net_transfer transfer;

	/* Of who has the receive queue. */
	int receive_error; /* the ring makes no sense */
	bool mergeable;
	uint32_t receive_header_size;
	struct vring_batch buffers;
	struct vring_cursor place; /* of the byte at `place_at` of the frame */
	uint64_t place_at;
};

/*
 * Readies the interface of `vm`, whose node is `name`, and plugs it in; `address` as mac_read() has
 * it. Errors of net_port_add(). Boot hart, in a job or at boot.
 */
int net_device_init(struct net_device *net, struct net *to, const char *name, uint64_t address,
		    struct vm *vm, struct irq_line irq, bool legacy);

#endif
