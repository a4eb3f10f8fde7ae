/* SPDX-License-Identifier: MIT */
/* unit: driver/virtio/net.c driver/virtio/device.c driver/virtio/queue.c driver/virtio/packed.c driver/nic.c driver/nic_send.c kernel/heap.c */
#include "tests/unit/nic_fixture.h"

static void test_sends(uint64_t features)
{
	unsigned whose[CLIENTS] = {0}, sent = 0;
	struct host_nic_counts counts;

	open_it(features);
	begin_clients();
	for (unsigned i = 0; i < 2000; i++) {
		unsigned client = i % CLIENTS;

		sent += send_frames(client, 1 + i % 5, 14 + fake_random_below(1500));
		if (i % 7 == 0) {
			device_sends(1 + i % 40, whose);
			settle();
		}
	}
	while (device_sends(1000, whose))
		settle();
	assert_int_equal(whose[0] + whose[1] + whose[2], sent);
	assert_true(ready_count[0] && ready_count[1] && ready_count[2]);
	host_nic_counts(nic, &counts);
	assert_int_equal(counts.send_errors, 0);
	end_clients();
}

static void test_send_split(void **state)
{
	(void)state;
	test_sends(EVENT_IDX);
}

static void test_send_packed(void **state)
{
	(void)state;
	test_sends(PACKED);
}

static void test_send_plain(void **state)
{
	(void)state;
	test_sends(0);
}

/* The header is as it was asked for, as far as the device has to know of it. */
static void test_header(void **state)
{
	struct nic_buffer *buffer;
	struct net_header header;
	struct fake_chain chain;

	(void)state;
	open_it(CSUM | HOST_TSO4);
	begin_clients();
	assert_int_equal(nic_buffer_get(&clients[0], NET_FRAME_MAX, &buffer), 0);
	buffer->header = (struct net_header){0xff, NET_GSO_TCPV4, 54, 1448, 34, 16, 7};
	nic_buffer_send(buffer);
	assert_true(fake_pop(TX, &chain));
	assert_int_equal(chain.pieces[0].length, NET_FRAME_MAX + 12);
	memcpy(&header, (void *)chain.pieces[0].address.v, sizeof(header));
	assert_int_equal(header.flags, NET_HEADER_NEEDS_CSUM);
	assert_int_equal(header.gso_type, NET_GSO_TCPV4);
	assert_int_equal(header.gso_size, 1448);
	assert_int_equal(header.csum_start, 34);
	assert_int_equal(header.num_buffers, 0);
	assert_int_equal(nic_buffer_get(&clients[0], NET_FRAME_MAX + 1, &buffer), ERR_TOO_LARGE);
	end_clients();
}

static void test_too_long(void **state)
{
	struct host_nic_counts counts;
	struct nic_buffer *buffer;
	struct fake_chain chain;

	(void)state;
	open_it(0);
	begin_clients();
	assert_int_equal(nic_buffer_get(&clients[0], 1519, &buffer), ERR_TOO_LARGE);
	assert_int_equal(nic_buffer_get(&clients[0], 1518, &buffer), 0);
	buffer->size = 1519;
	nic_buffer_send(buffer);
	assert_int_equal(nic_buffer_get(&clients[0], 100, &buffer), 0);
	nic_buffer_drop(buffer);
	assert_false(fake_pop(TX, &chain));
	host_nic_counts(nic, &counts);
	assert_int_equal(counts.send_errors, 1);
	assert_int_equal(clients[0].lane->free, UINT64_MAX);
	end_clients();
}

/* Those that are always busy share by weight; one that comes in between is served next. */
static void test_weights(void **state)
{
	unsigned whose[CLIENTS] = {0};

	(void)state;
	open_it(EVENT_IDX);
	begin_clients();
	clients[1].weight = 300;
	for (unsigned i = 0; i < 400; i++) {
		send_frames(0, 100, 1000);
		send_frames(1, 100, 1000);
		device_sends(8, whose);
		settle();
		/* Before, it has what the first one gave it when it was alone. */
		if (i == 20)
			whose[0] = whose[1] = 0;
	}
	assert_in_range(whose[1], whose[0] * 29 / 10 - 40, whose[0] * 31 / 10 + 40);
	assert_int_equal(send_frames(2, 1, 1000), 1);
	assert_int_equal(whose[2], 0);
	device_sends(64, whose);
	assert_int_equal(whose[2], 1);
	end_clients();
}

