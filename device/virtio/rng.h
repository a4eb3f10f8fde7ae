/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_VIRTIO_RNG_H
#define DEVICE_VIRTIO_RNG_H

/* A source of randomness (Virtio 1.2, 5.4): what the guest is given comes from the host's device.
 */

#include "device/virtio/device.h"
#include "driver/entropy.h"

struct rng {
	struct virtio_device device;
	struct entropy_request request; /* for the buffer, while it is in flight */
	/* Of who is busy, but while the host fills the buffer. */
	bool asked;
	bool popped;    /* `chain` has been taken */
	unsigned count; /* bytes in the buffer */
	uint8_t buffer[ENTROPY_BYTES_MAX];
	struct vring_chain chain;
};

/* ERR_NOSYS: the host has no source. Boot hart, in a job or at boot. */
int rng_init(struct rng *rng, struct vm *vm, struct irq_line irq, bool legacy);

#endif
