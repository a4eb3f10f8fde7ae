/* SPDX-License-Identifier: MIT */
/* unit: device/disk_slice.c device/flash.c device/flash_disk.c engine/gspace.c kernel/arena.c kernel/page.c vmm/bus.c vmm/copy.c */
#include "tests/unit/fake_kernel.h"

#include "device/flash.h"
#include "driver/virtio/registry.h"
#include "kernel/page.h"
#include "kernel/pool.h"
#include "vmm/vm.h"

#define MEMORY_PAGES 16384
#define IMAGE_SIZE   (KIB(600) + 123)
#define BASE         UINT64_C(0x22000000)
#define SECTOR       KIB(256)
#define VCPUS        70

static struct page pages[MEMORY_PAGES];
static char *memory;
static uint8_t image[IMAGE_SIZE + 7];
static struct vm vm;
static struct vcpu vcpus[VCPUS], *vcpu_list[VCPUS];
static struct flash flash;
static struct vmconfig_device config;
static unsigned asked, awaited;

bool pool_reclaim(void)
{
	return false;
}

/* No lock is held where others are waited for. */
static void check_unlocked(void)
{
	assert_true(spin_trylock(&flash.lock));
	spin_unlock(&flash.lock);
}

void vcpu_request(struct vcpu *vcpu, uint32_t requests)
{
	assert_int_equal(requests, VCPU_FLUSH);
	assert_ptr_equal(vcpu, &vcpus[asked]);
	assert_int_equal(awaited, 0);
	assert_true(flash.hidden);
	check_unlocked();
	asked++;
}

void vcpu_wait_request(struct vcpu *vcpu, uint32_t requests)
{
	assert_int_equal(requests, VCPU_FLUSH);
	assert_ptr_equal(vcpu, &vcpus[awaited]);
	assert_int_equal(asked, vm.config.vcpus);
	check_unlocked();
	awaited++;
}

/*
 * A disk, which does what it is asked to when it is told so.
 */

#define DISK_SIZE  (KIB(700) + 512)
#define DISK_FIRST 3 /* sector */

static uint8_t disk_bytes[DISK_FIRST * DISK_SECTOR + DISK_SIZE];
static struct host_disk_info disk_info;
static struct disk_request *asked_of_disk;
static unsigned flushes, clients, quiesced;
static bool disk_is_dirty;

struct host_disk *host_disk_by_name(const char *name)
{
	return strcmp(name, "virtio-blk0") == 0 ? (struct host_disk *)&disk_info : NULL;
}

struct host_virtio *host_virtio_by_name(const char *name)
{
	(void)name;
	return NULL;
}

unsigned host_disk_count(void)
{
	return 1;
}

const struct host_disk_info *host_disk_info(const struct host_disk *disk)
{
	assert_ptr_equal(disk, &disk_info);
	return &disk_info;
}

int disk_client_init(struct disk_client *client, const char **other)
{
	if (clients) {
		*other = "other";
		return ERR_EXIST;
	}
	clients++;
	if (client->sectors == 0)
		client->sectors = disk_info.sectors - client->first;
	return 0;
}

void disk_client_quit(struct disk_client *client)
{
	assert_ptr_equal(client, &flash.disk.client);
	assert_null(asked_of_disk);
	clients--;
}

void disk_submit(struct disk_client *client, struct disk_request *request)
{
	assert_ptr_equal(client, &flash.disk.client);
	assert_null(asked_of_disk);
	assert_true(flash_disk_is_busy(&flash.disk));
	check_unlocked();
	asked_of_disk = request;
}

void vm_quiesced(struct vm *of)
{
	assert_ptr_equal(of, &vm);
	assert_false(flash_disk_is_busy(&flash.disk));
	check_unlocked();
	quiesced++;
}

static void move(const struct disk_request *request, bool writes)
{
	uint64_t at = (request->sector + DISK_FIRST) * DISK_SECTOR, size = 0;

	assert_in_range(request->piece_count, 1, disk_info.segments_max);
	for (unsigned i = 0; i < request->piece_count; i++) {
		char *piece = hpa_to_pointer(request->pieces[i].address);
		uint32_t length = request->pieces[i].length;

		assert_in_range(at + size, DISK_FIRST * DISK_SECTOR, sizeof(disk_bytes) - length);
		if (writes)
			memcpy(disk_bytes + at + size, piece, length);
		else
			memcpy(piece, disk_bytes + at + size, length);
		size += length;
	}
	assert_int_equal(size, request->sectors * DISK_SECTOR);
}

