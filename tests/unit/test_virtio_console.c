/* SPDX-License-Identifier: MIT */
/* unit: device/virtio/console.c device/virtio/rng.c device/virtio/device.c device/virtio/mmio.c device/virtio/vring.c */
#include "tests/unit/virtio_fixture.h"

#include "device/virtio/console.h"
#include "device/virtio/rng.h"

#define RING_IN  (RAM_BASE + 0x1000)
#define RING_OUT (RAM_BASE + 0x2000)
#define BUFFERS  (RAM_BASE + 0x10000)
#define SIZE     8

static struct virtio_console console;
static struct rng rng;
static struct ring_driver in, out;
static uint8_t sent[4096];
static unsigned sent_count, drained;

static void note_output(void *context, const uint8_t *bytes, unsigned count)
{
	assert_ptr_equal(context, &console);
	preempt_point();
	assert_in_range(count, 1, sizeof(sent) - sent_count);
	memcpy(sent + sent_count, bytes, count);
	sent_count += count;
}

static void note_drained(void *context)
{
	assert_ptr_equal(context, &console);
	preempt_point();
	drained++;
}

static int setup(void **state)
{
	static const struct virtio_console_line connection = {note_output, note_drained, &console};

	(void)state;
	guest_reset();
	slot.device = &console.device;
	virtio_console_init(&console, &connection, &ring_vm, (struct irq_line){0}, false);
	console.device.irq = test_line();
	plug(&console.device);
	unlocked[1] = &console.lock;
	begin_setup(console.device.features);
	in = set_queue(0, RING_IN, SIZE);
	out = set_queue(1, RING_OUT, SIZE);
	finish_setup();
	sent_count = drained = 0;
	return 0;
}

static void test_features(void **state)
{
	(void)state;
	assert_int_equal(rd(R_DEVICE_ID), 3);
	assert_int_equal((uint32_t)console.device.features & 0xffffff, 4);
	assert_int_equal(rd(R_CONFIG), 0);
	assert_int_equal(rd(R_CONFIG + 8), 0);
	assert_int_equal(rd(R_CONFIG + 12), UINT32_MAX);
}

static void test_output(void **state)
{
	uint32_t head, written;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		guest_put(BUFFERS + i, i * 3, 1);
	driver_describe(&out, 0, BUFFERS, 700, D_NEXT, 1);
	driver_describe(&out, 1, BUFFERS + 700, 300, 0, 0);
	driver_offer(&out, 0);
	wr(R_NOTIFY, 1);
	run_all();
	assert_int_equal(sent_count, 1000);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(sent[i], (uint8_t)(i * 3));
	assert_true(driver_take(&out, &head, &written));
	assert_int_equal(written, 0);
	/* Nothing to read in it, and nothing is sent. */
	driver_describe(&out, 0, BUFFERS, 8, D_WRITE, 0);
	driver_offer(&out, 0);
	wr(R_NOTIFY, 1);
	run_all();
	assert_int_equal(sent_count, 1000);
	assert_true(driver_take(&out, &head, &written));
}

static void test_early_byte(void **state)
{
	(void)state;
	wr(R_STATUS, 0);
	wr(R_CONFIG + 8, 'x');
	assert_int_equal(try_wr(R_CONFIG + 8, 1, 'y'), 0);
	assert_int_equal(try_wr(R_CONFIG + 4, 4, 'z'), 0);
	assert_int_equal(sent_count, 1);
	assert_int_equal(sent[0], 'x');
}

static void offer_input(unsigned n, uint32_t size)
{
	driver_describe(&in, n, BUFFERS + 64 * n, size, D_WRITE, 0);
	driver_offer(&in, n);
}

