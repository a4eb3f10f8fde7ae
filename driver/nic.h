/* SPDX-License-Identifier: MIT */
#ifndef DRIVER_NIC_H
#define DRIVER_NIC_H

/*
 * The host's network interfaces, and who uses them. One user (a switch, whose uplink it is) has a
 * NIC to itself and is given what it receives. What is sent comes from clients (the VMs' ports),
 * each with memory of its own, into which it copies a frame; the device sees no other memory. The
 * frames wait in their client's queue and go to the device in the order of virtual time, in which a
 * client advances by the bytes that it sends, divided by its weight.
 *
 * A NIC that breaks the rules is given up until it is opened again: then nothing is received, and
 * all that is or was to be sent is dropped and counted as an error.
 */

#include "kernel/list.h"
#include "kernel/types.h"
#include "vmm/net_offload.h"

/* Pieces of a received frame, for any NIC. */
#define NIC_PIECES_MAX 17

struct host_nic;
struct nic_lane;

/* What is known at boot; sends and receives may change when it is opened. */
struct host_nic_info {
	const char *name, *path; /* virtio-net0; in the host's device tree, or pci:00:02.0 */
	uint64_t mac; /* as mac_read() has it; 0: it says none, and anything may be used */
	uint16_t mtu; /* bytes of what a frame carries: 1500 if it says nothing */
	/*
	 * What may be left to it of frames that are sent (its VIRTIO_NET_F_CSUM, HOST_TSO4 …); and
	 * what received ones may want (GUEST_CSUM …): the sender's abilities of net_frame_check().
	 */
	struct net_abilities sends, receives;
};

/* Frames, and bytes of them, of all users since boot. */
struct host_nic_counts {
	uint64_t received, received_bytes;
	uint64_t sent, sent_bytes;
	uint64_t receive_errors; /* shorter or longer than a frame can be */
	uint64_t send_errors;    /* dropped: too long, or the NIC has failed */
};

/* A frame that was received. All of it is memory that the device could go on writing. */
struct nic_frame {
	struct net_header header; /* a copy, not checked but for num_buffers, which is 1 */
	uint32_t size;            /* bytes: from 14 to NET_FRAME_MAX */
	unsigned piece_count;
	struct {
		const uint8_t *start;
		uint32_t size; /* from 1 up */
	} pieces[NIC_PIECES_MAX];

	/* The rest is the NIC's. */
	struct host_nic *nic;
	uint16_t buffers[NIC_PIECES_MAX];
	struct list link;
};

/* A frame to be sent: memory of its client, in one piece. */
struct nic_buffer {
	/* For the client to fill in. */
	struct net_header header; /* zero at first; as `sends` allows, and not checked here */
	uint32_t size;            /* bytes of the frame: what was asked for, or less */
	uint8_t *frame;           /* where they are, aligned to 16; with any contents at first */

	/* The rest is the NIC's. */
	struct nic_lane *lane;
	struct list link;
	unsigned grains; /* of memory */
};

struct nic_client {
	/* Set by the caller, and constant then. */
	struct host_nic *nic;
	unsigned weight; /* from 1 up; 100 is usual */
	/*
	 * After ERR_AGAIN of nic_buffer_get(): now it will have a buffer (or another error). Called
	 * once each time, unless nic_buffer_get() is called before. Boot hart, in a job, interrupts
	 * off, no lock held.
	 */
	void (*ready)(struct nic_client *client);

	/* The NIC's. */
	struct nic_lane *lane;
};

/* NICs are counted from 0. Boot hart. */
unsigned host_nic_count(void);
struct host_nic *host_nic_by_index(unsigned index);

/*
 * By virtio-netN, by path, or by pci:…; NULL: there is no such NIC, or a VM has it as a whole,
 * which is then the owner of host_virtio_by_name(). Boot hart.
 */
struct host_nic *host_nic_by_name(const char *name);

const struct host_nic_info *host_nic_info(const struct host_nic *nic);

/* Whether there is a link, as far as is known. Boot hart. */
bool host_nic_has_link(struct host_nic *nic);

/* What it has done since boot. Any hart; takes its lock. */
void host_nic_counts(struct host_nic *nic, struct host_nic_counts *counts);

/* Who has opened it: the name that was given; NULL: nobody. Boot hart. */
const char *host_nic_user(const struct host_nic *nic);

/*
 * Opens a NIC for `user`, a name that stays. `receive` is given each frame that is received, in
 * their order: on the boot hart, in a job, interrupts off, no lock held; it may pass preemption
 * points. It returns whether it is done with the frame, and else keeps it for nic_frame_release():
 * while it keeps all that the NIC has memory for, none are received. ERR_EXIST: it is open
 * (host_nic_user()); ERR_NOMEM; ERR_IO and others: the device does not work. Passes preemption
 * points. Boot hart, in a job or at boot.
 */
int host_nic_open(struct host_nic *nic, const char *user,
		  bool (*receive)(void *context, struct nic_frame *frame), void *context);

/*
 * The end of that: nothing is received any more. No frame is kept, and there are no clients. Boot
 * hart, in a job, but not in `receive` or `ready`.
 */
void host_nic_close(struct host_nic *nic);

/* The NIC has the frame back. The NIC is open. Any hart; takes its lock. */
void nic_frame_release(struct nic_frame *frame);

/* Copies `size` bytes from `offset` on, which are within the frame; 64 KiB take 40,000 steps. */
void nic_frame_read(const struct nic_frame *frame, uint32_t offset, void *to, uint32_t size);

/* A client of an open NIC, with memory for frames. ERR_NOMEM. Boot hart, in a job or at boot. */
int nic_client_init(struct nic_client *client);

/*
 * The end of a client, which has no buffer at this moment: as nic_client_cancel(), and the NIC
 * knows it no more. Frames that the device has are still sent. Boot hart, in a job.
 */
void nic_client_quit(struct nic_client *client);

/*
 * Drops what the device has not been given yet; `ready` is not called, unless nic_buffer_get() is
 * once more. On the boot hart; on another it may be under way. Takes the NIC's lock.
 */
void nic_client_cancel(struct nic_client *client);

/*
 * Memory for a frame of `size` bytes, from 14 up. ERR_AGAIN: all of the client's is in use; `ready`
 * will be called; ERR_TOO_LARGE: more than the NIC can send, with segmentation if it does that;
 * ERR_IO: it has failed, so that the frame may as well be dropped. One caller at a time for a
 * client, any hart, no lock held; takes the NIC's lock.
 */
int nic_buffer_get(struct nic_client *client, uint32_t size, struct nic_buffer **buffer);

/*
 * Sends it, or gives it back unused; it is not touched after that. A frame without segmentation has
 * 18 bytes more than the MTU at most. Any hart, no lock held; takes the NIC's lock.
 */
void nic_buffer_send(struct nic_buffer *buffer);
void nic_buffer_drop(struct nic_buffer *buffer);

#endif
