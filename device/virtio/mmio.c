/* SPDX-License-Identifier: MIT */
#include "device/virtio/mmio.h"

#include "kernel/error.h"
#include "virtio/registers.h"
#include "vmm/machine.h"

#include <string.h>

#define VENDOR 0x554d4551 /* "QEMU", as `virt` has it */

#define VERSION_LEGACY 1
#define VERSION        2

/*
 * Reading.
 */

/* The selected queue, or NULL. */
static struct virtio_queue *selected(struct virtio_device *device)
{
	return device->queue_select < device->type.queues ? &device->queues[device->queue_select]
							  : NULL;
}

static uint32_t read_queue(struct virtio_device *device, uint64_t offset)
{
	const struct virtio_queue *queue = selected(device);

	if (!queue)
		return 0;
	if (offset == MMIO_QUEUE_SIZE_MAX)
		return VRING_SIZE_MAX;
	if (offset == MMIO_QUEUE_PFN)
		return device->legacy ? queue->page : 0;
	return !device->legacy && queue->ready;
}

static uint32_t read_features(const struct virtio_device *device)
{
	return device->device_select <= 1
		   ? (uint32_t)(device->features >> 32 * device->device_select)
		   : 0;
}

/* Under the device's lock. */
static uint32_t read_register(struct virtio_device *device, uint64_t offset)
{
	switch (offset) {
	case MMIO_VERSION:
		return device->legacy ? VERSION_LEGACY : VERSION;
	case MMIO_DEVICE_ID:
		return device->type.ops->id;
	case MMIO_DEVICE_FEATURES:
		return read_features(device);
	case MMIO_QUEUE_SIZE_MAX:
	case MMIO_QUEUE_PFN:
	case MMIO_QUEUE_READY:
		return read_queue(device, offset);
	case MMIO_INTERRUPT_STATUS:
		return device->interrupts;
	case MMIO_STATUS:
		return device->status;
	case MMIO_CONFIG_GENERATION:
		return device->legacy ? 0 : device->generation;
	default:
		/* There is no shared memory. */
		return offset >= MMIO_SHM_LEN_LOW && offset <= MMIO_SHM_BASE_HIGH ? UINT32_MAX : 0;
	}
}

/* Beyond its end all bits are ones, as on `virt`. */
static uint32_t read_config(const struct virtio_device *device, uint64_t offset, unsigned size)
{
	uint32_t value = 0;

	if (offset + size > device->type.config_size)
		return UINT32_MAX;
	memcpy(&value, (const char *)device->type.config + offset, size);
	return value;
}

static uint32_t read_device(struct virtio_device *device, uint64_t offset, unsigned size)
{
	uint32_t value;

	if (offset >= MMIO_CONFIG)
		return read_config(device, offset - MMIO_CONFIG, size);
	/* As on `virt`: registers are read as a whole, or read as zero. */
	if (size != 4)
		return 0;
	spin_lock(&device->lock);
	value = read_register(device, offset);
	spin_unlock(&device->lock);
	return value;
}

/*
 * Of an empty slot the device id says that it is one. A narrow access reads the low bytes of the
 * register at just its offset, so there is nothing between registers.
 */
static uint32_t read_slot(const struct virtio_slot *slot, uint64_t offset, unsigned size)
{
	if (offset == MMIO_MAGIC_VALUE && (!slot->device || size == 4))
		return VIRTIO_MAGIC;
	if (offset == MMIO_VENDOR_ID && (!slot->device || size == 4))
		return VENDOR;
	if (slot->device)
		return read_device(slot->device, offset, size);
	return offset == MMIO_VERSION ? VERSION_LEGACY : 0;
}

/* An access of 8 bytes is one of two of them. */
static int slot_read(struct mmio_device *mmio, uint64_t offset, unsigned size, uint64_t *value)
{
	const struct virtio_slot *slot = container_of(mmio, struct virtio_slot, mmio);

	if (size == 8) {
		*value = read_slot(slot, offset, 4);
		*value |= (uint64_t)read_slot(slot, offset + 4, 4) << 32;
	} else {
		*value = read_slot(slot, offset, size) & BITS(8 * size - 1, 0);
	}
	return 0;
}

