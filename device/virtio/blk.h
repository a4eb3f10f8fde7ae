/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_VIRTIO_BLK_H
#define DEVICE_VIRTIO_BLK_H

/*
 * A disk (Virtio 1.2, 5.2): what requests mean is here, what they do is a backend's. A backend is a
 * struct that contains a struct blk_backend.
 */

#include "device/virtio/device.h"
#include "kernel/lock.h"

#define BLK_SECTOR     512
#define BLK_RANGES_MAX 16 /* of one request to discard or to write zeroes */
#define BLK_SERIAL_MAX 20

struct arena;
struct blk_backend;

enum blk_operation { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD, BLK_WRITE_ZEROES };

/* A request of the guest's, or the part of one for a backend. */
struct blk_request {
	struct blk_request *next; /* the device's, in a list of its */
	struct virtio_queue *queue;
	enum blk_operation operation;
	uint64_t sector; /* in the disk, as all that follows it */
	uint64_t size;   /* bytes, a multiple of BLK_SECTOR */
	uint64_t done;   /* of these; the backend's, 0 at first, as the next */
	uint64_t given;  /* of BLK_READ: up to where a driver of the host's may have written */
	uint64_t noted;  /* and up to where that is known */
	uint64_t data;   /* of BLK_READ and BLK_WRITE: the data's place in its part of `chain` */
	int result;      /* what a driver of the host's said */
	void *work;      /* backend->work_size bytes of the backend's own; stays */
	unsigned range, range_count;
	struct blk_range {
		uint64_t sector;
		uint32_t sectors, flags;
	} ranges[BLK_RANGES_MAX];
	struct vring_chain chain;
};

#define BLK_SEGMENTS_MAX (VRING_SIZE_MAX - 2) /* of data: there are a header and a status, too */

#define BLK_BEGUN 1 /* see below */

struct blk_backend_ops {
	/*
	 * Performs a request, or a part of it, in less than 20,000 instructions or with preemption
	 * points. 0: it is done; ERR_AGAIN: call this again; BLK_BEGUN: a driver of the host's has
	 * it, before which blk_request_begin() was called, and blk_request_end() will be; another
	 * error: it failed, ERR_NOSYS if it never could be done. `done` counts what was read or
	 * written. On any hart, no lock held, one request of a device at a time.
	 */
	int (*perform)(struct blk_backend *backend, struct blk_request *request);

	/*
	 * Has what drivers of the host's have not begun yet come back soon, as nobody waits for it
	 * any more; or NULL. Any hart, no lock held.
	 */
	void (*cancel)(struct blk_backend *backend);

	/* The disk goes, with nothing in flight; or NULL. Boot hart, in a job. */
	void (*close)(struct blk_backend *backend);
};

struct blk_backend {
	const struct blk_backend_ops *ops;
	uint64_t sectors;       /* of BLK_SECTOR bytes */
	uint32_t block_size;    /* bytes that it reads and writes at once; a power of two */
	uint8_t physical_shift; /* and that it had better: block_size << physical_shift */
	bool read_only, can_flush, can_discard, can_write_zeroes;
	uint32_t range_sectors; /* the most of one range to discard or to write zeroes to */
	uint32_t segments_max;  /* of a request, that it can do without taking it apart */
	unsigned depth;         /* requests that it takes at a time, at least 1 */
	size_t work_size;
};

/* 5.2.4: the device's configuration. */
struct blk_config {
	uint64_t capacity;
	uint32_t size_max, seg_max;
	uint32_t geometry;
	uint32_t block_size;
	uint8_t physical_shift, alignment_offset;
	uint16_t min_io_size;
	uint32_t opt_io_size;
	uint8_t writeback, unused0;
	uint16_t num_queues;
	uint32_t max_discard_sectors, max_discard_seg, discard_sector_alignment;
	uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap, unused1[3];
} __packed;

struct blk {
	struct virtio_device device;
	struct blk_backend *backend;
	struct blk_config config;
	const char *serial;
	struct spinlock lock;        /* guards `ended` */
	struct blk_request *ended;   /* that drivers of the host's are done with */
	struct blk_request *current; /* that is performed in parts; of who is busy, as the next */
	struct blk_request *free;
	struct blk_request *requests; /* backend->depth of them */
};

/* Readies the disk. `backend`, `serial` and `vm` stay. ERR_NOMEM from the arena. */
int blk_init(struct blk *blk, struct blk_backend *backend, const char *serial, struct vm *vm,
	     struct irq_line irq, bool legacy, struct arena *arena);

/* Whether the driver flushes. If not, what it is told to be written is to stay (5.2.6.2). */
bool blk_driver_flushes(const struct blk_request *request);

/* For backends, of a request that a driver of the host's gets: see `perform`. */
void blk_request_begin(struct blk_request *request);

/*
 * It is done, with 0 or an error, and `done` tells how much of it; or a part of it is, and
 * `perform` is to be called for what is left: ERR_AGAIN. Boot hart, once for each time that it
 * began, no lock held. The disk sees to it that guest memory which was read into, up to `given`, is
 * known to have changed.
 */
void blk_request_end(struct blk_request *request, int result);

#endif
