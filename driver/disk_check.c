/* SPDX-License-Identifier: MIT */

#include "driver/disk_check.h"

#ifdef PILAE_CHECK_DISKS

#include "driver/disk.h"
#include "driver/entropy.h"
#include "kernel/error.h"
#include "kernel/hart.h"
#include "kernel/log.h"
#include "kernel/mmu.h"
#include "kernel/page.h"
#include "kernel/trap.h"
#include "vmm/copy.h"
#include "vmm/schedule.h"

#define REQUESTS 150 /* more than fit into a queue */
#define BYTES    KIB(8)
#define SECTORS  (BYTES / DISK_SECTOR)
#define PIECES   3
#define ROOM     (BYTES + 64) /* so that buffers have any alignment */
#define AREA     (REQUESTS * ROOM)

struct piece_of_work {
	struct disk_request request;
	struct virtqueue_buffer pieces[PIECES];
	int error;
};

enum phase { WRITE, FLUSH, READ, ZERO, READ_ZEROES, DISCARD, READ_ONLY, OUTSIDE, END };
static const char *const phases[] = {
    "write",  "flush", "read", "write zeroes", "read zeroes", "discard", "write to read-only",
    "outside"};

static struct {
	struct job job;
	struct disk_client client;
	unsigned disk;
	enum phase phase;
	unsigned left; /* requests that have not come back; the boot hart's */
	unsigned count;
	bool failed;
	uint8_t *written, *read;
	struct piece_of_work works[REQUESTS];
	struct entropy_request entropy;
} check;

static uint8_t *buffer(uint8_t *area, unsigned i)
{
	return area + i * ROOM + i % 61;
}

static int step(struct job *job);

static void done(struct disk_request *request, int error)
{
	container_of(request, struct piece_of_work, request)->error = error;
	if (--check.left == 0)
		schedule_job(&check.job, step);
}

/* All over the disk, in no order. */
static uint64_t place(unsigned i)
{
	uint64_t places = host_disk_info(check.client.disk)->sectors / SECTORS;

	return i * UINT64_C(7) % REQUESTS * (places / REQUESTS) * SECTORS;
}

static void submit(void *argument)
{
	disk_submit(&check.client, argument);
}

static void prepare(struct piece_of_work *work, unsigned i, enum disk_operation operation)
{
	uint8_t *start = buffer(operation == DISK_READ ? check.read : check.written, i);
	hpa_t at = pointer_to_hpa(start);

	work->pieces[0] = (struct virtqueue_buffer){at, 1000 + i};
	work->pieces[1] = (struct virtqueue_buffer){HPA(at.v + 1000 + i), 1};
	work->pieces[2] =
	    (struct virtqueue_buffer){HPA(at.v + 1001 + i), (uint32_t)(BYTES - 1001 - i)};
	work->error = 1;
	work->request = (struct disk_request){
	    .operation = operation,
	    .sector = place(i),
	    .sectors = SECTORS,
	    .pieces = work->pieces,
	    .piece_count = PIECES,
	    .done = done,
	};
	/* One piece may be all that the disk takes. */
	if (host_disk_info(check.client.disk)->segments_max < PIECES) {
		work->pieces[0].length = BYTES;
		work->request.piece_count = 1;
	}
}

/* From all harts in turn. */
static void submit_all(unsigned count, enum disk_operation operation)
{
	check.count = check.left = count;
	for (unsigned i = 0; i < count; i++) {
		prepare(&check.works[i], i, operation);
		preempt_point();
	}
	for (unsigned i = 0; i < count; i++) {
		hart_call(hart_by_index(i % hart_count()), submit, &check.works[i].request);
		preempt_point();
	}
}

static void submit_outside(void)
{
	check.count = check.left = 1;
	prepare(&check.works[0], 0, DISK_READ);
	check.works[0].request.sector = check.client.sectors - SECTORS + 1;
	submit(&check.works[0].request);
}

static void make_pattern(void)
{
	for (unsigned i = 0; i < AREA; i++) {
		check.written[i] = (uint8_t)(i * 31 + (i >> 8) * 17 + check.disk);
		if (i % 1024 == 0)
			preempt_point();
	}
	for (unsigned i = 0; i < AREA; i += PAGE_SIZE) {
		clear_bytes(check.read + i, min_u64(PAGE_SIZE, AREA - i));
		preempt_point();
	}
}