static void test_input(void **state)
{
	uint32_t head, written;

	(void)state;
	offer_input(0, 16);
	offer_input(1, 16);
	wr(R_NOTIFY, 0);
	run_all();
	/* A buffer is kept until there is something to put into it. */
	assert_false(driver_take(&in, &head, &written));
	assert_true(virtio_console_receive(&console, 'a', false));
	assert_true(virtio_console_receive(&console, 'b', false));
	run_all();
	assert_true(driver_take(&in, &head, &written));
	assert_int_equal(head, 0);
	assert_int_equal(written, 2);
	assert_int_equal(guest_get(BUFFERS, 3), 0x6261);
	assert_int_equal(drained, 0);
	assert_true(line);
	assert_true(virtio_console_receive(&console, 'c', true));
	run_all();
	assert_true(driver_take(&in, &head, &written));
	assert_int_equal(guest_get(BUFFERS + 64, 1), 'c');
	assert_int_equal(drained, 1);
}

static void test_input_without_room(void **state)
{
	uint32_t head, written;

	(void)state;
	for (unsigned i = 0; i < VIRTIO_CONSOLE_FIFO; i++)
		assert_true(virtio_console_receive(&console, (uint8_t)i, false));
	assert_false(virtio_console_receive(&console, 0xff, false));
	run_all();
	assert_int_equal(drained, 0);
	offer_input(0, 10);
	offer_input(1, 100);
	wr(R_NOTIFY, 0);
	run_all();
	assert_int_equal(drained, 1);
	assert_true(driver_take(&in, &head, &written));
	assert_int_equal(written, 10);
	assert_true(driver_take(&in, &head, &written));
	assert_int_equal(written, VIRTIO_CONSOLE_FIFO - 10);
	for (unsigned i = 10; i < VIRTIO_CONSOLE_FIFO; i++)
		assert_int_equal(guest_get(BUFFERS + 64 + i - 10, 1), i);
	/* A buffer that cannot be written to takes nothing. */
	driver_describe(&in, 2, BUFFERS, 4, 0, 0);
	driver_offer(&in, 2);
	virtio_console_receive(&console, 'q', false);
	run_all();
	assert_true(driver_take(&in, &head, &written));
	assert_int_equal(written, 0);
	offer_input(0, 10);
	wr(R_NOTIFY, 0);
	run_all();
	assert_int_equal(guest_get(BUFFERS, 1), 'q');
}

static void test_take(void **state)
{
	uint8_t byte;

	(void)state;
	assert_false(virtio_console_take(&console, &byte));
	virtio_console_receive(&console, 'k', true);
	assert_true(virtio_console_take(&console, &byte));
	assert_int_equal(byte, 'k');
	assert_int_equal(drained, 1);
	assert_false(virtio_console_take(&console, &byte));
}

/* What waited for a driver that goes is lost; who was refused is told that there is room. */
static void test_reset(void **state)
{
	uint8_t byte;

	(void)state;
	virtio_console_receive(&console, 'k', true);
	wr(R_STATUS, 0);
	assert_false(virtio_console_take(&console, &byte));
	assert_int_equal(drained, 1);
}

/*
 * The source of randomness.
 */

static struct entropy_request *asked;
static unsigned users, sent_back;

bool host_entropy_attach(void)
{
	users++;
	return true;
}

void host_entropy_detach(void)
{
	users--;
}

void host_entropy_read(struct entropy_request *request)
{
	preempt_point();
	assert_null(asked);
	asked = request;
}

bool host_entropy_cancel(struct entropy_request *request)
{
	bool waited = asked != NULL && !sent_back;

	assert_ptr_equal(request, &rng.request);
	if (waited)
		asked = NULL;
	return waited;
}

static void answer(unsigned count)
{
	uint8_t bytes[2 * ENTROPY_BYTES_MAX];
	struct entropy_request *request = asked;

	memset(bytes, 0x5a, sizeof(bytes));
	asked = NULL;
	request->done(request, bytes, count);
	run_all();
}

static int rng_setup(void **state)
{
	(void)state;
	guest_reset();
	slot.device = &rng.device;
	assert_int_equal(rng_init(&rng, &ring_vm, (struct irq_line){0}, false), 0);
	rng.device.irq = test_line();
	plug(&rng.device);
	asked = NULL;
	sent_back = 0;
	users = 1;
	begin_setup(rng.device.features);
	in = set_queue(0, RING_IN, SIZE);
	finish_setup();
	return 0;
}

