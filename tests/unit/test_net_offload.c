/* SPDX-License-Identifier: MIT */
/* unit: vmm/net_offload.c vmm/checksum.c vmm/copy.c */

/* What receivers get of frames, and all of it at random beside a reference. */

#include "tests/unit/offload_frames.h"

/* What was made must be right by what a receiver's stack verifies. */
static void verify(const uint8_t *bytes, uint32_t size)
{
	uint32_t network = frame.network, transport = frame.csum_start;
	unsigned protocol = frame.gso_type == NET_GSO_UDP_L4 ? UDP : TCP;

	if (bytes[network] >> 4 == 4) {
		assert_int_equal(ref_sum(bytes, network, transport), 0);
		assert_int_equal(ref_get(bytes, network + 2, 2), size - network);
	} else {
		assert_int_equal(ref_get(bytes, network + 4, 2), size - network - 40);
	}
	assert_int_equal((pseudo_sum(bytes, network, transport, protocol, size) +
			  ref_sum(bytes, transport, size)) %
			     65535,
			 0);
	if (protocol == UDP)
		assert_int_equal(ref_get(bytes, transport + 4, 2), size - transport);
}

/* Delivers to one that can do nothing, and puts the payload together again. */
static void reassemble(uint32_t size)
{
	static uint8_t got[NET_FRAME_MAX], whole[NET_FRAME_MAX];
	uint32_t header = frame.header_size, transport = frame.csum_start, done = 0, seed = 1;
	struct net_delivery delivery;
	struct net_piece piece;

	net_delivery_begin(&delivery, &frame, &none);
	for (unsigned i = 0; net_delivery_next(&delivery, &piece); i++) {
		uint32_t n = offload_receive(&piece, sent, got, &seed);

		verify(got, n);
		if (frame.gso_type != NET_GSO_UDP_L4)
			assert_int_equal(ref_get(got, transport + 4, 4), 0xffff0000 + done);
		if (!frame.ipv6)
			assert_int_equal(ref_get(got, frame.network + 4, 2), (0xfffe + i) & 0xffff);
		assert_memory_equal(got, sent, 12);
		memcpy(whole + done, got + header, n - header);
		done += n - header;
	}
	assert_int_equal(done, size - header);
	assert_memory_equal(whole, sent + header, done);
}

static void test_reassembly(void **state)
{
	static const uint16_t sizes[] = {64, 65, 536, 1000, 1447, 1448, 1460, 9000};
	static const uint16_t tags[] = {0, 0x8100, 0x88a8};

	(void)state;
	for (unsigned i = 0; i < 400; i++) {
		struct shape shape = {tags[i % 3], i % 2 ? IPV6 : IPV4,
				      i % 7,       i % 5 ? TCP : UDP,
				      i % 11,      9001 + pick(i % 4 ? 20000 : 56000)};
		uint32_t size = build(&shape, sizes[pick(ARRAY_SIZE(sizes))]);

		assert_int_equal(check(size), 0);
		reassemble(size);
	}
}

/* The largest there are, in the smallest segments. */
static void test_most(void **state)
{
	struct shape shape = {0x8100, IPV6, 0, UDP, 0, 65527};
	uint32_t size = build(&shape, NET_GSO_SIZE_MIN);
	struct net_delivery delivery;

	(void)state;
	assert_int_equal(check(size), 0);
	net_delivery_begin(&delivery, &frame, &none);
	assert_int_equal(delivery.count, NET_SEGMENTS_MAX);
	reassemble(size);

	shape = (struct shape){0, IPV4, 10, TCP, 10, 65535 - 120};
	size = build(&shape, 65414);
	assert_int_equal(check(size), 0);
	net_delivery_begin(&delivery, &frame, &none);
	assert_int_equal(delivery.count, 2);
	assert_int_equal(delivery.largest, size - 1);
	reassemble(size);
}

/* A TCP segment whose bytes and checksum were worked out by hand. */
static void test_known_checksum(void **state)
{
	static const uint8_t packet[] = {
	    0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0x52, 0x54, 0x00, 0x12, 0x34, 0x57, 0x08, 0x00,
	    /* 192.168.0.1 to 192.168.0.199, 43 bytes */
	    0x45, 0x00, 0x00, 0x2b, 0x00, 0x00, 0x40, 0x00, 0x40, 0x06, 0x00, 0x00, 0xc0, 0xa8,
	    0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7,
	    /* Its checksum is c0a8 + 0001 + c0a8 + 00c7 + 0006 + 0017 as yet. */
	    0x00, 0x50, 0x12, 0x34, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x02, 0x50, 0x10,
	    0x20, 0x00, 0x82, 0x36, 0x00, 0x00, 'a', 'b', 'c'};
	struct net_delivery delivery;
	struct net_piece piece;
	uint32_t seed = 0;
	uint8_t got[sizeof(packet)];

	(void)state;
	memcpy(sent, packet, sizeof(packet));
	wish = (struct net_header){.flags = 1, .csum_start = 34, .csum_offset = 16};
	assert_int_equal(check(sizeof(packet)), 0);
	net_delivery_begin(&delivery, &frame, &none);
	assert_true(net_delivery_next(&delivery, &piece));
	assert_int_equal(offload_receive(&piece, sent, got, &seed), sizeof(packet));
	/* 8236 + 0050 + 1234 + 0001 + 0002 + 5010 + 2000 + 6162 + 6300 = 1c92f, c930, ~c930 */
	assert_int_equal(ref_get(got, 50, 2), 0x36cf);
	assert_false(net_delivery_next(&delivery, &piece));
}

