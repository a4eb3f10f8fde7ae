/* SPDX-License-Identifier: MIT */
#include "vmm/vmconfig_device.h"

#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "kernel/error.h"
#include "kernel/log.h"
#include "vmm/machine.h"
#include "vmm/vmconfig_property.h"

#define DEVICE_PATH_MAX (VMCONFIG_PATH_MAX + VMCONFIG_NAME_MAX)
#define SECTOR_SIZE     512

#define FIELD(member) .offset = offsetof(struct vmconfig_device, member)

#define COMPATIBLE_PROPERTY {.name = "compatible", .kind = PROPERTY_IGNORED}
#define PHANDLE_PROPERTY    {.name = "phandle", .kind = PROPERTY_IGNORED}
#define HOST_PROPERTY       {.name = "pilae,host", .kind = PROPERTY_STRING, FIELD(host)}
#define IMAGE_PROPERTY      {.name = "pilae,image", .kind = PROPERTY_STRING, FIELD(image_name)}
#define READ_ONLY_PROPERTY  {.name = "pilae,read-only", .kind = PROPERTY_FLAG, FIELD(read_only)}
#define LEGACY_PROPERTY     {.name = "pilae,legacy", .kind = PROPERTY_FLAG, FIELD(legacy)}
#define OFFSET_PROPERTY          \
	{.name = "pilae,offset", \
	 .kind = PROPERTY_BYTES, \
	 FIELD(offset),          \
	 .max = INT64_MAX,       \
	 .unit = SECTOR_SIZE}
#define SIZE_PROPERTY            \
	{.name = "pilae,size",   \
	 .kind = PROPERTY_BYTES, \
	 FIELD(size),            \
	 .min = SECTOR_SIZE,     \
	 .max = INT64_MAX,       \
	 .unit = SECTOR_SIZE}
#define SLOT_PROPERTY \
	{.name = "pilae,slot", .kind = PROPERTY_U32, FIELD(slot), .max = MACHINE_VIRTIO_SLOTS - 1}

static const struct property passthrough_properties[] = {
    COMPATIBLE_PROPERTY,
    PHANDLE_PROPERTY,
    HOST_PROPERTY,
    {.name = "pilae,allow-dma", .kind = PROPERTY_FLAG, FIELD(allow_dma)},
};

static const struct property blk_properties[] = {
    COMPATIBLE_PROPERTY, PHANDLE_PROPERTY,   HOST_PROPERTY, IMAGE_PROPERTY,  OFFSET_PROPERTY,
    SIZE_PROPERTY,       READ_ONLY_PROPERTY, SLOT_PROPERTY, LEGACY_PROPERTY,
};

static const struct property net_properties[] = {
    COMPATIBLE_PROPERTY,
    PHANDLE_PROPERTY,
    SLOT_PROPERTY,
    LEGACY_PROPERTY,
    {.name = "pilae,switch", .kind = PROPERTY_STRING, FIELD(switch_name)},
    {.name = "local-mac-address", .kind = PROPERTY_MAC, FIELD(mac)},
};

static const struct property plain_properties[] = {
    COMPATIBLE_PROPERTY,
    PHANDLE_PROPERTY,
    SLOT_PROPERTY,
    LEGACY_PROPERTY,
};

static const struct property flash_properties[] = {
    COMPATIBLE_PROPERTY,
    PHANDLE_PROPERTY,
    HOST_PROPERTY,
    IMAGE_PROPERTY,
    OFFSET_PROPERTY,
    SIZE_PROPERTY,
    READ_ONLY_PROPERTY,
    {.name = "pilae,bank", .kind = PROPERTY_U32, FIELD(bank), .max = MACHINE_FLASH_BANKS - 1},
};

/* What is checked: a device of `config`, and the path of its node. */
struct device_check {
	const struct fit *fit;
	struct vmconfig_device *device;
	char path[DEVICE_PATH_MAX];
};

static int check_passthrough(const struct device_check *check);
static int check_blk(const struct device_check *check);
static int check_net(const struct device_check *check);
static int check_flash(const struct device_check *check);

