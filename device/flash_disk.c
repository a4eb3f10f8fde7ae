/* SPDX-License-Identifier: MIT */
#include "device/flash_disk.h"

#include "device/disk_slice.h"
#include "device/flash.h"
#include "kernel/error.h"
#include "kernel/log.h"
#include "kernel/mmu.h"
#include "kernel/page.h"
#include "kernel/trap.h"
#include "vmm/vm.h"

static uint64_t min_of(uint64_t a, uint64_t b, uint64_t c)
{
	return min_u64(a, min_u64(b, c));
}

/* Makes a request of the next pages, which the bank has. */
static void submit(struct flash_disk *disk, enum disk_operation operation,
		   void (*done)(struct disk_request *request, int error))
{
	uint64_t size = min_u64(disk->end - disk->at, disk->pieces_max * PAGE_SIZE);
	unsigned count = 0;

	for (uint64_t i = 0; operation != DISK_FLUSH && i < size; i += PAGE_SIZE)
		disk->pieces[count++] = (struct virtqueue_buffer){
		    pointer_to_hpa(disk->flash->pages[(disk->at + i) / PAGE_SIZE]),
		    (uint32_t)min_u64(PAGE_SIZE, size - i)};
	disk->request = (struct disk_request){
	    .operation = operation,
	    .sector = count ? disk->at / DISK_SECTOR : 0,
	    .sectors = count ? (uint32_t)(size / DISK_SECTOR) : 0,
	    .pieces = disk->pieces,
	    .piece_count = count,
	    .done = done,
	};
	if (count)
		disk->at += size;
	disk_submit(&disk->client, &disk->request);
}

static void set_busy(struct flash_disk *disk, bool busy)
{
	__atomic_store_n(&disk->busy, busy, __ATOMIC_RELEASE);
}

/*
 * Writing.
 */

static void written(struct disk_request *request, int error)
{
	struct flash_disk *disk = container_of(request, struct flash_disk, request);

	disk->error = disk->error ? disk->error : error;
	flash_disk_write(disk);
}

bool flash_disk_begin(struct flash_disk *disk, uint64_t offset, uint64_t size)
{
	if (offset >= disk->size)
		return false;
	disk->at = offset;
	disk->end = offset + min_u64(size, disk->size - offset);
	disk->flushed = !host_disk_info(disk->client.disk)->can_flush;
	disk->error = 0;
	set_busy(disk, true);
	return true;
}

void flash_disk_write(struct flash_disk *disk)
{
	struct vm *vm = disk->flash->vm;

	if (!disk->error && disk->at < disk->end) {
		submit(disk, DISK_WRITE, written);
	} else if (!disk->error && !disk->flushed) {
		disk->flushed = true;
		submit(disk, DISK_FLUSH, written);
	} else {
		flash_written(disk->flash, disk->error);
		set_busy(disk, false);
		/* It may end now, and be waiting for this. */
		vm_quiesced(vm);
	}
}

/*
 * Reading it all.
 */

static void has_been_read(struct disk_request *request, int error)
{
	struct flash_disk *disk = container_of(request, struct flash_disk, request);

	disk->error = error;
	set_busy(disk, false);
	vm_quiesced(disk->flash->vm);
}

int flash_disk_load(struct flash_disk *disk)
{
	const struct vm *vm = disk->flash->vm;
	uint64_t next = disk->at, chunk = disk->pieces_max * PAGE_SIZE;
	int error = disk->error;

	if (!disk->open || disk->loaded)
		return 0;
	if (flash_disk_is_busy(disk))
		return ERR_AGAIN;
	if (!error && disk->at > 0)
		flash_tidy(disk->flash, (disk->at - 1) / chunk * chunk, disk->at);
	if (!error && disk->at == disk->size) {
		disk->loaded = true;
		return 0;
	}
	for (unsigned i = 0; i < disk->pieces_max && next < disk->size && !error; i++) {
		error = flash_take_page(disk->flash, next);
		next += PAGE_SIZE;
		preempt_point();
	}
	if (error) {
		log_error("%s: flash at 0x%llx: its contents cannot be read", vm->config.path,
			  (unsigned long long)disk->flash->device.base);
		return error;
	}
	set_busy(disk, true);
	submit(disk, DISK_READ, has_been_read);
	return ERR_AGAIN;
}

/*
 * The slice.
 */

int flash_disk_open(struct flash_disk *disk, struct flash *flash,
		    const struct vmconfig_device *config)
{
	const struct host_disk_info *info;
	int error;

	*disk = (struct flash_disk){.flash = flash};
	error = disk_slice_open(&disk->client, flash->vm, config, MACHINE_FLASH_SIZE / DISK_SECTOR);
	if (error)
		return error;
	info = host_disk_info(disk->client.disk);
	if (info->block_size > PAGE_SIZE || info->piece_max < PAGE_SIZE) {
		disk_client_quit(&disk->client);
		return disk_slice_refuse(flash->vm, config, ERR_RANGE,
					 "it does not take pages of 4 KiB");
	}
	disk->size = disk->end = disk->client.sectors * DISK_SECTOR;
	disk->pieces_max = (unsigned)min_of(FLASH_DISK_PIECES, info->segments_max,
					    info->sectors_max / (PAGE_SIZE / DISK_SECTOR));
	disk->open = true;
	return 0;
}

void flash_disk_close(struct flash_disk *disk)
{
	if (disk->open)
		disk_client_quit(&disk->client);
	disk->open = false;
}
