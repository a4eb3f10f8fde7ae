/* SPDX-License-Identifier: MIT */
#include "device/virtio/rng.h"

#include "kernel/error.h"

#include <string.h>

#define RNG_DEVICE_ID 4

static struct rng *rng_of(struct virtio_device *device)
{
	return container_of(device, struct rng, device);
}

/* The host has given what it has; a failure is asked for again by the driver. */
static void filled(struct entropy_request *request, const uint8_t *bytes, unsigned count)
{
	struct rng *rng = container_of(request, struct rng, request);

	rng->count = (unsigned)min_u64(count, sizeof(rng->buffer));
	memcpy(rng->buffer, bytes, rng->count);
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
	rng->request.wanted = size;
	rng->request.done = filled;
	host_entropy_read(&rng->request);
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

/* The host may take long, or never answer. */
static void rng_cancel(struct virtio_device *device)
{
	struct rng *rng = rng_of(device);

	if (host_entropy_cancel(&rng->request))
		filled(&rng->request, rng->buffer, 0);
}

static void rng_quit(struct virtio_device *device)
{
	(void)device;
	host_entropy_detach();
}

int rng_init(struct rng *rng, struct vm *vm, struct irq_line irq, bool legacy)
{
	static const struct virtio_ops ops = {
	    .id = RNG_DEVICE_ID,
	    .work = rng_work,
	    .reset = rng_reset,
	    .cancel = rng_cancel,
	    .quit = rng_quit,
	};
	struct virtio_type type = {.ops = &ops, .queues = 1};

	memset(rng, 0, sizeof(*rng));
	if (!host_entropy_attach())
		return ERR_NOSYS;
	virtio_device_init(&rng->device, &type, vm, irq, legacy);
	return 0;
}
