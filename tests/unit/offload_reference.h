/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_OFFLOAD_REFERENCE_H
#define TESTS_UNIT_OFFLOAD_REFERENCE_H

/*
 * A plain implementation of what vmm/net_offload.c does, on whole frames in memory and with sums
 * modulo 65535, and a caller that compares the two.
 */

#include <string.h>

#include "vmm/net_offload.h"

#define REFERENCE_CHUNK 16384

struct reference {
	const uint8_t *bytes;
	uint32_t size;
	bool needs_csum, data_valid, ecn, udp;
	unsigned version; /* of IP; 0: not to be cut */
	uint32_t network, transport, payload, gso_size, field;
	uint8_t gso_type;
};

static inline uint32_t ref_get(const uint8_t *bytes, uint32_t at, unsigned size)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value = value << 8 | bytes[at + i];
	return value;
}

static inline void ref_put(uint8_t *bytes, uint32_t at, unsigned size, uint32_t value)
{
	for (unsigned i = size; i-- > 0; value >>= 8)
		bytes[at + i] = (uint8_t)value;
}

/* Of the bytes [at, end), modulo 65535. */
static inline uint32_t ref_sum(const uint8_t *bytes, uint32_t at, uint32_t end)
{
	uint64_t sum = 0;

	for (uint32_t i = at; i < end; i++)
		sum += (uint64_t)bytes[i] << ((i - at) % 2 ? 0 : 8);
	return (uint32_t)(sum % 65535);
}

/* RFC 1071: the sum of what is not all zeroes is never 0, but may be its other form, 0xffff. */
static inline uint32_t ref_complement(const uint8_t *bytes, uint32_t at, uint32_t end)
{
	uint32_t sum = ref_sum(bytes, at, end);

	return sum == 0 ? 0 : 65535 - sum;
}

/* Where the transport header of `protocol` begins, in a packet that fills the frame; or 0. */
static inline uint32_t ref_transport(struct reference *r, unsigned protocol)
{
	const uint8_t *ip = r->bytes + r->network;
	uint32_t left = r->size - r->network;
	uint32_t size = 40;
	unsigned next;

	if (r->version == 4) {
		if (left < 20 || ip[0] < 0x45 || ip[0] > 0x4f || ref_get(ip, 2, 2) != left)
			return 0;
		if ((ip[6] & 0x3f) || ip[7] || ip[9] != protocol)
			return 0;
		return r->network + 4 * (ip[0] - 0x40U);
	}
	if (left < 40 || ip[0] / 16 != 6 || ref_get(ip, 4, 2) + 40 != left)
		return 0;
	next = ip[6];
	while (next == 0 || next == 43 || next == 60) {
		if (size + 8 > left)
			return 0;
		next = ip[size];
		size += 8 + 8U * ip[size + 1];
	}
	return next == protocol ? r->network + size : 0;
}

static inline bool ref_read_transport(struct reference *r, const struct net_header *wish)
{
	const uint8_t *start = r->bytes + r->transport;
	uint32_t left, size = 8;

	if (r->transport == 0 || r->transport != wish->csum_start)
		return false;
	left = r->size - r->transport;
	if (left < (r->udp ? 8 : 20) || wish->csum_offset != (r->udp ? 6 : 16))
		return false;
	if (r->udp && ref_get(start, 4, 2) != left)
		return false;
	if (!r->udp)
		size = start[12] / 16 * 4;
	if (size < (r->udp ? 8 : 20) || size > left || r->transport + size > NET_HEAD_MAX)
		return false;
	r->payload = r->transport + size;
	r->ecn = (wish->gso_type & 0x80) || (!r->udp && (start[13] & 0x80));
	return true;
}

/* Whether segmentation is asked for in a way that makes sense, and negotiated. */
static inline bool ref_read_gso(struct reference *r, const struct net_header *wish,
				const struct net_abilities *sender)
{
	bool tagged = r->size >= 18 &&
		      (ref_get(r->bytes, 12, 2) == 0x8100 || ref_get(r->bytes, 12, 2) == 0x88a8);
	uint32_t type = ref_get(r->bytes, tagged ? 16 : 12, 2);
	bool can;

	r->gso_type = wish->gso_type & 0x7f;
	r->udp = r->gso_type == 5;
	r->version = type == 0x0800 ? 4 : type == 0x86dd ? 6 : 0;
	r->network = tagged ? 18 : 14;
	can = (r->version == 4 && r->gso_type == 1 && sender->tso4) ||
	      (r->version == 6 && r->gso_type == 4 && sender->tso6) ||
	      (r->version == 4 && r->udp && sender->uso4) ||
	      (r->version == 6 && r->udp && sender->uso6);
	if (!can || !r->needs_csum)
		return false;
	if ((wish->gso_type & 0x80) && (r->udp || !sender->ecn))
		return false;
	r->transport = ref_transport(r, r->udp ? 17 : 6);
	if (!ref_read_transport(r, wish))
		return false;
	r->gso_size = wish->gso_size;
	if (r->size - r->payload <= r->gso_size) {
		r->version = 0;
		return true;
	}
	return r->gso_size >= 64 && (r->udp || !(r->bytes[r->transport + 13] & 6));
}

