/* SPDX-License-Identifier: MIT */

/* `disk`: the machine's disks, and who uses them. */

#include "driver/disk.h"
#include "shell/commands.h"
#include "shell/print.h"

static void print_disk(struct host_disk *disk)
{
	const struct host_disk_info *info = host_disk_info(disk);
	const struct disk_client *client = NULL;
	struct host_disk_counts counts;

	host_disk_counts(disk, &counts);
	shell_print("%-12s %s, %llu MiB%s%s%s\n", info->name, info->path,
		    (unsigned long long)(info->sectors * DISK_SECTOR >> 20),
		    info->read_only ? ", read-only" : "", info->serial[0] ? ", serial " : "",
		    info->serial);
	shell_print(
	    "  %llu requests, %llu KiB read, %llu KiB written, %llu errors\n",
	    (unsigned long long)counts.requests, (unsigned long long)counts.read_bytes >> 10,
	    (unsigned long long)counts.written_bytes >> 10, (unsigned long long)counts.errors);
	while ((client = host_disk_next_client(disk, client)) != NULL)
		shell_print("  %s: sectors %llu to %llu%s, weight %u\n", client->name,
			    (unsigned long long)client->first,
			    (unsigned long long)(client->first + client->sectors - 1),
			    client->read_only ? ", read-only" : "", client->weight);
}

/* A client is an object of its own, behind its disk's. */
static void json_of_disk(struct shell_json *json, struct host_disk *disk)
{
	const struct host_disk_info *info = host_disk_info(disk);
	const struct disk_client *client = NULL;
	struct host_disk_counts counts;

	host_disk_counts(disk, &counts);
	shell_json_object(json);
	shell_json_string(json, "disk", info->name);
	shell_json_string(json, "path", info->path);
	shell_json_string(json, "serial", info->serial);
	shell_json_number(json, "bytes", info->sectors * DISK_SECTOR);
	shell_json_number(json, "block_size", info->block_size);
	shell_json_bool(json, "read_only", info->read_only);
	shell_json_number(json, "requests", counts.requests);
	shell_json_number(json, "read_bytes", counts.read_bytes);
	shell_json_number(json, "written_bytes", counts.written_bytes);
	shell_json_number(json, "errors", counts.errors);
	while ((client = host_disk_next_client(disk, client)) != NULL) {
		shell_json_object(json);
		shell_json_string(json, "client", client->name);
		shell_json_string(json, "of", info->name);
		shell_json_number(json, "first", client->first);
		shell_json_number(json, "sectors", client->sectors);
		shell_json_bool(json, "read_only", client->read_only);
		shell_json_number(json, "weight", client->weight);
	}
}

/* Printing passes preemption points, but the list changes in other jobs only. */
static void list(const struct command_call *call)
{
	struct shell_json json;

	if (call->json)
		shell_json_begin(&json);
	for (unsigned i = 0; i < host_disk_count(); i++) {
		if (call->json)
			json_of_disk(&json, host_disk_by_index(i));
		else
			print_disk(host_disk_by_index(i));
	}
	if (call->json)
		shell_json_end(&json);
	else if (host_disk_count() == 0)
		shell_print("there are none\n");
}

const struct command disk_commands[] = {
    {"list", "sizes, requests, and who uses them", NULL, COMMAND_JSON, list},
    {NULL, NULL, NULL, 0, NULL},
};
