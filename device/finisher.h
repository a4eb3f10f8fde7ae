/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_FINISHER_H
#define DEVICE_FINISHER_H

/* SiFive's test finisher: the device by which a guest powers off, resets, or reports failure. */

#include "kernel/types.h"
#include "vmm/bus.h"

enum finisher_event {
	FINISHER_POWEROFF,
	FINISHER_RESET,
	FINISHER_FAIL,
};

/*
 * What the guest asked for. `code` is what it gave with it, 0 to 0xffff. Called from the write,
 * on the writing vCPU's hart without a lock; several vCPUs may ask at once, and again.
 */
typedef void finisher_event_fn(void *context, enum finisher_event event, unsigned code);

struct finisher {
	struct mmio_device device; /* for the VM's bus */
	finisher_event_fn *event;
	void *context;
};

void finisher_init(struct finisher *finisher, finisher_event_fn *event, void *context);

#endif