/* What was read is what was written, or zeroes. */
static bool is_right(unsigned i, bool zeroes)
{
	const uint8_t *read = buffer(check.read, i), *written = buffer(check.written, i);

	for (unsigned n = 0; n < BYTES; n++) {
		if (n % 1024 == 0)
			preempt_point();
		if (read[n] != (zeroes ? 0 : written[n]))
			return false;
	}
	return true;
}

static void judge(void)
{
	int expected = check.phase == OUTSIDE     ? ERR_RANGE
		       : check.phase == READ_ONLY ? ERR_DENIED
						  : 0;

	for (unsigned i = 0; i < check.count; i++) {
		bool compare = check.phase == READ || check.phase == READ_ZEROES;

		if (check.works[i].error == expected &&
		    (!compare || is_right(i, check.phase == READ_ZEROES)))
			continue;
		log_info("not ok disk %s: %s, request %u: %s",
			 host_disk_info(check.client.disk)->name, phases[check.phase], i,
			 check.works[i].error == expected ? "wrong contents"
							  : error_string(check.works[i].error));
		check.failed = true;
		return;
	}
}

/* Whether this phase means anything with this disk. */
static bool applies(const struct host_disk_info *info, enum phase phase)
{
	switch (phase) {
	case ZERO:
	case READ_ZEROES:
		return info->can_write_zeroes;
	case DISCARD:
		return info->can_discard;
	case READ_ONLY:
		return info->read_only;
	case OUTSIDE:
	case FLUSH:
		return true;
	default:
		return !info->read_only;
	}
}

static void skip_phases(void)
{
	while (check.phase < END && !applies(host_disk_info(check.client.disk), check.phase))
		check.phase++;
}

static void begin_phase(void)
{
	switch (check.phase) {
	case WRITE:
		make_pattern();
		submit_all(REQUESTS, DISK_WRITE);
		return;
	case FLUSH:
		submit_all(3, DISK_FLUSH);
		return;
	case READ:
	case READ_ZEROES:
		submit_all(REQUESTS, DISK_READ);
		return;
	case ZERO:
		submit_all(REQUESTS, DISK_WRITE_ZEROES);
		return;
	case DISCARD:
		submit_all(REQUESTS, DISK_DISCARD);
		return;
	case READ_ONLY:
		submit_all(1, DISK_WRITE);
		return;
	default:
		submit_outside();
	}
}

static bool begin_disk(void)
{
	struct host_disk *disk = host_disk_by_index(check.disk);
	const char *other = "";

	if (!disk)
		return false;
	check.client = (struct disk_client){
	    .disk = disk,
	    .name = "check",
	    .weight = 100,
	    .read_only = host_disk_info(disk)->read_only,
	};
	check.phase = WRITE;
	skip_phases();
	check.failed = disk_client_init(&check.client, &other) != 0;
	return true;
}

static void end_disk(void)
{
	const struct host_disk_info *info = host_disk_info(check.client.disk);

	if (!check.failed && disk_client_in_flight(&check.client) == 0)
		log_info("ok disk %s, %llu sectors, serial %s", info->name,
			 (unsigned long long)info->sectors, info->serial);
	disk_client_quit(&check.client);
	check.disk++;
}

/* A step is a phase: it begins when all requests of the one before have come back. */
static int step(struct job *job)
{
	(void)job;
	judge();
	check.phase++;
	skip_phases();
	if (check.phase < END && !check.failed) {
		begin_phase();
		return 0;
	}
	end_disk();
	if (begin_disk())
		begin_phase();
	else
		log_info("disks have been checked");
	return 0;
}

static void got_entropy(struct entropy_request *request, const uint8_t *bytes, unsigned count)
{
	unsigned other = 0;

	for (unsigned i = 1; i < count; i++)
		other += bytes[i] != bytes[0];
	log_info("%s entropy, %u bytes", count == request->wanted && other ? "ok" : "not ok",
		 count);
}

static int first_step(struct job *job)
{
	(void)job;
	check.written = page_alloc(page_order(AREA));
	check.read = page_alloc(page_order(AREA));
	if (host_entropy_available()) {
		check.entropy = (struct entropy_request){.wanted = 40, .done = got_entropy};
		host_entropy_read(&check.entropy);
	}
	if (check.written && check.read && begin_disk())
		begin_phase();
	return 0;
}

void disk_check_begin(void)
{
	schedule_job(&check.job, first_step);
}

#endif
