/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_VIRTIO_RNG_H
#define DEVICE_VIRTIO_RNG_H

/* A source of randomness (Virtio 1.2, 5.4): what the guest is given comes from the host's device.
 */

#include "device/virtio/device.h"

#define RNG_READ_MAX 64 /* bytes that are asked for at a time */

/*
 * Asks the host for up to `size` random bytes. `done` is called on the boot hart later, once, with
 * how many there are; 0: the host failed. Any hart, no lock held. ERR_AGAIN: not now; it is not
 * called.
 */
typedef int rng_source_fn(void *buffer, unsigned size, void (*done)(void *context, unsigned count),
			  void *context);

struct rng {
	struct virtio_device device;
	rng_source_fn *source;
	/* Of who is busy, but while the host fills the buffer. */
	bool asked;
	bool popped;    /* `chain` has been taken */
	unsigned count; /* bytes in the buffer */
	uint8_t buffer[RNG_READ_MAX];
	struct vring_chain chain;
};

void rng_init(struct rng *rng, rng_source_fn *source, struct vm *vm, struct irq_line irq,
	      bool legacy);

#endif
