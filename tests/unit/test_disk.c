/* SPDX-License-Identifier: MIT */
/* unit: driver/disk.c kernel/heap.c */
#include "tests/unit/disk_fixture.h"

static unsigned at_device(unsigned client)
{
	unsigned count = 0;

	for (unsigned i = 0; i < device.count; i++)
		count += device.requests[i]->client == &clients[client];
	return count;
}

static void test_one(void **state)
{
	struct host_disk_counts counts;

	(void)state;
	disk_submit(&clients[1], make(1, 0, DISK_WRITE));
	assert_int_equal(device.count, 1);
	assert_int_equal(device.told, 1);
	assert_int_equal(disk_client_in_flight(&clients[1]), 1);
	assert_null(queued_job);
	complete(1);
	assert_int_equal(back_count, 1);
	assert_int_equal(last_error, 0);
	assert_int_equal(disk_client_in_flight(&clients[1]), 0);
	host_disk_counts(&disk, &counts);
	assert_int_equal(counts.requests, 1);
	assert_int_equal(counts.written_bytes, 4096);
	assert_int_equal(counts.read_bytes, 0);
	assert_int_equal(counts.errors, 0);
}

/* One alone may fill the device, but for what is kept free. In its own order. */
static void test_alone(void **state)
{
	(void)state;
	submit(0, 0, 100);
	assert_int_equal(device.count, DEPTH - 8);
	for (unsigned i = 0; i < 100; i++) {
		complete(1);
		assert_ptr_equal(last_back, &requests[0][i]);
	}
	assert_int_equal(back_count, 100);
	assert_int_equal(device.count, 0);
	assert_int_equal(device.most, DEPTH - 8);
}

/* One that asks for little is let in at once, and does not wait behind much the next time. */
static void test_light(void **state)
{
	unsigned waited = 0;

	(void)state;
	submit(0, 0, 200);
	submit(1, 0, 1);
	assert_int_equal(device.count, DEPTH - 7);
	complete(DEPTH - 7);
	assert_ptr_equal(last_back, &requests[1][0]);
	now += 1000;
	assert_true(device.count <= 16);
	submit(1, 1, 1);
	assert_ptr_equal(device.requests[device.count - 1], &requests[1][1]);
	while (last_back != &requests[1][1]) {
		complete(1);
		waited++;
	}
	assert_true(waited <= 17);
	/* When it has been away for long the other has all again. */
	now += platform.timebase;
	complete(1);
	assert_true(device.count > 16);
}

/* Large requests: few of them are ahead. */
static void test_bytes(void **state)
{
	struct virtqueue_buffer pieces[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		pieces[i] = (struct virtqueue_buffer){HPA(0x1000), 8192};
	disk.info.sectors_max = 8192;
	disk.info.piece_max = UINT32_MAX;
	for (unsigned i = 0; i < 3; i++)
		pieces[i].length = 100 * DISK_SECTOR;
	pieces[3].length = 700 * DISK_SECTOR;
	submit(1, 0, 1);
	for (unsigned i = 0; i < 20; i++) {
		struct disk_request *request = make(0, i, DISK_READ);

		request->sector = 0;
		request->sectors = 1000;
		request->pieces = pieces;
		request->piece_count = 4;
		disk_submit(&clients[0], request);
	}
	/* 500 KiB each: one while the other waits for 4 KiB, then up to what passes 1 MiB. */
	assert_int_equal(at_device(0), 1);
	complete(1);
	assert_int_equal(served[1], 1);
	assert_int_equal(at_device(0), 3);
}

static void run_shares(unsigned first, unsigned second, unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		complete(1);
		assert_true(device.count <= 18);
	}
	assert_in_range(served[first] * 100, 290 * served[second], 310 * served[second]);
}

static void test_weights(void **state)
{
	(void)state;
	clients[0].weight = 300;
	submit(1, 0, 2);
	submit(0, 0, 2);
	complete(4);
	served[0] = served[1] = 0;
	submit(1, 2, EACH - 2);
	submit(0, 2, EACH - 2);
	/* What came first had the device alone, and has that many there. */
	for (unsigned i = 0; i < 100; i++)
		complete(1);
	served[0] = served[1] = 0;
	run_shares(0, 1, 200);
}

static void submit_again(struct disk_request *request)
{
	if (back_count < 1000)
		disk_submit(request->client, request);
}

/* One that has few requests at a time has its share all the same, beside one that has many. */
static void test_few(void **state)
{
	(void)state;
	for (unsigned few = 2; few < 8; few++) {
		for (unsigned weight = 50; weight <= 200; weight *= 2) {
			setup(NULL);
			at_done = submit_again;
			clients[1].weight = weight;
			submit(0, 0, 32);
			submit(1, 0, few);
			/* What came first had the device alone. */
			while (back_count < 60)
				complete(1);
			served[0] = served[1] = 0;
			while (back_count < 900)
				complete(1);
			assert_in_range(served[1] * 10000 / served[0], 97 * weight, 103 * weight);
			assert_true(device.most <= DEPTH);
		}
	}
}

/* Who did nothing for a while gets no more for it later. */
static void test_no_credit(void **state)
{
	(void)state;
	submit(0, 0, 300);
	while (served[0] < 200)
		complete(1);
	submit(1, 0, 300);
	submit(0, 300, 100);
	while (device.count > 17)
		complete(1);
	served[0] = served[1] = 0;
	for (unsigned i = 0; i < 100; i++)
		complete(1);
	assert_in_range(served[0], 40, 60);
}

