/* SPDX-License-Identifier: MIT */

#include "vmm/net_offload.h"

#include "kernel/error.h"
#include "vmm/copy.h"

#define ETHERNET_SIZE 14
#define VLAN_TAG_SIZE 4
#define TYPE_IPV4     0x0800
#define TYPE_IPV6     0x86dd
#define TYPE_VLAN     0x8100 /* IEEE 802.1Q: a customer's tag … */
#define TYPE_SERVICE  0x88a8 /* … and a service's */

/* RFC 791, 3.1 */
#define IPV4_SIZE       20
#define IPV4_LENGTH     2
#define IPV4_ID         4
#define IPV4_FRAGMENT   6
#define IPV4_PROTOCOL   9
#define IPV4_CHECKSUM   10
#define FRAGMENT_FIELDS 0x3fff /* More Fragments, and the offset */

/* RFC 8200, 3 */
#define IPV6_SIZE   40
#define IPV6_LENGTH 4
#define IPV6_NEXT   6

#define PROTOCOL_HOP_BY_HOP  0
#define PROTOCOL_TCP         6
#define PROTOCOL_UDP         17
#define PROTOCOL_ROUTING     43
#define PROTOCOL_DESTINATION 60

/* RFC 9293, 3.1 */
#define TCP_SIZE     20
#define TCP_SEQUENCE 4
#define TCP_OFFSET   12
#define TCP_FLAGS    13
#define TCP_CHECKSUM 16
#define TCP_URGENT   18
#define TCP_FIN      0x01
#define TCP_SYN      0x02
#define TCP_RST      0x04
#define TCP_PSH      0x08
#define TCP_URG      0x20
#define TCP_CWR      0x80

/* RFC 768 */
#define UDP_SIZE     8
#define UDP_LENGTH   4
#define UDP_CHECKSUM 6

static uint16_t load_be16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void store_be16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint32_t load_be32(const uint8_t *at)
{
	return (uint32_t)load_be16(at) << 16 | load_be16(at + 2);
}

static void store_be32(uint8_t *at, uint32_t value)
{
	store_be16(at, value >> 16);
	store_be16(at + 2, value);
}

/*
 * Checking. The head's bytes beyond head_size are none of the frame's.
 */

static bool in_head(const struct net_frame *frame, uint32_t at, uint32_t size)
{
	return range_within(at, size, 0, frame->head_size);
}

/* Addresses, tag and type. */
static uint32_t ethernet_size(const struct net_frame *frame)
{
	uint16_t type = load_be16(frame->head + ETHERNET_SIZE - 2);

	return ETHERNET_SIZE + (type == TYPE_VLAN || type == TYPE_SERVICE ? VLAN_TAG_SIZE : 0);
}

/*
 * Where a checksum is stored is the sender's business. But what the switch has looked at must stay
 * as it is, or frames could be sent from another's address.
 */
static int check_csum(struct net_frame *frame, const struct net_header *wish)
{
	uint32_t field = (uint32_t)wish->csum_start + wish->csum_offset;

	if (wish->csum_start < ethernet_size(frame) || !in_head(frame, field, 2))
		return ERR_INVAL;
	frame->needs_csum = true;
	frame->csum_start = wish->csum_start;
	frame->csum_offset = wish->csum_offset;
	return 0;
}

/* Whether the bytes at `at` are an IPv4 header of the whole frame; its size, or 0. */
static uint32_t ipv4_size(const struct net_frame *frame, uint32_t at, uint8_t protocol)
{
	const uint8_t *ip = frame->head + at;
	uint32_t size;

	if (!in_head(frame, at, IPV4_SIZE))
		return 0;
	size = (ip[0] & 0xfU) * 4;
	if (ip[0] >> 4 != 4 || size < IPV4_SIZE || load_be16(ip + IPV4_LENGTH) != frame->size - at)
		return 0;
	if ((load_be16(ip + IPV4_FRAGMENT) & FRAGMENT_FIELDS) || ip[IPV4_PROTOCOL] != protocol)
		return 0;
	return size;
}

/* RFC 8200, 4: the extension headers that each segment can have as the whole has them. */
static bool may_repeat(uint8_t extension)
{
	return extension == PROTOCOL_HOP_BY_HOP || extension == PROTOCOL_ROUTING ||
	       extension == PROTOCOL_DESTINATION;
}

