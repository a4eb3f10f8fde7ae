/* SPDX-License-Identifier: MIT */
/* unit: device/disk_slice.c device/virtio/blk.c device/virtio/blk_disk.c device/virtio/blk_image.c device/virtio/device.c device/virtio/mmio.c device/virtio/vring.c driver/disk.c kernel/heap.c vmm/copy.c */
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

uint64_t time_now(void)
{
	return 0;
}

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

static int set_up(void **state)
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

static int tear_down(void **state)
{
	while (!list_empty(&host.clients))
		list_remove(host.clients.next);
	return teardown(state);
}

static int open_slice(void)
{
	return blk_disk_open(&slice, &ring_vm, &device_config);
}

/* Opens it, and begins to drive it. */
static void plug_slice(uint64_t without)
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
static void end_all(void)
{
	do {
		run_all();
		if (has_count)
			end(0, 0);
	} while (has_count || job_count);
}

static unsigned finish(uint32_t *written)
{
	uint32_t head;

	end_all();
	assert_true(driver_take(&driver, &head, written));
	assert_int_equal(rd(R_STATUS) & S_NEEDS_RESET, 0);
	return (unsigned)guest_get(STATUS, 1);
}

static void notify(void)
{
	driver_offer(&driver, 0);
	wr(R_NOTIFY, 0);
	run_all();
}

/* A request whose data is in segments of these lengths, from BUFFERS + `skew` on, a KiB between. */
static uint32_t describe(uint32_t type, uint64_t sector, unsigned skew, const uint32_t *lengths,
			 unsigned count)
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

/* The guest's bytes of a request as above, in a row. */
static void copy_data(uint8_t *bytes, bool in, unsigned skew, const uint32_t *lengths,
		      unsigned count)
{
	uint8_t *at = ram + (BUFFERS - RAM_BASE) + skew;

	for (unsigned i = 0; i < count; i++) {
		memcpy(in ? at : bytes, in ? bytes : at, lengths[i]);
		bytes += lengths[i];
		at += lengths[i] + (i % 2 ? 1024 : 0);
	}
}

/*
 * Tests.
 */

static const uint32_t few[] = {512, 1024, 512},
		      odd[] = {100, 2500, 3, 5000, 77, 4096, 512, 2048, 1024};

static void read_and_write(unsigned skew, const uint32_t *lengths, unsigned count)
{
	uint8_t bytes[KIB(32)], expected[sizeof(stored)];
	uint32_t size, written;

	size = describe(T_IN, 7, skew, lengths, count);
	notify();
	assert_int_equal(finish(&written), S_OK);
	assert_int_equal(written, size + 1);
	assert_int_equal(noted_bytes, size);
	copy_data(bytes, false, skew, lengths, count);
	assert_memory_equal(bytes, stored + 57 * 512, size);

	for (unsigned i = 0; i < size; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 300);
	copy_data(bytes, true, skew, lengths, count);
	memcpy(expected, stored, sizeof(stored));
	memcpy(expected + 59 * 512, bytes, size);
	describe(T_OUT, 9, skew, lengths, count);
	notify();
	assert_int_equal(finish(&written), S_OK);
	assert_int_equal(written, 1);
	assert_memory_equal(stored, expected, sizeof(stored));
	assert_int_equal(noted_bytes, size);
	assert_int_equal(flushes, 0);
	noted_bytes = 0;
}

static void test_transfers(void **state)
{
	(void)state;
	plug_slice(0);
	read_and_write(0, few, 3);
	/* In RAM two segments are one piece, and each transfer is one request. */
	assert_int_equal(transfers, 2);
	for (unsigned skew = 0; skew < 4096; skew += 508)
		read_and_write(skew, odd, ARRAY_SIZE(odd));
	assert_int_equal(driver_used_index(&driver), 2 * 10);
}

