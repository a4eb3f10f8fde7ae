/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_OFFLOAD_FRAMES_H
#define TESTS_UNIT_OFFLOAD_FRAMES_H

/* Frames of all sorts, and how they are checked: for a test's one source file. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/error.h"
#include "tests/unit/offload_reference.h"

#define IPV4 0x0800
#define IPV6 0x86dd
#define TCP  6
#define UDP  17

static uint8_t sent[NET_FRAME_MAX + 1];
static struct net_header wish;
static uint64_t random_state;

static uint32_t pick(uint32_t below)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(random_state >> 33) % below;
}

/* What a frame is made of. */
struct shape {
	uint16_t tag;     /* 0x8100, 0x88a8, or none */
	unsigned type;    /* IPV4 or IPV6 */
	unsigned options; /* of IPv4, 4 bytes each, or IPv6's extension headers, 8 bytes each */
	unsigned protocol;
	unsigned tcp_options; /* 4 bytes each */
	uint32_t payload;
};

static uint32_t put_ethernet(const struct shape *shape)
{
	uint32_t at = 12;

	for (unsigned i = 0; i < 12; i++)
		sent[i] = (uint8_t)(2 + 0x10 * i);
	if (shape->tag) {
		ref_put(sent, at, 2, shape->tag);
		ref_put(sent, at + 2, 2, 42);
		at += 4;
	}
	ref_put(sent, at, 2, shape->type);
	return at + 2;
}

static uint32_t put_ipv4(const struct shape *shape, uint32_t at, uint32_t left)
{
	uint32_t size = 20 + 4 * shape->options;
	uint8_t *ip = sent + at;

	memset(ip, 1, size); /* options: no operation */
	ip[0] = (uint8_t)(0x40 + size / 4);
	ip[1] = 0;
	ref_put(ip, 2, 2, left + size);
	ref_put(ip, 4, 2, 0xfffe);
	ref_put(ip, 6, 2, 0x4000);
	ip[8] = 64;
	ip[9] = (uint8_t)shape->protocol;
	ref_put(ip, 12, 4, 0xc0a80001);
	ref_put(ip, 16, 4, 0xc0a800c7);
	ref_put(ip, 10, 2, 0);
	ref_put(ip, 10, 2, 65535 - ref_sum(ip, 0, size));
	return at + size;
}

static uint32_t put_ipv6(const struct shape *shape, uint32_t at, uint32_t left)
{
	static const uint8_t kinds[] = {0, 60, 43};
	uint8_t *ip = sent + at;
	uint8_t *next = &ip[6];

	memset(ip, 0, 40);
	ip[0] = 0x60;
	ref_put(ip, 4, 2, left + 8 * shape->options);
	ip[7] = 64;
	for (unsigned i = 8; i < 40; i++)
		ip[i] = (uint8_t)(0xfd - 3 * i);
	at += 40;
	for (unsigned i = 0; i < shape->options; i++, at += 8) {
		*next = kinds[i % 3];
		memset(sent + at, 0, 8);
		next = &sent[at];
	}
	*next = (uint8_t)shape->protocol;
	return at;
}

static uint32_t put_tcp(const struct shape *shape, uint32_t at)
{
	uint8_t *tcp = sent + at;

	memset(tcp, 1, 20 + 4 * shape->tcp_options); /* options: no operation */
	ref_put(tcp, 0, 4, 0x00501234);
	ref_put(tcp, 4, 4, 0xffff0000);
	ref_put(tcp, 8, 4, 0x89abcdef);
	tcp[12] = (uint8_t)(16 * (5 + shape->tcp_options));
	tcp[13] = 0x10;
	ref_put(tcp, 14, 4, 0x20000000);
	ref_put(tcp, 18, 2, 0);
	return at + 20 + 4 * shape->tcp_options;
}

static uint32_t put_udp(const struct shape *shape, uint32_t at)
{
	ref_put(sent, at, 4, 0x00351234);
	ref_put(sent, at + 4, 2, 8 + shape->payload);
	ref_put(sent, at + 6, 2, 0);
	return at + 8;
}

/* Addresses, protocol, and length: RFC 9293, 3.1, and RFC 8200, 8.1. */
static uint32_t pseudo_sum(const uint8_t *bytes, uint32_t network, uint32_t transport,
			   unsigned protocol, uint32_t size)
{
	uint32_t addresses = bytes[network] >> 4 == 4 ? 12 : 8;
	uint32_t length = bytes[network] >> 4 == 4 ? 8 : 32;

	return (ref_sum(bytes, network + addresses, network + addresses + length) + protocol +
		size - transport) %
	       65535;
}

/* A frame that wants all: a checksum, and segments of gso_size bytes. Its size. */
static uint32_t build(const struct shape *shape, uint16_t gso_size)
{
	uint32_t network = put_ethernet(shape);
	bool tcp = shape->protocol == TCP;
	uint32_t left = shape->payload + (tcp ? 20 + 4 * shape->tcp_options : 8);
	uint32_t transport, payload, field;

	transport =
	    shape->type == IPV4 ? put_ipv4(shape, network, left) : put_ipv6(shape, network, left);
	payload = tcp ? put_tcp(shape, transport) : put_udp(shape, transport);
	for (uint32_t i = 0; i < shape->payload; i++)
		sent[payload + i] = (uint8_t)pick(256);
	field = tcp ? 16 : 6;
	ref_put(sent, transport + field, 2,
		pseudo_sum(sent, network, transport, shape->protocol, payload + shape->payload));
	wish = (struct net_header){
	    .flags = NET_HEADER_NEEDS_CSUM,
	    .gso_type = !tcp                  ? NET_GSO_UDP_L4
			: shape->type == IPV4 ? NET_GSO_TCPV4
					      : NET_GSO_TCPV6,
	    .hdr_len = (uint16_t)pick(65536),
	    .gso_size = gso_size,
	    .csum_start = (uint16_t)transport,
	    .csum_offset = (uint16_t)field,
	};
	return payload + shape->payload;
}

static const struct net_abilities all = {true, true, true, true, true, true, false};
static const struct net_abilities none;
static const struct net_abilities csum_only = {.csum = true};

static struct net_frame frame;

static const struct shape tcp4 = {0, IPV4, 0, TCP, 3, 10000};

static int check_as(uint32_t size, const struct net_abilities *sender)
{
	memset(&frame, 0xa5, sizeof(frame));
	memcpy(frame.head, sent, min_u64(size, NET_HEAD_MAX));
	return net_frame_check(&frame, size, &wish, sender);
}

static int check(uint32_t size)
{
	return check_as(size, &all);
}

#endif