/* false: the frame has to be dropped. */
static inline bool ref_read(struct reference *r, const uint8_t *bytes, uint32_t size,
			    const struct net_header *wish, const struct net_abilities *sender)
{
	uint32_t ethernet = 14;

	*r = (struct reference){.bytes = bytes, .size = size};
	if (size < 14 || size > NET_FRAME_MAX)
		return false;
	if (!sender->csum)
		return true;
	if (ref_get(bytes, 12, 2) == 0x8100 || ref_get(bytes, 12, 2) == 0x88a8)
		ethernet = 18;
	r->field = (uint32_t)wish->csum_start + wish->csum_offset;
	r->needs_csum = wish->flags & 1;
	r->data_valid = sender->data_valid && !r->needs_csum && (wish->flags & 2);
	if (r->needs_csum &&
	    (wish->csum_start < ethernet || r->field + 2 > size || r->field + 2 > NET_HEAD_MAX))
		return false;
	if (r->needs_csum)
		r->transport = wish->csum_start;
	return wish->gso_type == 0 || ref_read_gso(r, wish, sender);
}

static inline bool ref_is_cut(const struct reference *r, const struct net_abilities *to)
{
	bool can = r->udp ? (r->version == 4 ? to->uso4 : to->uso6)
			  : (r->version == 4 ? to->tso4 : to->tso6) && (to->ecn || !r->ecn);

	return r->version != 0 && !(can && to->csum);
}

static inline unsigned ref_count(const struct reference *r, const struct net_abilities *to)
{
	unsigned count = 0;

	if (!ref_is_cut(r, to))
		return 1;
	for (uint32_t at = r->payload; at < r->size; at += r->gso_size)
		count++;
	return count;
}

static inline void ref_cut_tcp(uint8_t *tcp, uint32_t at, bool last)
{
	uint32_t urgent = ref_get(tcp, 18, 2);
	bool first = at == 0;

	ref_put(tcp, 4, 4, ref_get(tcp, 4, 4) + at);
	if (!first)
		tcp[13] &= 0x7f;
	if (!last)
		tcp[13] &= 0xf6;
	if (first || !(tcp[13] & 0x20))
		return;
	if (urgent > at) {
		ref_put(tcp, 18, 2, urgent - at);
	} else {
		ref_put(tcp, 18, 2, 0);
		tcp[13] &= 0xdf;
	}
}

/* Puts segment `i` at `to`; its size. Its checksum is the pseudo header's sum as yet. */
static inline uint32_t ref_cut(const struct reference *r, unsigned i, uint8_t *to)
{
	uint32_t at = i * r->gso_size;
	uint32_t rest = r->size - r->payload - at;
	uint32_t n = rest < r->gso_size ? rest : r->gso_size;
	uint32_t size = r->payload + n;

	memcpy(to, r->bytes, r->payload);
	memcpy(to + r->payload, r->bytes + r->payload + at, n);
	if (r->version == 4) {
		ref_put(to, r->network + 2, 2, size - r->network);
		ref_put(to, r->network + 4, 2, ref_get(to, r->network + 4, 2) + i);
		ref_put(to, r->network + 10, 2, 0);
		ref_put(to, r->network + 10, 2, ref_complement(to, r->network, r->transport));
	} else {
		ref_put(to, r->network + 4, 2, size - r->network - 40);
	}
	if (r->udp)
		ref_put(to, r->transport + 4, 2, size - r->transport);
	else
		ref_cut_tcp(to + r->transport, at, rest <= r->gso_size);
	ref_put(to, r->field, 2, (ref_get(to, r->field, 2) + 65535 + size - r->size) % 65535);
	return size;
}

