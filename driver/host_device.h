/* SPDX-License-Identifier: MIT */
#ifndef DRIVER_HOST_DEVICE_H
#define DRIVER_HOST_DEVICE_H

/*
 * The host's devices, as guests are given them: how they are named, what they consist of, and who
 * has them. Boot hart, in a job or at boot; no lock.
 */

#include "kernel/platform.h"
#include "kernel/types.h"

#define HOST_DEVICE_RANGES     4
#define HOST_DEVICE_INTERRUPTS 8
#define HOST_DEVICE_WHY_MAX    200 /* bytes of a reason in words */

enum host_dma { HOST_DMA_NONE, HOST_DMA_UNKNOWN, HOST_DMA_DOES };

struct host_virtio;

struct host_device {
	int node; /* of the host's tree */
	enum host_dma dma;
	unsigned range_count, interrupt_count;
	struct range ranges[HOST_DEVICE_RANGES];     /* registers, in the order of reg */
	uint32_t interrupts[HOST_DEVICE_INTERRUPTS]; /* PLIC sources */
	struct host_virtio *virtio;                  /* the virtio device that it is, or NULL */
};

/* Notes what is Pilae's own. At boot, once; the virtio devices have been found. */
void host_device_init(void);

/*
 * Finds a device by its path in the host's tree, or as virtio-blkN or virtio-netN. Else `why` says
 * in words what is wrong: ERR_NOENT: there is none; ERR_NOSYS: no VM can have it.
 */
int host_device_find(const char *name, struct host_device *device, char why[HOST_DEVICE_WHY_MAX]);

/*
 * Maps what of its registers does not fill whole pages, for host_device_register(): at boot, before
 * the other harts start.
 */
void host_device_map(const struct host_device *device);

/* These registers, if they have been mapped, or NULL. */
volatile void *host_device_register(uint64_t address, uint64_t size);

/*
 * Keeps registers from being given to guests: `why` says so, as "it is Pilae's console", and stays.
 * At boot.
 */
void host_device_keep(struct range registers, const char *why);

/*
 * Gives a device to the VM of this name, which stays until host_device_release(); a virtio device
 * is taken from its driver, and has been reset. ERR_EXIST: `why` says who has it; ERR_IO: it does
 * not stop; ERR_NOMEM: more than can be noted are given.
 */
int host_device_claim(const struct host_device *device, const char *vm,
		      char why[HOST_DEVICE_WHY_MAX]);
void host_device_release(const struct host_device *device);

/*
 * Stops what the device is doing, if it is of a kind that can be told to. ERR_IO: it goes on;
 * nobody gets it any more.
 */
int host_device_reset(const struct host_device *device);

/*
 * An access to a register, aligned, of 1, 2, 4 or 8 bytes. ERR_FAULT: the machine raises an access
 * fault. Any hart. driver/host_access.c
 */
int host_register_read(volatile void *at, unsigned size, uint64_t *value);
int host_register_write(volatile void *at, unsigned size, uint64_t value);

#endif
