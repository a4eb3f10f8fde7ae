/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_VIRTIO_BLK_DISK_H
#define DEVICE_VIRTIO_BLK_DISK_H

/*
 * A disk of the host's, or a slice of one. What the guest reads and writes goes between its memory
 * and the host's device without being copied; what it was told after a flush to be written is on
 * that device.
 */

#include "device/virtio/blk.h"
#include "driver/disk.h"

struct vmconfig_device;

struct blk_disk {
	struct blk_backend backend;
	struct disk_client client;
	struct vm *vm;
};

/*
 * Takes the slice that `config`, a node of the VM's, names. Any error: what is wrong has been
 * reported. Boot hart, in a job or at boot, as all but perform().
 */
int blk_disk_open(struct blk_disk *disk, struct vm *vm, const struct vmconfig_device *config);

/* Gives it back; nothing is in flight. */
void blk_disk_close(struct blk_disk *disk);

/*
 * What the guest is told that the disk's serial number is: the host's of a whole disk. That may
 * still change after boot; the string stays.
 */
const char *blk_disk_serial(const struct blk_disk *disk, const char *otherwise);

/* Bytes that it keeps for requests, at the most. */
uint64_t blk_disk_bytes(void);

#endif