/* Likewise an IPv6 header, and its extension headers. */
static uint32_t ipv6_size(const struct net_frame *frame, uint32_t at, uint8_t protocol)
{
	const uint8_t *ip = frame->head + at;
	uint32_t size = IPV6_SIZE;
	uint8_t next;

	if (!in_head(frame, at, IPV6_SIZE) || ip[0] >> 4 != 6 ||
	    load_be16(ip + IPV6_LENGTH) != frame->size - at - IPV6_SIZE)
		return 0;
	next = ip[IPV6_NEXT];
	while (may_repeat(next)) {
		if (!in_head(frame, at + size, 2))
			return 0;
		next = ip[size];
		size += 8 * (ip[size + 1] + 1U);
	}
	return next == protocol ? size : 0;
}

/* Before csum_start, which is in the head. */
static int find_network(struct net_frame *frame)
{
	uint32_t at = ethernet_size(frame);
	uint16_t type = load_be16(frame->head + at - 2);

	frame->network = (uint16_t)at;
	frame->ipv6 = type == TYPE_IPV6;
	return type == TYPE_IPV4 || type == TYPE_IPV6 ? 0 : ERR_INVAL;
}

/* Whether the transport header follows IP's where csum_start says; so it begins in the head. */
static bool is_transport(const struct net_frame *frame, uint8_t protocol)
{
	uint32_t at = frame->network;
	uint32_t size =
	    frame->ipv6 ? ipv6_size(frame, at, protocol) : ipv4_size(frame, at, protocol);

	return size != 0 && at + size == frame->csum_start;
}

/* The head holds the field of the checksum, and so what comes before it. */
static int check_tcp(struct net_frame *frame)
{
	const uint8_t *tcp = frame->head + frame->csum_start;
	uint32_t size;

	if (frame->csum_offset != TCP_CHECKSUM)
		return ERR_INVAL;
	size = (tcp[TCP_OFFSET] >> 4) * 4U;
	if (size < TCP_SIZE || !in_head(frame, frame->csum_start, size))
		return ERR_INVAL;
	frame->header_size = (uint16_t)(frame->csum_start + size);
	frame->ecn = frame->ecn || (tcp[TCP_FLAGS] & TCP_CWR);
	return 0;
}

static int check_udp(struct net_frame *frame)
{
	const uint8_t *udp = frame->head + frame->csum_start;

	if (frame->csum_offset != UDP_CHECKSUM ||
	    load_be16(udp + UDP_LENGTH) != frame->size - frame->csum_start)
		return ERR_INVAL;
	frame->header_size = (uint16_t)(frame->csum_start + UDP_SIZE);
	return 0;
}

/* How it would be cut. Drivers ask for it also where there is payload for one segment only. */
static int check_cut(struct net_frame *frame, uint16_t gso_size)
{
	if (frame->size - frame->header_size <= gso_size) {
		frame->gso_type = NET_GSO_NONE;
		return 0;
	}
	if (gso_size < NET_GSO_SIZE_MIN)
		return ERR_INVAL;
	if (frame->gso_type != NET_GSO_UDP_L4 &&
	    frame->head[frame->csum_start + TCP_FLAGS] & (TCP_SYN | TCP_RST))
		return ERR_INVAL;
	frame->gso_size = gso_size;
	return 0;
}

/* Whether one who can do `can` can do this GSO type, with this version of IP. */
static bool knows_type(const struct net_abilities *can, uint8_t type, bool ipv6)
{
	switch (type) {
	case NET_GSO_TCPV4:
		return can->tso4 && !ipv6;
	case NET_GSO_TCPV6:
		return can->tso6 && ipv6;
	case NET_GSO_UDP_L4:
		return ipv6 ? can->uso6 : can->uso4;
	default:
		return false;
	}
}