/* After a cancel nothing of it is sent but what the device has, and nobody is called. */
static void test_cancel(void **state)
{
	unsigned whose[CLIENTS] = {0};
	struct nic_buffer *buffer;

	(void)state;
	open_it(EVENT_IDX);
	begin_clients();
	assert_int_equal(send_frames(0, 100, 1000), 64);
	assert_int_equal(send_frames(1, 100, 1000), 64);
	nic_client_cancel(&clients[1]);
	nic_client_cancel(&clients[0]);
	while (device_sends(1000, whose))
		settle();
	assert_int_equal(whose[0], 64);
	assert_in_range(whose[1], 1, 63);
	assert_int_equal(ready_count[0] + ready_count[1], 0);
	assert_int_equal(nic_buffer_get(&clients[1], 100, &buffer), 0);
	nic_buffer_drop(buffer);
	end_clients();
}

/* A client's memory stays until the device is done with its frames. */
static void test_quit(void **state)
{
	unsigned whose[CLIENTS] = {0}, before;

	(void)state;
	open_it(EVENT_IDX);
	before = page_count;
	begin_clients();
	assert_int_equal(send_frames(0, 3, 1000), 3);
	end_clients();
	settle();
	assert_true(page_count > before);
	assert_int_equal(device_sends(1000, whose), 3);
	settle();
	assert_int_equal(page_count, before);
	/* Or until it is stopped. */
	begin_clients();
	assert_int_equal(send_frames(0, 64, 1000), 64);
	end_clients();
	host_nic_close(nic);
}

/* All comes back when the device says that it cannot go on, and it can be opened once more. */
static void test_needs_reset(void **state)
{
	struct nic_buffer *buffer;

	(void)state;
	lie_buffers = -1;
	open_it(EVENT_IDX);
	begin_clients();
	assert_int_equal(send_frames(0, 100, 1000), 64);
	assert_int_equal(send_frames(1, 100, 1000), 64);
	fake_device.status |= 64;
	fake_device.events |= HOST_VIRTIO_EVENT_CONFIG;
	settle();
	assert_int_equal(ready_count[0], 1);
	assert_int_equal(ready_count[1], 1);
	assert_int_equal(clients[0].lane->free, UINT64_MAX);
	assert_int_equal(clients[1].lane->free, UINT64_MAX);
	assert_int_equal(nic_buffer_get(&clients[0], 100, &buffer), ERR_IO);
	end_clients();
	host_nic_close(nic);
	assert_int_equal(host_nic_open(nic, "lan", receive, &virtio), 0);
	device_receives(60, 3);
	settle();
	assert_received(60, 3);
}

/* The header of legacy devices without merging has two bytes less. */
static void test_legacy(void **state)
{
	unsigned whose[CLIENTS] = {0};

	(void)state;
	lie_buffers = -1;
	fake_device.legacy = virtio.legacy = true;
	fake_device.offered = 0;
	assert_int_equal(host_net_driver.bind(&virtio), ERR_NOSYS);
	open_it(BIT(27));
	begin_clients();
	header_bytes = 10;
	device_receives(60, 3);
	settle();
	assert_received(60, 3);
	assert_int_equal(send_frames(0, 1, 100), 1);
	assert_int_equal(device_sends(2, whose), 1);
	header_bytes = 12;
	end_clients();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    TEST(test_send_split), TEST(test_send_packed), TEST(test_send_plain),
	    TEST(test_header),     TEST(test_too_long),    TEST(test_weights),
	    TEST(test_cancel),     TEST(test_quit),        TEST(test_needs_reset),
	    TEST(test_legacy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
