/* SPDX-License-Identifier: MIT */
#include "device/virtio/blk.h"

#include "kernel/arena.h"
#include "kernel/error.h"
#include "kernel/trap.h"
#include "vmm/gmem.h"
#include "vmm/vm.h"

#include <string.h>

#define BLK_DEVICE_ID 2

/* 5.2.3: features. */
#define BLK_F_SEG_MAX      BIT(2)
#define BLK_F_RO           BIT(5)
#define BLK_F_BLK_SIZE     BIT(6)
#define BLK_F_FLUSH        BIT(9)
#define BLK_F_TOPOLOGY     BIT(10)
#define BLK_F_DISCARD      BIT(13)
#define BLK_F_WRITE_ZEROES BIT(14)

/* 5.2.6: requests, and how they went. */
#define BLK_T_IN           0
#define BLK_T_OUT          1
#define BLK_T_FLUSH        4
#define BLK_T_GET_ID       8
#define BLK_T_DISCARD      11
#define BLK_T_WRITE_ZEROES 13

#define BLK_RANGE_UNMAP BIT(0)

/* What is looked through for code that was derived from it; a page at least for each piece. */
#define NOTED_A_STRETCH KIB(64)

enum blk_status { BLK_S_OK, BLK_S_IOERR, BLK_S_UNSUPP, BLK_S_PENDING /* not yet known */ };

struct blk_header {
	uint32_t type, reserved;
	uint64_t sector;
};

_Static_assert(sizeof(struct blk_config) == 60, "5.2.4");

static struct blk *blk_of(struct virtio_device *device)
{
	return container_of(device, struct blk, device);
}

/*
 * What is asked for. All of it is checked before anything is done.
 */

static bool has_sectors(const struct blk_backend *backend, uint64_t sector, uint64_t count)
{
	return range_within(sector, count, 0, backend->sectors);
}

static enum blk_status parse_transfer(const struct blk_backend *backend,
				      struct blk_request *request)
{
	bool reads = request->operation == BLK_READ;

	request->data = reads ? 0 : sizeof(struct blk_header);
	request->size = reads ? request->chain.writable_bytes - 1
			      : request->chain.readable_bytes - sizeof(struct blk_header);
	if ((!reads && backend->read_only) || request->size % BLK_SECTOR != 0 ||
	    !has_sectors(backend, request->sector, request->size / BLK_SECTOR))
		return BLK_S_IOERR;
	return request->size ? BLK_S_PENDING : BLK_S_OK;
}

static void begin_range(struct blk_request *request)
{
	const struct blk_range *range = &request->ranges[request->range];

	request->sector = range->sector;
	request->size = (uint64_t)range->sectors * BLK_SECTOR;
	request->done = 0;
}

/* 5.2.6.2: which flags a range may have, and what is answered to others. */
static enum blk_status check_range(const struct blk_backend *backend,
				   const struct blk_request *request, const struct blk_range *range)
{
	uint32_t allowed = request->operation == BLK_WRITE_ZEROES ? BLK_RANGE_UNMAP : 0;

	if (range->flags & ~allowed)
		return BLK_S_UNSUPP;
	if (range->sectors > backend->range_sectors ||
	    !has_sectors(backend, range->sector, range->sectors))
		return BLK_S_IOERR;
	return BLK_S_PENDING;
}

static int parse_ranges(struct blk *blk, struct blk_request *request, enum blk_status *status)
{
	uint64_t size = request->chain.readable_bytes - sizeof(struct blk_header);
	const struct blk_backend *backend = blk->backend;
	int error;

	*status = BLK_S_IOERR;
	if (backend->read_only || size == 0 || size % sizeof(struct blk_range) != 0 ||
	    size > sizeof(request->ranges))
		return 0;
	error = vring_read(&request->queue->ring, &request->chain, sizeof(struct blk_header),
			   request->ranges, size);
	if (error)
		return error;
	request->range_count = (unsigned)(size / sizeof(struct blk_range));
	*status = BLK_S_PENDING;
	for (unsigned i = 0; i < request->range_count && *status == BLK_S_PENDING; i++)
		*status = check_range(backend, request, &request->ranges[i]);
	begin_range(request);
	return 0;
}

/* 5.2.6: 20 bytes, padded with zeroes, or as many as there is room for. */
static int get_id(struct blk *blk, struct blk_request *request)
{
	uint64_t size = min_u64(BLK_SERIAL_MAX, request->chain.writable_bytes - 1);
	char serial[BLK_SERIAL_MAX];

	strncpy(serial, blk->serial, sizeof(serial));
	request->done = size;
	return vring_write(&request->queue->ring, &request->chain, 0, serial, size);
}

/* `status`: BLK_S_PENDING if the backend is to perform it. */
static int parse_type(struct blk *blk, struct blk_request *request, uint32_t type,
		      enum blk_status *status)
{
	const struct blk_backend *backend = blk->backend;

