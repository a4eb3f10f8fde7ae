/* SPDX-License-Identifier: MIT */

#include "driver/pci.h"
#include "driver/register.h"
#include "driver/virtio/transport.h"
#include "kernel/error.h"

/* Virtio devices on PCI (Virtio 1.3, 4.1), by the modern interface alone, with INTx. */

/* 4.1.2. */
#define VENDOR             0x1af4
#define DEVICE_FIRST       0x1000
#define DEVICE_MODERN      0x1040 /* and the device's id; below, it is the subsystem's id */
#define DEVICE_MODERN_LAST 0x107f

/* 4.1.4: a capability. */
#define CAP_KIND       3
#define CAP_BAR        4
#define CAP_OFFSET     8
#define CAP_LENGTH     12
#define CAP_MULTIPLIER 16 /* of one for notices */

#define KIND_COMMON 1
#define KIND_NOTIFY 2
#define KIND_ISR    3
#define KIND_DEVICE 4

/* 4.1.4.3: the common configuration. */
#define DEVICE_FEATURE_SELECT 0x00
#define DEVICE_FEATURE        0x04
#define DRIVER_FEATURE_SELECT 0x08
#define DRIVER_FEATURE        0x0c
#define DEVICE_STATUS         0x14
#define CONFIG_GENERATION     0x15
#define QUEUE_SELECT          0x16
#define QUEUE_SIZE            0x18
#define QUEUE_ENABLE          0x1c
#define QUEUE_NOTIFY_OFF      0x1e
#define QUEUE_DESC            0x20
#define QUEUE_DRIVER          0x28
#define QUEUE_DEVICE          0x30
#define COMMON_BYTES          0x38

/* The most that is mapped of what the device says it has. */
#define CONFIG_MAX       0x100
#define CAPABILITIES_MAX 48 /* that are looked at: their list may be a circle */
#define DOORBELLS_MAX    KIB(64)

static uint32_t get(struct host_virtio *device, unsigned offset, unsigned size)
{
	return register_read(device->registers + offset, size);
}

static void set(struct host_virtio *device, unsigned offset, unsigned size, uint32_t value)
{
	register_write(device->registers + offset, size, value);
}

static void set_pair(struct host_virtio *device, unsigned offset, uint64_t value)
{
	set(device, offset, 4, (uint32_t)value);
	set(device, offset + 4, 4, (uint32_t)(value >> 32));
}

static uint32_t offered_word(struct host_virtio *device, uint32_t word)
{
	set(device, DEVICE_FEATURE_SELECT, 4, word);
	return get(device, DEVICE_FEATURE, 4);
}

static uint64_t offered(struct host_virtio *device)
{
	uint64_t features = offered_word(device, 0);

	return features | (uint64_t)offered_word(device, 1) << 32;
}

static void accept(struct host_virtio *device)
{
	for (uint32_t word = 0; word < 2; word++) {
		set(device, DRIVER_FEATURE_SELECT, 4, word);
		set(device, DRIVER_FEATURE, 4, (uint32_t)(device->features >> 32 * word));
	}
}

static uint32_t status(struct host_virtio *device)
{
	return get(device, DEVICE_STATUS, 1);
}

static void set_status(struct host_virtio *device, uint32_t value)
{
	set(device, DEVICE_STATUS, 1, value);
}

static unsigned queue_max(struct host_virtio *device, unsigned index)
{
	set(device, QUEUE_SELECT, 2, index);
	return get(device, QUEUE_SIZE, 2);
}

/* 4.1.4.4: where the queue's notices go is the device's choice, within what it has for them. */
static int find_doorbell(struct host_virtio *device, struct virtqueue *queue)
{
	uint64_t offset = (uint64_t)get(device, QUEUE_NOTIFY_OFF, 2) * device->doorbell_step;

	if (!range_within(offset, 2, 0, device->doorbells_size) || !is_aligned(offset, 2))
		return ERR_RANGE;
	queue->doorbell = device->doorbells + offset;
	return 0;
}

static int set_queue(struct host_virtio *device, struct virtqueue *queue)
{
	int error;

	set(device, QUEUE_SELECT, 2, queue->index);
	if (get(device, QUEUE_ENABLE, 2) != 0)
		return ERR_EXIST;
	error = find_doorbell(device, queue);
	if (error)
		return error;
	set(device, QUEUE_SIZE, 2, queue->size);
	set_pair(device, QUEUE_DESC, virtqueue_desc(queue).v);
	set_pair(device, QUEUE_DRIVER, virtqueue_driver_area(queue).v);
	set_pair(device, QUEUE_DEVICE, virtqueue_device_area(queue).v);
	set(device, QUEUE_ENABLE, 2, 1);
	return 0;
}