static void disk_works(int error)
{
	struct disk_request *request = asked_of_disk;

	assert_non_null(request);
	asked_of_disk = NULL;
	if (request->operation == DISK_FLUSH) {
		flushes++;
		disk_is_dirty = disk_is_dirty && error;
	} else if (!error) {
		move(request, request->operation == DISK_WRITE);
		disk_is_dirty |= request->operation == DISK_WRITE;
	}
	request->done(request, error);
}

/*
 * The guest.
 */

static void wr(uint64_t offset, unsigned size, uint64_t value)
{
	asked = awaited = 0;
	assert_int_equal(bus_write(&vm.forwarded, GPA(BASE + offset), size, value), 0);
	assert_int_equal(asked, awaited);
}

static uint64_t rd_exit(uint64_t offset, unsigned size)
{
	uint64_t value;

	assert_int_equal(bus_read(&vm.forwarded, GPA(BASE + offset), size, &value), 0);
	return value;
}

static bool is_mapped(uint64_t offset)
{
	hpa_t hpa;

	return gspace_find_rom(&vm.guest.space, GPA(BASE + offset), &hpa) == 0;
}

/* What is mapped is read where it is. */
static uint64_t rd(uint64_t offset, unsigned size)
{
	uint64_t value = 0;
	hpa_t hpa;

	if (gspace_find_rom(&vm.guest.space, GPA(BASE + offset), &hpa) != 0)
		return rd_exit(offset, size);
	memcpy(&value, hpa_to_pointer(hpa), size);
	return value;
}

static void command(uint64_t offset, uint8_t byte)
{
	wr(offset, 4, byte * 0x10001U);
}

