/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_MACHINE_VIRTIO_H
#define DEVICE_MACHINE_VIRTIO_H

/* The virtio slots of a guest's machine, and what its description puts into them. */

#include "device/virtio/console.h"
#include "device/virtio/mmio.h"
#include "device/virtio/rng.h"
#include "vmm/machine.h"

struct plic;
struct vmconfig;

struct machine_virtio {
	struct virtio_slot slots[MACHINE_VIRTIO_SLOTS];
	struct virtio_console *input; /* that the guest wrote to last, or NULL; atomic */
};

/*
 * Builds vm->config's devices, and puts all slots on vm->bus but those in `taken`, a bit for each,
 * where something else is. ERR_NOMEM; another error: what is wrong has been reported.
 */
int machine_virtio_build(struct machine_virtio *virtio, struct vm *vm, struct plic *plic,
			 unsigned taken);

/* The most memory that they take. */
uint64_t machine_virtio_overhead(const struct vmconfig *config);

/* See vmm/hooks.h; also after a machine_virtio_build() that failed. */
void machine_virtio_unbuild(struct machine_virtio *virtio);

/* See vmm/hooks.h. */
void machine_virtio_work(struct machine_virtio *virtio);
void machine_virtio_idle(struct machine_virtio *virtio);
void machine_virtio_resume(struct machine_virtio *virtio);
int machine_virtio_quiesce(struct machine_virtio *virtio);
void machine_virtio_reset(struct machine_virtio *virtio);

#endif
