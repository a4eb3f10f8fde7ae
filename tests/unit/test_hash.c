/* SPDX-License-Identifier: MIT */
/* unit: vmm/hash.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/error.h"
#include "vmm/hash.h"

#define MILLION 1000000

static uint8_t data[MILLION];

static void hash_hex(enum hash_algo algo, const void *bytes, size_t size, size_t piece, char *hex)
{
	struct hash hash;
	uint8_t digest[HASH_SIZE_MAX];

	hash_begin(&hash, algo);
	for (size_t done = 0; done < size; done += piece)
		hash_update(&hash, (const char *)bytes + done,
			    piece < size - done ? piece : size - done);
	hash_end(&hash, digest);
	for (size_t i = 0; i < hash_size(algo); i++)
		sprintf(hex + 2 * i, "%02x", digest[i]);
}

static void check(enum hash_algo algo, const void *bytes, size_t size, const char *expected)
{
	char hex[2 * HASH_SIZE_MAX + 1];

	hash_hex(algo, bytes, size, size + 1, hex);
	assert_string_equal(hex, expected);
}

static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";

/* The vectors of FIPS 180-4's examples and, for crc32, the catalogue's check value. */
static void test_vectors(void **state)
{
	(void)state;
	memset(data, 'a', MILLION);
	check(HASH_CRC32, "", 0, "00000000");
	check(HASH_CRC32, "123456789", 9, "cbf43926");
	check(HASH_CRC32, data, MILLION, "dc25bfbc");
	check(HASH_SHA1, "", 0, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
	check(HASH_SHA1, "abc", 3, "a9993e364706816aba3e25717850c26c9cd0d89d");
	check(HASH_SHA1, two_blocks, strlen(two_blocks),
	      "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
	check(HASH_SHA1, data, MILLION, "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
	check(HASH_SHA256, "", 0,
	      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	check(HASH_SHA256, "abc", 3,
	      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	check(HASH_SHA256, two_blocks, strlen(two_blocks),
	      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	check(HASH_SHA256, data, MILLION,
	      "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* Every length around the block sizes, in pieces of every size, at every alignment. */
static void test_pieces(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4096; i++)
		data[i] = (uint8_t)(i * 7 + i / 256);
	for (enum hash_algo algo = HASH_CRC32; algo <= HASH_SHA256; algo++) {
		for (size_t size = 0; size < 200; size++) {
			char whole[65], pieces[65], shifted[65];
			size_t shift = 1 + size % 7;

			hash_hex(algo, data, size, size + 1, whole);
			memcpy(data + 2048 + shift, data, size);
			hash_hex(algo, data + 2048 + shift, size, size + 1, shifted);
			assert_string_equal(shifted, whole);
			for (size_t piece = 1; piece < 70; piece++) {
				hash_hex(algo, data, size, piece, pieces);
				assert_string_equal(pieces, whole);
			}
		}
	}
}

/* The table-driven crc32 against the polynomial division that defines it. */
static void test_crc_definition(void **state)
{
	(void)state;
	for (size_t size = 0; size < 64; size++) {
		uint32_t crc = 0xffffffff;
		char hex[65], expected[65];

		for (size_t i = 0; i < size; i++) {
			crc ^= data[i];
			for (int bit = 0; bit < 8; bit++)
				crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
		}
		sprintf(expected, "%08x", ~crc);
		hash_hex(HASH_CRC32, data, size, size + 1, hex);
		assert_string_equal(hex, expected);
	}
}

static void test_names(void **state)
{
	enum hash_algo algo = HASH_CRC32;

	(void)state;
	assert_int_equal(hash_find_algo("sha256", &algo), 0);
	assert_int_equal(algo, HASH_SHA256);
	assert_int_equal(hash_find_algo("sha1", &algo), 0);
	assert_int_equal(algo, HASH_SHA1);
	assert_int_equal(hash_find_algo("crc32", &algo), 0);
	assert_int_equal(algo, HASH_CRC32);
	assert_int_equal(hash_find_algo("md5", &algo), ERR_NOENT);
	assert_int_equal(hash_find_algo("", &algo), ERR_NOENT);
	assert_int_equal(hash_find_algo("sha", &algo), ERR_NOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_vectors),
	    cmocka_unit_test(test_pieces),
	    cmocka_unit_test(test_crc_definition),
	    cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
