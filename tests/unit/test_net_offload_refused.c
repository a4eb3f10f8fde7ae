/* SPDX-License-Identifier: MIT */
/* unit: vmm/net_offload.c vmm/checksum.c vmm/copy.c */

/* Frames that are refused: sizes, places of checksums, headers, and what is asked for. */

#include "tests/unit/offload_frames.h"

static void test_sizes(void **state)
{
	(void)state;
	memset(&wish, 0, sizeof(wish));
	memset(sent, 0, sizeof(sent));
	assert_int_equal(check(0), ERR_INVAL);
	assert_int_equal(check(13), ERR_INVAL);
	assert_int_equal(check(14), 0);
	assert_int_equal(check(NET_FRAME_MAX), 0);
	assert_int_equal(check(NET_FRAME_MAX + 1), ERR_TOO_LARGE);
	assert_int_equal(net_frame_check(&frame, UINT64_MAX, &wish, &all), ERR_TOO_LARGE);
}

static int check_csum_at(uint32_t size, uint16_t start, uint16_t offset)
{
	wish = (struct net_header){.flags = 1, .csum_start = start, .csum_offset = offset};
	return check(size);
}

/* A checksum lies behind the addresses and the tag, and within frame and head. */
static void test_csum_bounds(void **state)
{
	(void)state;
	memset(sent, 0, sizeof(sent));
	assert_int_equal(check_csum_at(60, 14, 0), 0);
	assert_int_equal(check_csum_at(60, 13, 1), ERR_INVAL);
	assert_int_equal(check_csum_at(60, 0, 6), ERR_INVAL);
	assert_int_equal(check_csum_at(60, 58, 0), 0);
	assert_int_equal(check_csum_at(60, 34, 24), 0);
	assert_int_equal(check_csum_at(60, 34, 25), ERR_INVAL);
	assert_int_equal(check_csum_at(60, 60, 0), ERR_INVAL);
	assert_int_equal(check_csum_at(60, 65535, 65535), ERR_INVAL);
	assert_int_equal(check_csum_at(60, 34, 65535 - 33), ERR_INVAL);
	assert_int_equal(check_csum_at(14, 14, 0), ERR_INVAL);
	assert_int_equal(check_csum_at(1000, 100, 154), 0);
	assert_int_equal(check_csum_at(1000, 100, 155), ERR_INVAL);
	ref_put(sent, 12, 2, 0x8100);
	assert_int_equal(check_csum_at(60, 17, 1), ERR_INVAL);
	assert_int_equal(check_csum_at(60, 18, 0), 0);
}

/* An IPv4 header of 16 bytes, with all else as if it could be. */
static void test_short_ipv4(void **state)
{
	uint32_t size = build(&tcp4, 1448);

	(void)state;
	sent[14] = 0x44;
	memmove(sent + 30, sent + 34, size - 34);
	size -= 4;
	ref_put(sent, 16, 2, size - 14);
	wish.csum_start -= 4;
	assert_int_equal(check(size), ERR_INVAL);
}

/* One wrong byte each. */
static void test_refused_bytes(void **state)
{
	static const struct {
		uint16_t type;
		unsigned at;
		uint8_t value;
	} wrong[] = {
	    {IPV4, 12, 0x09},                        /* another protocol */
	    {IPV4, 14, 0x65},                        /* version */
	    {IPV4, 14, 0x44},                        /* header too short */
	    {IPV4, 14, 0x46},                        /* longer than said */
	    {IPV4, 14, 0x4f},      {IPV4, 16, 0x20}, /* length */
	    {IPV4, 20, 0x20},                        /* a fragment: more to come … */
	    {IPV4, 20, 0x01},                        /* … an offset … */
	    {IPV4, 21, 0x01},      {IPV4, 23, UDP},  /* protocol */
	    {IPV4, 34 + 12, 0x40},                   /* header too short */
	    {IPV4, 34 + 13, 0x12},                   /* SYN */
	    {IPV4, 34 + 13, 0x14},                   /* RST */
	    {IPV6, 14, 0x45},                        /* version */
	    {IPV6, 18, 0x20},                        /* length */
	    {IPV6, 20, UDP},                         /* next header: another … */
	    {IPV6, 20, 44},                          /* … a fragment … */
	    {IPV6, 20, 51},                          /* … authentication … */
	    {IPV6, 20, 0},                           /* … options that are not there */
	    {IPV6, 54 + 12, 0x10},
	};
	struct shape shape = tcp4;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		uint32_t size;

		shape.type = wrong[i].type;
		size = build(&shape, 1448);
		assert_int_equal(check(size), 0);
		sent[wrong[i].at] = wrong[i].value;
		assert_int_not_equal(check(size), 0);
	}
}

/* One wrong wish each. */
static void test_refused_wishes(void **state)
{
	static const uint8_t types[] = {2, 3, 4, 5, 6, 0x20, 0x21, 0x41, 0x7f, 0x80, 0x85, 0xff};
	uint32_t size = build(&tcp4, 1448);
	struct net_header good = wish;
	struct net_abilities sender = all;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		wish.gso_type = types[i];
		assert_int_not_equal(check(size), 0);
	}
	wish = good;
	wish.flags = NET_HEADER_DATA_VALID;
	assert_int_equal(check(size), ERR_INVAL);
	wish.gso_type = NET_GSO_TCPV6;
	assert_int_equal(check(size), ERR_INVAL);
	for (int by = -2; by <= 2; by += 4) {
		wish = good;
		wish.csum_start = (uint16_t)(good.csum_start + by);
		assert_int_equal(check(size), ERR_INVAL);
		wish = good;
		wish.csum_offset = (uint16_t)(good.csum_offset + by);
		assert_int_equal(check(size), ERR_INVAL);
	}
	wish = good;
	assert_int_equal(check(size - 1), ERR_INVAL);
	sender.tso4 = false;
	assert_int_equal(check_as(size, &sender), ERR_NOSYS);
	sender.tso4 = true;
	sender.ecn = false;
	assert_int_equal(check_as(size, &sender), 0);
	wish.gso_type |= NET_GSO_ECN;
	assert_int_equal(check_as(size, &sender), ERR_NOSYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sizes),          cmocka_unit_test(test_csum_bounds),
	    cmocka_unit_test(test_short_ipv4),     cmocka_unit_test(test_refused_bytes),
	    cmocka_unit_test(test_refused_wishes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
