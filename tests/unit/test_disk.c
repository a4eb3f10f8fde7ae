/* SPDX-License-Identifier: MIT */
/* unit: driver/disk.c kernel/heap.c */
#include "tests/unit/fake_kernel.h"

#include "driver/disk_driver.h"

#define DEPTH   64
#define CLIENTS 3
#define EACH    400
#define SECTORS 8 /* of a request: 4 KiB */

static struct host_disk disk;
static struct disk_client clients[CLIENTS];
static struct disk_request requests[CLIENTS][EACH];
static struct virtqueue_buffer piece = {{0x1000}, SECTORS *DISK_SECTOR};
static const char *other;

/* What came back. */
static unsigned back_count, errors[CLIENTS], served[CLIENTS];
static int last_error;
static struct disk_request *last_back;
static void (*at_done)(struct disk_request *request);

/* The device: what it has, first come first served. */
static struct {
	struct disk_request *requests[DEPTH];
	unsigned count, told, most;
	unsigned done; /* of them, so many are done */
	bool breaks, full;
} device;

/* The queue of jobs. */
static struct job *queued_job;

void schedule_job(struct job *job, int (*step)(struct job *job))
{
	assert_true(spin_trylock(&disk.lock));
	spin_unlock(&disk.lock);
	assert_null(queued_job);
	job->step = step;
	queued_job = job;
}

static uint64_t now;

uint64_t time_now(void)
{
	return now;
}

static void assert_locked(void)
{
	assert_false(spin_trylock(&disk.lock));
}

static int start(struct host_disk *its, struct disk_request *request)
{
	assert_locked();
	assert_ptr_equal(its, &disk);
	if (device.full)
		return ERR_AGAIN;
	assert_true(device.count < DEPTH);
	device.requests[device.count++] = request;
	if (device.count > device.most)
		device.most = device.count;
	return 0;
}

static void tell(struct host_disk *its)
{
	(void)its;
	assert_locked();
	device.told++;
}

static void take_first(int error)
{
	struct disk_request *request = device.requests[0];

	device.count--;
	memmove(device.requests, device.requests + 1, device.count * sizeof(request));
	host_disk_finish(&disk, request, error);
}

static int take(struct host_disk *its, bool *more)
{
	(void)its;
	assert_locked();
	for (unsigned i = 0; i < 16 && device.done > 0; i++) {
		device.done--;
		take_first(0);
	}
	*more = device.done > 0;
	return device.breaks ? ERR_IO : 0;
}

static bool give_up(struct host_disk *its)
{
	(void)its;
	assert_locked();
	for (unsigned i = 0; i < 10 && device.count > 0; i++)
		take_first(ERR_IO);
	return device.count > 0;
}

static const struct host_disk_driver driver = {start, tell, take, give_up};

static void done(struct disk_request *request, int error)
{
	unsigned client = (unsigned)(request->client - clients);

	assert_true(spin_trylock(&disk.lock));
	spin_unlock(&disk.lock);
	back_count++;
	served[client] += !error;
	errors[client] += error != 0;
	last_error = error;
	last_back = request;
	if (at_done)
		at_done(request);
}

static void run_jobs(void)
{
	while (queued_job) {
		struct job *job = queued_job;
		unsigned before = back_count;
		int error;

		queued_job = NULL;
		error = job->step(job);
		assert_true(back_count - before <= 4);
		if (error == ERR_AGAIN) {
			assert_null(queued_job);
			queued_job = job;
		}
	}
}

static void interrupt(void)
{
	unsigned before = back_count;

	host_disk_interrupted(&disk);
	assert_true(back_count - before <= 2);
}

/* The device is done with the first `count` that it has; all of that is dealt with. */
static void complete(unsigned count)
{
	assert_true(count <= device.count);
	device.done = count;
	interrupt();
	run_jobs();
	assert_int_equal(device.done, 0);
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	while (host_disk_count()) {
		list_init(&host_disk_by_index(0)->clients);
		host_disk_remove(host_disk_by_index(0));
	}
	memset(&device, 0, sizeof(device));
	memset(served, 0, sizeof(served));
	memset(errors, 0, sizeof(errors));
	back_count = 0;
	last_error = 1;
	at_done = NULL;
	queued_job = NULL;
	now = 1000000;
	platform.timebase = 10000000;
	disk = (struct host_disk){
	    .driver = &driver,
	    .depth = DEPTH,
	    .info = {.name = "virtio-blk0",
		     .path = "/soc/virtio@1000",
		     .sectors = 100000,
		     .block_size = 512,
		     .can_flush = true,
		     .can_discard = true,
		     .sectors_max = 1000,
		     .segments_max = 4,
		     .piece_max = 8192,
		     .discard_max = 500},
	};
	assert_int_equal(host_disk_add(&disk), 0);
	for (unsigned i = 0; i < CLIENTS; i++) {
		clients[i] = (struct disk_client){.disk = &disk,
						  .name = "web",
						  .weight = 100,
						  .first = i * 10000,
						  .sectors = 10000};
		assert_int_equal(disk_client_init(&clients[i], &other), 0);
	}
	return 0;
}

static struct disk_request *make(unsigned client, unsigned i, enum disk_operation operation)
{
	requests[client][i] = (struct disk_request){
	    .operation = operation,
	    .sector = i * SECTORS,
	    .sectors = SECTORS,
	    .pieces = &piece,
	    .piece_count = 1,
	    .done = done,
	};
	return &requests[client][i];
}

