/* SPDX-License-Identifier: MIT */
/* unit: driver/virtio/mmio.c driver/virtio/device.c driver/virtio/queue.c driver/virtio/packed.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "driver/plic.h"
#include "driver/register.h"
#include "driver/virtio/transport.h"
#include "kernel/error.h"
#include "kernel/platform.h"

#define SIZE 8

/* A device that does what Virtio 1.3, 4.2.2 and 4.2.4 say, and notes what is wrong. */
static struct {
	uint32_t magic, version, id, status;
	uint64_t offered, accepted;
	uint32_t offered_word, accepted_word;
	bool refuses_features, never_resets;
	uint32_t queue, queue_max;
	uint32_t size, align, pfn, ready, page_size;
	uint64_t desc, driver, device;
	uint32_t events, acknowledged, notified;
	uint32_t generation, capacity[2];
	unsigned changes; /* of the configuration that are to come, a read each */
	unsigned wrong;   /* accesses that may not be */
} fake;

static struct host_virtio device, other;
static char registers[2][0x200];
struct platform platform;
static _Alignas(4096) uint8_t memory[4096];
static struct virtqueue_slot slots[SIZE];
static struct virtqueue queue;

uint32_t register_read(const volatile void *address, unsigned size)
{
	unsigned offset = (unsigned)((uintptr_t)address - (uintptr_t)registers) % 0x200;

	assert_in_range(address, registers, registers + 2);
	if (offset >= 0x108)
		return size;
	fake.wrong += size != 4;
	/* 4.2.3.1.1 */
	fake.wrong += offset > 0x008 && fake.id == 0;
	switch (offset) {
	case 0x000:
		return fake.magic;
	case 0x004:
		return fake.version;
	case 0x008:
		return fake.id;
	case 0x010:
		return (uint32_t)(fake.offered >> 32 * fake.offered_word);
	case 0x034:
		return fake.queue < 4 ? fake.queue_max : 0;
	case 0x040:
		fake.wrong += fake.version != 1;
		return fake.pfn;
	case 0x044:
		fake.wrong += fake.version == 1;
		return fake.ready;
	case 0x060:
		return fake.events;
	case 0x070:
		return fake.status;
	case 0x0fc:
		fake.wrong += fake.version == 1;
		return fake.generation;
	case 0x100:
		if (fake.changes) {
			fake.changes--;
			fake.generation++;
			fake.capacity[0]++;
			fake.capacity[1]++;
		}
		return fake.capacity[0];
	case 0x104:
		return fake.capacity[1];
	default:
		fake.wrong++;
		return 0;
	}
}

/* The PLIC and timers. */
static void (*interrupt)(void *argument);
static void *interrupt_argument;
static struct timer *polled;

void host_plic_release(uint32_t source)
{
	assert_true(source != 0 && source <= 50);
	interrupt = NULL;
}

int host_plic_enable(uint32_t source, void (*handler)(void *argument), void *argument)
{
	if (source == 0 || source > 50)
		return ERR_NOENT;
	interrupt = handler;
	interrupt_argument = argument;
	return 0;
}

uint64_t time_now(void)
{
	return 1000;
}

void timer_init(struct timer *timer, void (*expired)(struct timer *timer))
{
	timer->expired = expired;
}

void timer_set(struct timer *timer, uint64_t deadline)
{
	assert_true(deadline >= 1000);
	polled = timer;
}

void timer_cancel(struct timer *timer)
{
	if (polled == timer)
		polled = NULL;
}

static void write_half(uint64_t *value, unsigned half, uint32_t bits)
{
	*value &= half ? UINT32_MAX : ~(uint64_t)UINT32_MAX;
	*value |= (uint64_t)bits << 32 * half;
}

static void write_status(uint32_t value)
{
	if (value == 0 && fake.never_resets)
		return;
	/* 3.1.1: bits are only added, in their order. */
	fake.wrong += value != 0 && (value & fake.status) != fake.status;
	fake.status = value;
	if (value & 8 && fake.refuses_features)
		fake.status &= ~(uint32_t)8;
	if (value == 0)
		fake.pfn = fake.ready = 0;
}

static void write_queue(unsigned offset, uint32_t value)
{
	bool legacy = offset < 0x044;

	fake.wrong += legacy != (fake.version == 1);
	if (offset == 0x03c)
		fake.align = value;
	else if (offset == 0x040)
		fake.pfn = value;
	else if (offset == 0x044)
		fake.ready = value;
	else if (offset < 0x090)
		write_half(&fake.desc, offset >> 2 & 1, value);
	else if (offset < 0x0a0)
		write_half(&fake.driver, offset >> 2 & 1, value);
	else
		write_half(&fake.device, offset >> 2 & 1, value);
}

