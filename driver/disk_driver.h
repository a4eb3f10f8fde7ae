/* SPDX-License-Identifier: MIT */
#ifndef DRIVER_DISK_DRIVER_H
#define DRIVER_DISK_DRIVER_H

/* Between driver/disk.c and the driver of a disk (driver/virtio/blk.c). */

#include "driver/disk.h"
#include "kernel/lock.h"
#include "vmm/schedule.h"

#define HOST_DISKS_MAX 32

/* All are called with the disk's lock held, and do not wait. */
struct host_disk_driver {
	/* Gives it to the device: it has been checked. ERR_AGAIN: there is no room now. */
	int (*start)(struct host_disk *disk, struct disk_request *request);
	/* Lets the device know that something was started. */
	void (*tell)(struct host_disk *disk);
	/*
	 * host_disk_finish() for some of what the device is done with; returns whether there may be
	 * more, and else has the device interrupt for that. ERR_IO: the device does not keep to
	 * its rules, and is given up. Boot hart.
	 */
	int (*take)(struct host_disk *disk, bool *more);
	/*
	 * Gives the device up: host_disk_finish() for some of what it has; returns whether there
	 * is more of that. Boot hart.
	 */
	bool (*fail)(struct host_disk *disk);
};

struct host_disk {
	/* Set by the driver. */
	const struct host_disk_driver *driver;
	struct host_disk_info info;
	unsigned depth; /* requests that the device can have */

	struct spinlock lock;  /* guards the rest, but for what is said to be the boot hart's */
	struct list clients;   /* the boot hart's */
	struct heap waiting;   /* clients with requests that wait, by virtual time */
	struct heap served;    /* clients all of whose requests the device has, likewise */
	uint64_t now;          /* virtual time: the least of a busy client, when one was started */
	unsigned busy;         /* clients with requests that wait or that the device has */
	unsigned started;      /* requests that the device has */
	uint64_t bytes;        /* that they move */
	uint64_t shared_until; /* there was more than one busy client not long ago; ticks */
	bool failed;
	struct list finished; /* requests that are to be handed back */
	struct host_disk_counts counts;
	struct job job;
	bool job_queued;
	bool again;    /* there is more to do than the round that goes on knows of */
	bool in_round; /* the boot hart's */
};

/* Makes a disk known: all that the driver sets is set. At boot. */
int host_disk_add(struct host_disk *disk);

/* Forgets it again. ERR_EXIST: it is in use. Boot hart, in a job. */
int host_disk_remove(struct host_disk *disk);

/* The device is done with a request. The disk's lock is held. */
void host_disk_finish(struct host_disk *disk, struct disk_request *request, int error);

/* The device has something to take. Boot hart, in an interrupt handler or a job, no lock held. */
void host_disk_interrupted(struct host_disk *disk);

#endif