/*
 * Writing.
 */

/* 2.2: what the driver has accepted stays so until a reset. */
static void write_features_locked(struct virtio_device *device, uint32_t value)
{
	unsigned shift = 32 * device->driver_select;

	if (device->driver_select > (device->legacy ? 0 : 1) ||
	    device->status & VIRTIO_STATUS_FEATURES_OK)
		return;
	device->driver_features &= ~(BITS(31, 0) << shift);
	device->driver_features |= (uint64_t)value << shift;
	/* A legacy driver is not told whether that could be. */
	if (device->legacy)
		device->driver_features &= device->features;
}

/* 2.2.2: FEATURES_OK stays clear if the driver took what it was not offered. */
static bool features_are_ok(const struct virtio_device *device)
{
	return (device->driver_features & ~device->features) == 0 &&
	       device->driver_features & VIRTIO_F_VERSION_1;
}

/* 2.1.1: the driver only ever adds to it; the device's own bit is not the driver's to write. */
static void write_status_locked(struct virtio_device *device, uint32_t value)
{
	value &= 0xff & ~(uint32_t)VIRTIO_STATUS_NEEDS_RESET;
	if (!device->legacy && !features_are_ok(device))
		value &= ~(uint32_t)VIRTIO_STATUS_FEATURES_OK;
	device->status |= value;
}

static int write_status(struct virtio_device *device, uint32_t value)
{
	if (value == 0)
		return virtio_device_reset(device);
	spin_lock(&device->lock);
	write_status_locked(device, value);
	spin_unlock(&device->lock);
	/* Drivers may have made buffers available before, and devices may have something to say. */
	if (value & VIRTIO_STATUS_DRIVER_OK) {
		for (unsigned i = 0; i < device->type.queues; i++)
			virtio_queue_notified(&device->queues[i]);
	}
	return 0;
}

static void set_low(uint64_t *address, uint32_t value)
{
	*address = (*address & BITS(63, 32)) | value;
}

static void set_high(uint64_t *address, uint32_t value)
{
	*address = (*address & BITS(31, 0)) | (uint64_t)value << 32;
}

/* 4.2.2.2: drivers leave them alone while the queue is ready. */
static void write_place_locked(struct vring_place *place, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case MMIO_QUEUE_DESC_LOW:
		set_low(&place->descriptors, value);
		break;
	case MMIO_QUEUE_DESC_HIGH:
		set_high(&place->descriptors, value);
		break;
	case MMIO_QUEUE_DRIVER_LOW:
		set_low(&place->available, value);
		break;
	case MMIO_QUEUE_DRIVER_HIGH:
		set_high(&place->available, value);
		break;
	case MMIO_QUEUE_DEVICE_LOW:
		set_low(&place->used, value);
		break;
	case MMIO_QUEUE_DEVICE_HIGH:
		set_high(&place->used, value);
		break;
	}
}

static void make_ready_locked(struct virtio_queue *queue)
{
	queue->fresh = true;
	__atomic_store_n(&queue->ready, true, __ATOMIC_RELAXED);
}

/* 4.2.4: where a legacy queue is tells its page; one that cannot be is noticed when it is used. */
static void write_page_locked(struct virtio_queue *queue, uint32_t value)
{
	uint64_t base = (uint64_t)value << queue->device->page_shift;

	queue->page = value;
	queue->place = vring_legacy_place(base, queue->place.size, queue->align);
	make_ready_locked(queue);
}

static void write_align_locked(struct virtio_queue *queue, uint32_t value)
{
	if (value != 0 && (value & (value - 1)) == 0)
		queue->align = value;
}

