/* SPDX-License-Identifier: MIT */

/* The host's virtio disks (Virtio 1.3, 5.2), for driver/disk.c. */

#include "driver/disk_driver.h"
#include "driver/virtio/registry.h"
#include "kernel/error.h"
#include "kernel/mmu.h"
#include "kernel/page.h"
#include "vmm/copy.h"

#include <string.h>

/* 5.2.3. */
#define F_SIZE_MAX     BIT(1)
#define F_SEG_MAX      BIT(2)
#define F_READ_ONLY    BIT(5)
#define F_BLK_SIZE     BIT(6)
#define F_FLUSH        BIT(9)
#define F_MQ           BIT(12)
#define F_DISCARD      BIT(13)
#define F_WRITE_ZEROES BIT(14)
#define WANTED                                                                            \
	(F_SIZE_MAX | F_SEG_MAX | F_READ_ONLY | F_BLK_SIZE | F_FLUSH | F_MQ | F_DISCARD | \
	 F_WRITE_ZEROES | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_RING_PACKED)

/* 5.2.4: offsets in the configuration. */
#define CAPACITY                 0
#define SIZE_MAX_FIELD           8
#define SEG_MAX                  12
#define BLK_SIZE                 20
#define NUM_QUEUES               34
#define MAX_DISCARD_SECTORS      36
#define DISCARD_SECTOR_ALIGNMENT 44
#define MAX_WRITE_ZEROES_SECTORS 48

/* 5.2.6. */
#define TYPE_IN           0
#define TYPE_OUT          1
#define TYPE_FLUSH        4
#define TYPE_GET_ID       8
#define TYPE_DISCARD      11
#define TYPE_WRITE_ZEROES 13
#define STATUS_OK         0
#define STATUS_IOERR      1
#define STATUS_UNSUPP     2
#define STATUS_NONE       0xff /* none of these: what is there before the device answers */
#define FLAG_UNMAP        1
#define SERIAL_BYTES      20

/* A request's header, what it has for data if that is ours, and its status. */
struct wire {
	uint32_t type, reserved;
	uint64_t sector;
	union {
		struct {
			uint64_t sector;
			uint32_t sectors, flags;
		} range;
		char serial[SERIAL_BYTES];
	};
	uint8_t status;
	uint8_t padding[3];
} __aligned(64);

#define QUEUES_MAX    4
#define FAILED_A_STEP 64

/*
 * With indirect tables a request takes one descriptor, and its chain is to be no longer than the
 * queue (2.7.5.3.1). Without, it takes as many as it has pieces, and two.
 */
#define QUEUE_SIZE_INDIRECT (DISK_SEGMENTS_MAX + 2)
#define QUEUE_SIZE_DIRECT   VIRTQUEUE_SIZE_MAX
#define BLOCK_SIZE_MAX      KIB(64)
#define TAKEN_A_STEP        16

struct host_blk_queue {
	struct virtqueue queue;
	struct virtqueue_slot slots[VIRTQUEUE_SIZE_MAX];
	struct wire *wires;                                /* one for each request */
	struct disk_request *requests[VIRTQUEUE_SIZE_MAX]; /* that the device has, or NULL */
	uint16_t free[VIRTQUEUE_SIZE_MAX];                 /* indexes of both, a stack */
	unsigned free_count;
	bool untold;
};

struct host_blk {
	struct host_disk disk;
	struct host_virtio *virtio;
	unsigned queue_count;
	struct disk_request identify;
	bool failed;                                          /* it has been reset */
	struct virtqueue_buffer chain[DISK_SEGMENTS_MAX + 2]; /* under the disk's lock */
	struct host_blk_queue queues[];
};

static struct host_blk *blk_of(struct host_disk *disk)
{
	return container_of(disk, struct host_blk, disk);
}

/*
 * Requests. The disk's lock is held.
 */

static uint32_t type_of(const struct disk_request *request)
{
	static const uint32_t types[] = {
	    [DISK_READ] = TYPE_IN,
	    [DISK_WRITE] = TYPE_OUT,
	    [DISK_FLUSH] = TYPE_FLUSH,
	    [DISK_DISCARD] = TYPE_DISCARD,
	    [DISK_WRITE_ZEROES] = TYPE_WRITE_ZEROES,
	};

	return types[request->operation];
}

