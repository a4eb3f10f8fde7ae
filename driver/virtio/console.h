/* SPDX-License-Identifier: MIT */
#ifndef DRIVER_VIRTIO_CONSOLE_H
#define DRIVER_VIRTIO_CONSOLE_H

/*
 * The host's virtio consoles (Virtio 1.3, 5.3) with several ports: each port is a pair of
 * queues with a name, whose other side comes and goes. Bytes are neither lost nor waited for: what
 * is not read stays with the device, and of what is written as much is taken as there is room.
 */

#include "kernel/types.h"

#define HOST_PORT_NAME_MAX 64 /* with the terminator; a longer name is cut */

struct host_port;

/* What is told of ports: in a job on the boot hart, interrupts off, no lock held. */
struct host_port_events {
	void (*named)(struct host_port *port,
		      const char *name); /* it is there; once for each name */
	void (*removed)(struct host_port *port);
	void (*opened)(struct host_port *port, bool open); /* the other side came, or went */
	void (*received)(struct host_port *port);          /* there is something to read */
	void (*drained)(struct host_port *port); /* room again after a write that was cut short */
};

/*
 * Says who is told; `its_events` stays. At boot, before host_virtio_init() finds the devices, with
 * which this goes on.
 */
void host_ports_init(const struct host_port_events *its_events);

/* A port with that name that is there, or NULL. Boot hart, in a job or at boot. */
struct host_port *host_port_by_name(const char *name);

/* Who uses the port: a pointer of the caller's, NULL at first. Boot hart; no lock. */
void *host_port_owner(const struct host_port *port);

/* Gives the port an owner, and lets its other side send. Boot hart, in a job; takes its lock. */
void host_port_claim(struct host_port *port, void *owner);

/* Takes it away again; what was not read stays. */
void host_port_release(struct host_port *port);

/* Whether anybody is on the other side, as far as the device knows. */
bool host_port_is_open(const struct host_port *port);

/*
 * Whether all is known that the device told before what has been read so far, such as that the
 * port is open; if not, it will be soon, and this is asked again in a later step. Boot hart, in a
 * job.
 */
bool host_port_is_up_to_date(struct host_port *port);

/*
 * Reads up to `size` bytes; returns how many there were. Any hart; takes the port's lock, as
 * host_port_write() does, and nothing inside.
 */
unsigned host_port_read(struct host_port *port, uint8_t *bytes, unsigned size);

/*
 * Writes what there is room for, about 7 KiB at most, and returns how much; nothing if the other
 * side is closed. `drained` follows where that was less than all.
 */
unsigned host_port_write(struct host_port *port, const uint8_t *bytes, unsigned count);

#endif
