/* SPDX-License-Identifier: MIT */
#ifndef DRIVER_ENTROPY_H
#define DRIVER_ENTROPY_H

/*
 * The host's source of randomness, its virtio-rng (Virtio 1.3, 5.4). It may be slow. Who waits for
 * it is served in turn, a little each time: a user has one request at a time, so that none gets
 * more than the others.
 */

#include "kernel/list.h"
#include "kernel/types.h"

#define ENTROPY_BYTES_MAX 64 /* that a request is given at most */

struct entropy_request {
	unsigned wanted; /* bytes; more than ENTROPY_BYTES_MAX are not given at once */
	/*
	 * Called once, on the boot hart, in an interrupt handler or a job, interrupts off, no lock
	 * held, with 1 to `wanted` bytes, which are nobody else's and are gone after it; with 0 if
	 * the source has failed. The request is the caller's again, and may be made anew.
	 */
	void (*done)(struct entropy_request *request, const uint8_t *bytes, unsigned count);

	/* The rest is the source's. */
	struct list link;
	bool waiting; /* it has not come back */
};

/* Whether there is one that works. Any hart. */
bool host_entropy_available(void);

/*
 * A VM is going to ask for bytes, again and again: until it detaches the source stays what it is.
 * false: there is none. Boot hart, in a job or at boot.
 */
bool host_entropy_attach(void);
void host_entropy_detach(void);

/* Asks for bytes; the request is not one that waits. Any hart, no lock held; takes its lock. */
void host_entropy_read(struct entropy_request *request);

/*
 * Takes a request back that may wait. false: it did not, and `done` has been called; on another
 * hart than the boot hart it may be under way. Any hart; takes its lock.
 */
bool host_entropy_cancel(struct entropy_request *request);

#endif