static uint64_t first_sector(const struct disk_request *request)
{
	return request->client->first + request->sector;
}

static struct virtqueue_buffer piece_of(const void *start, uint32_t length)
{
	return (struct virtqueue_buffer){pointer_to_hpa(start), length};
}

/*
 * Fills in the header and what follows it, and returns how many pieces there are between it and
 * the status.
 */
static unsigned fill(struct host_blk *blk, struct wire *wire, const struct disk_request *request)
{
	struct virtqueue_buffer *data = &blk->chain[1];

	*wire = (struct wire){.status = STATUS_NONE};
	if (request == &blk->identify) {
		wire->type = TYPE_GET_ID;
		*data = piece_of(wire->serial, SERIAL_BYTES);
		return 1;
	}
	wire->type = type_of(request);
	if (request->operation == DISK_FLUSH)
		return 0;
	if (request->operation <= DISK_WRITE) {
		wire->sector = first_sector(request);
		copy_bytes(data, request->pieces, request->piece_count * sizeof(*data));
		return request->piece_count;
	}
	wire->range.sector = first_sector(request);
	wire->range.sectors = request->sectors;
	wire->range.flags =
	    request->operation == DISK_WRITE_ZEROES && request->unmap ? FLAG_UNMAP : 0;
	*data = piece_of(&wire->range, sizeof(wire->range));
	return 1;
}

static int start(struct host_disk *disk, struct disk_request *request)
{
	struct host_blk *blk = blk_of(disk);
	struct host_blk_queue *queue = &blk->queues[request->hart % blk->queue_count];
	bool reads = request->operation == DISK_READ || request == &blk->identify;
	unsigned index, count;
	struct wire *wire;
	int error;

	if (queue->free_count == 0)
		return ERR_AGAIN;
	index = queue->free[queue->free_count - 1];
	wire = &queue->wires[index];
	count = fill(blk, wire, request);
	blk->chain[0] = piece_of(wire, offsetof(struct wire, range));
	blk->chain[count + 1] = piece_of(&wire->status, 1);
	error = virtqueue_add(&queue->queue, blk->chain, reads ? 1 : count + 1,
			      reads ? count + 1 : 1, wire);
	if (error)
		return error == ERR_AGAIN ? error : ERR_IO;
	queue->free_count--;
	queue->requests[index] = request;
	queue->untold = true;
	return 0;
}

static void tell(struct host_disk *disk)
{
	struct host_blk *blk = blk_of(disk);

	for (unsigned i = 0; i < blk->queue_count; i++) {
		struct host_blk_queue *queue = &blk->queues[i];

		if (queue->untold && virtqueue_wants_notice(&queue->queue))
			host_virtio_notify(blk->virtio, &queue->queue);
		queue->untold = false;
	}
}

/* A serial number need not end with a zero; what cannot be shown is left out. */
static void take_serial(struct host_blk *blk, const struct wire *wire)
{
	char *serial = blk->disk.info.serial;
	unsigned length = 0;

	for (unsigned i = 0; i < SERIAL_BYTES; i++) {
		char c = ((const volatile char *)wire->serial)[i];

		if (c == '\0')
			break;
		if (c > ' ' && c <= '~')
			serial[length++] = c;
	}
}

static void finish(struct host_blk *blk, struct host_blk_queue *queue, unsigned index, int error)
{
	struct disk_request *request = queue->requests[index];

	queue->requests[index] = NULL;
	queue->free[queue->free_count++] = (uint16_t)index;
	if (request != &blk->identify)
		host_disk_finish(&blk->disk, request, error);
	else if (!error)
		take_serial(blk, &queue->wires[index]);
}

/* ERR_IO: the device says what it cannot say. */
static int complete(struct host_blk *blk, struct host_blk_queue *queue, struct wire *wire)
{
	unsigned index = (unsigned)(wire - queue->wires);

	switch (*(volatile uint8_t *)&wire->status) {
	case STATUS_OK:
		finish(blk, queue, index, 0);
		return 0;
	case STATUS_IOERR:
		finish(blk, queue, index, ERR_IO);
		return 0;
	case STATUS_UNSUPP:
		finish(blk, queue, index, ERR_NOSYS);
		return 0;
	default:
		return ERR_IO;
	}
}