static void notify(struct host_virtio *device, const struct virtqueue *queue)
{
	(void)device;
	register_write(queue->doorbell, 2, queue->index);
}

/* 4.1.4.5: reading it takes the interrupt back. Its bits are the events. */
static uint32_t take_events(struct host_virtio *device)
{
	return register_read(device->isr, 1);
}

static uint32_t config(struct host_virtio *device, unsigned offset, unsigned size)
{
	if (!range_within(offset, size, 0, device->config_size))
		return 0;
	return register_read(device->config + offset, size);
}

static uint32_t generation(struct host_virtio *device)
{
	return get(device, CONFIG_GENERATION, 1);
}

static void let_use_memory(struct host_virtio *device, bool may)
{
	host_pci_let_use_memory(device->function, may);
}

static const struct host_virtio_transport pci = {
    .offered = offered,
    .accept = accept,
    .status = status,
    .set_status = set_status,
    .queue_max = queue_max,
    .set_queue = set_queue,
    .notify = notify,
    .take_events = take_events,
    .config = config,
    .generation = generation,
    .let_use_memory = let_use_memory,
};

static uint32_t device_id(const struct host_pci_function *function)
{
	if (function->vendor != VENDOR || function->device < DEVICE_FIRST ||
	    function->device > DEVICE_MODERN_LAST)
		return 0;
	if (function->device < DEVICE_MODERN)
		return host_pci_read(function, PCI_SUBSYSTEM_ID, 2);
	return (uint32_t)function->device - DEVICE_MODERN;
}

static unsigned alignment_of(unsigned kind)
{
	return kind == KIND_ISR ? 1 : kind == KIND_NOTIFY ? 2 : 4;
}

/*
 * Maps the first structure of that kind that can be, at least `min` bytes of it and `*size` at
 * most. `capability`: which told of it, if not NULL.
 */
static volatile char *map(struct host_pci_function *function, unsigned kind, uint32_t min,
			  uint32_t *size, unsigned *capability)
{
	unsigned at = 0;

	for (unsigned i = 0; i < CAPABILITIES_MAX; i++) {
		at = host_pci_capability(function, PCI_CAPABILITY_OTHER, at);
		if (!at)
			return NULL;

		uint32_t length = host_pci_read(function, at + CAP_LENGTH, 4);
		uint32_t offset = host_pci_read(function, at + CAP_OFFSET, 4);
		volatile char *mapped = NULL;

		if (host_pci_read(function, at + CAP_KIND, 1) != kind || length < min)
			continue;
		length = (uint32_t)min_u64(length, *size);
		if (is_aligned(offset, alignment_of(kind)))
			mapped = host_pci_map(function, host_pci_read(function, at + CAP_BAR, 1),
					      offset, length);
		if (!mapped)
			continue;
		*size = length;
		if (capability)
			*capability = at;
		return mapped;
	}
	return NULL;
}

int host_virtio_pci_probe(struct host_virtio *device, struct host_pci_function *function)
{
	uint32_t common = COMMON_BYTES, isr = 1;
	unsigned at = 0;

	*device = (struct host_virtio){
	    .transport = &pci,
	    .id = device_id(function),
	    .function = function,
	    .config_size = CONFIG_MAX,
	    .doorbells_size = DOORBELLS_MAX,
	};
	if (device->id == 0)
		return ERR_NOENT;
	device->registers = map(function, KIND_COMMON, COMMON_BYTES, &common, NULL);
	if (!device->registers)
		return host_pci_capability(function, PCI_CAPABILITY_OTHER, 0) ? ERR_INVAL
									      : ERR_NOSYS;
	device->isr = map(function, KIND_ISR, 1, &isr, NULL);
	device->doorbells = map(function, KIND_NOTIFY, 2, &device->doorbells_size, &at);
	if (!device->isr || !device->doorbells)
		return ERR_INVAL;
	device->doorbell_step = host_pci_read(function, at + CAP_MULTIPLIER, 4);
	/* Not every device has one of its own. */
	device->config = map(function, KIND_DEVICE, 1, &device->config_size, NULL);
	if (!device->config)
		device->config_size = 0;
	return 0;
}
