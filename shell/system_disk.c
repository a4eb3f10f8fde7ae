/* SPDX-License-Identifier: MIT */

/*
 * The system file on a disk: its tree first, which says how far its images go, then all of it. The
 * disk is believed no more than a system file that was handed over.
 */

#include "shell/system_disk.h"

#include "driver/disk.h"
#include "kernel/error.h"
#include "kernel/fdt.h"
#include "kernel/log.h"
#include "kernel/mmu.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "vmm/hooks.h"
#include "vmm/schedule.h"

#include <libfdt.h>

/* Read at once, at most; the disk may take less. */
#define PIECE_MOST KIB(256)
/* The largest block that the page allocator gives. */
#define FILE_MOST GIB(1)

enum stage { HEADER, TREE, FILE };

static struct {
	struct job job;
	const char *name;
	void (*start)(const void *system, uint64_t size);
	struct disk_client client;
	struct disk_request request;
	struct virtqueue_buffer piece;
	enum stage stage;
	char *memory;
	unsigned order;
	uint64_t wanted, have; /* bytes: of what is being read; of these, read */
	uint64_t size;         /* of the file */
	int error;             /* of the last request */
} reader;

static void __noreturn fail(const char *why)
{
	log_error("command line: pilae.system=%s: %s", reader.name, why);
	machine_end(true);
}

static int step(struct job *job);

static void done(struct disk_request *request, int error)
{
	reader.error = error;
	if (!error)
		reader.have += (uint64_t)request->sectors * DISK_SECTOR;
	schedule_job(&reader.job, step);
}

static void read_piece(void)
{
	const struct host_disk_info *info = host_disk_info(reader.client.disk);
	uint64_t size = min_u64(
	    PIECE_MOST, min_u64(info->piece_max, (uint64_t)info->sectors_max * DISK_SECTOR));

	size = min_u64(align_down(size, info->block_size), reader.wanted - reader.have);
	reader.piece =
	    (struct virtqueue_buffer){pointer_to_hpa(reader.memory + reader.have), (uint32_t)size};
	reader.request = (struct disk_request){
	    .operation = DISK_READ,
	    .sector = reader.have / DISK_SECTOR,
	    .sectors = (uint32_t)(size / DISK_SECTOR),
	    .pieces = &reader.piece,
	    .piece_count = 1,
	    .done = done,
	};
	disk_submit(&reader.client, &reader.request);
}

/* Begins to read the file's first bytes, into memory of its own. */
static void read_first(enum stage stage, uint64_t size)
{
	const struct host_disk_info *info = host_disk_info(reader.client.disk);

	if (reader.memory)
		page_free(reader.memory, reader.order);
	reader.memory = NULL;
	reader.stage = stage;
	reader.size = size;
	reader.have = 0;
	reader.wanted = align_up(size, info->block_size);
	if (size > FILE_MOST || reader.wanted > info->sectors * DISK_SECTOR) {
		fail("the system file is larger than the disk, or than 1 GiB");
		return;
	}
	reader.order = page_order(reader.wanted);
	reader.memory = page_alloc(reader.order);
	if (reader.memory)
		read_piece();
	else
		fail("no memory left for the system file");
}

static uint64_t cell(int node, const char *name, uint64_t otherwise)
{
	return fdt_node_u64(reader.memory, node, name, otherwise);
}

/* How far the file goes: to the end of its tree, or of what lies behind that (mkimage -E). */
static uint64_t file_size(void)
{
	const void *fdt = reader.memory;
	uint64_t size = fdt_totalsize(fdt), base = align_up(size, 4);
	int node;

	fdt_for_each_subnode(node, fdt, fdt_path_offset(fdt, "/images"))
	{
		uint64_t place = cell(node, "data-position", 0);

		if (fdt_getprop(fdt, node, "data-offset", NULL))
			place = base + cell(node, "data-offset", 0);
		if (place)
			size = max_u64(size, place + cell(node, "data-size", 0));
	}
	return size;
}

/* What there is of the file has been read. */
static void proceed(void)
{
	if (reader.stage == HEADER && fdt_check_header(reader.memory) != 0) {
		fail("there is no system file at its beginning");
	} else if (reader.stage == HEADER) {
		read_first(TREE, fdt_totalsize(reader.memory));
	} else if (reader.stage == TREE && fdt_check_full(reader.memory, reader.size) != 0) {
		fail("the system file is broken");
	} else if (reader.stage == TREE && file_size() > reader.size) {
		read_first(FILE, file_size());
	} else {
		disk_client_quit(&reader.client);
		reader.start(reader.memory, reader.size);
	}
}

static int step(struct job *job)
{
	(void)job;
	if (reader.error)
		fail(error_string(reader.error));
	else if (reader.have < reader.wanted)
		read_piece();
	else
		proceed();
	return 0;
}

void system_disk_begin(const char *name, void (*start)(const void *system, uint64_t size))
{
	const char *other = NULL;

	reader.name = name;
	reader.start = start;
	reader.client = (struct disk_client){
	    .disk = host_disk_by_name(name),
	    .name = "pilae.system",
	    .weight = 100,
	    .read_only = true,
	};
	if (!reader.client.disk)
		fail("there is no such disk");
	else if (disk_client_init(&reader.client, &other) != 0)
		fail("it cannot be used");
	else
		read_first(HEADER, sizeof(struct fdt_header));
}
