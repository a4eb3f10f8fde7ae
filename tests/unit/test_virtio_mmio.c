/* SPDX-License-Identifier: MIT */
/* unit: driver/virtio/mmio.c driver/virtio/queue.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "driver/virtio/mmio.h"
#include "kernel/error.h"

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
	unsigned wrong; /* accesses that may not be */
} fake;

static struct host_virtio device;
static _Alignas(4096) uint8_t memory[4096];
static struct virtqueue_slot slots[SIZE];
static struct virtqueue queue;

uint32_t host_virtio_register_read(const struct host_virtio *read_device, unsigned offset)
{
	(void)read_device;
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
	case 0x104:
		return 31;
	default:
		fake.wrong++;
		return 0;
	}
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

void host_virtio_register_write(const struct host_virtio *written_device, unsigned offset,
				uint32_t value)
{
	(void)written_device;
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
	virtqueue_init(&queue, memory, SIZE, slots);
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
	assert_int_equal(host_virtio_probe(&device, memory), 0);
	assert_int_equal(device.id, VIRTIO_ID_CONSOLE);
	assert_int_equal(device.version, 2);
	fake.version = 3;
	assert_int_equal(host_virtio_probe(&device, memory), ERR_NOSYS);
	fake.version = 1;
	fake.id = 0;
	assert_int_equal(host_virtio_probe(&device, memory), ERR_NOENT);
	fake.magic = 0;
	assert_int_equal(host_virtio_probe(&device, memory), ERR_NOENT);
}

static void test_modern(void **state)
{
	(void)state;
	assert_int_equal(host_virtio_probe(&device, memory), 0);
	assert_int_equal(host_virtio_negotiate(&device, BIT(1) | BIT(5)), 0);
	assert_int_equal(device.features, VIRTIO_F_VERSION_1 | BIT(1));
	assert_int_equal(fake.accepted, device.features);
	assert_int_equal(fake.status, 1 | 2 | 8);
	assert_int_equal(host_virtio_set_queue(&device, 3, &queue, HPA(0x123456789000)), 0);
	assert_int_equal(fake.size, SIZE);
	assert_int_equal(fake.desc, 0x123456789000);
	assert_int_equal(fake.driver, 0x123456789000 + 128);
	assert_int_equal(fake.device, 0x123456789000 + 192);
	assert_int_equal(fake.ready, 1);
	assert_int_equal(host_virtio_set_queue(&device, 3, &queue, HPA(0x1000)), ERR_EXIST);
	host_virtio_ready(&device);
	assert_int_equal(fake.status, 1 | 2 | 4 | 8);
}

static void test_legacy(void **state)
{
	(void)state;
	fake.version = 1;
	assert_int_equal(host_virtio_probe(&device, memory), 0);
	assert_int_equal(host_virtio_negotiate(&device, BIT(1) | VIRTIO_F_VERSION_1), 0);
	assert_int_equal(device.features, BIT(1));
	assert_int_equal(fake.accepted, BIT(1));
	assert_int_equal(fake.page_size, 4096);
	assert_int_equal(fake.status, 1 | 2);
	assert_int_equal(host_virtio_set_queue(&device, 0, &queue, HPA(UINT64_C(1) << 44)),
			 ERR_RANGE);
	assert_int_equal(host_virtio_set_queue(&device, 0, &queue, HPA(0x87654000)), 0);
	assert_int_equal(fake.pfn, 0x87654);
	assert_int_equal(fake.align, VIRTQUEUE_ALIGN);
	host_virtio_ready(&device);
	assert_int_equal(fake.status, 1 | 2 | 4);
}

static void test_refused(void **state)
{
	(void)state;
	assert_int_equal(host_virtio_probe(&device, memory), 0);
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
	assert_int_equal(host_virtio_probe(&device, memory), 0);
	assert_int_equal(host_virtio_set_queue(&device, 4, &queue, HPA(0x1000)), ERR_NOENT);
	fake.queue_max = SIZE / 2;
	assert_int_equal(host_virtio_set_queue(&device, 0, &queue, HPA(0x1000)), ERR_NOENT);
	assert_int_equal(fake.size, 0);
}

static void test_events(void **state)
{
	(void)state;
	assert_int_equal(host_virtio_probe(&device, memory), 0);
	assert_int_equal(host_virtio_take_events(&device), 0);
	assert_int_equal(fake.acknowledged, 0);
	fake.events = 0xff;
	assert_int_equal(host_virtio_take_events(&device),
			 HOST_VIRTIO_EVENT_QUEUE | HOST_VIRTIO_EVENT_CONFIG);
	assert_int_equal(fake.acknowledged, 3);
	host_virtio_notify(&device, 2);
	assert_int_equal(fake.notified, 2);
	assert_int_equal(host_virtio_config(&device, 4), 31);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