/* RFC 768: what would be 0 is stored as its other form. */
static void test_zero_checksum(void **state)
{
	struct net_delivery delivery;
	struct net_piece piece;
	uint32_t seed = 0;
	uint8_t got[60];

	(void)state;
	memset(sent, 0, sizeof(got));
	wish = (struct net_header){.flags = 1, .csum_start = 34, .csum_offset = 6};
	ref_put(sent, 40, 4, 0x1234edcb);
	assert_int_equal(check(sizeof(got)), 0);
	net_delivery_begin(&delivery, &frame, &none);
	assert_true(net_delivery_next(&delivery, &piece));
	offload_receive(&piece, sent, got, &seed);
	assert_int_equal(ref_get(got, 40, 2), 0xffff);
}

/* Each flag in the first segment, in the middle, in the last. */
static void test_tcp_flags(void **state)
{
	static const unsigned flags[] = {0xf0, 0x70, 0x59}, urgent[] = {5000, 1000, 0};
	uint32_t size = build(&tcp4, 4000);
	struct net_delivery delivery;
	struct net_piece piece;

	(void)state;
	sent[34 + 13] = 0xf9;
	ref_put(sent, 34 + 18, 2, 5000);
	assert_int_equal(check(size), 0);
	assert_true(frame.ecn);
	net_delivery_begin(&delivery, &frame, &csum_only);
	assert_int_equal(delivery.count, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(net_delivery_next(&delivery, &piece));
		assert_int_equal(piece.head[34 + 13], flags[i]);
		assert_int_equal(ref_get(piece.head, 34 + 18, 2), urgent[i]);
		assert_int_equal(piece.payload, 66 + 4000 * i);
		assert_int_equal(piece.payload_size, i < 2 ? 4000 : 2000);
	}
}

/* Who negotiated nothing means nothing by its header. */
static void test_header_ignored(void **state)
{
	uint32_t size = build(&tcp4, 1);
	struct net_delivery delivery;
	struct net_piece piece;
	static const struct net_header zero = {.num_buffers = 1};

	(void)state;
	memset(&wish, 0xff, sizeof(wish));
	assert_int_equal(check_as(size, &none), 0);
	net_delivery_begin(&delivery, &frame, &all);
	assert_int_equal(delivery.count, 1);
	assert_true(net_delivery_next(&delivery, &piece));
	assert_memory_equal(&piece.header, &zero, sizeof(zero));
	assert_false(piece.sums);
	assert_memory_equal(piece.head, sent, NET_HEAD_MAX);
	assert_int_equal(piece.payload, NET_HEAD_MAX);
	assert_int_equal(piece.payload_size, size - NET_HEAD_MAX);
}

/* The flags of what is received. */
static uint8_t told(const struct net_abilities *sender, const struct net_abilities *receiver)
{
	struct net_delivery delivery;
	struct net_piece piece;

	assert_int_equal(check_as(100, sender), 0);
	net_delivery_begin(&delivery, &frame, receiver);
	assert_true(net_delivery_next(&delivery, &piece));
	return piece.header.flags;
}

static void test_data_valid(void **state)
{
	static const struct net_abilities nic = {.csum = true, .data_valid = true};
	static const struct net_abilities odd = {.data_valid = true};

	(void)state;
	memset(sent, 0, 100);
	wish = (struct net_header){.flags = 0xfe};
	assert_int_equal(told(&nic, &nic), NET_HEADER_DATA_VALID);
	assert_int_equal(told(&nic, &csum_only), 0);
	assert_int_equal(told(&nic, &none), 0);
	assert_int_equal(told(&nic, &odd), 0);
	assert_int_equal(told(&odd, &nic), 0);
	assert_int_equal(told(&csum_only, &nic), 0);
	wish = (struct net_header){.flags = 3, .csum_start = 34, .csum_offset = 16};
	assert_int_equal(told(&nic, &nic), NET_HEADER_NEEDS_CSUM);
	assert_int_equal(told(&nic, &none), 0);
	wish = (struct net_header){0};
	assert_int_equal(told(&nic, &nic), 0);
}