void register_write(volatile void *address, unsigned size, uint32_t value)
{
	unsigned offset = (unsigned)((uintptr_t)address - (uintptr_t)registers) % 0x200;

	assert_in_range(address, registers, registers + 2);
	fake.wrong += size != 4;
	switch (offset) {
	case 0x014:
		fake.offered_word = value;
		break;
	case 0x020:
		write_half(&fake.accepted, fake.accepted_word, value);
		break;
	case 0x024:
		fake.accepted_word = value;
		break;
	case 0x028:
		fake.wrong += fake.version != 1;
		fake.page_size = value;
		break;
	case 0x030:
		fake.queue = value;
		break;
	case 0x038:
		fake.wrong += value > fake.queue_max;
		fake.size = value;
		break;
	case 0x050:
		fake.notified = value;
		break;
	case 0x064:
		fake.acknowledged = value;
		break;
	case 0x070:
		write_status(value);
		break;
	case 0x03c:
	case 0x040:
	case 0x044:
	case 0x080:
	case 0x084:
	case 0x090:
	case 0x094:
	case 0x0a0:
	case 0x0a4:
		write_queue(offset, value);
		break;
	default:
		fake.wrong++;
	}
}

static void begin_queue(hpa_t place)
{
	const struct virtqueue_kind kind = {.size = SIZE};

	virtqueue_init(&queue, &kind, memory, place, slots);
}

static int setup(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	memset(memory, 0, sizeof(memory));
	fake.magic = 0x74726976;
	fake.version = 2;
	fake.id = VIRTIO_ID_CONSOLE;
	fake.status = 0x0f;
	fake.offered = VIRTIO_F_VERSION_1 | BIT(33) | BIT(0) | BIT(1);
	fake.queue_max = 64;
	begin_queue(HPA(0x123456789000));
	polled = NULL;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(fake.wrong, 0);
	return 0;
}

static void test_probe(void **state)
{
	(void)state;
	assert_int_equal(host_virtio_mmio_probe(&device, registers[0], 0x200), 0);
	assert_int_equal(device.id, VIRTIO_ID_CONSOLE);
	assert_false(device.legacy);
	assert_int_equal(host_virtio_mmio_probe(&device, registers[0], 0x100), ERR_NOENT);
	fake.version = 3;
	assert_int_equal(host_virtio_mmio_probe(&device, registers[0], 0x200), ERR_NOSYS);
	fake.version = 1;
	fake.id = 0;
	assert_int_equal(host_virtio_mmio_probe(&device, registers[0], 0x200), ERR_NOENT);
	fake.magic = 0;
	assert_int_equal(host_virtio_mmio_probe(&device, registers[0], 0x200), ERR_NOENT);
}

static void test_modern(void **state)
{
	(void)state;
	assert_int_equal(host_virtio_mmio_probe(&device, registers[0], 0x200), 0);
	assert_int_equal(host_virtio_negotiate(&device, BIT(1) | BIT(5)), 0);
	assert_int_equal(device.features, VIRTIO_F_VERSION_1 | BIT(1));
	assert_int_equal(fake.accepted, device.features);
	assert_int_equal(fake.status, 1 | 2 | 8);
	assert_int_equal(host_virtio_set_queue(&device, 3, &queue), 0);
	assert_int_equal(fake.size, SIZE);
	assert_int_equal(fake.desc, 0x123456789000);
	assert_int_equal(fake.driver, 0x123456789000 + 128);
	assert_int_equal(fake.device, 0x123456789000 + 192);
	assert_int_equal(fake.ready, 1);
	assert_int_equal(host_virtio_set_queue(&device, 3, &queue), ERR_EXIST);
	host_virtio_ready(&device);
	assert_int_equal(fake.status, 1 | 2 | 4 | 8);
}

static void test_legacy(void **state)
{
	(void)state;
	fake.version = 1;
	assert_int_equal(host_virtio_mmio_probe(&device, registers[0], 0x200), 0);
	assert_int_equal(host_virtio_negotiate(&device, BIT(1) | VIRTIO_F_VERSION_1), 0);
	assert_int_equal(device.features, BIT(1));
	assert_int_equal(fake.accepted, BIT(1));
	assert_int_equal(fake.page_size, 4096);
	assert_int_equal(fake.status, 1 | 2);
	begin_queue(HPA(UINT64_C(1) << 44));
	assert_int_equal(host_virtio_set_queue(&device, 0, &queue), ERR_RANGE);
	begin_queue(HPA(0x87654000));
	assert_int_equal(host_virtio_set_queue(&device, 0, &queue), 0);
	assert_int_equal(fake.pfn, 0x87654);
	assert_int_equal(fake.align, VIRTQUEUE_ALIGN);
	host_virtio_ready(&device);
	assert_int_equal(fake.status, 1 | 2 | 4);
}