/* Only when nothing is left the device is asked to interrupt again; one may come just before. */
static int take_queue(struct host_blk *blk, struct host_blk_queue *queue, unsigned *count,
		      bool *more)
{
	struct wire *wire;
	uint32_t written;

	while (*count > 0 && (wire = virtqueue_take(&queue->queue, &written)) != NULL) {
		--*count;
		if (complete(blk, queue, wire) != 0)
			return ERR_IO;
	}
	if (queue->queue.broken)
		return ERR_IO;
	if (*count > 0)
		virtqueue_set_interrupt(&queue->queue, 1);
	*more |= virtqueue_has_used(&queue->queue);
	return 0;
}

static int take(struct host_disk *disk, bool *more)
{
	struct host_blk *blk = blk_of(disk);
	unsigned count = TAKEN_A_STEP;

	for (unsigned i = 0; i < blk->queue_count; i++) {
		int error = take_queue(blk, &blk->queues[i], &count, more);

		if (error)
			return error;
	}
	return 0;
}

static bool fail(struct host_disk *disk)
{
	struct host_blk *blk = blk_of(disk);
	unsigned count = 0;

	if (!blk->failed)
		host_virtio_fail(blk->virtio);
	blk->failed = true;
	for (unsigned i = 0; i < blk->queue_count; i++) {
		struct host_blk_queue *queue = &blk->queues[i];

		for (unsigned n = 0; n < queue->queue.size; n++) {
			if (!queue->requests[n])
				continue;
			if (count++ == FAILED_A_STEP)
				return true;
			finish(blk, queue, n, ERR_IO);
		}
	}
	return false;
}

static const struct host_disk_driver driver = {
    .start = start,
    .tell = tell,
    .take = take,
    .fail = fail,
};

static void handle_events(void *context, uint32_t events)
{
	struct host_blk *blk = context;

	if (events & HOST_VIRTIO_EVENT_QUEUE)
		host_disk_interrupted(&blk->disk);
}

/*
 * Getting one going.
 */

/* What a device may say of itself, if it says so, and whether that makes sense. */
static int read_info(struct host_virtio *virtio, struct host_disk_info *info)
{
	uint64_t has = virtio->features;

	info->name = virtio->name;
	info->path = virtio->path;
	info->sectors = host_virtio_config64(virtio, CAPACITY);
	info->read_only = has & F_READ_ONLY;
	info->can_flush = has & F_FLUSH;
	info->block_size = has & F_BLK_SIZE ? host_virtio_config32(virtio, BLK_SIZE) : DISK_SECTOR;
	info->piece_max =
	    has & F_SIZE_MAX ? host_virtio_config32(virtio, SIZE_MAX_FIELD) : UINT32_MAX;
	info->segments_max = has & F_SEG_MAX ? host_virtio_config32(virtio, SEG_MAX) : 1;
	if (info->segments_max == 0)
		info->segments_max = 1;
	/* What it writes, with the status, is counted in 32 bits. */
	info->sectors_max = UINT32_MAX / DISK_SECTOR;
	if (info->block_size < DISK_SECTOR || info->block_size > BLOCK_SIZE_MAX ||
	    info->block_size & (info->block_size - 1) || info->piece_max < info->block_size ||
	    info->sectors > INT64_MAX / DISK_SECTOR)
		return ERR_INVAL;
	info->sectors &= ~(uint64_t)(info->block_size / DISK_SECTOR - 1);
	return 0;
}

static void read_extras(struct host_virtio *virtio, struct host_disk_info *info)
{
	if (virtio->features & F_DISCARD) {
		info->discard_max = host_virtio_config32(virtio, MAX_DISCARD_SECTORS);
		info->discard_alignment = host_virtio_config32(virtio, DISCARD_SECTOR_ALIGNMENT);
	}
	if (virtio->features & F_WRITE_ZEROES)
		info->write_zeroes_max = host_virtio_config32(virtio, MAX_WRITE_ZEROES_SECTORS);
	info->can_discard = info->discard_max > 0 && !info->read_only;
	info->can_write_zeroes = info->write_zeroes_max > 0 && !info->read_only;
}

