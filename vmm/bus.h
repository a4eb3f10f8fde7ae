/* SPDX-License-Identifier: MIT */
#ifndef VMM_BUS_H
#define VMM_BUS_H

/*
 * A VM's MMIO bus: which device answers at which guest-physical address. Accesses reach a
 * device in naturally aligned pieces of 1, 2, 4 or 8 bytes; everything else about an
 * instruction (misalignment, AMOs, sign extension) is dealt with before.
 */

#include "kernel/types.h"

#define BUS_DEVICES_MAX 32

struct mmio_device;

/*
 * `offset` is from the device's base, aligned to `size`, and offset + size does not exceed
 * the device's size; a value has no bits above `size`. Both return 0, or ERR_FAULT where the
 * machine gives an access fault, or ERR_AGAIN: the vCPU is to perform the instruction once more, as
 * the device has to finish something first that it does not wait for here. Called on any hart,
 * several at once: a device locks its own state.
 */
struct mmio_ops {
	int (*read)(struct mmio_device *device, uint64_t offset, unsigned size, uint64_t *value);
	int (*write)(struct mmio_device *device, uint64_t offset, unsigned size, uint64_t value);
};

struct mmio_device {
	const char *name;
	const struct mmio_ops *ops;
	uint64_t base; /* guest-physical */
	uint64_t size; /* bytes */
};

/*
 * Devices ordered by base; built before the VM runs and constant afterwards. Starts as zeroes.
 * Where addresses lead is remembered by a hash of their page.
 */
struct bus {
	unsigned count;
	struct mmio_device *devices[BUS_DEVICES_MAX];
	struct mmio_device *recent[BUS_DEVICES_MAX]; /* atomic; any device, or NULL */
};

/*
 * Adds a device, before the VM runs. ERR_EXIST if it overlaps another, ERR_NOMEM if the bus
 * is full, ERR_INVAL if it is empty, wraps, or its base is no multiple of 8.
 */
int bus_add(struct bus *bus, struct mmio_device *device);

/* The device that answers at `address`, or NULL. Any hart; takes no lock. */
struct mmio_device *bus_find(struct bus *bus, gpa_t address);

/*
 * One access of `size` bytes (1, 2, 4, 8), of any alignment, that does not cross a page. One
 * that is not aligned is performed in equal pieces as large as its alignment allows, lowest
 * address first, as `virt` does it. ERR_FAULT if nothing answers for a piece or its device
 * refuses it: the pieces before it have been performed. The value read is zero-extended; bits
 * of a written one above `size` are ignored. Any hart, no lock held: devices take theirs.
 */
int bus_read(struct bus *bus, gpa_t address, unsigned size, uint64_t *value);
int bus_write(struct bus *bus, gpa_t address, unsigned size, uint64_t value);

/*
 * The same, for an access that is not aligned: on ERR_FAULT *done is the number of bytes
 * performed before it, and the faulting address that the machine reports is that far into
 * the access.
 */
int bus_read_pieces(struct bus *bus, gpa_t address, unsigned size, uint64_t *value, unsigned *done);
int bus_write_pieces(struct bus *bus, gpa_t address, unsigned size, uint64_t value, unsigned *done);

#endif
