/* SPDX-License-Identifier: MIT */
#ifndef DRIVER_NIC_DRIVER_H
#define DRIVER_NIC_DRIVER_H

/* Between driver/nic.c and the driver of a NIC (driver/virtio/net.c). */

#include "driver/nic.h"
#include "kernel/heap.h"
#include "kernel/lock.h"
#include "vmm/schedule.h"

#define HOST_NICS_MAX 16

/* The driver may use so much before a frame that is to be sent. */
#define NIC_HEADROOM 16

/* A client's memory, of which a frame has one or more in a row. */
#define NIC_GRAINS     64
#define NIC_GRAIN      KIB(2)
#define NIC_LONG_GRAIN KIB(4) /* where frames with segmentation can be sent */

/* The first four are called on the boot hart, no lock held, the others with the NIC's lock. */
struct host_nic_driver {
	/* Gets it going. What it says of itself may change here. */
	int (*open)(struct host_nic *nic);
	/* Stops it. ERR_IO: it does not stop, and may still use what it was given. */
	int (*stop)(struct host_nic *nic);
	/* It has been stopped: frees its memory, unless it may still use that. */
	void (*close)(struct host_nic *nic);
	bool (*has_link)(struct host_nic *nic);
	/* Gives it to the device: it has been checked. ERR_AGAIN: there is no room now. */
	int (*send)(struct host_nic *nic, struct nic_buffer *buffer);
	/* Lets the device know of what was sent and released. */
	void (*tell)(struct host_nic *nic);
	/*
	 * host_nic_sent() for some of what the device has sent; ERR_AGAIN: there may be more.
	 * ERR_IO: the device does not keep to its rules, and is to be given up.
	 */
	int (*take_sent)(struct host_nic *nic);
	/*
	 * The next frame that was received. ERR_NOENT: there is none; ERR_AGAIN: there may be one,
	 * though; ERR_IO as above. Boot hart.
	 */
	int (*receive)(struct host_nic *nic, struct nic_frame **frame);
	/* The frame's memory is the device's again. */
	void (*release)(struct host_nic *nic, struct nic_frame *frame);
	/*
	 * Whether it interrupts for the next frame that is received, and when so many more have
	 * been sent, or 0 for never. Returns whether there is something to take at once.
	 */
	bool (*arm)(struct host_nic *nic, bool receives, unsigned sent);
	/*
	 * It has been stopped: host_nic_sent() for some of what it had. ERR_AGAIN: there is more.
	 */
	int (*drop)(struct host_nic *nic);
};

/* A client's memory and what it sends. Of one that has quit it stays until the device is done. */
struct nic_lane {
	struct host_nic *nic;
	struct nic_client *client; /* NULL: it has quit */
	uint8_t *memory;
	uint64_t free;         /* grains, a bit each */
	unsigned wanted;       /* that its client waits for, in a row; 0: it does not */
	struct list link;      /* of lanes whose clients are to be called back, or to be freed */
	struct list waiting;   /* buffers that the device has not been given yet */
	struct heap_node node; /* its key: the virtual time; in the heap while something waits */
	unsigned queued;       /* frames that wait */
	unsigned started;      /* frames that the device has */
	struct nic_buffer buffers[NIC_GRAINS];
};

struct host_nic {
	/* Set by the driver. */
	const struct host_nic_driver *driver;
	struct host_nic_info info;
	unsigned depth; /* frames to be sent that the device can have */

	/* The boot hart's, set when it is opened. */
	const char *user; /* NULL: it is not open */
	bool (*receive)(void *context, struct nic_frame *frame);
	void *context;
	bool given_up; /* it has been stopped … */
	bool stuck;    /* … or not: what it was given is never used for anything else */

	struct spinlock lock;  /* guards the rest */
	struct heap waiting;   /* lanes with frames that wait, by virtual time */
	uint64_t now;          /* virtual time: that of the last frame that was started */
	unsigned busy;         /* lanes with frames that wait or that the device has */
	unsigned started;      /* frames that the device has to send … */
	uint64_t bytes;        /* … and their bytes */
	uint64_t shared_until; /* there was more than one busy lane not long ago; ticks */
	unsigned wanting;      /* lanes whose clients wait, or that wait for their end */
	struct list called, ended;
	bool armed; /* the device interrupts when it has sent something */
	bool failed;
	struct host_nic_counts counts;
	struct job job;
	bool job_queued;
	bool again; /* there is more to do than the round that goes on knows of */
};

/* Makes a NIC known: all that the driver sets is set. At boot. ERR_NOMEM: too many. */
int host_nic_add(struct host_nic *nic);

/* Forgets it again. ERR_EXIST: it is open. Boot hart, in a job. */
int host_nic_remove(struct host_nic *nic);

/* The device is done with a frame, which was sent or not. The NIC's lock is held. */
void host_nic_sent(struct nic_buffer *buffer, bool sent);

/* A frame that cannot be one was received. The NIC's lock is held. */
static inline void host_nic_count_bad(struct host_nic *nic)
{
	nic->counts.receive_errors++;
}

/*
 * The device may have something, or it is `broken` and is to be given up. Boot hart, no lock held.
 */
void host_nic_interrupted(struct host_nic *nic, bool broken);

/*
 * Between driver/nic_send.c and driver/nic.c, with the NIC's lock held. Takes back what has been
 * sent, or gives the device what is to be sent; each returns whether there may be more.
 */
bool nic_collect(struct host_nic *nic);
bool nic_start_some(struct host_nic *nic);

/*
 * Has the job done, once more if it is at it: where there is more to do, or somebody waits for the
 * device, which does not interrupt for that yet. The lock is released.
 */
void nic_leave(struct host_nic *nic, bool more);

/* Of a client that has quit; no lock held. */
void nic_free_lane(struct nic_lane *lane);

#endif
