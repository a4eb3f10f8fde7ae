/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_VIRTIO_DEVICE_H
#define DEVICE_VIRTIO_DEVICE_H

/*
 * What all virtio devices that guests see have in common (Virtio 1.2, 2), whatever they are. A
 * device is a struct that contains a struct virtio_device, and a struct virtio_ops.
 *
 * Each queue is worked on by one at a time: who has set QUEUE_BUSY in queue->work. That is the vCPU
 * that notified, on its way back into the guest, or the queue's job, on the boot hart, which does
 * what is left after some steps, what the host's drivers have finished, and what comes from other
 * VMs. Who finds it busy leaves QUEUE_PENDING, and whoever was busy has the job look again. So a
 * notification is one short exit, nobody waits for anybody, and nobody holds a lock while guest
 * memory is touched. docs/architecture.md has more.
 */

#include "device/virtio/vring.h"
#include "kernel/lock.h"
#include "kernel/timer.h"
#include "kernel/types.h"
#include "vmm/irq.h"
#include "vmm/schedule.h"

#define VIRTIO_QUEUES_MAX 4

/* 2.1: device status. */
#define VIRTIO_STATUS_FEATURES_OK 8
#define VIRTIO_STATUS_DRIVER_OK   4
#define VIRTIO_STATUS_NEEDS_RESET 64

/* 6: features that are not a device type's own. */
#define VIRTIO_F_ANY_LAYOUT BIT(27) /* legacy */
#define VIRTIO_F_VERSION_1  BIT(32)

/* 4.2.2: InterruptStatus. */
#define VIRTIO_INTERRUPT_QUEUE  1
#define VIRTIO_INTERRUPT_CONFIG 2

struct virtio_device;

struct virtio_queue {
	struct virtio_device *device;

	/* As the driver set it up; guarded by the device's lock. */
	bool ready; /* read without it, too; atomic */
	bool fresh; /* it has not been worked on since it became ready */
	struct vring_place place;
	uint32_t page, align; /* of a legacy device */

	uint32_t work;      /* enum queue_work; atomic, as the next */
	uint32_t in_flight; /* requests that a driver of the host's has */
	struct job job;
	struct vring ring; /* of who is QUEUE_BUSY, as `tell_by` */

	uint64_t patience;     /* ticks */
	uint64_t untold_bytes; /* of its buffers; the device's to count */
	uint64_t tell_by; /* when its driver is to be told at the latest; atomic, as the next */
	uint32_t armed;   /* the timer is set, or is about to be */
	struct timer timer;
};

enum queue_work {
	QUEUE_PENDING = 1, /* there may be something to do */
	QUEUE_BUSY = 2,    /* somebody has the queue: works on it, or resets it */
	QUEUE_QUEUED = 4,  /* its job is queued */
};

struct virtio_ops {
	uint32_t id; /* 5: of the type of device */

	/*
	 * Does a part of what is to be done for a queue: less than 20,000 instructions, or with
	 * preemption points. ERR_AGAIN: there is more to do at once. Any other error: the ring
	 * makes no sense, and the device needs a reset. On any hart, no lock held, alone with this
	 * queue.
	 */
	int (*work)(struct virtio_device *device, struct virtio_queue *queue);

	/*
	 * A queue is reset: what was taken from it is forgotten, and nothing of it is in flight. On
	 * any hart, no lock held, alone with this queue.
	 */
	void (*reset)(struct virtio_device *device, struct virtio_queue *queue);

	/*
	 * Has what is in flight and can be taken back from the host's drivers come back soon; or
	 * NULL. Any hart, no lock held.
	 */
	void (*cancel)(struct virtio_device *device);

	/* The driver writes 1, 2 or 4 bytes within the configuration; or NULL. No lock held. */
	void (*write_config)(struct virtio_device *device, uint64_t offset, unsigned size,
			     uint32_t value);

	/*
	 * The VM stops, or the device goes: who takes its queues for other VMs is not to do so any
	 * more; or NULL. Boot hart, in a job, no lock held.
	 */
	void (*close)(struct virtio_device *device);
	void (*quit)(struct virtio_device *device);
};

