/* SPDX-License-Identifier: MIT */
/* unit: device/net_uplink.c device/virtio/net.c device/virtio/device.c device/virtio/mmio.c device/virtio/vring.c vmm/net.c vmm/net_transfer.c vmm/net_switch.c vmm/net_offload.c vmm/checksum.c vmm/copy.c */
#define NET_UPLINK "virtio-net0"
#include "tests/unit/net_fixture.h"

#include "driver/nic.h"
#include "kernel/arena.h"

#define OUTSIDE UINT64_C(0x525500000002)

/* A NIC that keeps what it is given. */
struct host_nic {
	int unused;
};

static struct host_nic nic;
static struct host_nic_info info = {.name = "virtio-net0", .path = "/soc/nic", .mtu = 1500};
static const char *user;
static bool (*receive)(void *context, struct nic_frame *frame);
static void *context;
static struct nic_client *clients[8];
static unsigned client_count, quits, released, free_buffers;
static uint8_t sent[8][70000] __aligned(16);
static struct nic_buffer buffers[8];
static unsigned sent_count, dropped_count;
static int get_error;

const char *error_string(int error)
{
	(void)error;
	return "an error";
}

void *arena_alloc(struct arena *arena, size_t size)
{
	(void)arena;
	return calloc(1, size);
}

unsigned host_nic_count(void)
{
	return 1;
}

struct host_nic *host_nic_by_name(const char *name)
{
	return strcmp(name, "virtio-net0") == 0 ? &nic : NULL;
}

const struct host_nic_info *host_nic_info(const struct host_nic *of)
{
	assert_ptr_equal(of, &nic);
	return &info;
}

const char *host_nic_user(const struct host_nic *of)
{
	assert_ptr_equal(of, &nic);
	return user;
}

int host_nic_open(struct host_nic *of, const char *by,
		  bool (*frame_fn)(void *context, struct nic_frame *frame), void *argument)
{
	assert_ptr_equal(of, &nic);
	user = by;
	receive = frame_fn;
	context = argument;
	return 0;
}

int nic_client_init(struct nic_client *client)
{
	assert_ptr_equal(client->nic, &nic);
	clients[client_count++] = client;
	return 0;
}

void nic_client_quit(struct nic_client *client)
{
	assert_non_null(client);
	quits++;
	free(client);
}

int nic_buffer_get(struct nic_client *client, uint32_t size, struct nic_buffer **buffer)
{
	assert_non_null(client);
	preempt_point();
	if (get_error)
		return get_error;
	if (free_buffers == 0)
		return ERR_AGAIN;
	free_buffers--;
	*buffer = &buffers[sent_count];
	**buffer = (struct nic_buffer){.size = size, .frame = sent[sent_count]};
	return 0;
}

void nic_buffer_send(struct nic_buffer *buffer)
{
	assert_ptr_equal(buffer, &buffers[sent_count]);
	sent_count++;
}

void nic_buffer_drop(struct nic_buffer *buffer)
{
	assert_non_null(buffer);
	dropped_count++;
}

void nic_frame_release(struct nic_frame *frame)
{
	assert_non_null(frame);
	released++;
}

void nic_frame_read(const struct nic_frame *frame, uint32_t offset, void *to, uint32_t size)
{
	assert_int_equal(offset, 0);
	for (unsigned n = 0; size > 0; n++) {
		uint32_t part = size < frame->pieces[n].size ? size : frame->pieces[n].size;

		memcpy(to, frame->pieces[n].start, part);
		to = (uint8_t *)to + part;
		size -= part;
	}
}

static int setup_uplink(void **state)
{
	user = NULL;
	client_count = quits = released = sent_count = dropped_count = 0;
	get_error = 0;
	free_buffers = 8;
	info.sends = info.receives = (struct net_abilities){0};
	return setup_plain(state);
}

static int teardown_uplink(void **state)
{
	teardown(state);
	/* It is the uplink, which otherwise never goes. */
	free(context);
	return 0;
}

/*
 * Out.
 */

static void send_outside(uint32_t size)
{
	put_frame(A, NOBODY, size);
	driver_offer(&tx[A], 0);
	notify(A, 1);
	run_all();
}

static void test_send(void **state)
{
	(void)state;
	assert_string_equal(user, "lan0");
	assert_int_equal(client_count, 3);
	assert_int_equal(clients[1]->weight, 100);
	send_outside(1000);
	assert_true(is_sent(A));
	assert_int_equal(sent_count, 1);
	assert_int_equal(buffers[0].size, 1000);
	assert_int_equal(buffers[0].header.flags | buffers[0].header.num_buffers, 0);
	for (unsigned i = 12; i < 1000; i++)
		assert_int_equal(sent[0][i], byte_at(A, i));
	/* What is longer than the NIC can send. */
	send_outside(1518);
	send_outside(1519);
	assert_int_equal(sent_count, 2);
	/* To all, which are in here and outside. */
	offer(B, 0, 1526);
	send(A, BROADCAST, 60);
	run_all();
	assert_received(B, A, BROADCAST, 60);
	assert_int_equal(sent_count, 3);
	/* To one that is here: not outside. */
	offer(B, 1, 1526);
	send(A, B, 60);
	run_all();
	assert_int_equal(sent_count, 3);
}

