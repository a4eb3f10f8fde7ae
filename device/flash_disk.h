/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_FLASH_DISK_H
#define DEVICE_FLASH_DISK_H

/*
 * Where a bank of flash keeps its contents: a slice of a host's disk. All of it is read before the
 * VM starts; what a command has changed is written, and flushed, before the bank says that it is
 * ready. So what a guest has seen done is on the disk, whatever becomes of its VM.
 */

#include "driver/disk.h"
#include "kernel/types.h"

#define FLASH_DISK_PIECES 64 /* pages of a request: a sector */

struct flash;
struct vmconfig_device;

struct flash_disk {
	struct disk_client client;
	struct flash *flash;
	uint64_t size;         /* bytes of the slice */
	unsigned pieces_max;   /* of a request */
	bool open, loaded;     /* it has the slice; the contents have been read once */
	volatile uint8_t busy; /* a command is under way; atomic, set under the bank's lock */

	/* Who is under way has these. */
	struct disk_request request;
	struct virtqueue_buffer pieces[FLASH_DISK_PIECES];
	uint64_t at, end; /* what is still to be read or written */
	bool flushed;
	int error;
};

/*
 * Takes the slice that `config` names; any error has been reported. And gives it back, when
 * nothing is under way. Boot hart, in a job.
 */
int flash_disk_open(struct flash_disk *disk, struct flash *flash,
		    const struct vmconfig_device *config);
void flash_disk_close(struct flash_disk *disk);

/*
 * Reads the contents: ERR_AGAIN until that is done. Any other error has been reported. Boot hart,
 * in a job, before a vCPU runs; passes preemption points.
 */
int flash_disk_load(struct flash_disk *disk);

/*
 * The bank's contents have changed there, whole pages: it is busy, and what follows is
 * flash_disk_write(), with the bank's lock released. false: that is beyond the slice. With the
 * lock; not while it is busy.
 */
bool flash_disk_begin(struct flash_disk *disk, uint64_t offset, uint64_t size);
void flash_disk_write(struct flash_disk *disk);

static inline bool flash_disk_is_busy(const struct flash_disk *disk)
{
	return __atomic_load_n(&disk->busy, __ATOMIC_ACQUIRE);
}

#endif