static void test_random(void **state)
{
	uint32_t head, written;

	(void)state;
	assert_int_equal(rd(R_DEVICE_ID), 4);
	assert_int_equal((uint32_t)rng.device.features & 0xffffff, 0);
	offer_input(0, 10);
	offer_input(1, 1000);
	offer_input(2, 1000);
	wr(R_NOTIFY, 0);
	run_all();
	assert_int_equal(asked->wanted, 10);
	assert_false(driver_take(&in, &head, &written));
	answer(10);
	assert_true(driver_take(&in, &head, &written));
	assert_int_equal(written, 10);
	assert_int_equal(guest_get(BUFFERS + 8, 4), 0x5a5a);
	assert_int_equal(asked->wanted, ENTROPY_BYTES_MAX);
	/* Fewer than were asked for; and a host that says it gave more gives no more. */
	answer(3);
	assert_true(driver_take(&in, &head, &written));
	assert_int_equal(written, 3);
	answer(2 * ENTROPY_BYTES_MAX);
	assert_true(driver_take(&in, &head, &written));
	assert_int_equal(written, ENTROPY_BYTES_MAX);
	/* Nothing of what a guest was given stays. */
	for (unsigned i = 0; i < ENTROPY_BYTES_MAX; i++)
		assert_int_equal(rng.buffer[i], 0);
}

static void test_random_fails(void **state)
{
	uint32_t head, written;

	(void)state;
	offer_input(0, 10);
	wr(R_NOTIFY, 0);
	run_all();
	answer(0);
	assert_true(driver_take(&in, &head, &written));
	assert_int_equal(written, 0);
	assert_int_equal(rng.device.queues[0].in_flight, 0);
	/* Nothing to write to. */
	driver_describe(&in, 1, BUFFERS, 4, 0, 0);
	driver_offer(&in, 1);
	wr(R_NOTIFY, 0);
	run_all();
	assert_true(driver_take(&in, &head, &written));
	assert_null(asked);
}

/* What the host has not answered yet is taken back; what it is about to is waited for. */
static void test_random_reset(void **state)
{
	uint32_t head, written;

	(void)state;
	for (sent_back = 0; sent_back < 2; sent_back++) {
		offer_input(0, 10);
		wr(R_NOTIFY, 0);
		run_all();
		assert_non_null(asked);
		assert_int_equal(try_wr(R_STATUS, 4, 0), ERR_AGAIN);
		run_all();
		if (sent_back)
			answer(10);
		assert_null(asked);
		wr(R_STATUS, 0);
		assert_false(driver_take(&in, &head, &written));
		assert_false(rng.popped);
		begin_setup(rng.device.features);
		in = set_queue(0, RING_IN, SIZE);
		finish_setup();
	}
}

static void test_random_quiesce(void **state)
{
	(void)state;
	offer_input(0, 10);
	wr(R_NOTIFY, 0);
	run_all();
	assert_int_equal(virtio_device_quiesce(&rng.device), ERR_AGAIN);
	run_all();
	assert_null(asked);
	assert_int_equal(virtio_device_quiesce(&rng.device), 0);
	assert_int_equal(users, 1);
	rng.device.type.ops->quit(&rng.device);
	assert_int_equal(users, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_features, setup),
	    cmocka_unit_test_setup(test_output, setup),
	    cmocka_unit_test_setup(test_early_byte, setup),
	    cmocka_unit_test_setup(test_input, setup),
	    cmocka_unit_test_setup(test_input_without_room, setup),
	    cmocka_unit_test_setup(test_take, setup),
	    cmocka_unit_test_setup(test_reset, setup),
	    cmocka_unit_test_setup(test_random, rng_setup),
	    cmocka_unit_test_setup(test_random_fails, rng_setup),
	    cmocka_unit_test_setup(test_random_reset, rng_setup),
	    cmocka_unit_test_setup(test_random_quiesce, rng_setup),
	};

	return cmocka_run_group_tests_name("virtio_console", tests, NULL, NULL);
}
