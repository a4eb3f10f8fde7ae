/* SPDX-License-Identifier: MIT */
/* unit: vmm/checksum.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/checksum.h"

static uint16_t sum_of(const void *bytes, uint64_t size)
{
	struct checksum checksum;

	checksum_begin(&checksum);
	checksum_add(&checksum, bytes, size);
	return checksum_end(&checksum);
}

/* By the definition: 16 bits at a time, carries added at the end. */
static uint16_t plain_sum(const uint8_t *bytes, uint64_t size)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < size; i++)
		sum += (uint64_t)bytes[i] << (i % 2 ? 0 : 8);
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* The example of RFC 1071, 3, whose sum is 0xddf2; an IPv4 header as it was seen on a wire. */
static void test_known(void **state)
{
	static const uint8_t rfc1071[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
	static const uint8_t ipv4[] = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
				       0x00, 0x00, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
	static const uint8_t zeroes[64];
	static const uint8_t odd[] = {0x12};

	(void)state;
	assert_int_equal(sum_of(rfc1071, sizeof(rfc1071)), (uint16_t)~0xddf2);
	assert_int_equal(sum_of(ipv4, sizeof(ipv4)), 0xb861);
	assert_int_equal(sum_of(zeroes, sizeof(zeroes)), 0xffff);
	assert_int_equal(sum_of(zeroes, 0), 0xffff);
	assert_int_equal(sum_of(odd, 1), (uint16_t)~0x1200);
}

static uint8_t data[65536];

/* Every alignment and every length of all sorts of parts of words. */
static void test_alignments(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 512; i++)
		data[i] = (uint8_t)(i * 151 + i / 7);
	for (unsigned start = 0; start < 17; start++) {
		for (unsigned size = 0; size < 300; size++)
			assert_int_equal(sum_of(data + start, size), plain_sum(data + start, size));
	}
}

/* In two pieces, the second from anywhere; then in three. */
static void test_pieces(void **state)
{
	uint8_t moved[96];

	(void)state;
	for (unsigned i = 0; i < 64; i++)
		data[i] = (uint8_t)(255 - i * i);
	for (unsigned cut = 0; cut <= 50; cut++) {
		for (unsigned shift = 0; shift < 9; shift++) {
			struct checksum checksum;

			memcpy(moved + shift, data + cut, 50 - cut);
			checksum_begin(&checksum);
			checksum_add(&checksum, data, cut);
			checksum_add(&checksum, moved + shift, (50 - cut) / 3);
			checksum_add(&checksum, moved + shift + (50 - cut) / 3,
				     50 - cut - (50 - cut) / 3);
			assert_int_equal(checksum_end(&checksum), plain_sum(data, 50));
		}
	}
}

/* All ones carry at every step. */
static void test_carries(void **state)
{
	(void)state;
	memset(data, 0xff, sizeof(data));
	assert_int_equal(sum_of(data, sizeof(data)), 0);
	assert_int_equal(sum_of(data + 1, 65533), plain_sum(data + 1, 65533));
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i % 11 ? 0xff : i);
	for (unsigned start = 0; start < 9; start++)
		assert_int_equal(sum_of(data + start, 65520), plain_sum(data + start, 65520));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_known),
	    cmocka_unit_test(test_alignments),
	    cmocka_unit_test(test_pieces),
	    cmocka_unit_test(test_carries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