static const struct {
	const char *compatible;
	const struct property *properties;
	unsigned count;
	int (*check)(const struct device_check *check); /* or NULL */
} kinds[] = {
    [VMCONFIG_PASSTHROUGH] = {"pilae,passthrough", passthrough_properties,
			      ARRAY_SIZE(passthrough_properties), check_passthrough},
    [VMCONFIG_VIRTIO_BLK] = {"pilae,virtio-blk", blk_properties, ARRAY_SIZE(blk_properties),
			     check_blk},
    [VMCONFIG_VIRTIO_NET] = {"pilae,virtio-net", net_properties, ARRAY_SIZE(net_properties),
			     check_net},
    [VMCONFIG_VIRTIO_CONSOLE] = {"pilae,virtio-console", plain_properties,
				 ARRAY_SIZE(plain_properties), NULL},
    [VMCONFIG_VIRTIO_RNG] = {"pilae,virtio-rng", plain_properties, ARRAY_SIZE(plain_properties),
			     NULL},
    [VMCONFIG_FLASH] = {"pilae,flash", flash_properties, ARRAY_SIZE(flash_properties), check_flash},
};

bool vmconfig_is_virtio(enum vmconfig_device_kind kind)
{
	return kind >= VMCONFIG_VIRTIO_BLK && kind <= VMCONFIG_VIRTIO_RNG;
}

const char *vmconfig_device_compatible(enum vmconfig_device_kind kind)
{
	return kinds[kind].compatible;
}

static bool is_number(const char *string)
{
	return *string && strspn(string, "0123456789") == strlen(string);
}

/* Two hexadecimal digits each of bus and device, one of the function: 00:02.0. */
static bool is_pci_address(const char *string)
{
	static const char digits[] = "0123456789abcdef";

	if (strlen(string) != 7 || string[2] != ':' || string[5] != '.')
		return false;
	for (unsigned i = 0; i < 7; i++) {
		if (i != 2 && i != 5 && !strchr(digits, string[i]))
			return false;
	}
	return true;
}

static int check_host(const struct device_check *check)
{
	const char *host = check->device->host;

	if (host[0] == '/' || (strncmp(host, "virtio-blk", 10) == 0 && is_number(host + 10)) ||
	    (strncmp(host, "virtio-net", 10) == 0 && is_number(host + 10)) ||
	    (strncmp(host, "pci:", 4) == 0 && is_pci_address(host + 4)))
		return 0;
	log_error("%s: pilae,host = \"%s\": must be a path of the host's device tree, virtio-blkN, "
		  "virtio-netN or pci:00:02.0",
		  check->path, host);
	return ERR_INVAL;
}

static int check_passthrough(const struct device_check *check)
{
	if (!check->device->host) {
		log_error("%s: pilae,host: missing: name the host's device", check->path);
		return ERR_INVAL;
	}
	return check_host(check);
}

/* What a disk or a flash holds: an image or a host's disk, and the slice of it. */
static int check_contents(const struct device_check *check)
{
	struct vmconfig_device *device = check->device;
	int error;

	if ((device->host != NULL) == (device->image_name != NULL)) {
		log_error("%s: must have one of pilae,host and pilae,image", check->path);
		return ERR_INVAL;
	}
	if (device->host)
		return check_host(check);
	error = fit_find_image(check->fit, check->path, "pilae,image", device->image_name,
			       &device->image);
	if (error)
		return error;
	if (device->offset >= device->image.size ||
	    device->size > device->image.size - device->offset) {
		log_error(
		    "%s: pilae,offset and pilae,size: the slice exceeds \"%s\", which has %zu "
		    "bytes",
		    check->path, device->image_name, device->image.size);
		return ERR_RANGE;
	}
	return 0;
}

static int check_blk(const struct device_check *check)
{
	return check_contents(check);
}

static int check_net(const struct device_check *check)
{
	const char *name = check->device->switch_name;
	char have[160];

	if (!name) {
		log_error("%s: pilae,switch: missing: name the switch it is plugged into",
			  check->path);
		return ERR_INVAL;
	}
	for (int node = 0; (node = vmconfig_next_switch(check->fit, node)) >= 0;) {
		if (strcmp(fit_node_name(check->fit, node), name) == 0)
			return 0;
	}
	fit_list_children(check->fit, 0, "pilae,switch", have, sizeof(have));
	log_error("%s: pilae,switch = \"%s\": no such switch; have: %s", check->path, name, have);
	return ERR_NOENT;
}

static int check_flash(const struct device_check *check)
{
	const struct vmconfig_device *device = check->device;
	int error = check_contents(check);
	uint64_t size;

	if (device->bank >= MACHINE_FLASH_BANKS) {
		log_error("%s: pilae,bank: missing: must be <0> or <1>", check->path);
		return ERR_INVAL;
	}
	if (error)
		return error;
	size = device->image_name && device->size == 0 ? device->image.size - device->offset
						       : device->size;
	if (size > MACHINE_FLASH_SIZE) {
		log_error("%s: its contents, %#lx bytes, exceed a bank's %#x", check->path, size,
			  MACHINE_FLASH_SIZE);
		return ERR_TOO_LARGE;
	}
	return 0;
}