/* Parts are whole blocks, also where blocks are larger than sectors. */
static void test_blocks(void **state)
{
	(void)state;
	host.info.block_size = 1024;
	device_config.offset = 49 * 512;
	assert_int_equal(open_slice(), ERR_RANGE);
	device_config.offset = 50 * 512;
	plug_slice(0);
	assert_int_equal(rd(R_CONFIG + 20), 1024);
	/* And so requests begin with them. */
	describe(T_IN, 7, 0, few, 3);
	notify();

	uint32_t written;

	assert_int_equal(finish(&written), S_IOERR);
	describe(T_IN, 8, 300, odd, 6);
	notify();
	assert_int_equal(finish(&written), S_IOERR);
	describe(T_IN, 8, 300, (const uint32_t[]){700, 3000, 300, 2900, 1292}, 5);
	notify();
	assert_int_equal(finish(&written), S_OK);
	assert_int_equal(written, 8193);
	assert_true(transfers > 2);
}

/* Of a block that is in more pieces than the disk takes nothing can be done. */
static void test_crumbs(void **state)
{
	static const uint32_t crumbs[] = {100, 100, 100, 100, 100, 100, 100, 100, 100, 124};
	uint32_t written;

	(void)state;
	plug_slice(0);
	assert_int_equal(rd(R_CONFIG + 12), SEGMENTS);
	describe(T_IN, 0, 0, crumbs, 10);
	notify();
	assert_int_equal(finish(&written), S_OK);
	host.info.segments_max = 1;
	describe(T_IN, 0, 0, crumbs, 10);
	notify();
	assert_int_equal(finish(&written), S_IOERR);
	assert_int_equal(noted_bytes, 1024);
}

static void test_errors(void **state)
{
	static const int errors[] = {ERR_IO, ERR_NOSYS};
	static const unsigned statuses[] = {S_IOERR, S_UNSUPP};
	uint32_t written, size;

	(void)state;
	plug_slice(0);
	for (unsigned i = 0; i < 2; i++) {
		noted_bytes = 0;
		size = describe(T_IN, 0, 0, odd, ARRAY_SIZE(odd));
		notify();
		end(0, 0);
		run_all();
		/* The second part: what it has of it may be there. */
		end(0, errors[i]);
		assert_int_equal(finish(&written), statuses[i]);
		assert_in_range(written, 512, size - 512);
		assert_in_range(noted_bytes, written + 512, size);
	}
	short_of_memory = false;
	describe(T_IN, 99, 0, few, 3);
	notify();
	assert_int_equal(finish(&written), S_IOERR);
	assert_int_equal(rd(R_CONFIG), 100);
}

/* 5.2.6.2: a driver that does not flush has what it wrote on the disk when it is told so. */
static void test_write_through(void **state)
{
	uint32_t written;

	(void)state;
	plug_slice(F_FLUSH);
	describe(T_OUT, 0, 0, few, 3);
	notify();
	assert_int_equal(has_count, 1);
	assert_int_equal(flushes, 0);
	end(0, 0);
	run_all();
	assert_int_equal(flushes, 1);
	assert_int_equal(driver_used_index(&driver), 0);
	assert_int_equal(finish(&written), S_OK);
	assert_int_equal(written, 1);
	/* An error of the flush is one of the write. */
	describe(T_OUT, 0, 0, few, 3);
	notify();
	end(0, 0);
	run_all();
	end(0, ERR_IO);
	assert_int_equal(finish(&written), S_IOERR);
	describe(T_IN, 0, 0, few, 3);
	notify();
	assert_int_equal(finish(&written), S_OK);
	assert_int_equal(flushes, 2);
}

static void test_flush(void **state)
{
	uint32_t written;

	(void)state;
	plug_slice(0);
	describe(T_FLUSH, 0, 0, NULL, 0);
	notify();
	assert_int_equal(flushes, 1);
	assert_int_equal(driver_used_index(&driver), 0);
	assert_int_equal(finish(&written), S_OK);
}

