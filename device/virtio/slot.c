/* SPDX-License-Identifier: MIT */
#include "device/virtio/slot.h"

#include "vmm/machine.h"

/* Virtio 1.2, 4.2.2: the registers that an empty slot has; device id 0 says that it is one. */
#define SLOT_MAGIC_VALUE 0x000
#define SLOT_VERSION     0x004
#define SLOT_VENDOR_ID   0x00c

static uint64_t slot_register(uint64_t offset)
{
	switch (offset) {
	case SLOT_MAGIC_VALUE:
		return 0x74726976;
	case SLOT_VERSION:
		return 1;
	case SLOT_VENDOR_ID:
		return 0x554d4551;
	default:
		return 0;
	}
}

/*
 * A narrow access reads the low bytes of the register at just its offset, so there is nothing
 * between registers; one of 8 bytes reads two of them.
 */
static int slot_read(struct mmio_device *device, uint64_t offset, unsigned size, uint64_t *value)
{
	(void)device;
	*value = slot_register(offset);
	if (size == 8)
		*value |= slot_register(offset + 4) << 32;
	else
		*value &= BITS(8 * size - 1, 0);
	return 0;
}

static int slot_write(struct mmio_device *device, uint64_t offset, unsigned size, uint64_t value)
{
	(void)device;
	(void)offset;
	(void)size;
	(void)value;
	return 0;
}

void virtio_slot_init(struct virtio_slot *slot, unsigned index)
{
	static const struct mmio_ops ops = {slot_read, slot_write};

	slot->device = (struct mmio_device){
	    .name = "virtio-mmio",
	    .ops = &ops,
	    .base = MACHINE_VIRTIO_BASE((uint64_t)index),
	    .size = VIRTIO_SLOT_SIZE,
	};
}
