/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_BLK_FIXTURE_H
#define TESTS_UNIT_BLK_FIXTURE_H

/* A disk of an image, its guest's driver, and a model of what it holds. For one source file. */

#include "tests/unit/virtio_fixture.h"

#include "device/virtio/blk_image.h"
#include "kernel/arena.h"
#include "kernel/page.h"
#include "kernel/pool.h"

#include <stdlib.h>

#define RING    (RAM_BASE + 0x1000)
#define HEADER  (RAM_BASE + 0x3000)
#define STATUS  (RAM_BASE + 0x3100)
#define BUFFERS (RAM_BASE + 0x10000)
#define SIZE    64

#define T_IN           0
#define T_OUT          1
#define T_FLUSH        4
#define T_GET_ID       8
#define T_DISCARD      11
#define T_WRITE_ZEROES 13

#define S_OK     0
#define S_IOERR  1
#define S_UNSUPP 2

#define F_RO           BIT(5)
#define F_FLUSH        BIT(9)
#define F_DISCARD      BIT(13)
#define F_WRITE_ZEROES BIT(14)

#define IMAGE_SIZE (5 * PAGE_SIZE + 700) /* the last sector is not whole */
#define SECTORS    42

static uint8_t data[IMAGE_SIZE], model[SECTORS * BLK_SECTOR];
static struct arena arena;
static struct blk blk;
static struct blk_image image;
static struct ring_driver driver;
static unsigned pages_left, pages_taken;

/*
 * Memory.
 */

static void *blocks[64];
static unsigned block_count;

static void *take_block(size_t size)
{
	assert_in_range(block_count, 0, ARRAY_SIZE(blocks) - 1);
	return blocks[block_count++] = aligned_alloc(PAGE_SIZE, align_up(size, PAGE_SIZE));
}

void *arena_alloc(struct arena *from, size_t size)
{
	void *block = take_block(size);

	assert_ptr_equal(from, &arena);
	memset(block, 0, size);
	return block;
}

void *page_alloc(unsigned order)
{
	void *page;

	assert_int_equal(order, 0);
	if (pages_left == 0)
		return NULL;
	pages_left--;
	page = take_block(PAGE_SIZE);
	/* Somebody else's secrets. */
	memset(page, 0xdb, PAGE_SIZE);
	return page;
}

bool pool_reclaim(void)
{
	return false;
}

void arena_adopt_pages(struct arena *by, void *block, unsigned order, enum arena_use use)
{
	assert_ptr_equal(by, &arena);
	assert_non_null(block);
	assert_int_equal(order, 0);
	assert_int_equal(use, ARENA_OBJECTS);
	pages_taken++;
}

/*
 * The disk's driver.
 */

static inline void begin(bool legacy)
{
	slot.device = &blk.device;
	plug(&blk.device);
	blk.device.irq = test_line();
	if (legacy) {
		wr(R_PAGE_SIZE, 16);
		wr(R_QUEUE_SIZE, SIZE);
		wr(R_QUEUE_ALIGN, 64);
		wr(R_QUEUE_PFN, RING >> 4);
		driver = driver_init(RING, SIZE);
		finish_setup();
	} else {
		begin_setup(blk.device.features);
		driver = set_queue(0, RING, SIZE);
		finish_setup();
	}
}

static inline void make_disk(bool read_only)
{
	guest_reset();
	pages_left = 16;
	pages_taken = 0;
	for (unsigned i = 0; i < IMAGE_SIZE; i++)
		data[i] = (uint8_t)(i * 7 + i / 509);
	memset(model, 0, sizeof(model));
	memcpy(model, data, IMAGE_SIZE);
	assert_int_equal(blk_image_init(&image, data, IMAGE_SIZE, read_only, &arena), 0);
	assert_int_equal(
	    blk_init(&blk, &image.backend, "system", &ring_vm, (struct irq_line){0}, false, &arena),
	    0);
	begin(false);
}

static inline int setup(void **state)
{
	(void)state;
	make_disk(false);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	while (block_count)
		free(blocks[--block_count]);
	return 0;
}

static void put_header(uint32_t type, uint64_t sector)
{
	guest_put(HEADER, type, 4);
	guest_put(HEADER + 4, 0, 4);
	guest_put(HEADER + 8, sector, 8);
	guest_put(STATUS, 0xee, 1);
}

/* Performs the chain that begins with descriptor 0; gives the status and what was written. */
static unsigned perform(uint32_t *written)
{
	uint32_t head;

	driver_offer(&driver, 0);
	wr(R_NOTIFY, 0);
	run_all();
	assert_true(driver_take(&driver, &head, written));
	assert_int_equal(head, 0);
	assert_int_equal(rd(R_STATUS) & S_NEEDS_RESET, 0);
	return (unsigned)guest_get(STATUS, 1);
}

/* Header, one buffer (if it has a size) and the status. */
static unsigned request(uint32_t type, uint64_t sector, uint32_t size, uint32_t *written)
{
	unsigned flags = type == T_OUT || type == T_DISCARD || type == T_WRITE_ZEROES ? 0 : D_WRITE;

	put_header(type, sector);
	driver_describe(&driver, 0, HEADER, 16, D_NEXT, size ? 1 : 2);
	driver_describe(&driver, 1, BUFFERS, size, flags | D_NEXT, 2);
	driver_describe(&driver, 2, STATUS, 1, D_WRITE, 0);
	return perform(written);
}

static inline void expect(uint32_t type, uint64_t sector, uint32_t size, unsigned status)
{
	uint32_t written;

	assert_int_equal(request(type, sector, size, &written), status);
}

static inline void assert_reads(uint64_t sector, unsigned count)
{
	uint32_t written;

	memset(ram + (BUFFERS - RAM_BASE), 0x55, count * BLK_SECTOR + 1);
	assert_int_equal(request(T_IN, sector, count * BLK_SECTOR, &written), S_OK);
	assert_int_equal(written, count * BLK_SECTOR + 1);
	assert_memory_equal(ram + (BUFFERS - RAM_BASE), model + sector * BLK_SECTOR,
			    count * BLK_SECTOR);
	assert_int_equal(guest_get(BUFFERS + count * BLK_SECTOR, 1), 0x55);
}

static inline void write_sectors(uint64_t sector, unsigned count, uint8_t with)
{
	uint32_t written;

	memset(ram + (BUFFERS - RAM_BASE), with, count * BLK_SECTOR);
	memset(model + sector * BLK_SECTOR, with, count * BLK_SECTOR);
	assert_int_equal(request(T_OUT, sector, count * BLK_SECTOR, &written), S_OK);
	assert_int_equal(written, 1);
}

static inline void put_range(unsigned n, uint64_t sector, uint32_t count, uint32_t flags)
{
	guest_put(BUFFERS + 16 * n, sector, 8);
	guest_put(BUFFERS + 16 * n + 8, count, 4);
	guest_put(BUFFERS + 16 * n + 12, flags, 4);
}

#endif
