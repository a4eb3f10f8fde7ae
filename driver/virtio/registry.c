/* SPDX-License-Identifier: MIT */

#include "driver/virtio/registry.h"

#include "driver/pci.h"
#include "driver/virtio/transport.h"
#include "kernel/error.h"
#include "kernel/fdt.h"
#include "kernel/log.h"
#include "kernel/mmu.h"
#include "kernel/platform.h"

#include <stdio.h>
#include <string.h>

static const struct host_virtio_driver *const drivers[] = {
    &host_blk_driver,
    &host_console_driver,
    &host_entropy_driver,
    &host_net_driver,
};

static struct host_virtio devices[HOST_VIRTIO_MAX];
static unsigned device_count;

static const char *kind_of(uint32_t id)
{
	switch (id) {
	case VIRTIO_ID_NET:
		return "net";
	case VIRTIO_ID_BLOCK:
		return "blk";
	case VIRTIO_ID_CONSOLE:
		return "console";
	case VIRTIO_ID_ENTROPY:
		return "rng";
	default:
		return NULL;
	}
}

/* Of the kinds that have no word only the number is known. */
static void set_name(struct host_virtio *device)
{
	const char *kind = kind_of(device->id);
	unsigned number = 0;

	for (unsigned i = 0; i < device_count; i++)
		number += devices[i].id == device->id;
	if (kind)
		snprintf(device->name, sizeof(device->name), "virtio-%s%u", kind, number);
	else
		snprintf(device->name, sizeof(device->name), "virtio-%u-%u", (unsigned)device->id,
			 number);
}

static const struct host_virtio_driver *driver_of(uint32_t id)
{
	for (unsigned i = 0; i < ARRAY_SIZE(drivers); i++) {
		if (drivers[i]->id == id)
			return drivers[i];
	}
	return NULL;
}

/* The next one has been probed, and its path is known. */
static void add(struct host_virtio *device)
{
	const struct host_virtio_driver *driver = driver_of(device->id);
	int error;

	set_name(device);
	device_count++;
	if (!driver)
		return;
	error = driver->bind(device);
	if (error) {
		host_virtio_fail(device);
		log_warn("%s (%s): not used: %s", device->name, device->path, error_string(error));
		return;
	}
	device->driver = driver;
	device->owner = driver->name;
}

static struct host_virtio *next_free(void)
{
	if (device_count < HOST_VIRTIO_MAX)
		return &devices[device_count];
	log_warn("more than %u virtio devices: the rest is not used", HOST_VIRTIO_MAX);
	return NULL;
}

static void find_mmio(void)
{
	for (unsigned i = 0; i < platform.virtio_count; i++) {
		const struct platform_virtio *place = &platform.virtio[i];
		struct host_virtio *device = next_free();

		if (!device)
			return;
		if (host_virtio_mmio_probe(
			device,
			mmu_map_registers(HPA(place->registers.base), place->registers.size),
			place->registers.size) != 0)
			continue;
		device->interrupt = place->interrupt;
		if (fdt_get_path(platform.fdt, place->node, device->path, sizeof(device->path)) !=
		    0)
			device->path[0] = '\0';
		add(device);
	}
}

static void find_pci(void)
{
	struct host_pci_function *function = NULL;

	while ((function = host_pci_next(function)) != NULL) {
		struct host_virtio *device = next_free();
		int error;

		if (!device)
			return;
		error = host_virtio_pci_probe(device, function);
		if (error == 0) {
			device->interrupt = function->interrupt;
			snprintf(device->path, sizeof(device->path), "%s", function->name);
			add(device);
		} else if (error != ERR_NOENT) {
			log_warn("%s: not used: %s", function->name, error_string(error));
		}
	}
}

void host_virtio_init(void)
{
	find_mmio();
	host_pci_init();
	find_pci();
}

struct host_virtio *host_virtio_by_name(const char *name)
{
	for (unsigned i = 0; i < device_count; i++) {
		if (strcmp(devices[i].name, name) == 0 || strcmp(devices[i].path, name) == 0)
			return &devices[i];
	}
	return NULL;
}

struct host_virtio *host_virtio_next(const struct host_virtio *device)
{
	unsigned index = device ? (unsigned)(device - devices) + 1 : 0;

	return index < device_count ? &devices[index] : NULL;
}

int host_virtio_take(struct host_virtio *device, const char *owner)
{
	int error = 0;

	if (device->driver)
		error = device->driver->unbind ? device->driver->unbind(device) : ERR_EXIST;
	else if (device->owner)
		error = ERR_EXIST;
	if (error)
		return error;
	device->driver = NULL;
	device->owner = NULL;
	error = host_virtio_reset(device);
	if (!error)
		device->owner = owner;
	return error;
}

void host_virtio_give_back(struct host_virtio *device)
{
	host_virtio_reset(device);
	device->owner = NULL;
}
