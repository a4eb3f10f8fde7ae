/* SPDX-License-Identifier: MIT */
/* unit: driver/virtio/net.c driver/virtio/device.c driver/virtio/queue.c driver/virtio/packed.c driver/nic.c driver/nic_send.c kernel/heap.c */
#include "tests/unit/nic_fixture.h"

static void test_info(void **state)
{
	const struct host_nic_info *info;

	(void)state;
	begin(MAC | STATUS | MTU | MRG_RXBUF | CSUM | HOST_TSO4 | GUEST_CSUM | GUEST_TSO4);
	info = host_nic_info(nic);
	assert_string_equal(info->name, "virtio-net0");
	assert_ptr_equal(host_nic_by_name("/soc/virtio@1"), nic);
	assert_null(host_nic_by_name("virtio-net1"));
	assert_true(info->mac == 0x525400123456);
	assert_int_equal(info->mtu, 9000);
	assert_true(info->sends.csum && info->sends.tso4 && !info->sends.tso6);
	assert_true(info->receives.csum && info->receives.tso4 && info->receives.data_valid);
	assert_true(host_nic_has_link(nic));
	fake_device.config[6] = 0;
	assert_false(host_nic_has_link(nic));
}

/* What does not make sense together is not agreed on. */
static void test_features(void **state)
{
	(void)state;
	begin(MTU | HOST_TSO4 | GUEST_CSUM | GUEST_TSO4 | PACKED | EVENT_IDX);
	assert_int_equal(fake_features & ~VIRTIO_F_VERSION_1, GUEST_CSUM | PACKED);
	assert_int_equal(host_nic_info(nic)->mtu, 1500);
	assert_int_equal(host_nic_info(nic)->mac, 0);
	assert_false(host_nic_info(nic)->sends.tso4);
	assert_false(host_nic_info(nic)->receives.tso4);
}

static void test_use(void **state)
{
	(void)state;
	open_it(0);
	assert_string_equal(host_nic_user(nic), "lan");
	assert_int_equal(host_nic_open(nic, "wan", receive, NULL), ERR_EXIST);
	assert_int_equal(host_net_driver.unbind(&virtio), ERR_EXIST);
	host_nic_close(nic);
	assert_null(host_nic_user(nic));
	assert_null(plic_handler);
	fake_device.refuses_queues = true;
	assert_int_equal(host_nic_open(nic, "wan", receive, NULL), ERR_EXIST);
	fake_device.refuses_queues = false;
	assert_int_equal(host_nic_open(nic, "wan", receive, &virtio), 0);
	device_receives(60, 1);
	settle();
	assert_received(60, 1);
}

static void test_receives(uint64_t features)
{
	uint32_t most = features & MRG_RXBUF ? NET_FRAME_MAX : 1518;

	lie_buffers = -1;
	open_it(features);
	for (unsigned i = 0; i < 1000; i++) {
		uint32_t size =
		    i % 8 ? 14 + fake_random_below(1500) : 14 + fake_random_below(most - 13);

		device_receives(size, (uint8_t)i);
		if (i % 3 == 0)
			settle();
		if (i % 3 == 0)
			assert_received(size, (uint8_t)i);
	}
	settle();
	assert_int_equal(received, 1000);
	assert_int_equal(last_header.flags, NET_HEADER_DATA_VALID);
	assert_int_equal(last_header.num_buffers, 1);
}

static void test_receive_split(void **state)
{
	(void)state;
	test_receives(GUEST_CSUM | GUEST_TSO4 | MRG_RXBUF | EVENT_IDX);
}

static void test_receive_packed(void **state)
{
	(void)state;
	test_receives(GUEST_CSUM | GUEST_TSO4 | MRG_RXBUF | PACKED);
}

static void test_receive_single(void **state)
{
	(void)state;
	test_receives(GUEST_CSUM | GUEST_TSO4);
}

/* The device has no buffers while all frames are kept, and goes on when they are released. */
static void test_keep(void **state)
{
	struct fake_chain chain;

	(void)state;
	lie_buffers = -1;
	open_it(MRG_RXBUF | EVENT_IDX);
	keep_next = 128;
	for (unsigned i = 0; i < 128; i++)
		device_receives(100 + i, (uint8_t)i);
	settle();
	assert_int_equal(received, 128);
	assert_false(fake_pop(RX, &chain));
	while (kept_count > 0)
		nic_frame_release(kept[--kept_count]);
	for (unsigned i = 0; i < 300; i++) {
		device_receives(100 + i, (uint8_t)i);
		settle();
		assert_received(100 + i, (uint8_t)i);
	}
}

/* A number of buffers that cannot be: nobody knows where the next frame begins. */
static void test_lies(void **state)
{
	static const int lies[] = {0, NIC_PIECES_MAX + 1, 65535};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(lies); i++) {
		open_it(MRG_RXBUF);
		begin_clients();
		send_frames(0, 10, 100);
		lie_buffers = lies[i];
		device_receives(200, 1);
		settle();
		assert_int_equal(received, 0);
		assert_non_null(strstr(messages, "does not keep to the rules"));
		assert_int_equal(fake_device.status, 0);
		assert_false(host_nic_has_link(nic));
		end_clients();
		teardown(state);
		messages[0] = '\0';
	}
	lie_buffers = -1;
}

/* Such as cannot be frames are dropped, and what comes after them is received. */
static void test_bad_frames(void **state)
{
	struct host_nic_counts counts;
	struct fake_chain chain;

	(void)state;
	lie_buffers = -1;
	open_it(MRG_RXBUF);
	device_receives(13, 1);
	device_receives(NET_FRAME_MAX + 1, 1);
	assert_true(fake_pop(RX, &chain));
	fake_push(&chain, 11);
	assert_true(fake_pop(RX, &chain));
	fake_push(&chain, 0);
	settle();
	assert_int_equal(received, 0);
	device_receives(14, 1);
	settle();
	assert_int_equal(received, 1);
	host_nic_counts(nic, &counts);
	assert_int_equal(counts.receive_errors, 4);
	assert_int_equal(counts.received, 1);
	assert_int_equal(counts.received_bytes, 14);
	/* All buffers are back. */
	for (unsigned i = 0; i < 128; i++)
		assert_true(fake_pop(RX, &chain));
}

static void test_returns_nonsense(void **state)
{
	struct fake_chain chain = {.queue = RX, .id = 200, .descriptors = 1};

	(void)state;
	open_it(0);
	begin_clients();
	fake_push(&chain, 100);
	settle();
	assert_non_null(strstr(messages, "does not keep to the rules"));
	end_clients();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    TEST(test_info),
	    TEST(test_features),
	    TEST(test_use),
	    TEST(test_receive_split),
	    TEST(test_receive_packed),
	    TEST(test_receive_single),
	    TEST(test_keep),
	    TEST(test_lies),
	    TEST(test_bad_frames),
	    TEST(test_returns_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
