/* SPDX-License-Identifier: MIT */
#ifndef VMM_NET_SWITCH_H
#define VMM_NET_SWITCH_H

/*
 * An Ethernet switch between VMs, and to the outside if it has an uplink: which port a frame goes
 * to. Bytes are none of its business.
 *
 * A VM's port has one address, and frames from it bear that one as their source: so a guest cannot
 * speak for another, nor make the switch believe that it is one. What is beyond the uplink is
 * learned (IEEE 802.1Q, 8.7), and forgotten when it has been silent for long. What has to go to
 * many, or is for an address that nobody knows, is limited for each port, so that one that sends
 * nothing else does not keep the others busy.
 *
 * The lock guards all that changes. Any hart.
 */

#include "kernel/lock.h"
#include "kernel/types.h"

#define SWITCH_PORTS_MAX   128
#define SWITCH_ADDRESSES   512  /* that are known at a time; a power of two */
#define SWITCH_AGE_S       300  /* 802.1Q, table 8-6: for how long one that is silent is known */
#define SWITCH_FLOOD_RATE  2000 /* frames a second for many, from one port … */
#define SWITCH_FLOOD_BURST 200  /* … of which so many may come at once */
#define MAC_BYTES          6
#define MAC_BROADCAST      UINT64_C(0xffffffffffff)
#define SWITCH_NO_PORT     UINT16_MAX

/* Where a frame goes. */
struct switch_ports {
	uint64_t word[SWITCH_PORTS_MAX / 64];
};

/* Frames, and bytes of those that were forwarded. */
struct switch_counters {
	uint64_t forwarded, bytes;
	uint64_t forged;  /* not from the port's own address */
	uint64_t flooded; /* dropped, as there were too many for many */
	uint64_t unknown; /* dropped: they are for nobody here */
};

struct switch_port {
	bool used;
	uint64_t address;    /* its VM's; 0: the uplink */
	uint64_t allowance;  /* to send to many, in ticks; up to SWITCH_FLOOD_BURST frames' */
	uint64_t counted_at; /* when that was brought up to date */
	struct switch_counters counters;
};

struct switch_address {
	uint64_t address; /* 0: none */
	uint64_t seen;    /* when; TIME_NEVER: it belongs to the port */
	uint16_t port;
};

struct net_switch {
	struct spinlock lock;
	uint64_t timebase;  /* ticks a second */
	uint16_t uplink;    /* or SWITCH_NO_PORT */
	unsigned ports_end; /* above the last one that is used */
	struct switch_port ports[SWITCH_PORTS_MAX];
	struct switch_address addresses[SWITCH_ADDRESSES];
};

/* A switch without ports. `timebase`: ticks a second of the times that it is given. */
void switch_init(struct net_switch *net, uint64_t timebase);

/*
 * Adds a VM's port, or the uplink for address 0. ERR_EXIST: the address is another port's, or there
 * is an uplink; ERR_INVAL: an address of many; ERR_NOMEM: too many ports. Takes the lock.
 */
int switch_add_port(struct net_switch *net, uint64_t address, uint16_t *port);

/* Takes it away; frames go there no more when this returns. Takes the lock. */
void switch_remove_port(struct net_switch *net, uint16_t port);

/*
 * Where a frame of `bytes` goes that came from `port` at the time `now`; the addresses as in its
 * first 12 bytes. false: nowhere. Takes the lock.
 */
bool switch_forward(struct net_switch *net, uint16_t port, const uint8_t addresses[2 * MAC_BYTES],
		    uint64_t bytes, uint64_t now, struct switch_ports *to);

/* What came from a port. Takes the lock. */
void switch_counts(struct net_switch *net, uint16_t port, struct switch_counters *counts);

/* The lowest port in the set, which is taken out; SWITCH_NO_PORT: it is empty. */
uint16_t switch_next_port(struct switch_ports *ports);

/* Six bytes as a number, the first the highest; 0 is no address. */
uint64_t mac_read(const uint8_t bytes[MAC_BYTES]);

/* Whether it is of many: broadcast or multicast. */
static inline bool mac_is_group(uint64_t address)
{
	return address >> 40 & 1;
}

#endif
