/* SPDX-License-Identifier: MIT */
#include "device/virtio/blk_disk.h"

#include "device/disk_slice.h"
#include "kernel/error.h"
#include "kernel/trap.h"
#include "vmm/gmem.h"
#include "vmm/vm.h"

#define DEPTH 32 /* requests at a time: more than the host's device is given of one of several */

/* What is given to the host's device at once: others have their turn in between. */
#define PART_BYTES       MIB(1)
#define PIECES_A_STRETCH 32

_Static_assert(BLK_SECTOR == DISK_SECTOR, "sectors are sectors");

/* What the host's disk is asked for: one part of a request after the other. */
struct part {
	struct disk_request disk;
	struct blk_request *request;
	struct virtqueue_buffer pieces[DISK_SEGMENTS_MAX];
};

static struct blk_disk *disk_of(struct blk_backend *backend)
{
	return container_of(backend, struct blk_disk, backend);
}

/*
 * Where the data is in the host's memory.
 */

/* Pieces that follow one another are one, as far as the disk takes that; false: no room. */
static bool add_piece(const struct host_disk_info *info, struct part *part, hpa_t hpa,
		      uint32_t length)
{
	unsigned count = part->disk.piece_count;
	struct virtqueue_buffer *last = &part->pieces[count - 1];

	if (count > 0 && last->address.v + last->length == hpa.v &&
	    length <= info->piece_max - last->length) {
		last->length += length;
		return true;
	}
	if (count == min_u64(info->segments_max, DISK_SEGMENTS_MAX))
		return false;
	part->pieces[count] = (struct virtqueue_buffer){hpa, length};
	part->disk.piece_count++;
	return true;
}

/* As much of a segment as there is room for: its bytes, or an error. */
static int64_t add_segment(struct blk_disk *disk, const struct host_disk_info *info,
			   struct part *part, struct vring_segment segment)
{
	int64_t added = 0;

	while (segment.length > 0) {
		uint64_t piece;
		hpa_t hpa;
		int error = gmem_find(disk->vm, segment.gpa,
				      min_u64(segment.length, info->piece_max), &hpa, &piece);

		if (error)
			return error;
		if (!add_piece(info, part, hpa, (uint32_t)piece))
			break;
		segment.gpa.v += piece;
		segment.length -= (uint32_t)piece;
		added += (int64_t)piece;
	}
	return added;
}

/* Takes bytes off the end again. */
static void trim(struct part *part, uint64_t excess)
{
	while (excess > 0) {
		struct virtqueue_buffer *last = &part->pieces[part->disk.piece_count - 1];
		uint32_t cut = (uint32_t)min_u64(excess, last->length);

		last->length -= cut;
		excess -= cut;
		if (last->length == 0)
			part->disk.piece_count--;
	}
}

/*
 * The pieces of what follows in a request, up to `most` bytes: whole blocks. Their bytes; ERR_INVAL
 * if not even one block is in few enough pieces; another error of gmem's.
 */
static int64_t gather(struct blk_disk *disk, struct blk_request *request, uint64_t most)
{
	const struct host_disk_info *info = host_disk_info(disk->client.disk);
	bool reads = request->operation == BLK_READ;
	struct part *part = request->work;
	struct vring_cursor cursor =
	    vring_seek(&request->chain, reads, request->data + request->done);
	uint64_t size = 0;

	part->disk.piece_count = 0;
	for (unsigned n = 1; size < most; n++) {
		struct vring_segment segment = vring_next(&request->chain, &cursor, most - size);
		int64_t added = add_segment(disk, info, part, segment);

		if (added < 0)
			return added;
		size += (uint64_t)added;
		if (added < segment.length)
			break;
		if (n % PIECES_A_STRETCH == 0)
			preempt_point();
	}
	trim(part, size % disk->backend.block_size);
	size -= size % disk->backend.block_size;
	return size > 0 ? (int64_t)size : ERR_INVAL;
}

/*
 * Requests.
 */

/* 5.2.6.2: of a driver that does not flush, what has been written is to stay. */
static bool writes_through(const struct blk_disk *disk, const struct blk_request *request)
{
	return disk->backend.can_flush && !blk_driver_flushes(request) &&
	       (request->operation == BLK_WRITE || request->operation == BLK_WRITE_ZEROES);
}

static bool is_left(const struct blk_request *request)
{
	return request->operation != BLK_FLUSH && request->done < request->size;
}