static void make(bool read_only, uint64_t offset, uint64_t size)
{
	arena_init(&vm.arena);
	memset(&vm.forwarded, 0, sizeof(vm.forwarded));
	assert_int_equal(gspace_init(&vm.guest.space, &vm.arena, 2), 0);
	config = (struct vmconfig_device){
	    .kind = VMCONFIG_FLASH,
	    .bank = 1,
	    .read_only = read_only,
	    .image = {.data = image + 7, .size = IMAGE_SIZE},
	    .offset = offset,
	    .size = size,
	};
	assert_int_equal(flash_build(&flash, &vm, &config), 0);
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	memory = aligned_alloc(MIB(16), MEMORY_PAGES * PAGE_SIZE);
	memset(memory, 0xdb, MEMORY_PAGES * PAGE_SIZE);
	page_init(memory, MEMORY_PAGES, pages);
	page_add(memory, MEMORY_PAGES);
	for (unsigned i = 0; i < sizeof(image); i++)
		image[i] = (uint8_t)(i * 7 + i / 509);
	for (unsigned i = 0; i < VCPUS; i++)
		vcpu_list[i] = &vcpus[i];
	vm = (struct vm){.vcpus = vcpu_list, .config.vcpus = 2};
	make(false, 0, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	while (arena_destroy_step(&vm.arena) == ERR_AGAIN)
		;
	assert_int_equal(page_free_bytes(), page_total_bytes());
	free(memory);
	return 0;
}

static uint8_t original(uint64_t offset)
{
	return offset < IMAGE_SIZE ? image[7 + offset] : 0xff;
}

static void test_array(void **state)
{
	(void)state;
	assert_false(is_mapped(0));
	assert_int_equal(rd(0, 1), original(0));
	assert_true(is_mapped(0) && is_mapped(0xfff));
	assert_false(is_mapped(0x1000));
	assert_int_equal(rd(0x1ffe, 2), original(0x1ffe) | original(0x1fff) << 8);
	assert_int_equal(rd_exit(0x1000, 1), original(0x1000));
	for (uint64_t i = IMAGE_SIZE - 100; i < IMAGE_SIZE + 5000; i++)
		assert_int_equal(rd(i, 1), original(i));
	assert_int_equal(rd(MACHINE_FLASH_SIZE - 8, 8), UINT64_MAX);
	assert_int_equal(flash_map(&flash, GPA(BASE + 0x5000)), 0);
	assert_true(is_mapped(0x5000));
}

static void test_slice(void **state)
{
	(void)state;
	assert_int_equal(arena_destroy_step(&vm.arena), 0);
	make(false, 512, 0x1200);
	assert_int_equal(rd(0, 1), original(512));
	assert_int_equal(rd(0x11ff, 1), original(512 + 0x11ff));
	assert_int_equal(rd(0x1200, 1), 0xff);
}

/* JESD68.01, and what `virt` answers. */
static void test_query(void **state)
{
	(void)state;
	command(0x55 * 4, 0x98);
	assert_int_equal(rd(0x10 * 4, 4), 'Q' | 'Q' << 16);
	assert_int_equal(rd(0x11 * 4, 4), 'R' | 'R' << 16);
	assert_int_equal(rd(0x12 * 4, 2), 'Y');
	assert_int_equal(rd(0x13 * 4, 1), 1);
	assert_int_equal(rd(0x27 * 4, 1), 24);
	assert_int_equal(rd(0x2a * 4, 1), 11);
	assert_int_equal(rd(0x2c * 4, 8), 0x0000007f00010001 | UINT64_C(0x7f) << 48);
	assert_int_equal(rd(0x2f * 4, 1) << 8 | rd(0x30 * 4, 1) << 16, KIB(128));
	assert_int_equal(rd(0x31 * 4, 1), 'P');
	assert_int_equal(rd(0x0f * 4, 4), 0);
	assert_int_equal(rd(0x40 * 4, 4), 0);
	assert_int_equal(rd(MACHINE_FLASH_SIZE - 4, 4), 0);
	command(0, 0x90);
	assert_int_equal(rd(0, 4), 0x890089);
	assert_int_equal(rd(4, 4), 0x180018);
	assert_int_equal(rd(SECTOR + 8, 4), 0);
	command(0, 0x70);
	assert_int_equal(rd(0, 4), 0x800080);
	assert_int_equal(rd(0, 8), UINT64_C(0x0080008000800080));
	command(0, 0xff);
	assert_int_equal(rd(0, 1), original(0));
}

static void test_hiding(void **state)
{
	(void)state;
	vm.config.vcpus = VCPUS;
	rd(0, 4);
	command(0, 0x70);
	assert_int_equal(asked, VCPUS);
	assert_int_equal(preemptions, 4);
	assert_false(is_mapped(0));
	assert_int_equal(flash_map(&flash, GPA(BASE)), ERR_FAULT);
	command(0, 0x90);
	assert_int_equal(asked, 0);
	command(0, 0xff);
	assert_int_equal(asked, 0);
	/* It is all there again. */
	assert_true(is_mapped(0));
	assert_false(is_mapped(0x1000));
}

static void test_program(void **state)
{
	(void)state;
	command(0x2000, 0x40);
	wr(0x2004, 4, 0x0f0f0f0f);
	assert_int_equal(rd(0, 4), 0x800080);
	command(0, 0x10);
	wr(MIB(20) + 1, 1, 0x42);
	command(0, 0x40);
	wr(MIB(20) + 8, 8, 0x1122334455667788);
	/* The lower half was programmed, the upper one began with a command that is none. */
	command(0, 0xff);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(rd(0x2004 + i, 1), original(0x2004 + i) & 0x0f);
	assert_int_equal(rd(0x2008, 1), original(0x2008));
	assert_int_equal(rd(MIB(20), 4), 0xffff42ff);
	assert_int_equal(rd(MIB(20) + 8, 8), 0xffffffff55667788);
	/* Nothing makes ones again but erasing. */
	command(0, 0x40);
	wr(MIB(20), 4, 0xffffffff);
	command(0, 0xff);
	assert_int_equal(rd(MIB(20), 4), 0xffff42ff);
}

static void test_erase(void **state)
{
	uint64_t left;

	(void)state;
	rd(SECTOR, 4);
	rd(SECTOR - 4, 4);
	left = page_free_bytes();
	command(SECTOR + 0x300, 0x20);
	assert_int_equal(rd(SECTOR, 4), 0x800080);
	command(SECTOR + 0x300, 0xd0);
	assert_int_equal(rd(SECTOR, 4), 0x800080);
	command(0, 0xff);
	for (uint64_t i = SECTOR; i < 2 * SECTOR; i += 4)
		assert_int_equal(rd(i, 4), UINT32_MAX);
	assert_int_equal(rd(SECTOR - 1, 1), original(SECTOR - 1));
	assert_int_equal(rd(2 * SECTOR, 1), original(2 * SECTOR));
	/* What is erased takes nothing, and pages are used again. */
	command(0, 0x40);
	wr(SECTOR, 4, 0);
	assert_int_equal(page_free_bytes(), left - PAGE_SIZE);
	command(0, 0x20);
	command(0, 0x12);
	assert_int_equal(rd(0, 1), original(0));
	assert_int_equal(rd(SECTOR, 8), 0xffffffff00000000);
}

static void fill(uint64_t block, unsigned words, uint32_t first)
{
	command(block, 0xe8);
	assert_int_equal(rd(block, 4), 0x800080);
	wr(block, 4, (words - 1) * 0x10001);
	for (unsigned i = 0; i < words; i++)
		wr(block + 4 * i, 4, first + i);
}

static void test_buffer(void **state)
{
	(void)state;
	fill(MIB(1), 1024, 0xabc00000);
	/* Not before it is confirmed. */
	assert_ptr_equal(flash.pages[MIB(1) / PAGE_SIZE], NULL);
	command(MIB(1), 0xd0);
	assert_int_equal(rd(0, 4), 0x800080);
	command(0, 0xff);
	for (unsigned i = 0; i < 1024; i++)
		assert_int_equal(rd(MIB(1) + 4 * i, 4), 0xabc00000 + i);
	/* A part, of what is programmed already. */
	fill(MIB(1) + 16, 2, 0xf0000000);
	command(MIB(1), 0xd0);
	command(0, 0xff);
	assert_int_equal(rd(MIB(1) + 12, 4), 0xabc00003);
	assert_int_equal(rd(MIB(1) + 16, 4), 0xa0000000);
	assert_int_equal(rd(MIB(1) + 20, 4), 0xa0000001);
	assert_int_equal(rd(MIB(1) + 24, 4), 0xabc00006);
}

static void test_bad_buffer(void **state)
{
	(void)state;
	fill(MIB(1) - 8, 3, 5);
	assert_int_equal(rd(0, 4), 0x900090);
	command(0, 0xd0);
	assert_int_equal(rd(MIB(1) - 8, 8), UINT64_MAX);
	command(0, 0x70);
	assert_int_equal(rd(0, 4), 0x900090);
	command(0, 0x50);
	command(0, 0x70);
	assert_int_equal(rd(0, 4), 0x800080);
	/* And one that is not confirmed. */
	command(0, 0xff);
	fill(MIB(1), 3, 5);
	command(0, 0xff);
	assert_int_equal(rd(MIB(1), 8), UINT64_MAX);
	/* No word of it is for a buffer that has ended. */
	command(0, 0xe8);
	wr(0, 4, 0xffffffff);
	for (unsigned i = 0; i < 65536; i++)
		wr(MIB(2), 4, i);
	command(0, 0xd0);
	command(0, 0xff);
	assert_int_equal(rd(MIB(2), 4), 65535);
}

static void test_lock(void **state)
{
	(void)state;
	command(0, 0x60);
	command(0, 0xd0);
	assert_int_equal(rd(0, 4), 0x800080);
	command(0, 0x60);
	command(0, 0x01);
	assert_int_equal(rd(0, 4), 0x800080);
	command(0, 0x60);
	command(0, 0x2f);
	assert_int_equal(rd(0, 1), original(0));
}

static void test_read_only(void **state)
{
	(void)state;
	assert_int_equal(arena_destroy_step(&vm.arena), 0);
	make(true, 0, 0);
	command(0, 0x40);
	wr(0, 4, 0);
	assert_int_equal(rd(0, 4), 0x900090);
	command(0, 0x20);
	command(0, 0xd0);
	assert_int_equal(rd(0, 4), 0xb000b0);
	command(0, 0x50);
	fill(0, 2, 0);
	assert_int_equal(rd(0, 4), 0x900090);
	command(0, 0xd0);
	command(0, 0xff);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(rd(i, 1), original(i));
	assert_int_equal(flash_bytes(&config) >> 20, 0);
}

static void test_reset(void **state)
{
	(void)state;
	command(0, 0x40);
	wr(0, 4, 0);
	flash_reset(&flash);
	assert_int_equal(rd(0, 4), 0);
	assert_int_equal(rd(4, 1), original(4));
	command(0, 0x20);
	flash_reset(&flash);
	command(0, 0xd0);
	assert_int_equal(rd(4, 1), original(4));
}

static void test_no_memory(void **state)
{
	void *taken[MEMORY_PAGES];
	uint64_t value;
	unsigned count = 0;

	(void)state;
	rd(0x3000, 4);
	while ((taken[count] = page_alloc(0)) != NULL)
		count++;
	assert_int_equal(bus_read(&vm.forwarded, GPA(BASE), 4, &value), ERR_FAULT);
	assert_int_equal(flash_map(&flash, GPA(BASE)), ERR_FAULT);
	assert_int_equal(rd(0x3000, 1), original(0x3000));
	command(0, 0x40);
	wr(MIB(3), 4, 0);
	assert_int_equal(rd(0, 4), 0x900090);
	command(0, 0xff);
	while (count)
		page_free(taken[--count], 0);
	assert_int_equal(rd(MIB(3), 4), UINT32_MAX);
	/* It may take what it says, and no more. */
	assert_in_range(flash_bytes(&config), MACHINE_FLASH_SIZE, MACHINE_FLASH_SIZE + KIB(256));
}

/*
 * On a disk of the host's.
 */

static uint8_t on_disk(uint64_t offset)
{
	return offset < DISK_SIZE ? disk_bytes[DISK_FIRST * DISK_SECTOR + offset] : 0xff;
}

static void make_on_disk(bool read_only)
{
	for (unsigned i = 0; i < sizeof(disk_bytes); i++)
		disk_bytes[i] = (uint8_t)(i * 5 + i / 777);
	memset(disk_bytes + DISK_FIRST * DISK_SECTOR + KIB(256), 0xff, KIB(256));
	disk_info = (struct host_disk_info){
	    .sectors = sizeof(disk_bytes) / DISK_SECTOR,
	    .block_size = 512,
	    .can_flush = true,
	    .sectors_max = UINT32_MAX,
	    .segments_max = 20,
	    .piece_max = UINT32_MAX,
	};
	flushes = clients = quiesced = 0;
	disk_is_dirty = false;
	while (arena_destroy_step(&vm.arena) == ERR_AGAIN)
		;
	arena_init(&vm.arena);
	memset(&vm.forwarded, 0, sizeof(vm.forwarded));
	assert_int_equal(gspace_init(&vm.guest.space, &vm.arena, 2), 0);
	config = (struct vmconfig_device){.kind = VMCONFIG_FLASH,
					  .bank = 1,
					  .read_only = read_only,
					  .host = "virtio-blk0",
					  .name = "bank",
					  .offset = DISK_FIRST * DISK_SECTOR};
	assert_int_equal(flash_build(&flash, &vm, &config), 0);
}

static void load_from_disk(void)
{
	int error;

	while ((error = flash_disk_load(&flash.disk)) == ERR_AGAIN) {
		assert_int_equal(flash_disk_load(&flash.disk), ERR_AGAIN);
		disk_works(0);
	}
	assert_int_equal(error, 0);
	/* And not again after a reset. */
	assert_int_equal(flash_disk_load(&flash.disk), 0);
}

static void test_disk_contents(void **state)
{
	(void)state;
	make_on_disk(false);
	load_from_disk();
	for (uint64_t i = 0; i < DISK_SIZE + KIB(16); i++)
		assert_int_equal(rd(i, 1), on_disk(i));
	/* What is erased there takes nothing. */
	assert_ptr_equal(flash.pages[KIB(256) / PAGE_SIZE], flash.blank);
	assert_ptr_equal(flash.pages[KIB(508) / PAGE_SIZE], flash.blank);
	command(0, 0x98);
	assert_int_equal(rd(0x23 * 4, 1), 0x0d);
	command(0, 0xff);
	flash_unbuild(&flash);
	assert_int_equal(clients, 0);
	flash_unbuild(&flash);
}

/* While it is not on the disk it is not ready, and takes no commands. */
static void test_disk_writes(void **state)
{
	uint64_t last = DISK_SIZE - 4;

	(void)state;
	make_on_disk(false);
	load_from_disk();
	command(0, 0x40);
	assert_null(asked_of_disk);
	wr(last, 4, 0);
	assert_int_equal(rd(0, 4), 0);
	assert_int_equal(bus_write(&vm.forwarded, GPA(BASE), 4, 0xff), ERR_AGAIN);
	assert_int_equal(asked_of_disk->sectors, 1);
	disk_works(0);
	assert_int_equal(rd(0, 4), 0);
	assert_int_equal(bus_write(&vm.forwarded, GPA(BASE), 8, 0xff), ERR_AGAIN);
	disk_works(0);
	assert_int_equal(rd(0, 4), 0x800080);
	assert_false(disk_is_dirty);
	assert_int_equal(flushes, 1);
	assert_int_equal(on_disk(last), 0);
	/* A sector, in several requests. */
	command(0, 0x20);
	command(0, 0xd0);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(rd(0, 4), 0);
		disk_works(0);
	}
	assert_int_equal(rd(0, 4), 0x800080);
	for (uint64_t i = 0; i < KIB(256); i++)
		assert_int_equal(on_disk(i), 0xff);
	assert_false(disk_is_dirty);
	/* A buffer; and behind the slice nothing is kept. */
	fill(KIB(300), 3, 7);
	command(0, 0xd0);
	disk_works(0);
	disk_works(0);
	assert_int_equal(on_disk(KIB(300) + 8), 9);
	command(0, 0x40);
	wr(MIB(2), 4, 0);
	assert_null(asked_of_disk);
	assert_int_equal(rd(0, 4), 0x800080);
	/* One of eight bytes is busy after its first half. */
	command(0, 0xff);
	command(0, 0x40);
	wr(KIB(400), 8, 0xff00000000);
	disk_works(0);
	disk_works(0);
	assert_int_equal(rd(0, 4), 0x800080);
	assert_int_equal(quiesced, (DISK_SIZE + 20 * PAGE_SIZE - 1) / (20 * PAGE_SIZE) + 4);
}

