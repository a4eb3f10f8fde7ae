/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_FLASH_H
#define DEVICE_FLASH_H

/*
 * A bank of CFI flash, as on QEMU's `virt`: two x16 devices of Intel's command set side by side, 32
 * MiB in sectors of 256 KiB. While it is an array the guest reads and executes it without an exit:
 * pages are mapped when they are touched first, never for writing. In all other modes nothing is
 * mapped, so that what is read there comes here.
 *
 * Contents are kept by 4 KiB pages: of the image they are copied when they are needed; one that is
 * erased takes no memory. Of a host's disk they are all read at first, and written back by each
 * command (flash_disk.h), which is not ready before that is done.
 */

#include "device/flash_disk.h"
#include "kernel/lock.h"
#include "kernel/types.h"
#include "vmm/bus.h"
#include "vmm/machine.h"

#define FLASH_SECTOR_SIZE KIB(256)

struct vm;
struct vmconfig_device;

struct flash {
	struct mmio_device device; /* on vm->forwarded: an access is a full exit */
	struct vm *vm;
	bool read_only;
	const char *image; /* what it holds at first; erased where that ends */
	uint64_t image_size;

	struct spinlock lock; /* guards all below */
	bool hidden;          /* nothing of it is mapped */
	bool keep;            /* the write under way has changed what the disk is to have */
	uint8_t command;      /* whose mode it is in */
	uint8_t cycle;        /* writes of a command that have been made: what the next one means */
	uint8_t status;
	uint32_t count;  /* writes that the buffer still takes */
	uint64_t block;  /* offset of the page that the buffer is for; UINT64_MAX: none yet */
	uint8_t *buffer; /* what is to be programmed there; a page */
	char *blank;     /* an erased page, for all that are; never written */
	char *spare;  /* pages that have been erased, each beginning with the next one's address */
	char **pages; /* NULL: as in the image */

	struct flash_disk disk; /* where it is kept, if that is open */
};

/* Bytes that such a bank may take. */
uint64_t flash_bytes(const struct vmconfig_device *config);

/* Builds a bank for the VM, from its arena and on its bus. ERR_NOMEM. Passes preemption points. */
int flash_build(struct flash *flash, struct vm *vm, const struct vmconfig_device *config);

/* What it has of the host is free again; nothing is under way. */
void flash_unbuild(struct flash *flash);

/* As the machine comes out of reset: an array again. No vCPU of the VM runs. */
void flash_reset(struct flash *flash);

/*
 * Maps the page at the guest-physical address `gpa` in the bank. ERR_FAULT: it is no array now, or
 * there is no memory. Any hart, no lock held.
 */
int flash_map(struct flash *flash, gpa_t gpa);

/*
 * For flash_disk.c. The page at `offset` gets memory, to be read into: ERR_NOMEM. Of what has
 * been read, from `start` to `end`, what is blank takes none; passes preemption points. Both before
 * a vCPU runs. And the disk has what a command has changed, or it failed.
 */
int flash_take_page(struct flash *flash, uint64_t offset);
void flash_tidy(struct flash *flash, uint64_t start, uint64_t end);
void flash_written(struct flash *flash, int error);

#endif