/* The host's disk is done with a part. */
static void done(struct disk_request *of, int error)
{
	struct blk_request *request = container_of(of, struct part, disk)->request;
	struct blk_disk *disk = container_of(of->client, struct blk_disk, client);
	bool more = false;

	if (!error && of->operation != DISK_FLUSH) {
		request->done += (uint64_t)of->sectors * DISK_SECTOR;
		more = is_left(request) || writes_through(disk, request);
	}
	/* What was taken back is not tried again, as the VM ends, or resets the disk. */
	if (error == ERR_AGAIN)
		error = ERR_IO;
	blk_request_end(request, more ? ERR_AGAIN : error);
}

static int submit(struct blk_disk *disk, struct blk_request *request, enum disk_operation operation,
		  uint64_t size)
{
	struct part *part = request->work;

	part->request = request;
	part->disk.operation = operation;
	part->disk.sector = request->sector + request->done / BLK_SECTOR;
	part->disk.sectors = (uint32_t)(size / BLK_SECTOR);
	part->disk.unmap = request->ranges[request->range].flags != 0;
	part->disk.pieces = part->pieces;
	part->disk.done = done;
	blk_request_begin(request);
	disk_submit(&disk->client, &part->disk);
	return BLK_BEGUN;
}

static int transfer(struct blk_disk *disk, struct blk_request *request)
{
	const struct host_disk_info *info = host_disk_info(disk->client.disk);
	uint64_t most = min_u64((uint64_t)info->sectors_max * DISK_SECTOR, PART_BYTES);
	int64_t size = gather(disk, request, min_u64(request->size - request->done, most));

	if (size < 0)
		return (int)size;
	request->given = request->done + (uint64_t)size;
	return submit(disk, request, request->operation == BLK_READ ? DISK_READ : DISK_WRITE,
		      (uint64_t)size);
}

static int perform(struct blk_backend *backend, struct blk_request *request)
{
	struct blk_disk *disk = disk_of(backend);

	if (request->operation == BLK_FLUSH || (!is_left(request) && writes_through(disk, request)))
		return submit(disk, request, DISK_FLUSH, 0);
	if (!is_left(request))
		return 0;
	if (request->operation == BLK_DISCARD)
		return submit(disk, request, DISK_DISCARD, request->size);
	if (request->operation == BLK_WRITE_ZEROES)
		return submit(disk, request, DISK_WRITE_ZEROES, request->size);
	return transfer(disk, request);
}

static void cancel(struct blk_backend *backend)
{
	disk_client_cancel(&disk_of(backend)->client);
}

static void close(struct blk_backend *backend)
{
	blk_disk_close(disk_of(backend));
}

/*
 * Taking one.
 */

static struct blk_backend backend_of(const struct blk_disk *disk)
{
	static const struct blk_backend_ops ops = {
	    .perform = perform,
	    .cancel = cancel,
	    .close = close,
	};
	const struct host_disk_info *info = host_disk_info(disk->client.disk);
	bool writes = !disk->client.read_only;
	uint32_t discards = info->can_discard ? info->discard_max : UINT32_MAX;
	uint32_t zeroes = info->can_write_zeroes ? info->write_zeroes_max : UINT32_MAX;

	return (struct blk_backend){
	    .ops = &ops,
	    .sectors = disk->client.sectors,
	    .block_size = info->block_size,
	    .read_only = !writes,
	    .can_flush = info->can_flush,
	    .can_discard = info->can_discard && writes,
	    .can_write_zeroes = info->can_write_zeroes && writes,
	    .range_sectors = (uint32_t)min_u64(discards, zeroes),
	    .segments_max = info->segments_max,
	    .depth = DEPTH,
	    .work_size = sizeof(struct part),
	};
}

int blk_disk_open(struct blk_disk *disk, struct vm *vm, const struct vmconfig_device *config)
{
	int error;

	*disk = (struct blk_disk){.vm = vm};
	error = disk_slice_open(&disk->client, vm, config, UINT64_MAX);
	if (!error)
		disk->backend = backend_of(disk);
	return error;
}

void blk_disk_close(struct blk_disk *disk)
{
	disk_client_quit(&disk->client);
}

const char *blk_disk_serial(const struct blk_disk *disk, const char *otherwise)
{
	const struct host_disk_info *info = host_disk_info(disk->client.disk);

	return disk->client.sectors == info->sectors ? info->serial : otherwise;
}

uint64_t blk_disk_bytes(void)
{
	return DEPTH * (sizeof(struct blk_request) + sizeof(struct part));
}