static void test_disk_errors(void **state)
{
	(void)state;
	make_on_disk(false);
	load_from_disk();
	command(0, 0x40);
	wr(0, 4, 0);
	disk_works(ERR_IO);
	assert_int_equal(rd(0, 4), 0x900090);
	command(0, 0x50);
	command(0, 0x20);
	command(0, 0xd0);
	for (unsigned i = 0; i < 4; i++)
		disk_works(0);
	/* The flush. */
	disk_works(ERR_IO);
	assert_int_equal(rd(0, 4), 0xa000a0);
	make_on_disk(true);
	assert_int_equal(flash_disk_load(&flash.disk), ERR_AGAIN);
	disk_works(ERR_IO);
	assert_int_equal(flash_disk_load(&flash.disk), ERR_IO);
	assert_non_null(strstr(messages, "its contents cannot be read"));
}

static void test_disk_refused(void **state)
{
	(void)state;
	make_on_disk(false);
	assert_int_equal(flash_disk_open(&flash.disk, &flash, &config), ERR_EXIST);
	config.host = "virtio-blk1";
	assert_int_equal(flash_disk_open(&flash.disk, &flash, &config), ERR_NOENT);
	assert_non_null(strstr(messages, "/bank: pilae,host = \"virtio-blk1\": there is no"));
	config.host = "virtio-blk0";
	clients = 0;
	disk_info.block_size = 8192;
	assert_int_equal(flash_disk_open(&flash.disk, &flash, &config), ERR_RANGE);
	assert_false(flash.disk.open);
}

