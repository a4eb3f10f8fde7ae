/* SPDX-License-Identifier: MIT */
#include "guests/devices/virtio.h"

#include "guests/lib/irq.h"
#include "guests/lib/machine.h"
#include "guests/lib/memory.h"
#include "guests/lib/plic.h"
#include "guests/lib/sync.h"
#include "riscv/csr.h"
#include "riscv/sbi.h"
#include "virtio/registers.h"

#define STATUS_FOUND       3 /* ACKNOWLEDGE, DRIVER */
#define STATUS_FEATURES_OK 8
#define STATUS_DRIVER_OK   4

/* Long: where time is instructions, it runs ahead of what devices do meanwhile. */
#define TIMEOUT_SECONDS 1000

static uint64_t own_context(void)
{
	return plic_context(hart_self()->id);
}

void plic_begin(uint32_t source)
{
	PLIC_PRIORITY(source) = 1;
	PLIC_ENABLE(own_context(), source / 32) |= 1U << source % 32;
	PLIC_THRESHOLD(own_context()) = 0;
}

bool plic_wait(uint32_t source)
{
	uint64_t deadline = time_now() + TIMEOUT_SECONDS * machine.timebase;

	csr_set(CSR_SIE, BIT(IRQ_S_EXT) | BIT(IRQ_S_TIMER));
	sbi_call(SBI_EXT_TIME, SBI_TIME_SET_TIMER, deadline, 0, 0, 0, 0);
	while (!irq_pending(IRQ_S_EXT) && time_now() < deadline)
		__asm__ volatile("wfi" ::: "memory");
	sbi_call(SBI_EXT_TIME, SBI_TIME_SET_TIMER, UINT64_MAX, 0, 0, 0, 0);
	csr_write(CSR_SIE, 0);
	return PLIC_CLAIM(own_context()) == source;
}

void plic_complete(uint32_t source)
{
	PLIC_CLAIM(own_context()) = source;
}

static uint32_t get(const struct virtio *virtio, unsigned offset)
{
	uint32_t value = *(volatile uint32_t *)(virtio->base + offset);

	__asm__ volatile("fence iorw, iorw" ::: "memory");
	return value;
}

static void set(const struct virtio *virtio, unsigned offset, uint32_t value)
{
	__asm__ volatile("fence iorw, iorw" ::: "memory");
	*(volatile uint32_t *)(virtio->base + offset) = value;
}

static void set_address(const struct virtio *virtio, unsigned offset, const volatile void *at)
{
	set(virtio, offset, (uint32_t)(uint64_t)at);
	set(virtio, offset + 4, (uint32_t)((uint64_t)at >> 32));
}

uint32_t virtio_config(const struct virtio *virtio, unsigned offset)
{
	return get(virtio, MMIO_CONFIG + offset);
}

static const char *negotiate(const struct virtio *virtio)
{
	set(virtio, MMIO_STATUS, 0);
	if (get(virtio, MMIO_STATUS) != 0)
		return "it does not reset";
	set(virtio, MMIO_STATUS, STATUS_FOUND);
	set(virtio, MMIO_DRIVER_FEATURES_SEL, 0);
	set(virtio, MMIO_DRIVER_FEATURES, 0);
	if (get(virtio, MMIO_VERSION) == 1) {
		set(virtio, MMIO_GUEST_PAGE_SIZE, 4096);
		return NULL;
	}
	set(virtio, MMIO_DRIVER_FEATURES_SEL, 1);
	set(virtio, MMIO_DRIVER_FEATURES, 1);
	set(virtio, MMIO_STATUS, STATUS_FOUND | STATUS_FEATURES_OK);
	return get(virtio, MMIO_STATUS) & STATUS_FEATURES_OK ? NULL : "it refuses the features";
}

static const char *give_queue(const struct virtio *virtio)
{
	struct virtio_ring *ring = virtio->ring;

	set(virtio, MMIO_QUEUE_SEL, 0);
	if (get(virtio, MMIO_QUEUE_SIZE_MAX) < VIRTIO_QUEUE)
		return "its queue is too short";
	set(virtio, MMIO_QUEUE_SIZE, VIRTIO_QUEUE);
	if (get(virtio, MMIO_VERSION) == 1) {
		set(virtio, MMIO_QUEUE_ALIGN, 4096);
		set(virtio, MMIO_QUEUE_PFN, (uint32_t)((uint64_t)ring >> 12));
		return NULL;
	}
	set_address(virtio, MMIO_QUEUE_DESC_LOW, ring->desc);
	set_address(virtio, MMIO_QUEUE_DRIVER_LOW, &ring->avail_flags);
	set_address(virtio, MMIO_QUEUE_DEVICE_LOW, &ring->used_flags);
	set(virtio, MMIO_QUEUE_READY, 1);
	return NULL;
}

const char *virtio_begin(struct virtio *virtio, uint32_t id)
{
	const char *wrong;

	if (get(virtio, MMIO_MAGIC_VALUE) != VIRTIO_MAGIC || get(virtio, MMIO_DEVICE_ID) != id)
		return "it is not there";
	if (!virtio->ring)
		virtio->ring = heap_take(sizeof(*virtio->ring));
	memset(virtio->ring, 0, sizeof(*virtio->ring));
	wrong = negotiate(virtio);
	if (!wrong)
		wrong = give_queue(virtio);
	if (wrong)
		return wrong;
	plic_begin(virtio->interrupt);
	set(virtio, MMIO_STATUS, get(virtio, MMIO_STATUS) | STATUS_DRIVER_OK);
	return NULL;
}

const char *virtio_do(struct virtio *virtio, unsigned count)
{
	struct virtio_ring *ring = virtio->ring;
	uint16_t before = ring->used_index;

	for (unsigned i = 0; i < count; i++) {
		ring->desc[i].next = (uint16_t)(i + 1);
		if (i + 1 < count)
			ring->desc[i].flags |= VIRTIO_DESC_NEXT;
	}
	ring->avail[ring->avail_index % VIRTIO_QUEUE] = 0;
	__asm__ volatile("fence iorw, iorw" ::: "memory");
	ring->avail_index = (uint16_t)(ring->avail_index + 1);
	set(virtio, MMIO_QUEUE_NOTIFY, 0);
	/* The first may be one of the request before that was late. */
	do {
		if (!plic_wait(virtio->interrupt))
			return "its interrupt does not come";
		set(virtio, MMIO_INTERRUPT_ACK, get(virtio, MMIO_INTERRUPT_STATUS));
		plic_complete(virtio->interrupt);
		virtio->interrupts++;
	} while (ring->used_index == before);
	__asm__ volatile("fence iorw, iorw" ::: "memory");
	return (uint16_t)(before + 1) == ring->used_index ? NULL : "it returns what it has not";
}