static void test_waits_for_nic(void **state)
{
	(void)state;
	free_buffers = 0;
	send_outside(100);
	assert_false(is_sent(A));
	/* Others go on, and longer than they would wait for a VM. */
	offer(B, 0, 1526);
	send(C, B, 100);
	run_all();
	assert_received(B, C, B, 100);
	for (unsigned i = 0; i < 10; i++) {
		fire_timer();
		run_all();
		assert_false(is_sent(A));
	}
	free_buffers = 1;
	clients[A]->ready(clients[A]);
	run_all();
	assert_true(is_sent(A));
	assert_int_equal(sent_count, 1);
	/* One that is stuck does not hold it up for ever; nor one that has failed. */
	send_outside(100);
	for (unsigned i = 0; i < 40 && is_set(&lan->timer); i++) {
		fire_timer();
		run_all();
	}
	assert_true(is_sent(A));
	get_error = ERR_IO;
	send_outside(100);
	assert_true(is_sent(A));
	assert_int_equal(sent_count, 1);
}

static void test_memory_fails(void **state)
{
	(void)state;
	put_frame(A, NOBODY, 1000);
	driver_offer(&tx[A], 0);
	notify(A, 1);
	/* The sender's memory cannot be read any more, behind its first bytes. */
	driver_describe(&tx[A], 1, RAM_BASE + RAM_SIZE - 10, 1000, 0, 0);
	run_all();
	assert_int_equal(sent_count, 0);
	assert_int_equal(nets[A].device.status & S_NEEDS_RESET, S_NEEDS_RESET);
}

/*
 * In.
 */

static uint8_t bytes[70000];

static struct nic_frame make_frame(uint64_t to, uint64_t from, uint32_t size)
{
	for (unsigned i = 0; i < size; i++)
		bytes[i] = byte_at(7, i);
	put_address(bytes, to);
	put_address(bytes + 6, from);
	return (struct nic_frame){.header.num_buffers = 1,
				  .size = size,
				  .piece_count = 3,
				  .pieces = {{bytes, 5}, {bytes + 5, 300}, {bytes + 305, size}}};
}

static void assert_in(unsigned guest, uint32_t size)
{
	uint32_t n, written;

	assert_true(take(guest, &n, &written));
	assert_int_equal(written, size + 12);
	assert_memory_equal(ram + (BUFFERS + n * ROOM + 12 - RAM_BASE), bytes, size);
}

static void test_receive(void **state)
{
	struct nic_frame frame = make_frame(address_of(B), OUTSIDE, 1000);

	(void)state;
	offer(B, 0, 1526);
	assert_false(receive(context, &frame));
	run_all();
	assert_int_equal(released, 1);
	assert_in(B, 1000);
	/* Its sender is known now; and one that has an address of ours is not believed. */
	send_outside(100);
	frame = make_frame(address_of(B), address_of(A), 1000);
	offer(B, 1, 1526);
	assert_false(receive(context, &frame));
	run_all();
	assert_int_equal(released, 2);
	assert_true(receives_nothing(B));
}

/* It waits for buffers as others do; what comes meanwhile is kept, up to a bound. */
static void test_receive_without_room(void **state)
{
	static struct nic_frame frames[100];
	unsigned kept = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		frames[i] = make_frame(address_of(B), OUTSIDE, 100);
		kept += !receive(context, &frames[i]);
	}
	assert_in_range(kept, 1, 99);
	run_all();
	assert_int_equal(released, 0);
	for (unsigned i = 0; i < 20; i++)
		offer(B, i, 1526);
	notify(B, 0);
	run_all();
	for (unsigned i = 0; i < 20; i++)
		assert_in(B, 100);
	assert_int_equal(released, 20);
	fire_timer();
	run_all();
	assert_int_equal(released, kept);
}

static void test_quit(void **state)
{
	(void)state;
	net_port_close(&nets[B].port);
	net_port_remove(&nets[B].port);
	assert_int_equal(quits, 1);
}

static void test_refused(void **state)
{
	struct net other = {.name = "lan1", .uplink = "virtio-net1"};

	(void)state;
	assert_false(machine_uplink(&other));
	/* One that is another's already. */
	other.uplink = "virtio-net0";
	assert_false(machine_uplink(&other));
	assert_null(other.uplink_port);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_send, setup_uplink, teardown_uplink),
	    cmocka_unit_test_setup_teardown(test_waits_for_nic, setup_uplink, teardown_uplink),
	    cmocka_unit_test_setup_teardown(test_memory_fails, setup_uplink, teardown_uplink),
	    cmocka_unit_test_setup_teardown(test_receive, setup_uplink, teardown_uplink),
	    cmocka_unit_test_setup_teardown(test_receive_without_room, setup_uplink,
					    teardown_uplink),
	    cmocka_unit_test_setup_teardown(test_quit, setup_uplink, teardown_uplink),
	    cmocka_unit_test_setup_teardown(test_refused, setup_uplink, teardown_uplink),
	};

	return cmocka_run_group_tests_name("net_uplink", tests, NULL, NULL);
}