static void test_refused(void **state)
{
	(void)state;
	assert_int_equal(host_virtio_mmio_probe(&device, registers[0], 0x200), 0);
	fake.refuses_features = true;
	assert_int_equal(host_virtio_negotiate(&device, BIT(1)), ERR_IO);
	host_virtio_fail(&device);
	assert_int_equal(fake.status, 128);
	fake.refuses_features = false;
	fake.offered = BIT(1);
	assert_int_equal(host_virtio_negotiate(&device, BIT(1)), ERR_IO);
	fake.never_resets = true;
	fake.status = 1;
	assert_int_equal(host_virtio_negotiate(&device, BIT(1)), ERR_IO);
}

static void test_no_queue(void **state)
{
	(void)state;
	assert_int_equal(host_virtio_mmio_probe(&device, registers[0], 0x200), 0);
	assert_int_equal(host_virtio_set_queue(&device, 4, &queue), ERR_NOENT);
	fake.queue_max = SIZE / 2;
	assert_int_equal(host_virtio_set_queue(&device, 0, &queue), ERR_NOENT);
	assert_int_equal(fake.size, 0);
}

static void test_events(void **state)
{
	(void)state;
	assert_int_equal(host_virtio_mmio_probe(&device, registers[0], 0x200), 0);
	assert_int_equal(host_virtio_take_events(&device), 0);
	assert_int_equal(fake.acknowledged, 0);
	fake.events = 0xff;
	assert_int_equal(host_virtio_take_events(&device),
			 HOST_VIRTIO_EVENT_QUEUE | HOST_VIRTIO_EVENT_CONFIG);
	assert_int_equal(fake.acknowledged, 3);
	queue.index = 2;
	host_virtio_notify(&device, &queue);
	assert_int_equal(fake.notified, 2);
}

/* 2.5.1: one field may change between the reads of its halves. */
static void test_configuration(void **state)
{
	(void)state;
	for (fake.version = 1; fake.version <= 2; fake.version++) {
		assert_int_equal(host_virtio_mmio_probe(&device, registers[0], 0x200), 0);
		fake.capacity[0] = 0x10;
		fake.capacity[1] = 0x20;
		fake.changes = 3;
		assert_int_equal(host_virtio_config64(&device, 0), 0x2300000013);
		/* A device that never rests gets no answer that is right, but one. */
		fake.changes = 1000000;
		host_virtio_config64(&device, 0);
		fake.changes = 0;
		assert_int_equal(host_virtio_config32(&device, 4), fake.capacity[1]);
		assert_int_equal(host_virtio_config16(&device, 0x10), 2);
		assert_int_equal(host_virtio_config8(&device, 0x11), 1);
	}
}

static uint32_t heard[2];

static void hear(void *context, uint32_t events)
{
	*(uint32_t *)context |= events;
}

/* Two devices on one line, and one that is polled. */
static void test_listen(void **state)
{
	(void)state;
	assert_int_equal(host_virtio_mmio_probe(&device, registers[0], 0x200), 0);
	assert_int_equal(host_virtio_mmio_probe(&other, registers[1], 0x200), 0);
	device.interrupt = other.interrupt = 7;
	host_virtio_listen(&device, hear, &heard[0]);
	host_virtio_listen(&other, hear, &heard[1]);
	assert_null(polled);
	fake.events = HOST_VIRTIO_EVENT_CONFIG;
	interrupt(interrupt_argument);
	assert_int_equal(heard[0], HOST_VIRTIO_EVENT_CONFIG);
	assert_int_equal(heard[1], HOST_VIRTIO_EVENT_CONFIG);

	fake.events = 0;
	heard[0] = heard[1] = 0;
	assert_int_equal(host_virtio_reset(&device), 0);
	fake.events = HOST_VIRTIO_EVENT_QUEUE;
	interrupt(interrupt_argument);
	assert_int_equal(heard[0], 0);
	assert_int_equal(heard[1], HOST_VIRTIO_EVENT_QUEUE);

	device.interrupt = 0;
	host_virtio_listen(&device, hear, &heard[0]);
	assert_ptr_equal(polled, &device.poll);
	fake.events = 0;
	polled->expired(polled);
	assert_int_equal(heard[0], HOST_VIRTIO_EVENT_QUEUE);
	assert_int_equal(host_virtio_reset(&device), 0);
	assert_null(polled);
	/* The line is free when nobody listens to it any more. */
	assert_non_null(interrupt);
	assert_int_equal(host_virtio_reset(&other), 0);
	assert_null(interrupt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_probe, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_modern, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_legacy, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_queue, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_events, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_configuration, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_listen, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