static int find_kind(const struct device_check *check, int node, enum vmconfig_device_kind *kind)
{
	const char *compatible = "";

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (fdt_node_check_compatible(check->fit->fdt, node, kinds[i].compatible) == 0) {
			*kind = (enum vmconfig_device_kind)i;
			return 0;
		}
	}
	if (fit_get_string(check->fit, node, "compatible", &compatible))
		log_error("%s: compatible: missing: say which device this is", check->path);
	else
		log_error("%s: compatible = \"%s\": no such device; have: pilae,passthrough, "
			  "pilae,virtio-blk, -net, -console, -rng, pilae,flash",
			  check->path, compatible);
	return ERR_INVAL;
}

static int read_device(struct device_check *check, int node)
{
	struct vmconfig_device *device = check->device;
	int error;

	*device = (struct vmconfig_device){
	    .name = fit_node_name(check->fit, node),
	    .slot = VMCONFIG_SLOT_ANY,
	    .bank = UINT32_MAX,
	};
	error = find_kind(check, node, &device->kind);
	if (error)
		return error;
	error = property_read_all(check->fit, node, check->path, kinds[device->kind].properties,
				  kinds[device->kind].count, device);
	if (!error && kinds[device->kind].check)
		error = kinds[device->kind].check(check);
	return error;
}

/* What two devices of a VM cannot share, or NULL. */
static const char *find_clash(const struct vmconfig_device *a, const struct vmconfig_device *b)
{
	if (vmconfig_is_virtio(a->kind) && vmconfig_is_virtio(b->kind) &&
	    a->slot != VMCONFIG_SLOT_ANY && a->slot == b->slot)
		return "pilae,slot";
	if (a->kind == VMCONFIG_FLASH && b->kind == VMCONFIG_FLASH && a->bank == b->bank)
		return "pilae,bank";
	if ((a->kind == VMCONFIG_PASSTHROUGH || b->kind == VMCONFIG_PASSTHROUGH) && a->host &&
	    b->host && strcmp(a->host, b->host) == 0)
		return "pilae,host";
	return NULL;
}

static int check_clashes(const struct vmconfig *config)
{
	unsigned slots = 0;
	int error = 0;

	for (unsigned i = 0; i < config->device_count; i++) {
		slots += vmconfig_is_virtio(config->devices[i].kind);
		for (unsigned j = 0; j < i; j++) {
			const char *what = find_clash(&config->devices[j], &config->devices[i]);

			if (!what)
				continue;
			log_error("%s/%s: %s: the same as in %s", config->path,
				  config->devices[i].name, what, config->devices[j].name);
			error = ERR_EXIST;
		}
	}
	if (slots > MACHINE_VIRTIO_SLOTS) {
		log_error("%s: has %u virtio devices, but %u slots for them: remove some",
			  config->path, slots, MACHINE_VIRTIO_SLOTS);
		error = ERR_TOO_LARGE;
	}
	return error;
}

int vmconfig_read_devices(struct vmconfig *config, const struct fit *fit)
{
	int node, error, result = 0;

	config->device_count = 0;
	fdt_for_each_subnode(node, fit->fdt, config->node)
	{
		struct device_check check = {.fit = fit};

		if (config->device_count == VMCONFIG_DEVICES_MAX) {
			log_error("%s: has more than %u devices: remove some", config->path,
				  VMCONFIG_DEVICES_MAX);
			return ERR_TOO_LARGE;
		}
		snprintf(check.path, sizeof(check.path), "%s/%s", config->path,
			 fit_node_name(fit, node));
		check.device = &config->devices[config->device_count];
		error = read_device(&check, node);
		if (error)
			result = error;
		else
			config->device_count++;
	}
	error = check_clashes(config);
	return error ? error : result;
}

const struct vmconfig_device *vmconfig_find_flash(const struct vmconfig *config, uint32_t bank)
{
	for (unsigned i = 0; i < config->device_count; i++) {
		const struct vmconfig_device *device = &config->devices[i];

		if (device->kind == VMCONFIG_FLASH && device->bank == bank)
			return device;
	}
	return NULL;
}