static void submit(unsigned client, unsigned first, unsigned count)
{
	for (unsigned i = first; i < first + count; i++)
		disk_submit(&clients[client], make(client, i, DISK_READ));
}

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
	/* 500 KiB each, up to what passes 1 MiB. */
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

static void assert_refused(struct disk_request *request, int error)
{
	unsigned before = back_count, started = device.most;

	disk_submit(&clients[0], request);
	assert_int_equal(back_count, before);
	run_jobs();
	assert_int_equal(back_count, before + 1);
	assert_int_equal(last_error, error);
	assert_int_equal(device.most, started);
	assert_int_equal(disk_client_in_flight(&clients[0]), 0);
}

static void test_what_is_wrong(void **state)
{
	struct virtqueue_buffer pieces[5] = {
	    {{0x1000}, 512}, {{0x1000}, 512}, {{0x1000}, 512}, {{0x1000}, 512}, {{0x1000}, 512}};
	struct disk_request *request;

	(void)state;
#define REFUSED(operation, error, ...)            \
	do {                                      \
		request = make(0, 0, operation);  \
		__VA_ARGS__;                      \
		assert_refused(request, (error)); \
	} while (0)
	REFUSED(DISK_READ, ERR_RANGE, request->sector = 10000);
	REFUSED(DISK_READ, ERR_RANGE, request->sector = 9993);
	REFUSED(DISK_READ, ERR_RANGE, request->sector = UINT64_MAX);
	REFUSED(DISK_DISCARD, ERR_RANGE, request->sectors = UINT32_MAX);
	REFUSED(DISK_READ, ERR_INVAL, request->sectors = 0);
	REFUSED(DISK_READ, ERR_INVAL, request->sectors = 7);
	REFUSED(DISK_READ, ERR_INVAL, request->sectors = 9);
	REFUSED(DISK_READ, ERR_INVAL, request->piece_count = 0);
	REFUSED(DISK_READ, ERR_INVAL, request->pieces = pieces; request->piece_count = 5;
		request->sectors = 5);
	REFUSED(DISK_READ, ERR_INVAL, request->pieces = pieces; request->piece_count = 2;
		request->sectors = 1; pieces[1].length = 0);
	REFUSED(DISK_READ, ERR_INVAL, request->pieces = pieces; request->piece_count = 1;
		request->sectors = 17; pieces[0].length = 17 * 512);
	REFUSED(DISK_DISCARD, ERR_INVAL, request->sectors = 501);
	REFUSED(DISK_WRITE_ZEROES, ERR_NOSYS, (void)0);
	REFUSED((enum disk_operation)77, ERR_INVAL, (void)0);
	clients[0].read_only = true;
	REFUSED(DISK_WRITE, ERR_DENIED, (void)0);
	REFUSED(DISK_DISCARD, ERR_DENIED, (void)0);
	disk.info.block_size = 4096;
	REFUSED(DISK_READ, ERR_INVAL, request->sector = 4);
	disk.info.can_flush = false;
	REFUSED(DISK_FLUSH, 0, (void)0);
	assert_int_equal(device.told, 0);
#undef REFUSED
}

static void test_slices(void **state)
{
	struct disk_client client = {.disk = &disk, .name = "db", .weight = 1};
	struct disk_client reader = {.disk = &disk, .name = "x", .weight = 1, .read_only = true};

	(void)state;
	client.first = 100000;
	assert_int_equal(disk_client_init(&client, &other), ERR_RANGE);
	client.first = 99999;
	client.sectors = 2;
	assert_int_equal(disk_client_init(&client, &other), ERR_RANGE);
	client.sectors = UINT64_MAX;
	assert_int_equal(disk_client_init(&client, &other), ERR_RANGE);
	client.first = 29999;
	client.sectors = 0;
	assert_int_equal(disk_client_init(&client, &other), ERR_EXIST);
	assert_string_equal(other, "web");
	client.first = 30000;
	client.sectors = 0;
	client.read_only = true;
	assert_int_equal(disk_client_init(&client, &other), 0);
	assert_int_equal(client.sectors, 70000);
	reader.first = 29999;
	assert_int_equal(disk_client_init(&reader, &other), ERR_EXIST);
	reader.first = 30000;
	reader.sectors = 0;
	assert_int_equal(disk_client_init(&reader, &other), 0);
	assert_int_equal(host_disk_remove(&disk), ERR_EXIST);
	disk_client_quit(&client);
	disk_client_quit(&reader);
	disk.info.read_only = true;
	client.read_only = false;
	assert_int_equal(disk_client_init(&client, &other), ERR_DENIED);
	disk.info.read_only = false;
	disk.info.block_size = 4096;
	client.first = 30001;
	client.sectors = 0;
	assert_int_equal(disk_client_init(&client, &other), ERR_RANGE);
	assert_ptr_equal(host_disk_by_name("/soc/virtio@1000"), &disk);
	assert_ptr_equal(host_disk_by_name("virtio-blk0"), &disk);
	assert_null(host_disk_by_name("virtio-blk1"));
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

static void submit_again(struct disk_request *request)
{
	if (back_count < 1000)
		disk_submit(request->client, request);
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
	    cmocka_unit_test_setup(test_no_credit, setup),
	    cmocka_unit_test_setup(test_what_is_wrong, setup),
	    cmocka_unit_test_setup(test_slices, setup),
	    cmocka_unit_test_setup(test_cancel, setup),
	    cmocka_unit_test_setup(test_failure, setup),
	    cmocka_unit_test_setup(test_full, setup),
	    cmocka_unit_test_setup(test_again_and_again, setup),
	    cmocka_unit_test_setup(test_nested, setup),
	    cmocka_unit_test_setup(test_random, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
