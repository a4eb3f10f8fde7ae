/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_VIRTIO_BLK_IMAGE_H
#define DEVICE_VIRTIO_BLK_IMAGE_H

/*
 * A disk in memory. What is read comes from an image of the system file; what is written goes into
 * pages of the VM's own, which stay until the VM ends. So guests can share an image, and each finds
 * it as it was when it starts, but not when it restarts.
 */

#include "device/virtio/blk.h"

struct blk_image {
	struct blk_backend backend;
	const char *data; /* the image */
	uint64_t size;    /* bytes */
	struct arena *arena;
	const char **pages; /* in place of the image's, each or NULL; NULL where it is read-only */
};

/*
 * `data` stays, and is `size` bytes, at least one; they are filled up with zeroes to a whole
 * sector. ERR_NOMEM from the arena, from which pages are taken later, too: blk_image_bytes() at the
 * most.
 */
int blk_image_init(struct blk_image *image, const void *data, uint64_t size, bool read_only,
		   struct arena *arena);

uint64_t blk_image_bytes(uint64_t size, bool read_only);

#endif