/*
 * Anything, against a model of the data sheet.
 */

#define MODEL_SIZE (4 * SECTOR)

static struct {
	uint8_t bytes[MODEL_SIZE], buffer[PAGE_SIZE];
	uint8_t mode, status;
	unsigned writes, left;
	int64_t block;
} model;

static void model_program(uint64_t offset, const uint8_t *from, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		model.bytes[offset + i] &= from[i];
}

static void model_array(void)
{
	model.mode = 0xff;
	model.writes = 0;
}

static void model_begin(uint8_t byte)
{
	model.writes = strchr("\x10\x20\x40\x60\xe8", byte) && byte ? 1 : 0;
	model.mode = model.writes || byte == 0x70 || byte == 0x90 || byte == 0x98 ? byte : 0xff;
	model.block = -1;
	if (byte == 0x50)
		model.status = 0x80;
}

static void model_buffer(uint64_t offset, unsigned size, uint32_t value)
{
	int64_t block = (int64_t)(offset / PAGE_SIZE);

	if (model.block < 0) {
		model.block = block;
		memset(model.buffer, 0xff, PAGE_SIZE);
	}
	if (model.block == block)
		memcpy(model.buffer + offset % PAGE_SIZE, &value, size);
	else
		model.status |= 0x10;
	if (--model.left == 0)
		model.writes = 3;
}

