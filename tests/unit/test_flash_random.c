/* SPDX-License-Identifier: MIT */
/* unit: device/disk_slice.c device/flash.c device/flash_disk.c engine/gspace.c kernel/arena.c kernel/page.c vmm/bus.c vmm/copy.c */

/* Flash: anything, against a model of the data sheet. */

#include "tests/unit/flash_fixture.h"

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
	    cmocka_unit_test_setup_teardown(test_random, setup, teardown),
	};

	return cmocka_run_group_tests_name("flash_random", tests, NULL, NULL);
}