/* The frame `i` that a receiver gets, and its header. */
static inline uint32_t ref_make(const struct reference *r, const struct net_abilities *receiver,
				unsigned i, uint8_t *to, struct net_header *header)
{
	bool cut = ref_is_cut(r, receiver);
	uint32_t size = r->size;

	memset(header, 0, sizeof(*header));
	header->num_buffers = 1;
	if (cut)
		size = ref_cut(r, i, to);
	else
		memcpy(to, r->bytes, size);
	if (r->needs_csum && !receiver->csum) {
		uint32_t sum = ref_sum(to, r->transport, size);

		ref_put(to, r->field, 2, 65535 - sum);
	} else if (r->needs_csum) {
		header->flags = 1;
		header->csum_start = (uint16_t)r->transport;
		header->csum_offset = (uint16_t)(r->field - r->transport);
	} else if (r->data_valid && receiver->csum && receiver->data_valid) {
		header->flags = 2;
	}
	if (r->version != 0 && !cut) {
		header->gso_type = r->gso_type | (r->ecn ? 0x80 : 0);
		header->gso_size = (uint16_t)r->gso_size;
		header->hdr_len = (uint16_t)r->payload;
	}
	return size;
}

/*
 * The caller's part: one frame as it is received, at `to`, its payload copied in pieces whose sizes
 * follow from *seed.
 */
static inline uint32_t offload_receive(struct net_piece *piece, const uint8_t *frame, uint8_t *to,
				       uint32_t *seed)
{
	uint32_t done = 0;

	while (done < piece->payload_size) {
		uint32_t n;

		*seed = *seed * 1664525 + 1013904223;
		n = *seed % 4 ? REFERENCE_CHUNK : 1 + (*seed >> 8) % 1500;
		n = (uint32_t)min_u64(n, piece->payload_size - done);
		memcpy(to + piece->head_size + done, frame + piece->payload + done, n);
		if (piece->sums)
			checksum_add(&piece->checksum, to + piece->head_size + done, n);
		done += n;
	}
	net_piece_finish(piece);
	memcpy(to, piece->head, piece->head_size);
	return piece->head_size + piece->payload_size;
}

/* Both zeroes of ones' complement are the same in a field that is still to be summed. */
static inline bool ref_same(const struct reference *r, bool sums, uint8_t *found, uint8_t *expected,
			    uint32_t size)
{
	if (r->needs_csum) {
		uint32_t a = ref_get(found, r->field, 2), b = ref_get(expected, r->field, 2);

		if (a % 65535 != b % 65535 || (sums && a == 0))
			return false;
		ref_put(expected, r->field, 2, a);
	}
	return memcmp(found, expected, size) == 0;
}

/* All that one receiver gets of a frame that was checked. NULL, or what is wrong. */
static inline const char *offload_compare(const struct net_frame *frame, const struct reference *r,
					  const struct net_abilities *receiver, uint32_t seed)
{
	static uint8_t found[NET_FRAME_MAX], expected[NET_FRAME_MAX];
	struct net_delivery delivery;
	struct net_piece piece;
	struct net_header header;
	unsigned i;

	net_delivery_begin(&delivery, frame, receiver);
	if (delivery.count != ref_count(r, receiver) || delivery.count > NET_SEGMENTS_MAX)
		return "number of frames";
	if (delivery.segments != ref_is_cut(r, receiver) ||
	    delivery.sums != (r->needs_csum && !receiver->csum))
		return "what has to be done";
	for (i = 0; net_delivery_next(&delivery, &piece); i++) {
		uint32_t size = ref_make(r, receiver, i, expected, &header);

		if (piece.head_size + piece.payload_size != size || size > delivery.largest)
			return "size of a frame";
		if (!range_within(piece.payload, piece.payload_size, 0, r->size) ||
		    piece.head_size > NET_HEAD_MAX)
			return "range of payload";
		offload_receive(&piece, r->bytes, found, &seed);
		if (memcmp(&piece.header, &header, sizeof(header)) != 0)
			return "header";
		if (!ref_same(r, piece.sums, found, expected, size))
			return "bytes of a frame";
	}
	return i == delivery.count ? NULL : "end of frames";
}

/* Checks a frame by both, and compares what a receiver gets. NULL, or what is wrong. */
static inline const char *offload_try(const uint8_t *bytes, uint32_t size,
				      const struct net_header *wish,
				      const struct net_abilities *sender,
				      const struct net_abilities *receiver, uint32_t seed)
{
	struct net_frame frame;
	struct reference r;
	bool good = ref_read(&r, bytes, size, wish, sender);

	/* What is behind a short frame must not matter. */
	memset(&frame, (int)(seed & 0xff), sizeof(frame));
	memcpy(frame.head, bytes, min_u64(size, NET_HEAD_MAX));
	if ((net_frame_check(&frame, size, wish, sender) == 0) != good)
		return good ? "a good frame is refused" : "a bad frame is accepted";
	return good ? offload_compare(&frame, &r, receiver, seed) : NULL;
}

#endif