static void model_confirm(uint8_t byte)
{
	model.writes = 0;
	if (byte == 0xd0 && !(model.status & 0x10))
		model_program((uint64_t)model.block * PAGE_SIZE, model.buffer, PAGE_SIZE);
	else
		model_array();
}

static void model_second(uint64_t offset, unsigned size, uint32_t value)
{
	uint8_t byte = (uint8_t)value;

	model.writes = 0;
	if (model.mode == 0xe8) {
		model.left = (value & 0xffff) + 1;
		model.writes = 2;
	} else if (model.mode == 0x20 && byte == 0xd0) {
		memset(model.bytes + offset / SECTOR * SECTOR, 0xff, SECTOR);
	} else if (model.mode == 0x10 || model.mode == 0x40) {
		model_program(offset, (uint8_t *)&value, size);
	} else if (model.mode != 0x60 || (byte != 0xd0 && byte != 1)) {
		model_array();
	}
}

static void model_write(uint64_t offset, unsigned size, uint64_t value)
{
	if (size == 8) {
		model_write(offset, 4, (uint32_t)value);
		model_write(offset + 4, 4, value >> 32);
	} else if (model.writes == 0) {
		model_begin((uint8_t)value);
	} else if (model.writes == 1) {
		model_second(offset, size, (uint32_t)value);
	} else if (model.writes == 2) {
		model_buffer(offset, size, (uint32_t)value);
	} else {
		model_confirm((uint8_t)value);
	}
}