/* A queue is set up while it is not ready. */
static void write_queue_locked(struct virtio_queue *queue, uint64_t offset, uint32_t value)
{
	bool legacy = queue->device->legacy;

	if (queue->ready)
		return;
	if (offset == MMIO_QUEUE_SIZE)
		queue->place.size = value;
	else if (legacy && offset == MMIO_QUEUE_ALIGN)
		write_align_locked(queue, value);
	else if (legacy && offset == MMIO_QUEUE_PFN)
		write_page_locked(queue, value);
	else if (!legacy && offset == MMIO_QUEUE_READY)
		make_ready_locked(queue);
	else if (!legacy)
		write_place_locked(&queue->place, offset, value);
}

static int write_queue(struct virtio_device *device, uint64_t offset, uint32_t value)
{
	bool ends = offset == (device->legacy ? MMIO_QUEUE_PFN : MMIO_QUEUE_READY) && value == 0;
	struct virtio_queue *queue;

	spin_lock(&device->lock);
	queue = selected(device);
	if (queue && !ends)
		write_queue_locked(queue, offset, value);
	spin_unlock(&device->lock);
	return queue && ends ? virtio_queue_reset(queue) : 0;
}

/* As on `virt`: only the lowest bit that is set counts. */
static uint32_t page_shift_of(uint32_t size)
{
	return size ? (uint32_t)__builtin_ctz(size) : 0;
}

static void write_other_locked(struct virtio_device *device, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case MMIO_DEVICE_FEATURES_SEL:
		device->device_select = value;
		break;
	case MMIO_DRIVER_FEATURES:
		write_features_locked(device, value);
		break;
	case MMIO_DRIVER_FEATURES_SEL:
		device->driver_select = value;
		break;
	case MMIO_GUEST_PAGE_SIZE:
		if (device->legacy)
			device->page_shift = page_shift_of(value);
		break;
	case MMIO_QUEUE_SEL:
		device->queue_select = value;
		break;
	case MMIO_INTERRUPT_ACK:
		device->interrupts &= ~value;
		irq_line_set(&device->irq, device->interrupts != 0);
		break;
	}
}

static int write_register(struct virtio_device *device, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case MMIO_QUEUE_NOTIFY:
		if (value < device->type.queues)
			virtio_queue_notified(&device->queues[value]);
		return 0;
	case MMIO_STATUS:
		return write_status(device, value);
	case MMIO_QUEUE_SIZE:
	case MMIO_QUEUE_ALIGN:
	case MMIO_QUEUE_PFN:
	case MMIO_QUEUE_READY:
	case MMIO_QUEUE_DESC_LOW ... MMIO_QUEUE_DEVICE_HIGH:
		return write_queue(device, offset, value);
	default:
		spin_lock(&device->lock);
		write_other_locked(device, offset, value);
		spin_unlock(&device->lock);
		return 0;
	}
}

static int write_config(struct virtio_device *device, uint64_t offset, unsigned size,
			uint32_t value)
{
	if (device->type.ops->write_config && offset + size <= device->type.config_size)
		device->type.ops->write_config(device, offset, size, value);
	return 0;
}

static int write_slot(struct virtio_slot *slot, uint64_t offset, unsigned size, uint32_t value)
{
	if (!slot->device)
		return 0;
	if (offset >= MMIO_CONFIG)
		return write_config(slot->device, offset - MMIO_CONFIG, size, value);
	return size == 4 ? write_register(slot->device, offset, value) : 0;
}

static int slot_write(struct mmio_device *mmio, uint64_t offset, unsigned size, uint64_t value)
{
	struct virtio_slot *slot = container_of(mmio, struct virtio_slot, mmio);
	int error;

	if (size < 8)
		return write_slot(slot, offset, size, (uint32_t)value);
	error = write_slot(slot, offset, 4, (uint32_t)value);
	return error ? error : write_slot(slot, offset + 4, 4, (uint32_t)(value >> 32));
}

void virtio_slot_init(struct virtio_slot *slot, unsigned index, struct virtio_device *device)
{
	static const struct mmio_ops ops = {slot_read, slot_write};

	*slot = (struct virtio_slot){
	    .mmio = {.name = "virtio-mmio",
		     .ops = &ops,
		     .base = MACHINE_VIRTIO_BASE((uint64_t)index),
		     .size = VIRTIO_SLOT_SIZE},
	    .device = device,
	};
}