/* A disk that cannot flush has all that it has acknowledged. */
static void test_no_cache(void **state)
{
	uint32_t written;

	(void)state;
	host.info.can_flush = false;
	plug_slice(0);
	assert_false(blk.device.features & F_FLUSH);
	describe(T_OUT, 0, 0, few, 3);
	notify();
	end(0, 0);
	assert_int_equal(finish(&written), S_OK);
	assert_int_equal(flushes, 0);
}

static void range(uint32_t type, uint32_t sectors, uint32_t flags, unsigned status)
{
	uint32_t written;

	put_range(0, 20, sectors, flags);
	describe(type, 0, 0, (const uint32_t[]){16}, 1);
	notify();
	assert_int_equal(finish(&written), status);
}

static void test_ranges(void **state)
{
	(void)state;
	plug_slice(0);
	assert_int_equal(rd(R_CONFIG + 36), 50);
	assert_int_equal(rd(R_CONFIG + 48), 50);
	range(T_WRITE_ZEROES, 50, 1, S_OK);
	assert_true(unmapped);
	for (unsigned i = 0; i < 50 * 512; i++)
		assert_int_equal(stored[70 * 512 + i], 0);
	assert_int_not_equal(stored[70 * 512 - 1] | stored[70 * 512 - 2], 0);
	range(T_WRITE_ZEROES, 2, 0, S_OK);
	assert_false(unmapped);
	range(T_DISCARD, 50, 0, S_OK);
	range(T_DISCARD, 51, 0, S_IOERR);
	range(T_WRITE_ZEROES, 0, 0, S_OK);
}

/* What the host's disk does not offer the guest's does not. */
static void test_plain(void **state)
{
	(void)state;
	host.info.can_discard = host.info.can_write_zeroes = false;
	host.info.discard_max = host.info.write_zeroes_max = 0;
	plug_slice(0);
	assert_false(blk.device.features & (F_DISCARD | F_WRITE_ZEROES));
	range(T_WRITE_ZEROES, 1, 0, S_UNSUPP);
	range(T_DISCARD, 1, 0, S_UNSUPP);
}

static void test_read_only(void **state)
{
	uint32_t written;

	(void)state;
	host.info.read_only = true;
	assert_int_equal(open_slice(), ERR_DENIED);
	assert_non_null(strstr(message,
			       "/configurations/web/disk: pilae,host = \"virtio-blk0\": it "
			       "is read-only"));
	device_config.read_only = true;
	plug_slice(0);
	assert_true(blk.device.features & F_RO);
	describe(T_OUT, 0, 0, few, 3);
	notify();
	assert_int_equal(finish(&written), S_IOERR);
	assert_int_equal(transfers, 0);
}

static void test_open_errors(void **state)
{
	struct host_virtio virtio = {.id = VIRTIO_ID_BLOCK, .owner = "other"};
	struct blk_disk first;

	(void)state;
	device_config.host = "virtio-blk1";
	assert_int_equal(open_slice(), ERR_NOENT);
	assert_non_null(strstr(message, "there is no such disk; there are 1, from virtio-blk0 up"));
	known = &virtio;
	snprintf(virtio.name, sizeof(virtio.name), "virtio-blk1");
	assert_int_equal(open_slice(), ERR_NOENT);
	assert_non_null(strstr(message, "VM other has it"));
	virtio.id = VIRTIO_ID_NET;
	assert_int_equal(open_slice(), ERR_NOENT);
	assert_non_null(strstr(message, "it is not a disk"));

	device_config.host = "/soc/virtio@1";
	device_config.size = 151 * 512;
	assert_int_equal(open_slice(), ERR_RANGE);
	assert_non_null(strstr(message, "it has 102400 bytes, in blocks of 512"));
	device_config.size = 0;
	assert_int_equal(blk_disk_open(&first, &ring_vm, &device_config), 0);
	assert_int_equal(first.backend.sectors, 150);
	device_config.offset = 0;
	assert_int_equal(open_slice(), ERR_EXIST);
	assert_non_null(strstr(message, "VM web has sectors of that slice"));
	blk_disk_close(&first);
	assert_int_equal(open_slice(), 0);
}

