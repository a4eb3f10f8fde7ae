/* SPDX-License-Identifier: MIT */
#ifndef VMM_NET_OFFLOAD_H
#define VMM_NET_OFFLOAD_H

/*
 * What a sender of frames leaves to the device (Virtio 1.2, 5.1.6.2): completing a checksum,
 * cutting one long TCP segment, or many UDP datagrams of one size, into frames. A receiver that
 * negotiated the same gets such a frame as it is; for another, and for a NIC that can not, it is
 * done here:
 *
 *     read the frame's first bytes into frame.head      the only time that they are read
 *     net_frame_check(&frame, size, &wish, &sender)     once a frame
 *     net_delivery_begin(&delivery, &frame, &receiver)  once a receiver
 *     while (net_delivery_next(&delivery, &piece))      once a frame that is received
 *             copy the payload; if piece.sums, checksum_add(&piece.checksum, …) what was copied
 *             net_piece_finish(&piece)
 *             copy piece.header and piece.head to where the received frame begins
 *
 * Payload is copied in as many parts as the caller likes, in order, with preemption points in
 * between; no byte of it is looked at here, so it may change under way. All state is in these
 * structs. None of these functions takes a lock or runs more than 2,000 instructions. Any context.
 */

#include "kernel/types.h"
#include "vmm/checksum.h"

/* All headers of a frame that wants something done lie in its first bytes: so many. */
#define NET_HEAD_MAX 256

/*
 * 5.1.6.3: Ethernet and IPv6 headers, 65535 bytes; and a VLAN tag. Older versions have 65550, so
 * not every receiver has a buffer for the largest.
 */
#define NET_FRAME_MAX 65593

/*
 * The least payload of frames that one is cut into, so that they are NET_SEGMENTS_MAX at most.
 * Few use an MSS as small: it is 536 where none is told (RFC 9293, 3.7.1). Still the work for one
 * frame can be that of NET_SEGMENTS_MAX, so that a caller that rations work has to count pieces.
 */
#define NET_GSO_SIZE_MIN 64
#define NET_SEGMENTS_MAX 1024

/* 5.1.6: flags and GSO types of the header. */
#define NET_HEADER_NEEDS_CSUM 1
#define NET_HEADER_DATA_VALID 2
#define NET_GSO_NONE          0
#define NET_GSO_TCPV4         1
#define NET_GSO_TCPV6         4
#define NET_GSO_UDP_L4        5
#define NET_GSO_ECN           0x80

/* struct virtio_net_hdr: little endian, as the hypervisor is. */
struct net_header {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset;
	uint16_t num_buffers; /* not there in the legacy layout without mergeable buffers */
};

/*
 * What was negotiated. For a guest as sender: VIRTIO_NET_F_CSUM, HOST_TSO4, HOST_TSO6, HOST_ECN,
 * HOST_USO (both uso4 and uso6); as receiver: GUEST_CSUM, GUEST_TSO4 and so on. For a NIC the
 * other way round. Without csum none of the others counts.
 */
struct net_abilities {
	bool csum, tso4, tso6, ecn, uso4, uso6;
	/*
	 * DATA_VALID may be said: by a NIC, which validates checksums, to a guest that negotiated
	 * GUEST_CSUM. Guests' drivers may not say it, nor may it be said to a NIC.
	 */
	bool data_valid;
};

/* A frame that was checked. Only `head` is for the caller to write, before that. */
struct net_frame {
	/* Its first bytes: all of them, or NET_HEAD_MAX. */
	uint8_t head[NET_HEAD_MAX] __aligned(8);
	uint32_t size;
	uint16_t head_size;
	bool needs_csum, data_valid;
	uint16_t csum_start, csum_offset; /* with needs_csum */
	/* Without NET_GSO_ECN; NONE if there is payload for one frame only. The rest goes with it.
	 */
	uint8_t gso_type;
	bool ecn; /* TCP with congestion to tell */
	bool ipv6;
	uint16_t network;     /* where the IP header begins */
	uint16_t header_size; /* bytes of all headers, which every segment has */
	uint16_t gso_size;    /* bytes of payload a segment: NET_GSO_SIZE_MIN to 65535 */
};

/* One receiver's frames. */
struct net_delivery {
	const struct net_frame *frame; /* as long as the delivery lasts */
	struct net_abilities to;
	bool segments, sums; /* what has to be done; neither: it goes as it is */
	uint16_t count;      /* of frames that come out: 1 to NET_SEGMENTS_MAX */
	uint16_t next;
	uint32_t largest; /* bytes of the largest of them: for a NIC, no more than its MTU allows */
};

/* One frame as it is received: piece.head, then the payload. */
struct net_piece {
	struct net_header header; /* num_buffers is 1; for the caller to change */
	/* Complete after net_piece_finish(). */
	uint8_t head[NET_HEAD_MAX] __aligned(8);
	uint32_t head_size;
	uint32_t payload;      /* where in the frame that was sent it begins … */
	uint32_t payload_size; /* … in bytes, maybe 0 */
	bool sums;             /* whether the payload has to be fed to `checksum` */
	uint16_t checksum_at;  /* the two bytes of the head that net_piece_finish() writes then */
	struct checksum checksum;
};

/*
 * Checks what the header of a frame of `size` bytes asks for against what its sender negotiated
 * and the frame's own bytes; hdr_len, which is a hint, is not looked at. 0, or why the frame has to
 * be dropped: ERR_TOO_LARGE; ERR_NOSYS: a GSO type that is unknown, was not negotiated, or is
 * another IP's; ERR_INVAL: less than an Ethernet header, or header and frame do not fit together,
 * or
 * - a checksum that would be stored in an Ethernet header or beyond NET_HEAD_MAX;
 * - what has to be cut is no whole TCP or UDP packet in IPv4 or IPv6 behind at most one VLAN tag
 *   (of IPv6's extension headers hop-by-hop and destination options and routing are known), or
 *   would be cut into less than NET_GSO_SIZE_MIN, or has SYN or RST set.
 * From a sender without csum the header is not looked at, and the frame goes as it is.
 */
int net_frame_check(struct net_frame *frame, uint64_t size, const struct net_header *wish,
		    const struct net_abilities *sender);

/* Works out what a receiver of a frame that was checked needs. */
void net_delivery_begin(struct net_delivery *delivery, const struct net_frame *frame,
			const struct net_abilities *to);

/* The next frame for the receiver; false: there is none. */
bool net_delivery_next(struct net_delivery *delivery, struct net_piece *piece);

/* Stores the checksum, if one was summed up; to be called when all of the payload was. */
void net_piece_finish(struct net_piece *piece);

#endif