/* Whether a receiver gets the frame as it is, and whether it is summed. */
static void expect(struct net_abilities to, bool segments, bool sums)
{
	struct net_delivery delivery;
	struct net_piece piece;

	net_delivery_begin(&delivery, &frame, &to);
	assert_int_equal(delivery.segments, segments);
	assert_int_equal(delivery.sums, sums);
	assert_true(net_delivery_next(&delivery, &piece));
	assert_int_equal(piece.header.flags, to.csum ? 1 : 0);
	assert_int_equal(piece.header.gso_size, segments ? 0 : frame.gso_size);
	assert_int_equal(piece.header.hdr_len, segments ? 0 : frame.header_size);
	assert_int_equal(piece.header.gso_type, segments ? 0 : wish.gso_type);
	assert_int_equal(piece.header.num_buffers, 1);
}

static void test_receivers(void **state)
{
	struct shape shape = tcp4;

	(void)state;
	assert_int_equal(check(build(&shape, 1448)), 0);
	expect(all, false, false);
	expect((struct net_abilities){.csum = true, .tso4 = true}, false, false);
	expect((struct net_abilities){.tso4 = true}, true, true);
	expect((struct net_abilities){.csum = true, .tso6 = true, .uso4 = true}, true, false);
	expect(none, true, true);

	wish.gso_type |= NET_GSO_ECN;
	assert_int_equal(check(66 + 10000), 0);
	expect((struct net_abilities){.csum = true, .tso4 = true, .ecn = true}, false, false);
	expect((struct net_abilities){.csum = true, .tso4 = true}, true, false);

	shape.type = IPV6;
	assert_int_equal(check(build(&shape, 1448)), 0);
	expect((struct net_abilities){.csum = true, .tso6 = true}, false, false);
	expect((struct net_abilities){.csum = true, .tso4 = true}, true, false);

	shape.protocol = UDP;
	assert_int_equal(check(build(&shape, 1448)), 0);
	expect((struct net_abilities){.csum = true, .uso6 = true}, false, false);
	expect((struct net_abilities){.csum = true, .uso4 = true, .tso6 = true}, true, false);
}

/* RFC 9293, 3.8.5: a pointer to the segment's own first byte tells of nothing that is urgent. */
static void test_urgent_end(void **state)
{
	uint32_t size = build(&tcp4, 4000);
	struct net_delivery delivery;
	struct net_piece piece;

	(void)state;
	sent[34 + 13] = 0x30;
	ref_put(sent, 34 + 18, 2, 4000);
	assert_int_equal(check(size), 0);
	net_delivery_begin(&delivery, &frame, &none);
	assert_true(net_delivery_next(&delivery, &piece));
	assert_int_equal(piece.head[34 + 13], 0x30);
	assert_true(net_delivery_next(&delivery, &piece));
	assert_int_equal(piece.head[34 + 13], 0x10);
	assert_int_equal(ref_get(piece.head, 34 + 18, 2), 0);
}

/* CWR counts as the ECN bit, which not every driver sets. */
static void test_congestion(void **state)
{
	uint32_t size = build(&tcp4, 1448);
	struct net_delivery delivery;
	struct net_piece piece;

	(void)state;
	sent[34 + 13] |= 0x80;
	assert_int_equal(check(size), 0);
	net_delivery_begin(&delivery, &frame, &all);
	assert_true(net_delivery_next(&delivery, &piece));
	assert_int_equal(piece.header.gso_type, NET_GSO_TCPV4 | NET_GSO_ECN);
}

/* Payload for one frame: no segmentation, whatever else is asked for. */
static void test_one_segment(void **state)
{
	struct shape shape = tcp4;
	struct net_delivery delivery;
	static const uint32_t payloads[] = {0, 1, 1447, 1448, 1449};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(payloads); i++) {
		shape.payload = payloads[i];
		assert_int_equal(check(build(&shape, 1448)), 0);
		net_delivery_begin(&delivery, &frame, &none);
		assert_int_equal(delivery.segments, payloads[i] > 1448);
		assert_int_equal(delivery.count, payloads[i] > 1448 ? 2 : 1);
		assert_true(delivery.sums);
	}
	shape.payload = 1;
	assert_int_equal(check(build(&shape, 1)), 0);
	shape.payload = 2;
	assert_int_equal(check(build(&shape, 1)), ERR_INVAL);
	shape.payload = 10000;
	assert_int_equal(check(build(&shape, 0)), ERR_INVAL);
	assert_int_equal(check(build(&shape, NET_GSO_SIZE_MIN - 1)), ERR_INVAL);
	assert_int_equal(check(build(&shape, NET_GSO_SIZE_MIN)), 0);
}