static unsigned count_queues(struct host_virtio *virtio)
{
	unsigned count = virtio->features & F_MQ ? host_virtio_config16(virtio, NUM_QUEUES) : 1;

	return count ? (unsigned)min_u64(count, QUEUES_MAX) : 1;
}

/* A power of two; 0: there is no such queue, or it is too small. */
static unsigned queue_size(struct host_blk *blk, unsigned index)
{
	unsigned most = host_virtio_queue_max(blk->virtio, index);
	unsigned size = blk->virtio->features & VIRTIO_F_INDIRECT_DESC ? QUEUE_SIZE_INDIRECT
								       : QUEUE_SIZE_DIRECT;

	while (size > most)
		size /= 2;
	return size > 2 ? size : 0;
}

static int queue_init(struct host_blk *blk, unsigned index)
{
	struct host_blk_queue *queue = &blk->queues[index];
	unsigned size = queue_size(blk, index);
	struct virtqueue_kind kind = {
	    .size = size, .table_size = size, .features = blk->virtio->features};
	uint64_t bytes = virtqueue_bytes(&kind);
	char *memory;

	if (!size)
		return ERR_NOENT;
	memory = page_alloc_zeroed(page_order(bytes + size * sizeof(struct wire)));
	if (!memory)
		return ERR_NOMEM;
	virtqueue_init(&queue->queue, &kind, memory, pointer_to_hpa(memory), queue->slots);
	queue->wires = (void *)(memory + align_up(bytes, sizeof(struct wire)));
	queue->free_count = size;
	for (unsigned i = 0; i < size; i++)
		queue->free[i] = (uint16_t)i;
	return host_virtio_set_queue(blk->virtio, index, &queue->queue);
}

/* What all its queues can take: a chain of one can never be longer than the shortest. */
static int queues_init(struct host_blk *blk)
{
	struct host_disk_info *info = &blk->disk.info;

	info->segments_max = (uint32_t)min_u64(info->segments_max, DISK_SEGMENTS_MAX);
	for (unsigned i = 0; i < blk->queue_count; i++) {
		int error = queue_init(blk, i);

		/* It says of more queues than it has. */
		if (error == ERR_NOENT && i > 0) {
			blk->queue_count = i;
			break;
		}
		if (error)
			return error;
		blk->disk.depth += blk->queues[i].queue.size;
		info->segments_max =
		    (uint32_t)min_u64(info->segments_max, blk->queues[i].queue.size - 2);
	}
	return 0;
}

static struct host_blk *new_blk(struct host_virtio *virtio)
{
	unsigned queues = count_queues(virtio);
	struct host_blk *blk = page_alloc_zeroed(
	    page_order(sizeof(struct host_blk) + queues * sizeof(struct host_blk_queue)));

	if (blk) {
		blk->virtio = virtio;
		blk->queue_count = queues;
		blk->disk.driver = &driver;
	}
	return blk;
}

static void identify(struct host_blk *blk)
{
	spin_lock(&blk->disk.lock);
	if (start(&blk->disk, &blk->identify) == 0)
		tell(&blk->disk);
	spin_unlock(&blk->disk.lock);
}

static int bind(struct host_virtio *virtio)
{
	int error = host_virtio_negotiate(virtio, WANTED);
	struct host_blk *blk;

	if (error)
		return error;
	blk = new_blk(virtio);
	if (!blk)
		return ERR_NOMEM;
	/* What was allocated stays, as nothing tells whether the device has really let go of it. */
	error = read_info(virtio, &blk->disk.info);
	if (!error)
		error = queues_init(blk);
	if (!error)
		error = host_disk_add(&blk->disk);
	if (error)
		return error;
	read_extras(virtio, &blk->disk.info);
	virtio->data = blk;
	host_virtio_listen(virtio, handle_events, blk);
	host_virtio_ready(virtio);
	identify(blk);
	return 0;
}

static int unbind(struct host_virtio *virtio)
{
	struct host_blk *blk = virtio->data;

	return host_disk_remove(&blk->disk);
}

const struct host_virtio_driver host_blk_driver = {
    .id = VIRTIO_ID_BLOCK,
    .name = "disk",
    .in_use = "VMs have it, or parts of it, as their disks",
    .bind = bind,
    .unbind = unbind,
};
