/* SPDX-License-Identifier: MIT */
#ifndef VMM_NET_H
#define VMM_NET_H

/*
 * The system's switches, and how a frame gets from port to port: vmm/net_switch.h says where it
 * goes, vmm/net_offload.h what a receiver needs of it, and ports what they can take.
 *
 * A frame is delivered by its sender, on whatever hart that is, with one copy from its memory to
 * the receiver's. For that the sender takes the receiving port, if nobody else has it; it never
 * waits for one, but is told to try again. A port that is open may be taken and told at any
 * moment, by whoever has its switch's lock for that; one that is closed is not touched any more but
 * by who has taken it before, whom its owner has to wait for. So a VM may end while others send to
 * it.
 */

#include "kernel/lock.h"
#include "kernel/timer.h"
#include "kernel/types.h"
#include "vmm/net_offload.h"
#include "vmm/net_switch.h"

struct arena;
struct fit;
struct lane;
struct net;
struct net_port;

/* Where the bytes of a frame are: its sender's. */
struct net_source {
	/*
	 * Tells where the byte at `offset` of the frame is, and in *size, how many of so many
	 * follow it in one piece. They may change at any moment. May pass preemption points. An
	 * error: they cannot be read.
	 */
	int (*find)(struct net_source *source, uint64_t offset, const void **at, uint64_t *size);
};

struct net_port_ops {
	/*
	 * Takes the port, to deliver to it; false: somebody has it, and net_port_ready() will be
	 * called. Its switch's lock is held. A port that is shared has neither this nor the next.
	 */
	bool (*take)(struct net_port *port);

	/* Gives it back; it may be gone then. No lock held, as for the next. */
	void (*give)(struct net_port *port);

	/*
	 * By who has taken it: what frames for it may be like. false: it takes none now, and it is
	 * not said when.
	 */
	bool (*begin)(struct net_port *port, struct net_abilities *to);

	/*
	 * Delivers one frame, all of it or nothing. 0; ERR_NOENT: there is no room, and
	 * net_port_ready() will be called when there may be; any other error: it cannot be. Passes
	 * preemption points.
	 */
	int (*put)(struct net_port *port, struct net_port *from, struct net_piece *piece,
		   struct net_source *source);

	/* What it wanted to send may go on. Any hart, its switch's lock held. */
	void (*wake)(struct net_port *port);

	/*
	 * Of an uplink: another port is plugged in, with memory from its VM's arena, or out. Errors
	 * as of net_port_add().
	 */
	int (*join)(struct net_port *port, struct net_port *other, struct arena *arena);
	void (*leave)(struct net_port *other);
};

struct net_port_counts {
	uint64_t received, received_bytes;
	uint64_t dropped;   /* it had no room for them */
	uint64_t malformed; /* that it wanted to send */
};

struct net_port {
	const struct net_port_ops *ops;
	struct net *net;
	const char *vm, *name; /* whose it is; for the eye */
	unsigned weight;       /* of the VM, for the uplink */
	/*
	 * Several deliver to it at a time, each of whom it tells by net_port_wake() when there is
	 * room again, and who wait for that longer.
	 */
	bool shared;
	uint16_t index;   /* in the switch */
	uint64_t address; /* 0: the uplink */

	/* Guarded by the switch's lock. */
	bool open;
	struct switch_ports waiting; /* ports that want to try again to send to this one */

	/* Of who has taken it. */
	uint32_t life;     /* another after each reset */
	bool stalled;      /* it made others wait for nothing, and took no frame since */
	uint64_t patience; /* for how long others may still wait for it, in ticks … */
	uint64_t patience_at;

	struct net_port_counts counts; /* atomic */
	struct lane *lane; /* of its switch's uplink, for what it sends there, or NULL */
};

/* A frame on its way; of its sender. */
struct net_transfer {
	struct net_port *from;
	struct net_source *source;
	struct net_frame frame;

	struct switch_ports to;
	bool single;      /* it goes to one port alone */
	uint16_t current; /* the one that it is delivered to, or SWITCH_NO_PORT */
	bool begun, made; /* the delivery has; its next piece is there */
	uint32_t life;    /* of the port, when it began */
	uint64_t since;   /* when it began to wait for room there; 0: it does not */
	struct net_delivery delivery;
	struct net_piece piece;
};

struct net {
	struct net_switch table;
	struct net *next;
	const char *name, *uplink;    /* in the system file; no uplink: NULL */
	struct net_port *uplink_port; /* or NULL */

	uint64_t port_bytes; /* of memory that its uplink needs for each other port */

	struct spinlock lock; /* guards the next three, and what ports say */
	struct net_port *ports[SWITCH_PORTS_MAX];
	uint32_t lives;
	bool armed; /* the timer is set, or is about to be */
	struct timer timer;
};

/* net_transfer_step(): the sender's wake() will be called. */
#define NET_WAITS 1

/*
 * Makes the switches that the system file describes. What is wrong is reported; then false, but
 * the others are made. At boot.
 */
bool net_init(const struct fit *fit);

/* The switches, the first for NULL; and the one of that name, or NULL. Constant after boot. */
struct net *net_next(const struct net *net);
struct net *net_by_name(const char *name);

/*
 * An address for a VM's device that was given none: unicast, locally administered, the same at each
 * boot.
 */
uint64_t net_make_address(const char *vm, const char *device);

/*
 * Plugs a port in, which is closed; `ops`, `vm`, `name`, `weight` and `address` are set. Errors of
 * switch_add_port(); ERR_NOMEM and ERR_IO, too, if it is the uplink that cannot. `arena`: for what
 * that needs. And takes it out, closed: it may be gone when this returns. Boot hart, in a
 * job or at boot.
 */
int net_port_add(struct net *net, struct net_port *port, struct arena *arena);
void net_port_remove(struct net_port *port);

/* It may go on with what it sends. Any hart, no lock held. */
void net_port_wake(struct net_port *port);

/* From now on others may use it; and not any more. Any hart, no lock held. */
void net_port_open(struct net_port *port);
void net_port_close(struct net_port *port);

/* Its owner has reset it: of frames that are on their way to it no more come. It is taken. */
void net_port_reset(struct net_port *port);

/*
 * It may be taken, or has room, again: those who wait try again. Any hart, no lock held; or the
 * switch's.
 */
void net_port_ready(struct net_port *port);
void net_port_ready_locked(struct net_port *port);

/*
 * Sends a frame, whose head was read into transfer->frame.head: 0, then net_transfer_step() is to
 * be called until it says 0; or an error, why it goes nowhere. Any hart, no lock held, as the next.
 */
int net_transfer_begin(struct net_transfer *transfer, uint64_t size, const struct net_header *wish,
		       const struct net_abilities *sender);

/*
 * Goes on with it, for less than 100,000 instructions with preemption points. 0: it is over;
 * ERR_AGAIN: it goes on at once; NET_WAITS: after the sender's wake().
 */
int net_transfer_step(struct net_transfer *transfer);

/*
 * For put(): has all of a piece's payload written, and finishes the piece, so that its head can be,
 * too. `write` writes *size bytes, or as many as there is room for in one go, which it tells, at
 * `at` in the frame as it is received. Passes preemption points. ERR_IO: the source cannot be read;
 * else the error of `write`.
 */
int net_piece_write(struct net_piece *piece, struct net_source *source,
		    int (*write)(void *context, uint64_t at, const void *from, uint64_t *size),
		    void *context);

#endif