static void test_cancel(void **state)
{
	(void)state;
	submit(0, 0, 100);
	submit(1, 0, 30);
	disk_client_cancel(&clients[0]);
	run_jobs();
	assert_int_equal(errors[0], 100 - (DEPTH - 8));
	assert_int_equal(last_error, ERR_AGAIN);
	assert_int_equal(disk_client_in_flight(&clients[0]), DEPTH - 8);
	assert_int_equal(disk_client_in_flight(&clients[1]), 30);
	disk_client_cancel(&clients[0]);
	while (device.count)
		complete(device.count);
	assert_int_equal(served[0], DEPTH - 8);
	assert_int_equal(served[1], 30);
	assert_int_equal(disk_client_in_flight(&clients[0]), 0);
	/* It goes on as before. */
	submit(0, 0, 1);
	complete(1);
	assert_int_equal(served[0], DEPTH - 7);
}

/* All come back, at the device or not, and all later ones. */
static void test_failure(void **state)
{
	(void)state;
	for (unsigned at = 0; at < 70; at++) {
		setup(NULL);
		submit(0, 0, 100);
		submit(2, 0, 5);
		for (unsigned i = 0; i < at; i++)
			complete(1);
		device.breaks = true;
		interrupt();
		run_jobs();
		assert_int_equal(back_count, 105);
		assert_int_equal(served[0] + served[2], at);
		assert_int_equal(device.count, 0);
		assert_non_null(strstr(messages, "virtio-blk0"));
		submit(1, 0, 50);
		run_jobs();
		assert_int_equal(errors[1], 50);
		assert_int_equal(last_error, ERR_IO);
		for (unsigned i = 0; i < CLIENTS; i++)
			assert_int_equal(disk_client_in_flight(&clients[i]), 0);
		assert_int_equal(disk.busy, 0);
	}
}

/* The device has no room, though it may be given more: it is tried again when it is done. */
static void test_full(void **state)
{
	(void)state;
	submit(0, 0, 2);
	device.full = true;
	submit(0, 2, 3);
	assert_int_equal(device.count, 2);
	device.full = false;
	complete(1);
	assert_int_equal(device.count, 4);
	complete(4);
	assert_int_equal(served[0], 5);
}

static void test_again_and_again(void **state)
{
	(void)state;
	at_done = submit_again;
	submit(0, 0, 100);
	while (device.count)
		complete(1 + device.count / 3);
	assert_int_equal(disk_client_in_flight(&clients[0]), 0);
	assert_true(back_count >= 1000);
}

static void interrupt_again(struct disk_request *request)
{
	unsigned before = back_count;

	(void)request;
	device.done = device.count > 0;
	host_disk_interrupted(&disk);
	assert_int_equal(back_count, before);
}

/* An interrupt in the midst of it leaves its work to who is at it. */
static void test_nested(void **state)
{
	(void)state;
	at_done = interrupt_again;
	submit(0, 0, 20);
	device.done = 1;
	interrupt();
	run_jobs();
	assert_int_equal(back_count, 20);
}

/* Anything at any time, and the sums are right. */
static void test_random(void **state)
{
	unsigned submitted = 0;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		unsigned client = fake_random_below(CLIENTS), in_flight = 0;

		now += fake_random_below(30000);
		switch (fake_random_below(8)) {
		case 0:
			if (queued_job) {
				struct job *job = queued_job;

				queued_job = NULL;
				if (job->step(job) == ERR_AGAIN)
					queued_job = job;
			}
			break;
		case 1:
			device.done = device.count ? fake_random_below(device.count + 1) : 0;
			host_disk_interrupted(&disk);
			break;
		case 2:
			if (fake_random_below(20) == 0)
				disk_client_cancel(&clients[client]);
			break;
		default:
			if (disk_client_in_flight(&clients[client]) == 0)
				for (unsigned n = 0; n < 1 + fake_random_below(80);
				     n++, submitted++)
					disk_submit(
					    &clients[client],
					    make(client, n,
						 (enum disk_operation)fake_random_below(4)));
		}
		for (unsigned n = 0; n < CLIENTS; n++)
			in_flight += disk_client_in_flight(&clients[n]);
		assert_int_equal(submitted, back_count + in_flight);
	}
	run_jobs();
	while (device.count)
		complete(device.count);
	assert_int_equal(submitted, back_count);
	assert_int_equal(disk.busy + disk.started + disk.bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_one, setup),
	    cmocka_unit_test_setup(test_alone, setup),
	    cmocka_unit_test_setup(test_light, setup),
	    cmocka_unit_test_setup(test_bytes, setup),
	    cmocka_unit_test_setup(test_weights, setup),
	    cmocka_unit_test_setup(test_few, setup),
	    cmocka_unit_test_setup(test_no_credit, setup),
	    cmocka_unit_test_setup(test_cancel, setup),
	    cmocka_unit_test_setup(test_failure, setup),
	    cmocka_unit_test_setup(test_full, setup),
	    cmocka_unit_test_setup(test_again_and_again, setup),
	    cmocka_unit_test_setup(test_nested, setup),
	    cmocka_unit_test_setup(test_random, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
