/* SPDX-License-Identifier: MIT */
#include "device/disk_slice.h"

#include "driver/virtio/registry.h"
#include "kernel/error.h"
#include "kernel/log.h"
#include "vmm/vm.h"
#include "vmm/vmconfig_device.h"

#include <stdio.h>

int disk_slice_refuse(const struct vm *vm, const struct vmconfig_device *config, int error,
		      const char *why)
{
	log_error("%s/%s: pilae,host = \"%s\": %s", vm->config.path, config->name, config->host,
		  why);
	return error;
}

static int refuse_disk(const struct vm *vm, const struct vmconfig_device *config)
{
	const struct host_virtio *virtio = host_virtio_by_name(config->host);
	char why[96];

	if (!virtio)
		snprintf(why, sizeof(why),
			 "there is no such disk; there are %u, from virtio-blk0 up",
			 host_disk_count());
	else if (virtio->id == VIRTIO_ID_BLOCK && virtio->owner)
		snprintf(why, sizeof(why), "VM %s has it", virtio->owner);
	else
		snprintf(why, sizeof(why), "it is not a disk that can be used");
	return disk_slice_refuse(vm, config, ERR_NOENT, why);
}

static int refuse_slice(const struct disk_client *client, const struct vm *vm,
			const struct vmconfig_device *config, const char *other, int error)
{
	const struct host_disk_info *info = host_disk_info(client->disk);
	char why[160];

	if (error == ERR_DENIED)
		return disk_slice_refuse(vm, config, error, "it is read-only: add pilae,read-only");
	if (error == ERR_EXIST)
		snprintf(why, sizeof(why), "VM %s has sectors of that slice", other);
	else
		snprintf(why, sizeof(why),
			 "the slice exceeds it, or is not of whole blocks: it has %llu bytes, in "
			 "blocks of %u",
			 (unsigned long long)info->sectors * DISK_SECTOR, info->block_size);
	return disk_slice_refuse(vm, config, error, why);
}

int disk_slice_open(struct disk_client *client, const struct vm *vm,
		    const struct vmconfig_device *config, uint64_t sectors_most)
{
	const char *other = NULL;
	uint64_t sectors;
	int error;

	*client = (struct disk_client){
	    .disk = host_disk_by_name(config->host),
	    .name = vm->config.name,
	    .weight = vm->config.weight,
	    .first = config->offset / DISK_SECTOR,
	    .sectors = config->size / DISK_SECTOR,
	    .read_only = config->read_only,
	};
	if (!client->disk)
		return refuse_disk(vm, config);
	sectors = host_disk_info(client->disk)->sectors;
	if (client->sectors == 0 && client->first < sectors)
		client->sectors = min_u64(sectors - client->first, sectors_most);
	error = disk_client_init(client, &other);
	return error ? refuse_slice(client, vm, config, other, error) : 0;
}