static void check_read(uint64_t offset, unsigned size)
{
	uint64_t value = rd(offset, size), expected = 0;

	if (model.mode == 0xff) {
		memcpy(&expected, model.bytes + offset, size);
		assert_int_equal(value, expected);
		assert_true(is_mapped(offset));
		return;
	}
	assert_false(is_mapped(offset));
	if (model.mode != 0x90 && model.mode != 0x98)
		assert_int_equal(value & 0xff, model.status);
}

static void any_write(void)
{
	static const uint8_t bytes[] = {0x10, 0x20, 0x40, 0x50, 0x60, 0x70, 0x90,
					0x98, 0xd0, 0xe8, 0xff, 0x01, 0};
	unsigned size = 1U << fake_random_below(4);
	uint64_t offset = align_down(fake_random() % MODEL_SIZE, size);
	uint64_t value = fake_random();

	if (fake_random_below(4))
		value = bytes[fake_random_below(sizeof(bytes))] * UINT64_C(0x0001000100010001);
	/* Buffers that come to an end. */
	if (model.mode == 0xe8 && model.writes == 1 && fake_random_below(16))
		value = fake_random_below(8) * UINT64_C(0x0001000100010001);
	if (model.writes == 2 && model.block >= 0 && fake_random_below(16))
		offset = (uint64_t)model.block * PAGE_SIZE + offset % PAGE_SIZE;
	value &= ~UINT64_C(0) >> (64 - 8 * size);
	model_write(offset, size, value);
	wr(offset, size, value);
}

static void test_random(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < MODEL_SIZE; i++)
		model.bytes[i] = original(i);
	model_array();
	model.status = 0x80;
	for (unsigned i = 0; i < 300000; i++) {
		any_write();
		check_read(fake_random() % MODEL_SIZE & ~UINT64_C(7), 1U << fake_random_below(4));
		if (i % 1000 == 0 && fake_random_below(2)) {
			flash_reset(&flash);
			model_array();
			model.status = 0x80;
		}
	}
	flash_reset(&flash);
	model_array();
	for (uint64_t i = 0; i < MODEL_SIZE; i += 8)
		check_read(i, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_array, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_slice, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_query, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_hiding, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_program, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_erase, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_buffer, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_bad_buffer, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_lock, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_disk_contents, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_disk_writes, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_disk_errors, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_disk_refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_random, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