/* What a type of device says of itself; copied. */
struct virtio_type {
	const struct virtio_ops *ops;
	uint64_t features;  /* of its own: bits 0 to 23, and from 50 up */
	unsigned queues;    /* 1 to VIRTIO_QUEUES_MAX */
	const void *config; /* its configuration; stays */
	unsigned config_size;
};

struct virtio_device {
	struct virtio_type type;
	struct vm *vm;
	uint64_t features; /* offered */
	bool legacy;

	struct spinlock lock; /* guards all below, but what queues have of their own */
	struct irq_line irq;
	uint32_t interrupts, status, generation;
	bool broken; /* it has to be reset */
	uint64_t driver_features;
	uint32_t device_select, driver_select, queue_select, page_shift;
	struct virtio_queue queues[VIRTIO_QUEUES_MAX];
};

/* Readies a device, in its state after a reset. */
void virtio_device_init(struct virtio_device *device, const struct virtio_type *type, struct vm *vm,
			struct irq_line irq, bool legacy);

/*
 * Resets a device, or one queue. Nobody works on it any more, and nothing is in flight, when this
 * returns 0. ERR_AGAIN: somebody still does; nothing new is begun, and it is to be tried again. Any
 * hart, no lock held.
 */
int virtio_device_reset(struct virtio_device *device);
int virtio_queue_reset(struct virtio_queue *queue);

/*
 * The VM stops, and none of its vCPUs is active: nothing more is begun. ERR_AGAIN while requests
 * are in flight, or somebody has taken a queue for another VM; the last one calls vm_quiesced().
 * Boot hart, in a job.
 */
int virtio_device_quiesce(struct virtio_device *device);

/* As a machine comes out of reset; the device is quiescent, and none of its jobs is queued then. */
void virtio_device_power_up(struct virtio_device *device);

/* The driver notified a queue; on its vCPU. */
void virtio_queue_notified(struct virtio_queue *queue);

/* There is something to do for a queue: its job does it. Any hart, any lock but a schedule's. */
void virtio_queue_wake(struct virtio_queue *queue);

/*
 * For a queue whose driver waits for nothing but room: it is told up to so many ticks later of what
 * was used, unless it is a quarter of the ring; and not at all of what it has seen by itself until
 * then, as it does whenever it makes more available. (2.7.7 says whether a driver is to be told,
 * not when.) Before the device is used.
 */
void virtio_queue_be_patient(struct virtio_queue *queue, uint64_t ticks);

/*
 * What vCPUs have notified of, some steps of it; the job does the rest. On a vCPU's hart, in mode
 * HOST. Passes preemption points.
 */
void virtio_device_work(struct virtio_device *device);

/* What its driver was to be told later, and may wait for. As above. */
void virtio_device_idle(struct virtio_device *device);

/*
 * For who works on a queue for another VM. Take: false if somebody has it; then its job works on
 * it when it is free again. Any lock but a schedule's. Begin, once it is taken: whether its ring
 * can be used. End: the driver is told what has been used, unless the ring made no sense, which is
 * the error, and the queue is free; it may be gone then. No lock held. Whoever takes it sees to it
 * that the device does not go before, as its operation `close` says.
 */
bool virtio_queue_take(struct virtio_queue *queue);
bool virtio_queue_begin(struct virtio_queue *queue);
void virtio_queue_end(struct virtio_queue *queue, int error);

/*
 * A request of a queue has been given to a driver of the host's, by who is busy with the queue; and
 * is done, in whatever way: on the boot hart, no lock held. Every request that was begun has to be
 * done at some time, whatever the host's device does, as the end of the VM waits for it.
 */
void virtio_queue_begun(struct virtio_queue *queue);
void virtio_queue_done(struct virtio_queue *queue);

/* Sets bits of InterruptStatus. Takes the device's lock. */
void virtio_device_interrupt(struct virtio_device *device, uint32_t bits);

/* 2.1.2: the device is in a state that only a reset ends. Takes the device's lock. */
void virtio_device_break(struct virtio_device *device);

#endif
