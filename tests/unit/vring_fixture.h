/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_VRING_FIXTURE_H
#define TESTS_UNIT_VRING_FIXTURE_H

/* A ring, and its driver, for tests of device/virtio/vring.c. */

#include "tests/unit/ring_guest.h"

#define RING    (RAM_BASE + 0x1000)
#define TABLE   (RAM_BASE + 0x8000)
#define BUFFERS (RAM_BASE + 0x10000)
#define SIZE    8

static struct ring_driver driver;
static struct vring ring;
static struct vring_chain chain;

static void begin(uint32_t size, uint64_t features)
{
	guest_reset();
	driver = driver_init(RING, size);
	assert_int_equal(vring_init(&ring, &ring_vm, &driver.place, features), 0);
}

static int setup(void **state)
{
	(void)state;
	in_one_piece = false;
	begin(SIZE, VRING_F_INDIRECT_DESC);
	return 0;
}

/* The ring, and tables, are where the host's memory is in one piece. */
static int setup_in_one_piece(void **state)
{
	(void)state;
	in_one_piece = true;
	begin(SIZE, VRING_F_INDIRECT_DESC);
	return 0;
}

#endif
