/* SPDX-License-Identifier: MIT */
/* unit: device/virtio/net.c device/virtio/device.c device/virtio/mmio.c device/virtio/vring.c vmm/net.c vmm/net_transfer.c vmm/net_switch.c vmm/net_offload.c vmm/checksum.c vmm/copy.c */

/* What happens while frames are on their way: receivers that end or are reset, others that send. */

#include "tests/unit/net_fixture.h"

static int result_of_hook;

/* B is in the midst of receiving; whatever happens there, happens on another hart. */
static void (*in_midst)(void);

static void hook(void)
{
	unsigned guest = ring_guest;

	if (!(nets[B].device.queues[0].work & QUEUE_BUSY))
		return;
	access_hook = NULL;
	in_midst();
	ring_guest = guest;
}

static void quiesce_b(void)
{
	result_of_hook = virtio_device_quiesce(&nets[B].device);
}

/* The VM's end waits for who delivers to it. */
static void test_quiesce_while_receiving(void **state)
{
	(void)state;
	offer(B, 0, 1526);
	in_midst = quiesce_b;
	access_hook = hook;
	send(A, B, 100);
	quiesced = 0;
	virtio_device_work(&nets[A].device);
	assert_int_equal(result_of_hook, ERR_AGAIN);
	assert_null(access_hook);
	assert_int_equal(quiesced, 0);
	assert_int_equal(job_count, 1);
	run_all();
	assert_int_equal(quiesced, 1);
	assert_int_equal(virtio_device_quiesce(&nets[B].device), 0);
	virtio_device_power_up(&nets[B].device);
	/* Nobody touches it any more. */
	memset(&nets[B].device, 0xff, sizeof(nets[B].device));
	guest_slots[B].device = NULL;
	unlocked[B] = NULL;
	send(A, B, 100);
	send(C, B, 100);
	send(C, BROADCAST, 100);
	run_all();
	assert_true(is_sent(A) && is_sent(A) && is_sent(C) && is_sent(C));
	net_port_remove(&nets[B].port);
	send(A, B, 100);
	run_all();
	assert_true(is_sent(A));
}

/* Who waited for it then goes on. */
static void test_quiesce_while_waited_for(void **state)
{
	(void)state;
	send(A, B, 100);
	run_all();
	assert_false(is_sent(A));
	assert_int_equal(virtio_device_quiesce(&nets[B].device), 0);
	run_all();
	assert_true(is_sent(A));
	/* And the other way round: it waited itself. */
	send(C, A, 100);
	run_all();
	assert_false(is_sent(C));
	assert_int_equal(virtio_device_quiesce(&nets[C].device), 0);
	fire_timer();
	offer(A, 0, 1526);
	notify(A, 0);
	run_all();
	assert_true(receives_nothing(A));
}

static void reset_b(void)
{
	ring_guest = B;
	result_of_hook = try_wr(R_STATUS, 4, 0);
}

static void test_reset_while_receiving(void **state)
{
	(void)state;
	offer(B, 0, 1526);
	in_midst = reset_b;
	access_hook = hook;
	send(A, B, 100);
	run_all();
	assert_null(access_hook);
	assert_int_equal(result_of_hook, ERR_AGAIN);
	assert_true(is_sent(A));
	ring_guest = B;
	assert_int_equal(try_wr(R_STATUS, 4, 0), 0);
}

static void send_amid_reset(void)
{
	send(A, B, 100);
	virtio_device_work(&nets[A].device);
}

static void (*net_reset_op)(struct virtio_device *device, struct virtio_queue *queue);

static void hooked_reset(struct virtio_device *device, struct virtio_queue *queue)
{
	if (queue == &device->queues[0])
		send_amid_reset();
	ring_guest = B;
	net_reset_op(device, queue);
}

/* Who finds it taken by a reset is not told when that has ended, and goes on all the same. */
static void test_send_amid_reset(void **state)
{
	struct virtio_ops ops = *nets[B].device.type.ops;

	(void)state;
	net_reset_op = ops.reset;
	ops.reset = hooked_reset;
	nets[B].device.type.ops = &ops;
	ring_guest = B;
	wr(R_STATUS, 0);
	run_all();
	assert_false(is_sent(A));
	fire_timer();
	run_all();
	assert_true(is_sent(A));
	assert_int_equal(nets[B].port.counts.dropped, 1);
	nets[B].device.type.ops = nets[A].device.type.ops;
}

/* What is left of a frame is not for who comes after a reset. */
static void test_reset_between_pieces(void **state)
{
	(void)state;
	begin_guest(A, PLAIN | F_CSUM | F_HOST_TSO4);
	offer(B, 0, 1526);
	put_frame(A, B, 3054);
	make_tcp(3054);
	put_header(1, 1000);
	driver_offer(&tx[A], 0);
	notify(A, 1);
	run_all();
	assert_false(is_sent(A));
	begin_guest(B, PLAIN | F_GUEST_CSUM);
	offer(B, 0, 1526);
	offer(B, 1, 1526);
	notify(B, 0);
	run_all();
	assert_true(is_sent(A));
	assert_true(receives_nothing(B));
}

static void send_from_c(void)
{
	send(C, B, 200);
	virtio_device_work(&nets[C].device);
}

/* Two send to one at the same time: nobody waits, and nothing is lost. */
static void test_two_senders(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++)
		offer(B, i, 1526);
	in_midst = send_from_c;
	access_hook = hook;
	put_frame(A, B, 100);
	driver_offer(&tx[A], 0);
	driver_offer(&tx[A], 0);
	driver_offer(&tx[A], 0);
	notify(A, 1);
	virtio_device_work(&nets[A].device);
	assert_null(access_hook);
	/* The first one does not go on before the other had its turn. */
	assert_true(!is_sent(A) && !is_sent(C));
	assert_received(B, A, B, 100);
	assert_true(receives_nothing(B));
	run_all();
	assert_received(B, C, B, 200);
	assert_received(B, A, B, 100);
	assert_received(B, A, B, 100);
	assert_true(is_sent(A) && is_sent(A) && is_sent(A) && is_sent(C));
	for (unsigned i = 0; i < RING_GUESTS; i++) {
		assert_int_equal(nets[i].device.queues[0].work, 0);
		assert_int_equal(nets[i].device.queues[1].work, 0);
	}
}

static void send_from_b(void)
{
	send(B, A, 200);
	virtio_device_work(&nets[B].device);
}

static void test_each_other(void **state)
{
	(void)state;
	offer(A, 0, 1526);
	offer(B, 0, 1526);
	in_midst = send_from_b;
	access_hook = hook;
	send(A, B, 100);
	virtio_device_work(&nets[A].device);
	assert_received(A, B, A, 200);
	assert_received(B, A, B, 100);
	run_all();
	assert_true(is_sent(A) && is_sent(B));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_quiesce_while_receiving, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_quiesce_while_waited_for, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_reset_while_receiving, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_send_amid_reset, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_reset_between_pieces, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_two_senders, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_each_other, setup_plain, teardown),
	};

	return cmocka_run_group_tests_name("virtio_net_races", tests, NULL, NULL);
}
