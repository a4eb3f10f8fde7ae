/* SPDX-License-Identifier: MIT */

#include "driver/entropy.h"

#include "driver/virtio/registry.h"
#include "kernel/error.h"
#include "kernel/lock.h"
#include "kernel/log.h"
#include "kernel/mmu.h"
#include "kernel/page.h"
#include "kernel/random.h"
#include "vmm/schedule.h"

#include <string.h>

#define QUEUE_SIZE 4 /* of which one is used */

/* Only the first device is: one is as good as several. */
static struct {
	struct spinlock lock; /* guards the rest, but for `virtio`, `users` and `bytes` */
	struct host_virtio *virtio;
	struct virtqueue queue;
	struct virtqueue_slot slots[QUEUE_SIZE];
	uint8_t *buffer; /* the device's, while `asked` */
	struct list waiting;
	bool asked;  /* the device has the buffer */
	bool failed; /* or it has not been found */
	bool job_queued;
	struct job job;
	unsigned users;                   /* the boot hart's, as the next */
	uint8_t bytes[ENTROPY_BYTES_MAX]; /* what is handed over */
} source = {.lock = SPINLOCK_INIT, .waiting = LIST_INIT(source.waiting), .failed = true};

static struct entropy_request own; /* for the hypervisor's own generator */

bool host_entropy_available(void)
{
	return !__atomic_load_n(&source.failed, __ATOMIC_RELAXED);
}

bool host_entropy_attach(void)
{
	if (!host_entropy_available())
		return false;
	source.users++;
	return true;
}

void host_entropy_detach(void)
{
	source.users--;
}

/* Gives the device the buffer, if somebody waits and it has not got it. The lock is held. */
static void ask(void)
{
	struct virtqueue_buffer piece = {pointer_to_hpa(source.buffer), ENTROPY_BYTES_MAX};

	if (source.asked || source.failed || list_empty(&source.waiting))
		return;
	if (virtqueue_add(&source.queue, &piece, 0, 1, source.buffer) != 0)
		return;
	source.asked = true;
	if (virtqueue_wants_notice(&source.queue))
		host_virtio_notify(source.virtio, &source.queue);
}

static struct entropy_request *take_first(void)
{
	struct entropy_request *request;

	if (list_empty(&source.waiting))
		return NULL;
	request = list_entry(source.waiting.next, struct entropy_request, link);
	list_remove(&request->link);
	request->waiting = false;
	return request;
}

/* The bytes that the device has written, which it could go on writing, are copied. */
static unsigned take_bytes(void)
{
	uint32_t written;

	if (!virtqueue_take(&source.queue, &written))
		return 0;
	source.asked = false;
	memcpy(source.bytes, source.buffer, sizeof(source.bytes));
	memset(source.buffer, 0, sizeof(source.bytes));
	return written;
}

/* A device that returns nothing, or breaks its queue, is given up. The lock is held. */
static bool check_failed(unsigned count, bool returned)
{
	if ((returned && count == 0) || source.queue.broken)
		source.failed = true;
	return source.failed;
}

/* Serves one who waits, or all in turn, with nothing, once the device has failed. */
static bool serve(void)
{
	struct entropy_request *request = NULL;
	bool worked = !source.failed, failed, returned;
	unsigned count = 0;

	spin_lock(&source.lock);
	returned = source.asked && !source.failed && virtqueue_has_used(&source.queue);
	if (returned)
		count = take_bytes();
	failed = check_failed(count, returned);
	if (count > 0 || failed)
		request = take_first();
	spin_unlock(&source.lock);
	if (worked && failed) {
		host_virtio_fail(source.virtio);
		log_error("%s (%s): it does not keep to the rules, and is not used any more",
			  source.virtio->name, source.virtio->path);
	}
	if (request)
		request->done(request, source.bytes, (unsigned)min_u64(count, request->wanted));
	memset(source.bytes, 0, sizeof(source.bytes));
	return request && failed;
}

static int step(struct job *job)
{
	bool more;

	(void)job;
	more = serve();
	spin_lock(&source.lock);
	ask();
	source.job_queued = more;
	spin_unlock(&source.lock);
	return more ? ERR_AGAIN : 0;
}

/* With the lock held, which is released. */
static void leave(bool more)
{
	bool queue = more && !source.job_queued;

	source.job_queued |= more;
	spin_unlock(&source.lock);
	if (queue)
		schedule_job(&source.job, step);
}

static void handle_events(void *context, uint32_t events)
{
	(void)context;
	spin_lock(&source.lock);
	leave(events & HOST_VIRTIO_EVENT_QUEUE);
}

void host_entropy_read(struct entropy_request *request)
{
	spin_lock(&source.lock);
	request->waiting = true;
	list_push_back(&source.waiting, &request->link);
	ask();
	leave(!source.virtio || source.failed);
}

bool host_entropy_cancel(struct entropy_request *request)
{
	bool waited;

	spin_lock(&source.lock);
	waited = request->waiting;
	if (waited)
		list_remove(&request->link);
	request->waiting = false;
	spin_unlock(&source.lock);
	return waited;
}

static void mix_in(struct entropy_request *request, const uint8_t *bytes, unsigned count)
{
	(void)request;
	random_mix(bytes, count);
}

static int bind(struct host_virtio *virtio)
{
	struct virtqueue_kind kind = {.size = QUEUE_SIZE};
	uint8_t *page;
	int error;

	if (source.virtio)
		return ERR_EXIST;
	error = host_virtio_negotiate(virtio, VIRTIO_F_RING_PACKED);
	if (error)
		return error;
	page = page_alloc_zeroed(0);
	if (!page)
		return ERR_NOMEM;
	kind.features = virtio->features;
	virtqueue_init(&source.queue, &kind, page, pointer_to_hpa(page), source.slots);
	source.buffer = page + PAGE_SIZE / 2;
	error = host_virtio_set_queue(virtio, 0, &source.queue);
	if (error)
		return error;
	host_virtio_listen(virtio, handle_events, NULL);
	host_virtio_ready(virtio);
	source.virtio = virtio;
	source.failed = false;
	own = (struct entropy_request){.wanted = 32, .done = mix_in};
	host_entropy_read(&own);
	return 0;
}

/* What is asked for Pilae's own use is not missed. The page stays with the queue. */
static int unbind(struct host_virtio *virtio)
{
	if (virtio != source.virtio)
		return 0;
	if (source.users > 0)
		return ERR_EXIST;
	host_entropy_cancel(&own);
	spin_lock(&source.lock);
	source.failed = true;
	spin_unlock(&source.lock);
	return 0;
}

const struct host_virtio_driver host_entropy_driver = {
    .id = VIRTIO_ID_ENTROPY,
    .name = "entropy",
    .in_use = "VMs have randomness from it",
    .bind = bind,
    .unbind = unbind,
};
