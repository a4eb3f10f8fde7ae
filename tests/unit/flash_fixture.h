/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_FLASH_FIXTURE_H
#define TESTS_UNIT_FLASH_FIXTURE_H

/* A VM with a bank of flash, on an image or a disk that does what it is asked to. */

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
static inline void check_unlocked(void)
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

static inline void move(const struct disk_request *request, bool writes)
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

static inline void disk_works(int error)
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

static inline void wr(uint64_t offset, unsigned size, uint64_t value)
{
	asked = awaited = 0;
	assert_int_equal(bus_write(&vm.forwarded, GPA(BASE + offset), size, value), 0);
	assert_int_equal(asked, awaited);
}

static inline uint64_t rd_exit(uint64_t offset, unsigned size)
{
	uint64_t value;

	assert_int_equal(bus_read(&vm.forwarded, GPA(BASE + offset), size, &value), 0);
	return value;
}

static inline bool is_mapped(uint64_t offset)
{
	hpa_t hpa;

	return gspace_find_rom(&vm.guest.space, GPA(BASE + offset), &hpa) == 0;
}

/* What is mapped is read where it is. */
static inline uint64_t rd(uint64_t offset, unsigned size)
{
	uint64_t value = 0;
	hpa_t hpa;

	if (gspace_find_rom(&vm.guest.space, GPA(BASE + offset), &hpa) != 0)
		return rd_exit(offset, size);
	memcpy(&value, hpa_to_pointer(hpa), size);
	return value;
}

static inline void command(uint64_t offset, uint8_t byte)
{
	wr(offset, 4, byte * 0x10001U);
}

static inline void make(bool read_only, uint64_t offset, uint64_t size)
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

static inline int setup(void **state)
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

static inline int teardown(void **state)
{
	(void)state;
	while (arena_destroy_step(&vm.arena) == ERR_AGAIN)
		;
	assert_int_equal(page_free_bytes(), page_total_bytes());
	free(memory);
	return 0;
}

static inline uint8_t original(uint64_t offset)
{
	return offset < IMAGE_SIZE ? image[7 + offset] : 0xff;
}

static inline void fill(uint64_t block, unsigned words, uint32_t first)
{
	command(block, 0xe8);
	assert_int_equal(rd(block, 4), 0x800080);
	wr(block, 4, (words - 1) * 0x10001);
	for (unsigned i = 0; i < words; i++)
		wr(block + 4 * i, 4, first + i);
}

#endif