static void test_serial(void **state)
{
	(void)state;
	assert_int_equal(open_slice(), 0);
	assert_string_equal(blk_disk_serial(&slice, "disk"), "disk");
	blk_disk_close(&slice);
	device_config.offset = device_config.size = 0;
	assert_int_equal(open_slice(), 0);
	assert_string_equal(blk_disk_serial(&slice, "disk"), "theirs");
}

/* Offers `count` requests, each of one flush with a status of its own. */
static void offer(unsigned count)
{
	for (unsigned n = 0; n < count; n++) {
		put_header(T_FLUSH, 0);
		driver_describe(&driver, 2 * n, HEADER, 16, D_NEXT, 2 * n + 1);
		driver_describe(&driver, 2 * n + 1, STATUS + n, 1, D_WRITE, 0);
		driver_offer(&driver, 2 * n);
	}
	wr(R_NOTIFY, 0);
	run_all();
}

/* What the device has not got comes back at once when the VM ends; what it has when it is done. */
static void test_quiesce(void **state)
{
	(void)state;
	plug_slice(0);
	offer(20);
	assert_int_equal(disk_client_in_flight(&slice.client), 20);
	assert_in_range(has_count, 1, DEPTH);
	assert_int_equal(virtio_device_quiesce(&blk.device), ERR_AGAIN);
	run_all();
	assert_int_equal(disk_client_in_flight(&slice.client), has_count);
	assert_int_equal(quiesced, 0);
	while (has_count) {
		end(0, ERR_IO);
		run_all();
		assert_int_equal(quiesced > 0, has_count == 0);
	}
	assert_int_equal(virtio_device_quiesce(&blk.device), 0);
	assert_int_equal(disk_client_in_flight(&slice.client), 0);
	assert_int_equal(driver_used_index(&driver), 0);
}

static void test_reset(void **state)
{
	(void)state;
	plug_slice(0);
	offer(20);
	assert_int_equal(try_wr(R_STATUS, 4, 0), ERR_AGAIN);
	run_all();
	while (has_count)
		end(0, 0);
	assert_int_equal(try_wr(R_STATUS, 4, 0), 0);
	assert_int_equal(disk_client_in_flight(&slice.client), 0);
}

/* A second part is not begun when the VM ends after the first. */
static void test_end_between_parts(void **state)
{
	(void)state;
	plug_slice(0);
	describe(T_OUT, 0, 0, odd, ARRAY_SIZE(odd));
	notify();
	assert_int_equal(transfers, 1);
	assert_int_equal(virtio_device_quiesce(&blk.device), ERR_AGAIN);
	end_all();
	assert_int_equal(transfers, 1);
	assert_int_equal(virtio_device_quiesce(&blk.device), 0);
}

/* A VM that is paused gets what it has begun, and begins the rest when it goes on. */
static void test_pause(void **state)
{
	(void)state;
	plug_slice(0);
	offer(1);
	ring_vm.state = VM_PAUSING;
	offer(2);
	assert_int_equal(has_count, 1);
	end(0, 0);
	run_all();
	assert_int_equal(driver_used_index(&driver), 1);
	assert_int_equal(has_count, 0);
	ring_vm.state = VM_RUNNING;
	virtio_queue_wake(&blk.device.queues[0]);
	end_all();
	assert_int_equal(driver_used_index(&driver), 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_transfers), TEST(test_blocks),      TEST(test_crumbs),
	    TEST(test_errors),    TEST(test_flush),       TEST(test_write_through),
	    TEST(test_no_cache),  TEST(test_ranges),      TEST(test_plain),
	    TEST(test_read_only), TEST(test_open_errors), TEST(test_serial),
	    TEST(test_quiesce),   TEST(test_reset),       TEST(test_end_between_parts),
	    TEST(test_pause),
	};

	return cmocka_run_group_tests_name("virtio_blk_disk", tests, NULL, NULL);
}
