/* SPDX-License-Identifier: MIT */
#include "vmm/bus.h"

#include "kernel/error.h"

int bus_add(struct bus *bus, struct mmio_device *device)
{
	unsigned place = bus->count;

	if (device->size == 0 || device->base + (device->size - 1) < device->base ||
	    !is_aligned(device->base, 8))
		return ERR_INVAL;
	if (bus->count == BUS_DEVICES_MAX)
		return ERR_NOMEM;
	for (unsigned i = 0; i < bus->count; i++) {
		const struct mmio_device *other = bus->devices[i];

		if (ranges_overlap(device->base, device->size, other->base, other->size))
			return ERR_EXIST;
	}

	for (; place > 0 && bus->devices[place - 1]->base > device->base; place--)
		bus->devices[place] = bus->devices[place - 1];
	bus->devices[place] = device;
	bus->count++;
	return 0;
}

static struct mmio_device *bus_search(const struct bus *bus, uint64_t address)
{
	struct mmio_device *const *at = bus->devices;
	size_t left = bus->count;

	if (left == 0)
		return NULL;
	/* The device sought, if there is one, is always among the `left` that start at `at`. */
	while (left > 1) {
		size_t half = left / 2;

		if (at[half]->base <= address)
			at += half;
		left -= half;
	}
	/* Below the first device the difference wraps, and exceeds every size. */
	return address - (*at)->base < (*at)->size ? *at : NULL;
}

/*
 * Where the device that answered last for a page is remembered. The hash keeps a PLIC's
 * contexts, the virtio slots and the UART of `virt` apart.
 */
static inline struct mmio_device **bus_recent(struct bus *bus, uint64_t address)
{
	return &bus->recent[(address >> 12 ^ address >> 23) % BUS_DEVICES_MAX];
}

struct mmio_device *bus_find(struct bus *bus, gpa_t address)
{
	struct mmio_device **recent = bus_recent(bus, address.v);
	struct mmio_device *device = __atomic_load_n(recent, __ATOMIC_RELAXED);

	if (device && address.v - device->base < device->size)
		return device;
	device = bus_search(bus, address.v);
	if (device)
		__atomic_store_n(recent, device, __ATOMIC_RELAXED);
	return device;
}

/* Whether all of an aligned access lies in a device; the device's base is aligned as well. */
static inline bool device_has(const struct mmio_device *device, uint64_t address, unsigned size)
{
	return (address | (size - 1)) - device->base < device->size;
}

static uint64_t value_mask(unsigned size)
{
	return ~UINT64_C(0) >> (64 - 8 * size);
}

/* The largest power of two that divides both; `size` is at most 8. */
static unsigned piece_size(uint64_t address, unsigned size)
{
	uint64_t both = address | size;

	return (unsigned)(both & -both);
}

int bus_read_pieces(struct bus *bus, gpa_t address, unsigned size, uint64_t *value, unsigned *done)
{
	unsigned piece = piece_size(address.v, size);
	uint64_t all = 0;

	for (*done = 0; *done < size; *done += piece) {
		uint64_t at = address.v + *done, part = 0;
		struct mmio_device *device = bus_find(bus, GPA(at));
		int error;

		if (!device || !device_has(device, at, piece))
			return ERR_FAULT;
		error = device->ops->read(device, at - device->base, piece, &part);
		if (error)
			return error;
		all |= (part & value_mask(piece)) << (8 * *done);
	}
	*value = all;
	return 0;
}

int bus_write_pieces(struct bus *bus, gpa_t address, unsigned size, uint64_t value, unsigned *done)
{
	unsigned piece = piece_size(address.v, size);

	for (*done = 0; *done < size; *done += piece) {
		uint64_t at = address.v + *done, part = (value >> (8 * *done)) & value_mask(piece);
		struct mmio_device *device = bus_find(bus, GPA(at));
		int error;

		if (!device || !device_has(device, at, piece))
			return ERR_FAULT;
		error = device->ops->write(device, at - device->base, piece, part);
		if (error)
			return error;
	}
	return 0;
}

static __attribute__((noinline)) int bus_read_slowly(struct bus *bus, gpa_t address, unsigned size,
						     uint64_t *value)
{
	unsigned done;

	return bus_read_pieces(bus, address, size, value, &done);
}

static __attribute__((noinline)) int bus_write_slowly(struct bus *bus, gpa_t address, unsigned size,
						      uint64_t value)
{
	unsigned done;

	return bus_write_pieces(bus, address, size, value, &done);
}

/* These two are kept short, with tail calls only, for the access that is aligned and repeated. */

int bus_read(struct bus *bus, gpa_t address, unsigned size, uint64_t *value)
{
	struct mmio_device *device = __atomic_load_n(bus_recent(bus, address.v), __ATOMIC_RELAXED);

	if (likely(device && is_aligned(address.v, size) && device_has(device, address.v, size)))
		return device->ops->read(device, address.v - device->base, size, value);
	return bus_read_slowly(bus, address, size, value);
}

int bus_write(struct bus *bus, gpa_t address, unsigned size, uint64_t value)
{
	struct mmio_device *device = __atomic_load_n(bus_recent(bus, address.v), __ATOMIC_RELAXED);

	if (likely(device && is_aligned(address.v, size) && device_has(device, address.v, size)))
		return device->ops->write(device, address.v - device->base, size,
					  value & value_mask(size));
	return bus_write_slowly(bus, address, size, value);
}
