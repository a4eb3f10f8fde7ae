/* SPDX-License-Identifier: MIT */
#include "device/virtio/rng.h"

#include "kernel/error.h"

#include <string.h>

#define RNG_DEVICE_ID 4

static struct rng *rng_of(struct virtio_device *device)
{
	return container_of(device, struct rng, device);
}

/* The host is done with the buffer; a failure is asked for again by the driver. */
static void filled(void *context, unsigned count)
{
	struct rng *rng = context;

	rng->count = (unsigned)min_u64(count, sizeof(rng->buffer));
	virtio_queue_done(&rng->device.queues[0]);
}

/* 5.4.6: a buffer need not be filled, but gets at least one byte, or none when the host has none.
 */
static int answer(struct rng *rng, struct virtio_queue *queue)
{
	uint64_t count = min_u64(rng->count, rng->chain.writable_bytes);
	int error = vring_write(&queue->ring, &rng->chain, 0, rng->buffer, count);

	if (!error)
		error = vring_push(&queue->ring, rng->chain.head, (uint32_t)count);
	memset(rng->buffer, 0, sizeof(rng->buffer));
	rng->popped = rng->asked = false;
	return error ? error : ERR_AGAIN;
}

static int ask(struct rng *rng, struct virtio_queue *queue)
{
	unsigned size = (unsigned)min_u64(sizeof(rng->buffer), rng->chain.writable_bytes);

	rng->asked = true;
	rng->count = 0;
	if (size == 0)
		return ERR_AGAIN;
	virtio_queue_begun(queue);
	/* A host that cannot now is one that has nothing. */
	if (rng->source(rng->buffer, size, filled, rng) != 0)
		filled(rng, 0);
	return 0;
}

static int rng_work(struct virtio_device *device, struct virtio_queue *queue)
{
	struct rng *rng = rng_of(device);
	int error;

	if (__atomic_load_n(&queue->in_flight, __ATOMIC_SEQ_CST) > 0)
		return 0;
	if (rng->asked)
		return answer(rng, queue);
	if (!rng->popped) {
		error = vring_pop(&queue->ring, &rng->chain);
		if (error)
			return error == ERR_NOENT ? 0 : error;
		rng->popped = true;
	}
	return ask(rng, queue);
}

static void rng_reset(struct virtio_device *device, struct virtio_queue *queue)
{
	struct rng *rng = rng_of(device);

	(void)queue;
	memset(rng->buffer, 0, sizeof(rng->buffer));
	rng->popped = rng->asked = false;
}

void rng_init(struct rng *rng, rng_source_fn *source, struct vm *vm, struct irq_line irq,
	      bool legacy)
{
	static const struct virtio_ops ops = {
	    .id = RNG_DEVICE_ID,
	    .work = rng_work,
	    .reset = rng_reset,
	};
	struct virtio_type type = {.ops = &ops, .queues = 1};

	memset(rng, 0, sizeof(*rng));
	rng->source = source;
	virtio_device_init(&rng->device, &type, vm, irq, legacy);
}