	*status = BLK_S_UNSUPP;
	if (type == BLK_T_IN || type == BLK_T_OUT) {
		request->operation = type == BLK_T_IN ? BLK_READ : BLK_WRITE;
		*status = parse_transfer(backend, request);
	} else if (type == BLK_T_FLUSH && backend->can_flush) {
		request->operation = BLK_FLUSH;
		*status = BLK_S_PENDING;
	} else if (type == BLK_T_DISCARD && backend->can_discard) {
		request->operation = BLK_DISCARD;
		return parse_ranges(blk, request, status);
	} else if (type == BLK_T_WRITE_ZEROES && backend->can_write_zeroes) {
		request->operation = BLK_WRITE_ZEROES;
		return parse_ranges(blk, request, status);
	} else if (type == BLK_T_GET_ID) {
		*status = BLK_S_OK;
		return get_id(blk, request);
	}
	return 0;
}

/* An error: there is not even room for a header, or for the status. */
static int parse(struct blk *blk, struct blk_request *request, enum blk_status *status)
{
	struct blk_header header;
	int error;

	request->done = request->size = request->data = 0;
	request->given = request->noted = 0;
	request->range = request->range_count = 0;
	if (request->chain.readable_bytes < sizeof(header) || request->chain.writable_bytes == 0)
		return ERR_INVAL;
	error = vring_read(&request->queue->ring, &request->chain, 0, &header, sizeof(header));
	if (error)
		return error;
	request->sector = header.sector;
	return parse_type(blk, request, header.type, status);
}

/*
 * The way of a request: from `free`, maybe by way of `current` or a driver and `ended`, and back.
 */

static void release(struct blk *blk, struct blk_request *request)
{
	request->next = blk->free;
	blk->free = request;
}

/* 5.2.6: the status is the last byte that the device may write. */
static int finish(struct blk *blk, struct blk_request *request, enum blk_status status)
{
	uint64_t last = request->chain.writable_bytes - 1;
	/* 2.7.8: what counts is written from the beginning on. */
	bool writes = request->operation == BLK_READ || status == BLK_S_OK;
	uint64_t written = writes ? min_u64(request->done, last) : 0;
	int error = vring_write_last(&request->queue->ring, &request->chain, (uint8_t)status);

	if (!error)
		error = vring_push(&request->queue->ring, request->chain.head,
				   (uint32_t)(written == last ? last + 1 : written));
	release(blk, request);
	return error ? error : ERR_AGAIN;
}

/* What has become of it: a driver's result, or the backend's own. */
static int proceed(struct blk *blk, struct blk_request *request, int result)
{
	if (result == 0 && request->range_count && ++request->range < request->range_count) {
		begin_range(request);
		blk->current = request;
		return ERR_AGAIN;
	}
	return finish(blk, request,
		      result == 0           ? BLK_S_OK
		      : result == ERR_NOSYS ? BLK_S_UNSUPP
					    : BLK_S_IOERR);
}

static int perform(struct blk *blk, struct blk_request *request)
{
	int result = blk->backend->ops->perform(blk->backend, request);

	if (result == BLK_BEGUN)
		return ERR_AGAIN;
	if (result == ERR_AGAIN) {
		blk->current = request;
		return ERR_AGAIN;
	}
	return proceed(blk, request, result);
}

static struct blk_request *take_ended(struct blk *blk)
{
	struct blk_request *request;

	spin_lock(&blk->lock);
	request = blk->ended;
	if (request)
		blk->ended = request->next;
	spin_unlock(&blk->lock);
	return request;
}

static int begin_next(struct blk *blk, struct virtio_queue *queue)
{
	struct blk_request *request = blk->free;
	enum blk_status status;
	int error;

	/* None is free: there is one in flight, and its end comes back here. */
	if (!request || vm_is_paused(blk->device.vm))
		return 0;
	error = vring_pop(&queue->ring, &request->chain);
	if (error)
		return error == ERR_NOENT ? 0 : error;
	blk->free = request->next;
	request->queue = queue;
	error = parse(blk, request, &status);
	if (error) {
		release(blk, request);
		return error;
	}
	if (status != BLK_S_PENDING)
		return finish(blk, request, status);
	/* Taking a long chain was a stretch of its own. */
	preempt_point();
	return perform(blk, request);
}

/*
 * A driver of the host's may have read into the guest's memory: what was made of its old contents
 * goes.
 */
static void note_written(const struct blk *blk, struct blk_request *request)
{
	struct vm *vm = blk->device.vm;
	struct vring_cursor cursor;
	uint64_t stretch = 0;

	if (request->operation != BLK_READ || request->noted == request->given ||
	    !gmem_is_derived_from(vm))
		return;
	cursor = vring_seek(&request->chain, true, request->noted);
	while (request->noted < request->given) {
		struct vring_segment piece =
		    vring_next(&request->chain, &cursor,
			       min_u64(request->given - request->noted, NOTED_A_STRETCH));

		gmem_note_written(vm, piece.gpa, piece.length);
		request->noted += piece.length;
		stretch += max_u64(piece.length, PAGE_SIZE);
		if (stretch >= NOTED_A_STRETCH) {
			preempt_point();
			stretch = 0;
		}
	}
}