static int check_gso(struct net_frame *frame, const struct net_header *wish,
		     const struct net_abilities *sender)
{
	bool udp;
	int error;

	/* 5.1.6.2.1: it MUST be set as well. */
	if (!frame->needs_csum)
		return ERR_INVAL;
	error = find_network(frame);
	if (error)
		return error;
	frame->gso_type = wish->gso_type & (uint8_t)~NET_GSO_ECN;
	frame->ecn = wish->gso_type & NET_GSO_ECN;
	udp = frame->gso_type == NET_GSO_UDP_L4;
	if (!knows_type(sender, frame->gso_type, frame->ipv6))
		return ERR_NOSYS;
	if (frame->ecn && (udp || !sender->ecn))
		return ERR_NOSYS;
	if (!is_transport(frame, udp ? PROTOCOL_UDP : PROTOCOL_TCP))
		return ERR_INVAL;
	error = udp ? check_udp(frame) : check_tcp(frame);
	return error ? error : check_cut(frame, wish->gso_size);
}

/* All but the head, so that nothing of another frame's is left. */
static void forget(struct net_frame *frame, uint64_t size)
{
	frame->size = (uint32_t)size;
	frame->head_size = (uint16_t)min_u64(size, NET_HEAD_MAX);
	frame->needs_csum = frame->data_valid = frame->ecn = frame->ipv6 = false;
	frame->gso_type = NET_GSO_NONE;
	frame->network = frame->header_size = frame->gso_size = 0;
	frame->csum_start = frame->csum_offset = 0;
}

int net_frame_check(struct net_frame *frame, uint64_t size, const struct net_header *wish,
		    const struct net_abilities *sender)
{
	int error = 0;

	if (size > NET_FRAME_MAX)
		return ERR_TOO_LARGE;
	if (size < ETHERNET_SIZE)
		return ERR_INVAL;
	forget(frame, size);
	if (!sender->csum)
		return 0;
	if (wish->flags & NET_HEADER_NEEDS_CSUM)
		error = check_csum(frame, wish);
	else
		frame->data_valid = sender->data_valid && (wish->flags & NET_HEADER_DATA_VALID);
	if (!error && wish->gso_type != NET_GSO_NONE)
		error = check_gso(frame, wish, sender);
	return error;
}

/*
 * Delivering. Offsets and sizes are those that were checked.
 */

static bool takes_gso(const struct net_frame *frame, const struct net_abilities *to)
{
	return to->csum && knows_type(to, frame->gso_type, frame->ipv6) && (!frame->ecn || to->ecn);
}

void net_delivery_begin(struct net_delivery *delivery, const struct net_frame *frame,
			const struct net_abilities *to)
{
	*delivery = (struct net_delivery){.frame = frame, .to = *to, .count = 1};
	delivery->sums = frame->needs_csum && !to->csum;
	delivery->segments = frame->gso_type != NET_GSO_NONE && !takes_gso(frame, to);
	delivery->largest = frame->size;
	if (delivery->segments) {
		uint32_t payload = frame->size - frame->header_size;

		delivery->count = (uint16_t)((payload + frame->gso_size - 1) / frame->gso_size);
		delivery->largest = (uint32_t)frame->header_size + frame->gso_size;
	}
}

/* 5.1.6.4.1: who did not negotiate GUEST_CSUM is told nothing. */
static void make_header(const struct net_delivery *delivery, struct net_header *header)
{
	const struct net_frame *frame = delivery->frame;

	*header = (struct net_header){.num_buffers = 1};
	if (!delivery->to.csum)
		return;
	if (frame->needs_csum) {
		header->flags = NET_HEADER_NEEDS_CSUM;
		header->csum_start = frame->csum_start;
		header->csum_offset = frame->csum_offset;
	} else if (frame->data_valid && delivery->to.data_valid) {
		header->flags = NET_HEADER_DATA_VALID;
	}
	if (frame->gso_type != NET_GSO_NONE && !delivery->segments) {
		header->gso_type = frame->gso_type | (frame->ecn ? NET_GSO_ECN : 0);
		header->gso_size = frame->gso_size;
		header->hdr_len = frame->header_size;
	}
}

static void set_ipv4(uint8_t *ip, uint32_t header_size, uint32_t size, unsigned index)
{
	struct checksum checksum;

	store_be16(ip + IPV4_LENGTH, size);
	store_be16(ip + IPV4_ID, load_be16(ip + IPV4_ID) + index);
	store_be16(ip + IPV4_CHECKSUM, 0);
	checksum_begin(&checksum);
	checksum_add(&checksum, ip, header_size);
	store_be16(ip + IPV4_CHECKSUM, checksum_end(&checksum));
}