/* Headers up to the head's last byte, and one more option. */
static void test_long_headers(void **state)
{
	struct shape shape = {0x8100, IPV6, 0, TCP, 0, 3000};

	(void)state;
	shape.options = 22; /* 18 + 40 + 176 + 20 = 254 */
	assert_int_equal(check(build(&shape, 1000)), 0);
	assert_int_equal(frame.header_size, 254);
	shape.tcp_options = 1;
	assert_int_equal(check(build(&shape, 1000)), ERR_INVAL);
	shape.options = 21;
	assert_int_equal(check(build(&shape, 1000)), 0);
	reassemble(18 + 40 + 168 + 24 + 3000);
	shape.options = 30;
	assert_int_equal(check(build(&shape, 1000)), ERR_INVAL);
}

static struct net_abilities random_abilities(void)
{
	uint32_t bits = pick(128) | (pick(4) ? 1 : 0);

	return (struct net_abilities){bits & 1,  bits & 2,  bits & 4, bits & 8,
				      bits & 16, bits & 32, bits & 64};
}

static uint32_t random_frame(void)
{
	static const uint16_t tags[] = {0, 0, 0x8100, 0x88a8};
	struct shape shape = {
	    tags[pick(4)],          pick(2) ? IPV4 : IPV6,
	    pick(3) ? 0 : pick(11), pick(3) ? TCP : UDP,
	    pick(3) ? 3 : pick(11), pick(3) == 0 ? pick(300) : pick(8) ? pick(6000) : pick(65000)};
	uint32_t size = build(&shape, (uint16_t)(pick(3) ? 64 + pick(1500) : pick(100)));

	if (pick(4) == 0)
		wish.gso_type |= NET_GSO_ECN;
	if (pick(4) == 0)
		sent[wish.csum_start + 13] = (uint8_t)pick(256);
	if (pick(8) == 0)
		wish.gso_type = NET_GSO_NONE;
	return size;
}

/* Wrong bytes in headers, wrong bytes in what is asked for, wrong sizes. */
static uint32_t spoil(uint32_t size)
{
	for (unsigned n = 1 + pick(3); n > 0; n--) {
		switch (pick(4)) {
		case 0:
			((uint8_t *)&wish)[pick(sizeof(wish))] = (uint8_t)pick(256);
			break;
		case 1:
			((uint8_t *)&wish)[pick(sizeof(wish))] ^= (uint8_t)(1U << pick(8));
			break;
		case 2:
			sent[pick((uint32_t)min_u64(size, 100))] ^= (uint8_t)(1U << pick(8));
			break;
		default:
			size = pick(2) ? pick(size + 1) : size + pick(3);
			break;
		}
		if (size == 0 || size > NET_FRAME_MAX)
			size = 1;
	}
	return size;
}

/* All against the reference; most that are spoiled must be refused, most others accepted. */
static void run_random(unsigned rounds, bool spoiled)
{
	unsigned good = 0, cut = 0;

	for (unsigned i = 0; i < rounds; i++) {
		uint32_t size = random_frame();
		struct net_abilities sender = random_abilities(), receiver = random_abilities();
		const char *wrong;

		if (!spoiled && pick(8))
			sender = all;
		if (spoiled)
			size = spoil(size);
		wrong = offload_try(sent, size, &wish, &sender, &receiver, i);
		if (wrong)
			print_error("round %u: %s\n", i, wrong);
		assert_null(wrong);
		if (check_as(size, &sender) == 0) {
			good++;
			cut += frame.gso_type != NET_GSO_NONE;
		}
	}
	print_message("%u frames: %u good, %u to be cut\n", rounds, good, cut);
	assert_in_range(good, rounds / 5, rounds - 1);
	assert_true(cut > rounds / (spoiled ? 30 : 4));
}

static void test_random_valid(void **state)
{
	(void)state;
	random_state = 1;
	run_random(10000, false);
}

static void test_random_spoiled(void **state)
{
	(void)state;
	random_state = 2;
	run_random(40000, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reassembly),     cmocka_unit_test(test_most),
	    cmocka_unit_test(test_known_checksum), cmocka_unit_test(test_zero_checksum),
	    cmocka_unit_test(test_tcp_flags),      cmocka_unit_test(test_header_ignored),
	    cmocka_unit_test(test_data_valid),     cmocka_unit_test(test_receivers),
	    cmocka_unit_test(test_congestion),     cmocka_unit_test(test_urgent_end),
	    cmocka_unit_test(test_one_segment),    cmocka_unit_test(test_long_headers),
	    cmocka_unit_test(test_random_valid),   cmocka_unit_test(test_random_spoiled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
