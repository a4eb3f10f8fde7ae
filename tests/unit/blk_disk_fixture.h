/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_BLK_DISK_FIXTURE_H
#define TESTS_UNIT_BLK_DISK_FIXTURE_H

/* A virtio disk that is a slice of a host's: the guest's driver on one side, a fake device on the
 * other. */
#include "tests/unit/blk_fixture.h"

#include "device/virtio/blk_disk.h"
#include "driver/disk_driver.h"
#include "driver/virtio/registry.h"
#include "kernel/log.h"
#include "kernel/platform.h"
#include "kernel/timer.h"
#include "vmm/vmconfig_device.h"

#include <stdio.h>

#define DISK_SECTORS 200
#define SEGMENTS     4
#define PIECE_MAX    3000
#define DEPTH        8

static struct host_disk host;
static struct blk_disk slice;
static struct vmconfig_device device_config;
static char message[512];
static uint8_t stored[DISK_SECTORS * DISK_SECTOR];
static struct host_virtio *known; /* to the registry */

struct platform platform;

void log_at(enum log_level level, const char *format, ...)
{
	va_list arguments;

	(void)level;
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
}

struct host_virtio *host_virtio_by_name(const char *name)
{
	return known && strcmp(known->name, name) == 0 ? known : NULL;
}

/*
 * The host's memory: pages of RAM are there in another order, and pieces end where pages do.
 */

#define HOST_BASE UINT64_C(0x700000000)

static uint64_t host_page(uint64_t page)
{
	return page ^ 1;
}

int gmem_find(struct vm *vm, gpa_t gpa, uint64_t size, hpa_t *hpa, uint64_t *piece)
{
	uint64_t at = gpa.v - RAM_BASE, within = at % PAGE_SIZE;
	int error = check_access(gpa, 1);

	assert_ptr_equal(vm, &ring_vm);
	assert_true(size > 0);
	if (error || !vm_is_ram(vm, gpa, size))
		return error ? error : ERR_RANGE;
	*hpa = HPA(HOST_BASE + host_page(at / PAGE_SIZE) * PAGE_SIZE + within);
	*piece = min_u64(size, PAGE_SIZE - within);
	return 0;
}

static uint8_t *host_byte(uint64_t hpa)
{
	uint64_t at = hpa - HOST_BASE;
	/* host_page() is its own inverse. */
	return ram + host_page(at / PAGE_SIZE) * PAGE_SIZE + at % PAGE_SIZE;
}

/*
 * The host's device.
 */

static struct disk_request *has[DEPTH];
static unsigned has_count, flushes, transfers;
static bool unmapped;

static int start(struct host_disk *of, struct disk_request *request)
{
	assert_ptr_equal(of, &host);
	if (has_count == DEPTH)
		return ERR_AGAIN;
	has[has_count++] = request;
	flushes += request->operation == DISK_FLUSH;
	transfers += request->operation <= DISK_WRITE;
	unmapped = request->unmap;
	return 0;
}

static void tell_device(struct host_disk *of)
{
	(void)of;
}

static void move(const struct disk_request *request)
{
	uint8_t *at = stored + (request->client->first + request->sector) * DISK_SECTOR;
	unsigned last = request->piece_count - 1;

	for (unsigned i = 0; i < request->piece_count; i++) {
		const struct virtqueue_buffer *piece = &request->pieces[i];

		/* What could have been one piece is; of the last the end may have been cut off. */
		assert_true(i + 1 >= last ||
			    piece->address.v + piece->length != piece[1].address.v ||
			    piece->length + piece[1].length > PIECE_MAX);
		for (uint32_t n = 0; n < piece->length; n++, at++) {
			if (request->operation == DISK_READ)
				*host_byte(piece->address.v + n) = *at;
			else
				*at = *host_byte(piece->address.v + n);
		}
	}
}

/* The device is done with the n-th that it has. */
static void end(unsigned n, int error)
{
	struct disk_request *of = has[n];

	if (!error && of->operation <= DISK_WRITE)
		move(of);
	if (!error && of->operation == DISK_WRITE_ZEROES)
		memset(stored + (of->client->first + of->sector) * DISK_SECTOR, 0,
		       (size_t)of->sectors * DISK_SECTOR);
	for (has_count--; n < has_count; n++)
		has[n] = has[n + 1];
	spin_lock(&host.lock);
	host_disk_finish(&host, of, error);
	spin_unlock(&host.lock);
	host_disk_interrupted(&host);
}

