/* SPDX-License-Identifier: MIT */
/* unit: device/disk_slice.c device/virtio/blk.c device/virtio/blk_disk.c device/virtio/blk_image.c device/virtio/device.c device/virtio/mmio.c device/virtio/vring.c driver/disk.c kernel/heap.c vmm/copy.c */
#include "tests/unit/blk_disk_fixture.h"

/* The guest's bytes of a request that describe() makes, in a row. */
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

static const uint32_t few[] = {512, 1024, 512};

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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_transfers),     TEST(test_blocks),    TEST(test_crumbs),   TEST(test_errors),
	    TEST(test_write_through), TEST(test_flush),     TEST(test_no_cache), TEST(test_ranges),
	    TEST(test_plain),         TEST(test_read_only),
	};

	return cmocka_run_group_tests_name("virtio_blk_disk", tests, NULL, NULL);
}
