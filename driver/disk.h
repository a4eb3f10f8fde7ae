/* SPDX-License-Identifier: MIT */
#ifndef DRIVER_DISK_H
#define DRIVER_DISK_H

/*
 * The host's disks, and who uses which part of them. A user of a disk (a VM's virtio-blk, its
 * flash) is a client with a slice of it. Requests are asynchronous; they wait in their client's
 * queue and go to the device in the order of virtual time, in which a client advances by the
 * bytes that it has moved, divided by its weight. So busy clients share the disk by weight, and
 * one that asks for little is served soon; one alone may fill the device.
 */

#include "driver/virtio/queue.h"
#include "kernel/heap.h"
#include "kernel/list.h"
#include "kernel/types.h"

#define DISK_SECTOR       512 /* bytes: what is meant by sectors, whatever the disk's blocks */
#define DISK_SERIAL_MAX   21  /* with the terminator */
#define DISK_SEGMENTS_MAX 126 /* pieces of a request, for any disk */

struct host_disk;

/* Does not change, but for the serial number, which comes a moment after boot. */
struct host_disk_info {
	const char *name, *path; /* virtio-blk0; in the host's device tree, or pci:00:02.0 */
	uint64_t sectors;
	uint32_t block_size; /* bytes, a power of two; requests begin and end with whole blocks */
	bool read_only, can_flush, can_discard, can_write_zeroes;
	uint32_t sectors_max;                                      /* of a READ or WRITE */
	uint32_t segments_max;                                     /* its pieces */
	uint32_t piece_max;                                        /* bytes of each */
	uint32_t discard_max, discard_alignment, write_zeroes_max; /* sectors */
	char serial[DISK_SERIAL_MAX];                              /* empty: not known */
};

struct host_disk_counts {
	uint64_t requests, read_bytes, written_bytes, errors;
};

enum disk_operation { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD, DISK_WRITE_ZEROES };

struct disk_request {
	enum disk_operation operation;
	bool unmap;      /* WRITE_ZEROES: the disk may take the sectors back */
	uint64_t sector; /* of the client's slice */
	uint32_t sectors;
	const struct virtqueue_buffer *pieces; /* READ, WRITE: of any alignment; stay till `done` */
	unsigned piece_count;
	/*
	 * Called once, on the boot hart, interrupts off, no lock held, in an interrupt handler or a
	 * job. The request is the caller's again.
	 */
	void (*done)(struct disk_request *request, int error);

	/* The rest is the disk's. */
	struct list link;
	struct disk_client *client;
	unsigned hart; /* index of the one that submitted it */
	int error;
};

struct disk_client {
	/* Set by the caller, and constant then. */
	struct host_disk *disk;
	const char *name;        /* of the VM, for messages */
	unsigned weight;         /* from 1 up; 100 is usual */
	uint64_t first, sectors; /* its slice; sectors 0: all from the first on */
	bool read_only;

	/* The rest is the disk's; the list is the boot hart's, all else under the disk's lock. */
	struct list link;
	struct list waiting;
	struct heap_node node; /* its key: the virtual time; in one of two heaps while busy */
	unsigned queued;       /* requests that wait */
	unsigned started;      /* requests that the device has */
	unsigned pending;      /* all that have not come back */
};

/* Disks are counted from 0. Boot hart. */
unsigned host_disk_count(void);
struct host_disk *host_disk_by_index(unsigned index);

/* By virtio-blkN, by path, or by pci:…; NULL: there is no such disk. Boot hart. */
struct host_disk *host_disk_by_name(const char *name);

const struct host_disk_info *host_disk_info(const struct host_disk *disk);

/* What it has done since boot. Any hart; takes its lock. */
void host_disk_counts(struct host_disk *disk, struct host_disk_counts *counts);

/* Who uses it: the one after `client`, or the first for NULL. Boot hart, in a job. */
const struct disk_client *host_disk_next_client(const struct host_disk *disk,
						const struct disk_client *client);

/*
 * Registers a use of a disk. ERR_RANGE: the slice is not within the disk, empty, or not of whole
 * blocks; ERR_DENIED: the disk is read-only, and the client is not; ERR_EXIST: it overlaps the
 * slice of the client named in *other, and one of the two writes. Boot hart, in a job or at boot.
 */
int disk_client_init(struct disk_client *client, const char **other);

/* The end of that use: nothing is in flight. Boot hart, in a job. */
void disk_client_quit(struct disk_client *client);

/*
 * Gives the disk a request. It does not wait and never fails: what is wrong comes back by `done`,
 * also ERR_INVAL (not of whole blocks, pieces that do not make up the sectors or are too many or
 * too long), ERR_RANGE (outside the slice), ERR_DENIED (read-only), ERR_NOSYS (the disk cannot do
 * that), ERR_IO. READ and WRITE may be carried out in any order. A FLUSH covers what has come back
 * before it is submitted; where the disk cannot flush, what has come back is on it already. Any
 * hart, no lock held; takes the disk's lock.
 */
void disk_submit(struct disk_client *client, struct disk_request *request);

/*
 * Has all that the device has not been given yet come back with ERR_AGAIN. The rest comes back when
 * the device is done with it, which cannot be hurried. Any hart; takes the disk's lock.
 */
void disk_client_cancel(struct disk_client *client);

/*
 * How many requests have not come back: until that is 0 their memory is not to be reused. Boot
 * hart, in a job.
 */
unsigned disk_client_in_flight(const struct disk_client *client);

#endif
