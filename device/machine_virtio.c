/* SPDX-License-Identifier: MIT */
#include "device/machine_virtio.h"

#include "device/plic.h"
#include "device/virtio/blk_disk.h"
#include "device/virtio/blk_image.h"
#include "device/virtio/net.h"
#include "kernel/error.h"
#include "kernel/log.h"
#include "vmm/hooks.h"
#include "vmm/vm.h"
#include "vmm/vmconfig_device.h"

#define ALL_SLOTS (BIT(MACHINE_VIRTIO_SLOTS) - 1)

/* Where a device goes, and what it is made from. */
struct place {
	struct vm *vm;
	struct machine_virtio *virtio;
	const struct vmconfig_device *config;
	struct irq_line irq;
};

static uint64_t image_size(const struct vmconfig_device *config)
{
	return config->size ? config->size : config->image.size - config->offset;
}

/* Disks, each a block of the VM's arena, as all devices. */
struct image_disk {
	struct blk blk;
	struct blk_image image;
};

struct host_disk_slice {
	struct blk blk;
	struct blk_disk disk;
};

static int build_blk_host(const struct place *place, struct virtio_device **device)
{
	const struct vmconfig_device *config = place->config;
	struct arena *arena = &place->vm->arena;
	struct host_disk_slice *slice = arena_alloc(arena, sizeof(*slice));
	int error;

	if (!slice)
		return ERR_NOMEM;
	error = blk_disk_open(&slice->disk, place->vm, config);
	if (error)
		return error;
	*device = &slice->blk.device;
	error =
	    blk_init(&slice->blk, &slice->disk.backend, blk_disk_serial(&slice->disk, config->name),
		     place->vm, place->irq, config->legacy, arena);
	if (error)
		blk_disk_close(&slice->disk);
	return error;
}

static int build_blk(const struct place *place, struct virtio_device **device)
{
	if (place->config->host)
		return build_blk_host(place, device);

	const struct vmconfig_device *config = place->config;
	struct arena *arena = &place->vm->arena;
	struct image_disk *disk = arena_alloc(arena, sizeof(*disk));
	const char *data = config->image.data;
	int error;

	if (!disk)
		return ERR_NOMEM;
	error = blk_image_init(&disk->image, data + config->offset, image_size(config),
			       config->read_only, arena);
	if (error)
		return error;
	*device = &disk->blk.device;
	return blk_init(&disk->blk, &disk->image.backend, config->name, place->vm, place->irq,
			config->legacy, arena);
}

/* A console, and what it needs to know when the guest writes to it. */
struct slot_console {
	struct virtio_console console;
	struct machine_virtio *virtio;
};

/* What is typed goes to where the guest wrote last: to this console, or to the UART. */
static void console_wrote(void *context, const uint8_t *bytes, unsigned count)
{
	struct slot_console *slot = context;

	__atomic_store_n(&slot->virtio->input, &slot->console, __ATOMIC_RELAXED);
	console_output(slot->console.device.vm, bytes, count);
}

static void console_has_room(void *context)
{
	struct slot_console *slot = context;

	console_drained(slot->console.device.vm);
}

static int build_console(const struct place *place, struct virtio_device **device)
{
	struct slot_console *slot = arena_alloc(&place->vm->arena, sizeof(*slot));
	struct virtio_console_line line = {console_wrote, console_has_room, slot};

	if (!slot)
		return ERR_NOMEM;
	slot->virtio = place->virtio;
	virtio_console_init(&slot->console, &line, place->vm, place->irq, place->config->legacy);
	*device = &slot->console.device;
	return 0;
}

static int build_rng(const struct place *place, struct virtio_device **device)
{
	struct rng *rng = arena_alloc(&place->vm->arena, sizeof(*rng));
	int error;

	if (!rng)
		return ERR_NOMEM;
	error = rng_init(rng, place->vm, place->irq, place->config->legacy);
	if (error)
		log_error("%s/%s: needs the host's entropy device, and there is none: give QEMU "
			  "-device virtio-rng-device",
			  place->vm->config.path, place->config->name);
	else
		*device = &rng->device;
	return error;
}

static void report_port(const struct place *place, const char *what)
{
	log_error("%s/%s: %s", place->vm->config.path, place->config->name, what);
}

static int build_net(const struct place *place, struct virtio_device **device)
{
	const struct vmconfig_device *config = place->config;
	struct vm *vm = place->vm;
	struct net *to = net_by_name(config->switch_name);
	struct net_device *net = arena_alloc(&vm->arena, sizeof(*net));
	int error;

	if (!net)
		return ERR_NOMEM;
	if (!to) {
		report_port(place, "pilae,switch: the switch could not be made");
		return ERR_NOENT;
	}
	error = net_device_init(net, to, config->name,
				config->mac ? mac_read(config->mac)
					    : net_make_address(vm->config.name, config->name),
				vm, place->irq, config->legacy);
	if (error == ERR_EXIST)
		report_port(place, "local-mac-address: another port of its switch has it");
	else if (error)
		report_port(place, "pilae,switch: it has no port, or its uplink no memory, left");
	*device = &net->device;
	return error ? ERR_EXIST : 0;
}

static int build(const struct place *place, struct virtio_device **device)
{
	switch (place->config->kind) {
	case VMCONFIG_VIRTIO_BLK:
		return build_blk(place, device);
	case VMCONFIG_VIRTIO_NET:
		return build_net(place, device);
	case VMCONFIG_VIRTIO_CONSOLE:
		return build_console(place, device);
	case VMCONFIG_VIRTIO_RNG:
		return build_rng(place, device);
	default:
		return ERR_NOSYS;
	}
}

/*
 * Slots.
 */

