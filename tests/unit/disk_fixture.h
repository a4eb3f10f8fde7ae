/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_DISK_FIXTURE_H
#define TESTS_UNIT_DISK_FIXTURE_H

/*
 * A disk with three clients, and a driver that asserts what driver/disk_driver.h promises. For one
 * source file of a test program.
 */

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
static inline void complete(unsigned count)
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

static inline void submit(unsigned client, unsigned first, unsigned count)
{
	for (unsigned i = first; i < first + count; i++)
		disk_submit(&clients[client], make(client, i, DISK_READ));
}

#endif
