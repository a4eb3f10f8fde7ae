/* SPDX-License-Identifier: MIT */
#ifndef VMM_IMAGE_H
#define VMM_IMAGE_H

/*
 * Where the images of a VM go in its memory: a plan is made from them first, and only a plan
 * that is sound is carried out. Any context, no locks; nothing is allocated or written.
 */

#include "kernel/types.h"
#include "vmm/fit.h"

#define LOAD_SEGMENTS_MAX 32

struct load_segment {
	const void *src; /* in the system file; NULL: zeroes */
	gpa_t gpa;
	uint64_t size; /* bytes, not 0 */
};

/* All ranges lie in the VM's RAM, and no two overlap. */
struct load_plan {
	unsigned count;
	struct load_segment segments[LOAD_SEGMENTS_MAX]; /* the kernel's, then the ramdisk */
	gpa_t entry;
	gpa_t fdt;     /* fdt_size bytes are free here, aligned to 2 MiB if possible */
	gpa_t ramdisk; /* if ramdisk_size is not 0; aligned to 4 KiB */
	uint64_t ramdisk_size;
};

struct load_request {
	const char *path;                /* of the VM's node, for messages */
	const struct fit_image *kernel;  /* or NULL: it starts in flash, bank 0 */
	const struct fit_image *ramdisk; /* or NULL */
	uint64_t fdt_size;               /* bytes to leave for the device tree */
	uint64_t ram_base, ram_size;     /* guest-physical; multiples of 2 MiB that do not wrap */
};

/*
 * Makes the plan. ERR_NOSYS for a kernel of a kind that cannot be booted, ERR_INVAL for one
 * that is damaged, ERR_RANGE if it belongs outside RAM, ERR_TOO_LARGE if something does not
 * fit; each reported through log_error.
 */
int image_plan(struct load_plan *plan, const struct load_request *request);

#endif