/* Those that devices ask for. */
static unsigned wanted_slots(const struct vmconfig *config)
{
	unsigned slots = 0;

	for (unsigned i = 0; i < config->device_count; i++) {
		const struct vmconfig_device *device = &config->devices[i];

		if (vmconfig_is_virtio(device->kind) && device->slot != VMCONFIG_SLOT_ANY)
			slots |= 1U << device->slot;
	}
	return slots;
}

/* `taken`: those with something in them already. */
static int choose_slot(const struct vmconfig *config, const struct vmconfig_device *device,
		       unsigned taken, unsigned *slot)
{
	unsigned others = taken | wanted_slots(config);

	*slot = device->slot;
	if (device->slot == VMCONFIG_SLOT_ANY)
		*slot = (unsigned)__builtin_ctz(~others);
	if (*slot < MACHINE_VIRTIO_SLOTS && !(taken & 1U << *slot))
		return 0;
	if (device->slot != VMCONFIG_SLOT_ANY)
		log_error("%s/%s: pilae,slot = <%u>: something else is there", config->path,
			  device->name, device->slot);
	else
		log_error("%s/%s: no virtio slot is left for it: remove a device", config->path,
			  device->name);
	return ERR_TOO_LARGE;
}

static int fill_slots(struct machine_virtio *virtio, struct place *place, struct plic *plic,
		      unsigned taken)
{
	const struct vmconfig *config = &place->vm->config;
	unsigned slot;

	for (unsigned i = 0; i < config->device_count; i++) {
		struct virtio_device *device;
		int error;

		place->config = &config->devices[i];
		if (!vmconfig_is_virtio(place->config->kind))
			continue;
		error = choose_slot(config, place->config, taken, &slot);
		if (error)
			return error;
		taken |= 1U << slot;
		place->irq = plic_line(plic, MACHINE_VIRTIO_IRQ(slot));
		error = build(place, &device);
		if (error)
			return error;
		virtio_slot_init(&virtio->slots[slot], slot, device);
	}
	return 0;
}

int machine_virtio_build(struct machine_virtio *virtio, struct vm *vm, struct plic *plic,
			 unsigned taken)
{
	struct place place = {.vm = vm, .virtio = virtio};
	int error;

	for (unsigned i = 0; i < MACHINE_VIRTIO_SLOTS; i++)
		virtio_slot_init(&virtio->slots[i], i, NULL);
	error = fill_slots(virtio, &place, plic, taken);
	for (unsigned i = 0; i < MACHINE_VIRTIO_SLOTS && !error; i++) {
		if (!(taken & 1U << i))
			error = bus_add(&vm->bus, &virtio->slots[i].mmio);
	}
	return error;
}

void machine_virtio_unbuild(struct machine_virtio *virtio)
{
	for (unsigned i = 0; i < MACHINE_VIRTIO_SLOTS; i++) {
		struct virtio_device *device = virtio->slots[i].device;

		if (device && device->type.ops->quit)
			device->type.ops->quit(device);
	}
}

static uint64_t net_overhead(const struct vmconfig_device *config)
{
	const struct net *net = net_by_name(config->switch_name);

	return 2 * sizeof(struct net_device) + (net ? net->port_bytes : 0);
}

static uint64_t overhead(const struct vmconfig_device *config)
{
	/* Blocks of pages, each up to twice as large as what is in it. */
	switch (config->kind) {
	case VMCONFIG_VIRTIO_BLK:
		if (config->host)
			return 2 * (sizeof(struct host_disk_slice) + blk_disk_bytes());
		return 2 * (sizeof(struct image_disk) + sizeof(struct blk_request)) +
		       blk_image_bytes(image_size(config), config->read_only);
	case VMCONFIG_VIRTIO_NET:
		return net_overhead(config);
	case VMCONFIG_VIRTIO_CONSOLE:
		return 2 * sizeof(struct slot_console);
	case VMCONFIG_VIRTIO_RNG:
		return 2 * sizeof(struct rng);
	default:
		return 0;
	}
}

uint64_t machine_virtio_overhead(const struct vmconfig *config)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < config->device_count; i++)
		sum += overhead(&config->devices[i]);
	return sum;
}

/*
 * All devices.
 */

void machine_virtio_work(struct machine_virtio *virtio)
{
	for (unsigned i = 0; i < MACHINE_VIRTIO_SLOTS; i++) {
		if (virtio->slots[i].device)
			virtio_device_work(virtio->slots[i].device);
	}
}

void machine_virtio_idle(struct machine_virtio *virtio)
{
	for (unsigned i = 0; i < MACHINE_VIRTIO_SLOTS; i++) {
		if (virtio->slots[i].device)
			virtio_device_idle(virtio->slots[i].device);
	}
}

void machine_virtio_resume(struct machine_virtio *virtio)
{
	for (unsigned i = 0; i < MACHINE_VIRTIO_SLOTS; i++) {
		struct virtio_device *device = virtio->slots[i].device;

		for (unsigned q = 0; device && q < device->type.queues; q++)
			virtio_queue_wake(&device->queues[q]);
	}
}

int machine_virtio_quiesce(struct machine_virtio *virtio)
{
	int result = 0;

	for (unsigned i = 0; i < MACHINE_VIRTIO_SLOTS; i++) {
		struct virtio_device *device = virtio->slots[i].device;

		if (device && virtio_device_quiesce(device) != 0)
			result = ERR_AGAIN;
	}
	return result;
}

void machine_virtio_reset(struct machine_virtio *virtio)
{
	for (unsigned i = 0; i < MACHINE_VIRTIO_SLOTS; i++) {
		if (virtio->slots[i].device)
			virtio_device_power_up(virtio->slots[i].device);
	}
	virtio->input = NULL;
}
