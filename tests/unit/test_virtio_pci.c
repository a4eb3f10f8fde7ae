/* SPDX-License-Identifier: MIT */
/* unit: driver/pci.c driver/pci_tree.c driver/virtio/pci.c driver/virtio/queue.c driver/virtio/packed.c kernel/fdt.c */
/* libs: -lfdt */
#include "tests/unit/pci_fixture.h"

static void add_capability(uint8_t *config, unsigned at, unsigned next, unsigned kind, unsigned bar,
			   uint32_t offset, uint32_t length)
{
	put(config + at, 1, 9);
	put(config + at + 1, 1, next);
	put(config + at + 3, 1, kind);
	put(config + at + 4, 1, bar);
	put(config + at + 8, 4, offset);
	put(config + at + 12, 4, length);
}

static uint8_t *add_virtio(void)
{
	uint8_t *config = add_function(1 << 3, 0x1af4, 0x1042);

	put(config + 0x06, 2, 0x10);
	put(config + 0x34, 1, 0x40);
	add_bar(4, 12, 0x4000, 0);
	/* The first is of a kind to come, the second is not where it says; these are passed over.
	 */
	add_capability(config, 0x40, 0x50, 1, 7, 0, 0x38);
	add_capability(config, 0x50, 0x60, 1, 4, 0x3fd0, 0x38);
	add_capability(config, 0x60, 0x70, 1, 4, 0, 0x1000);
	add_capability(config, 0x70, 0x80, 3, 4, 0x1000, 0x1000);
	add_capability(config, 0x80, 0x90, 4, 4, 0x2000, 12);
	add_capability(config, 0x90, 0, 2, 4, 0x3000, 0x1000);
	put(config + 0xa0, 4, 4);
	return config;
}

static int probe(struct host_virtio *virtio)
{
	struct host_pci_function *function;
	int error;

	host_pci_init();
	function = host_pci_next(NULL);
	error = host_virtio_pci_probe(virtio, function);
	device.bar = function->bars[4].address - LOW_PCI + LOW_CPU;
	return error;
}

static void test_virtio(void **state)
{
	static struct virtqueue_slot slots[8];
	static _Alignas(4096) uint8_t memory[4096];
	const struct virtqueue_kind kind = {.size = 8};
	const struct host_virtio_transport *transport;
	struct host_virtio virtio;
	struct virtqueue queue;

	(void)state;
	add_virtio();
	assert_int_equal(probe(&virtio), 0);
	transport = virtio.transport;
	assert_int_equal(virtio.id, VIRTIO_ID_BLOCK);
	assert_false(virtio.legacy);
	assert_int_equal(functions[0].config[4], 2);
	transport->let_use_memory(&virtio, true);
	assert_int_equal(functions[0].config[4], 6);
	transport->let_use_memory(&virtio, false);
	assert_int_equal(functions[0].config[4], 2);

	device.features[0] = 0x1234567890;
	assert_int_equal(transport->offered(&virtio), 0x1234567890);
	virtio.features = 0x1000000010;
	transport->accept(&virtio);
	assert_int_equal(device.features[1], 0x1000000010);
	transport->set_status(&virtio, 15);
	assert_int_equal(transport->status(&virtio), 15);

	virtqueue_init(&queue, &kind, memory, HPA(0x123456000), slots);
	device.size = 64;
	assert_int_equal(transport->queue_max(&virtio, 2), 0);
	assert_int_equal(transport->queue_max(&virtio, 1), 64);
	queue.index = 1;
	device.offset = 5;
	assert_int_equal(transport->set_queue(&virtio, &queue), 0);
	assert_int_equal(device.size, 8);
	assert_int_equal(device.places[0], 0x123456000);
	assert_int_equal(device.places[1], 0x123456080);
	assert_int_equal(device.places[2], 0x1234560c0);
	assert_int_equal(device.enabled, 1);
	assert_int_equal(transport->set_queue(&virtio, &queue), ERR_EXIST);
	transport->notify(&virtio, &queue);
	assert_int_equal(device.notified_at, 0x3000 + 4 * 5);
	assert_int_equal(device.notified, 1);
	device.enabled = 0;
	device.offset = 0x400;
	assert_int_equal(transport->set_queue(&virtio, &queue), ERR_RANGE);
	assert_int_equal(device.enabled, 0);

	device.isr = 1;
	assert_int_equal(transport->take_events(&virtio), 1);
	assert_int_equal(transport->config(&virtio, 8, 4), 0x1234);
	assert_int_equal(transport->config(&virtio, 12, 4), 0);
	assert_int_equal(transport->config(&virtio, 10, 4), 0);
}

static void test_virtio_kinds(void **state)
{
	struct host_virtio virtio;
	uint8_t *config = add_virtio();

	(void)state;
	put(config + 2, 2, 0x1001);
	put(config + 0x2e, 2, 4);
	assert_int_equal(probe(&virtio), 0);
	assert_int_equal(virtio.id, VIRTIO_ID_ENTROPY);
	put(config + 2, 2, 0x1080);
	assert_int_equal(probe(&virtio), ERR_NOENT);
	put(config, 2, 0x1af5);
	assert_int_equal(probe(&virtio), ERR_NOENT);
	put(config, 4, 0x10421af4);
	/* One structure that is not where it says, after the other. */
	put(config + 0x68, 4, 0x4000);
	assert_int_equal(probe(&virtio), ERR_INVAL);
	put(config + 0x68, 4, 2);
	assert_int_equal(probe(&virtio), ERR_INVAL);
	put(config + 0x68, 4, 0);
	put(config + 0x6c, 4, 0x37);
	assert_int_equal(probe(&virtio), ERR_INVAL);
	put(config + 0x6c, 4, 0x38);
	put(config + 0x78, 4, UINT32_MAX);
	assert_int_equal(probe(&virtio), ERR_INVAL);
	put(config + 0x78, 4, 0x1000);
	put(config + 0x93, 1, 77);
	assert_int_equal(probe(&virtio), ERR_INVAL);
	put(config + 0x93, 1, 2);
	/* It need not have a configuration; and the list may be a circle. */
	put(config + 0x83, 1, 77);
	put(config + 0x91, 1, 0x40);
	assert_int_equal(probe(&virtio), 0);
	assert_int_equal(virtio.transport->config(&virtio, 0, 4), 0);
	put(config + 0x06, 2, 0);
	assert_int_equal(probe(&virtio), ERR_NOSYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_virtio, setup),
	    cmocka_unit_test_setup(test_virtio_kinds, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