/*
 * `at` bytes of the whole segment's payload are before this one's. RFC 9293, 3.8.5: the urgent
 * pointer counts from its segment's sequence number. RFC 3168, 6.1.2: CWR is told once.
 */
static void set_tcp(uint8_t *tcp, uint32_t at, bool last)
{
	uint16_t urgent = load_be16(tcp + TCP_URGENT);
	unsigned clear = 0;

	store_be32(tcp + TCP_SEQUENCE, load_be32(tcp + TCP_SEQUENCE) + at);
	if (at != 0)
		clear |= TCP_CWR;
	if (!last)
		clear |= TCP_FIN | TCP_PSH;
	if (at != 0 && (tcp[TCP_FLAGS] & TCP_URG)) {
		if (urgent <= at)
			clear |= TCP_URG;
		store_be16(tcp + TCP_URGENT, urgent <= at ? 0 : urgent - at);
	}
	tcp[TCP_FLAGS] &= (uint8_t)~clear;
}

/*
 * The sum of the pseudo header, which the sender has stored (5.1.6.2), for another length: so what
 * else is in it, as the last address of a routing header, need not be known.
 */
static void change_length(uint8_t *field, uint32_t old, uint32_t new)
{
	uint32_t sum = load_be16(field) + (0xffff - old) + new;

	/* As it is no longer than before, there is one carry at most. */
	store_be16(field, sum + (sum >> 16));
}

static void make_segment(const struct net_delivery *delivery, struct net_piece *piece)
{
	const struct net_frame *frame = delivery->frame;
	uint32_t at = (uint32_t)delivery->next * frame->gso_size;
	uint8_t *ip = piece->head + frame->network;
	uint8_t *transport = piece->head + frame->csum_start;
	uint32_t ip_header = (uint32_t)frame->csum_start - frame->network;
	uint32_t size;

	piece->head_size = frame->header_size;
	piece->payload = frame->header_size + at;
	piece->payload_size = (uint32_t)min_u64(frame->gso_size, frame->size - piece->payload);
	copy_bytes(piece->head, frame->head, piece->head_size);

	size = piece->head_size + piece->payload_size;
	if (frame->ipv6)
		store_be16(ip + IPV6_LENGTH, size - frame->network - IPV6_SIZE);
	else
		set_ipv4(ip, ip_header, size - frame->network, delivery->next);
	if (frame->gso_type == NET_GSO_UDP_L4)
		store_be16(transport + UDP_LENGTH, size - frame->csum_start);
	else
		set_tcp(transport, at, delivery->next + 1 == delivery->count);
	change_length(transport + frame->csum_offset, frame->size - frame->csum_start,
		      size - frame->csum_start);
}

static void make_whole(const struct net_frame *frame, struct net_piece *piece)
{
	piece->head_size = frame->head_size;
	piece->payload = frame->head_size;
	piece->payload_size = frame->size - frame->head_size;
	copy_bytes(piece->head, frame->head, piece->head_size);
}

bool net_delivery_next(struct net_delivery *delivery, struct net_piece *piece)
{
	const struct net_frame *frame = delivery->frame;

	if (delivery->next == delivery->count)
		return false;
	make_header(delivery, &piece->header);
	if (delivery->segments)
		make_segment(delivery, piece);
	else
		make_whole(frame, piece);
	piece->sums = delivery->sums;
	piece->checksum_at = (uint16_t)(frame->csum_start + frame->csum_offset);
	checksum_begin(&piece->checksum);
	if (piece->sums)
		checksum_add(&piece->checksum, piece->head + frame->csum_start,
			     piece->head_size - frame->csum_start);
	delivery->next++;
	return true;
}

void net_piece_finish(struct net_piece *piece)
{
	uint16_t sum = checksum_end(&piece->checksum);

	/* RFC 768: 0 would say that there is none; for others both are the same number. */
	if (piece->sums)
		store_be16(piece->head + piece->checksum_at, sum == 0 ? 0xffff : sum);
}