static int take_none(struct host_disk *of, bool *more)
{
	(void)of, (void)more;
	return 0;
}

static bool fail_none(struct host_disk *of)
{
	(void)of;
	return false;
}

static const struct host_disk_driver ops = {start, tell_device, take_none, fail_none};

/*
 * Setting up.
 */

static inline int set_up(void **state)
{
	(void)state;
	guest_reset();
	memset(&host, 0, sizeof(host));
	host.driver = &ops;
	host.depth = DEPTH;
	host.info = (struct host_disk_info){
	    .name = "virtio-blk0",
	    .path = "/soc/virtio@1",
	    .sectors = DISK_SECTORS,
	    .block_size = 512,
	    .can_flush = true,
	    .can_discard = true,
	    .can_write_zeroes = true,
	    .sectors_max = 40,
	    .segments_max = SEGMENTS,
	    .piece_max = PIECE_MAX,
	    .discard_max = 60,
	    .write_zeroes_max = 50,
	    .serial = "theirs",
	};
	list_init(&host.clients);
	while (host_disk_count())
		host_disk_remove(host_disk_by_index(0));
	assert_int_equal(host_disk_add(&host), 0);
	for (unsigned i = 0; i < sizeof(stored); i++)
		stored[i] = (uint8_t)(i * 13 + i / 511);
	has_count = flushes = transfers = 0;
	known = NULL;
	message[0] = '\0';
	ring_vm.state = VM_RUNNING;
	ring_vm.config.weight = 100;
	snprintf(ring_vm.config.path, sizeof(ring_vm.config.path), "/configurations/web");
	snprintf(ring_vm.config.name, sizeof(ring_vm.config.name), "web");
	device_config = (struct vmconfig_device){
	    .name = "disk", .host = "virtio-blk0", .offset = 50 * 512, .size = 100 * 512};
	return 0;
}

static inline int tear_down(void **state)
{
	while (!list_empty(&host.clients))
		list_remove(host.clients.next);
	return teardown(state);
}

static inline int open_slice(void)
{
	return blk_disk_open(&slice, &ring_vm, &device_config);
}

/* Opens it, and begins to drive it. */
static inline void plug_slice(uint64_t without)
{
	assert_int_equal(open_slice(), 0);
	assert_int_equal(blk_init(&blk, &slice.backend, blk_disk_serial(&slice, "disk"), &ring_vm,
				  (struct irq_line){0}, false, &arena),
			 0);
	slot.device = &blk.device;
	plug(&blk.device);
	blk.device.irq = test_line();
	begin_setup(blk.device.features & ~without);
	driver = set_queue(0, RING, SIZE);
	finish_setup();
}

/* Has the device end what it has, one by one, until it is given no more. */
static inline void end_all(void)
{
	do {
		run_all();
		if (has_count)
			end(0, 0);
	} while (has_count || job_count);
}

static inline unsigned finish(uint32_t *written)
{
	uint32_t head;

	end_all();
	assert_true(driver_take(&driver, &head, written));
	assert_int_equal(rd(R_STATUS) & S_NEEDS_RESET, 0);
	return (unsigned)guest_get(STATUS, 1);
}

static inline void notify(void)
{
	driver_offer(&driver, 0);
	wr(R_NOTIFY, 0);
	run_all();
}

/* Lengths of segments, across sectors and pages. */
static const uint32_t odd[] = {100, 2500, 3, 5000, 77, 4096, 512, 2048, 1024};

/* A request whose data is in segments of these lengths, from BUFFERS + `skew` on, a KiB between. */
static inline uint32_t describe(uint32_t type, uint64_t sector, unsigned skew,
				const uint32_t *lengths, unsigned count)
{
	uint64_t gpa = BUFFERS + skew;
	uint32_t size = 0;

	put_header(type, sector);
	driver_describe(&driver, 0, HEADER, 16, D_NEXT, 1);
	for (unsigned i = 0; i < count; i++) {
		driver_describe(&driver, i + 1, gpa, lengths[i],
				(type == T_IN ? D_WRITE : 0) | D_NEXT, i + 2);
		gpa += lengths[i] + (i % 2 ? 1024 : 0);
		size += lengths[i];
	}
	driver_describe(&driver, count + 1, STATUS, 1, D_WRITE, 0);
	return size;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