static int blk_work(struct virtio_device *device, struct virtio_queue *queue)
{
	struct blk *blk = blk_of(device);
	struct blk_request *request = take_ended(blk);

	if (request) {
		note_written(blk, request);
		return request->result == ERR_AGAIN ? perform(blk, request)
						    : proceed(blk, request, request->result);
	}
	request = blk->current;
	blk->current = NULL;
	return request ? perform(blk, request) : begin_next(blk, queue);
}

bool blk_driver_flushes(const struct blk_request *request)
{
	return __atomic_load_n(&request->queue->device->driver_features, __ATOMIC_RELAXED) &
	       BLK_F_FLUSH;
}

void blk_request_begin(struct blk_request *request)
{
	virtio_queue_begun(request->queue);
}

void blk_request_end(struct blk_request *request, int result)
{
	struct virtio_queue *queue = request->queue;
	struct blk *blk = blk_of(queue->device);

	request->result = result;
	spin_lock(&blk->lock);
	request->next = blk->ended;
	blk->ended = request;
	spin_unlock(&blk->lock);
	virtio_queue_done(queue);
}

static void blk_reset(struct virtio_device *device, struct virtio_queue *queue)
{
	struct blk *blk = blk_of(device);

	(void)queue;
	blk->current = blk->ended = blk->free = NULL;
	for (unsigned i = 0; i < blk->backend->depth; i++)
		release(blk, &blk->requests[i]);
}

static void blk_cancel(struct virtio_device *device)
{
	struct blk_backend *backend = blk_of(device)->backend;

	if (backend->ops->cancel)
		backend->ops->cancel(backend);
}

static void blk_quit(struct virtio_device *device)
{
	struct blk_backend *backend = blk_of(device)->backend;

	if (backend->ops->close)
		backend->ops->close(backend);
}

static uint64_t features_of(const struct blk_backend *backend)
{
	return BLK_F_SEG_MAX | BLK_F_BLK_SIZE | BLK_F_TOPOLOGY |
	       (backend->read_only ? BLK_F_RO : 0) | (backend->can_flush ? BLK_F_FLUSH : 0) |
	       (backend->can_discard ? BLK_F_DISCARD : 0) |
	       (backend->can_write_zeroes ? BLK_F_WRITE_ZEROES : 0);
}

static struct blk_config config_of(const struct blk_backend *backend)
{
	struct blk_config config = {
	    .capacity = backend->sectors,
	    .seg_max = backend->segments_max,
	    .block_size = backend->block_size,
	    .physical_shift = backend->physical_shift,
	    .min_io_size = 1,
	    .num_queues = 1,
	};

	if (backend->can_discard) {
		config.max_discard_sectors = backend->range_sectors;
		config.max_discard_seg = BLK_RANGES_MAX;
		config.discard_sector_alignment = backend->block_size / BLK_SECTOR;
	}
	if (backend->can_write_zeroes) {
		config.max_write_zeroes_sectors = backend->range_sectors;
		config.max_write_zeroes_seg = BLK_RANGES_MAX;
		config.write_zeroes_may_unmap = 1;
	}
	return config;
}

static int alloc_requests(struct blk *blk, struct arena *arena)
{
	const struct blk_backend *backend = blk->backend;
	char *works = NULL;

	blk->requests = arena_alloc(arena, backend->depth * sizeof(*blk->requests));
	if (backend->work_size > 0)
		works = arena_alloc(arena, backend->depth * backend->work_size);
	if (!blk->requests || (backend->work_size > 0 && !works))
		return ERR_NOMEM;
	for (unsigned i = 0; i < backend->depth && works; i++)
		blk->requests[i].work = works + i * backend->work_size;
	return 0;
}

int blk_init(struct blk *blk, struct blk_backend *backend, const char *serial, struct vm *vm,
	     struct irq_line irq, bool legacy, struct arena *arena)
{
	static const struct virtio_ops ops = {
	    .id = BLK_DEVICE_ID,
	    .work = blk_work,
	    .reset = blk_reset,
	    .cancel = blk_cancel,
	    .quit = blk_quit,
	};
	struct virtio_type type = {
	    .ops = &ops,
	    .features = features_of(backend),
	    .queues = 1,
	    .config = &blk->config,
	    .config_size = sizeof(blk->config),
	};

	int error;

	memset(blk, 0, sizeof(*blk));
	blk->backend = backend;
	blk->config = config_of(backend);
	blk->serial = serial;
	error = alloc_requests(blk, arena);
	if (error)
		return error;
	virtio_device_init(&blk->device, &type, vm, irq, legacy);
	blk_reset(&blk->device, &blk->device.queues[0]);
	return 0;
}
