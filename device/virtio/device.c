/* SPDX-License-Identifier: MIT */
#include "device/virtio/device.h"

#include "kernel/error.h"
#include "kernel/hart.h"
#include "kernel/trap.h"
#include "vmm/hooks.h"
#include "vmm/vm.h"

/* That a vCPU does before it goes on, of 8 KiB each, say; and that are one of the job's. */
#define STEPS_MAX      32
#define STEPS_OF_A_JOB 8

/* A part of a ring, of which a driver is told at once: it may wait for room. */
#define UNTOLD_PART 4

/* A vCPU that has nothing to do may wait for the room that so much takes. */
#define BYTES_TO_WAIT_FOR KIB(16)

/*
 * Who has a queue.
 */

static bool take(struct virtio_queue *queue)
{
	return !(__atomic_fetch_or(&queue->work, QUEUE_BUSY, __ATOMIC_SEQ_CST) & QUEUE_BUSY);
}

static int job_step(struct job *job);

static void queue_job(struct virtio_queue *queue)
{
	if (!(__atomic_fetch_or(&queue->work, QUEUE_QUEUED, __ATOMIC_SEQ_CST) & QUEUE_QUEUED))
		schedule_job(&queue->job, job_step);
}

/*
 * Who left QUEUE_PENDING meanwhile relies on us. The job is queued before the queue is given, as it
 * may be gone after that; a job that comes too early is queued once more.
 */
static void give(struct virtio_queue *queue)
{
	uint32_t state = __atomic_load_n(&queue->work, __ATOMIC_SEQ_CST);

	for (;;) {
		if ((state & (QUEUE_PENDING | QUEUE_QUEUED)) == QUEUE_PENDING) {
			queue_job(queue);
			state = __atomic_load_n(&queue->work, __ATOMIC_SEQ_CST);
		} else if (__atomic_compare_exchange_n(&queue->work, &state,
						       state & ~(uint32_t)QUEUE_BUSY, false,
						       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
			return;
		}
	}
}

/* Whether somebody has the queue, who sees that there is something to do when giving it. */
static bool leave_pending(struct virtio_queue *queue)
{
	return __atomic_fetch_or(&queue->work, QUEUE_PENDING, __ATOMIC_SEQ_CST) & QUEUE_BUSY;
}

bool virtio_queue_take(struct virtio_queue *queue)
{
	while (!take(queue)) {
		if (leave_pending(queue))
			return false;
	}
	return true;
}

/*
 * Its ring.
 */

static bool is_ready(const struct virtio_queue *queue)
{
	return __atomic_load_n(&queue->ready, __ATOMIC_RELAXED);
}

/* 3.1.1: not before the driver has said that all is set up; legacy drivers may say so later. */
static bool may_work_locked(const struct virtio_queue *queue)
{
	const struct virtio_device *device = queue->device;
	const uint32_t needed = VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK;

	return is_ready(queue) && !device->broken &&
	       (device->legacy || (device->status & needed) == needed);
}

/* Whether the queue can be worked on; its ring is read as it was set up last. */
static bool begin(struct virtio_queue *queue)
{
	struct virtio_device *device = queue->device;
	struct vring_place place;
	uint64_t features;
	bool may, fresh;

	spin_lock(&device->lock);
	may = may_work_locked(queue);
	fresh = may && queue->fresh;
	if (fresh)
		queue->fresh = false;
	place = queue->place;
	features = device->driver_features;
	spin_unlock(&device->lock);
	if (fresh && vring_init(&queue->ring, device->vm, &place, features) != 0) {
		virtio_device_break(device);
		return false;
	}
	return may;
}

/*
 * Telling the driver what has been used.
 */

/* Has a timer see to it, which is set by one at a time. */
static void arm(struct virtio_queue *queue, uint64_t deadline)
{
	if (!__atomic_exchange_n(&queue->armed, 1, __ATOMIC_SEQ_CST))
		timer_set(&queue->timer, deadline);
}

/* In the meantime the driver may have been told, and later things may wait. */
static void patience_ends(struct timer *timer)
{
	struct virtio_queue *queue = container_of(timer, struct virtio_queue, timer);
	uint64_t deadline;

	__atomic_store_n(&queue->armed, 0, __ATOMIC_SEQ_CST);
	deadline = __atomic_load_n(&queue->tell_by, __ATOMIC_SEQ_CST);
	if (deadline <= time_now())
		virtio_queue_wake(queue);
	else if (deadline != TIME_NEVER)
		arm(queue, deadline);
}

/* Whether the driver, which wants to know, can be told later. */
static bool can_wait(struct virtio_queue *queue)
{
	uint64_t now;

	if (queue->patience == 0 || vring_untold(&queue->ring) >= queue->ring.size / UNTOLD_PART)
		return false;
	now = time_now();
	if (queue->tell_by == TIME_NEVER)
		__atomic_store_n(&queue->tell_by, now + queue->patience, __ATOMIC_SEQ_CST);
	if (queue->tell_by <= now)
		return false;
	arm(queue, queue->tell_by);
	if (queue->untold_bytes >= BYTES_TO_WAIT_FOR) {
		/* Its vCPU is not to wait in the guest then. */
		schedule_trap_wfi();
		__atomic_store_n(&queue->device->vm->puts_off, 1, __ATOMIC_SEQ_CST);
	}
	return true;
}

/* Tells the driver, if it wants to know. */
static int tell(struct virtio_queue *queue)
{
	bool must;
	int error = vring_must_interrupt(&queue->ring, &must);

	if (must && can_wait(queue))
		return 0;
	__atomic_store_n(&queue->tell_by, TIME_NEVER, __ATOMIC_SEQ_CST);
	queue->untold_bytes = 0;
	if (must) {
		vring_told(&queue->ring);
		virtio_device_interrupt(queue->device, VIRTIO_INTERRUPT_QUEUE);
	}
	return error;
}

/* What it was to be told of it may have seen by itself since. */
static int look_back(struct virtio_queue *queue)
{
	return queue->tell_by == TIME_NEVER ? 0 : tell(queue);
}

void virtio_queue_be_patient(struct virtio_queue *queue, uint64_t ticks)
{
	queue->patience = ticks;
}

/*
 * Work.
 */

/* ERR_AGAIN: there is more to do. */
static int work(struct virtio_queue *queue, unsigned steps)
{
	struct virtio_device *device = queue->device;
	int error, tell_error = look_back(queue);

	if (tell_error)
		return tell_error;
	while ((error = device->type.ops->work(device, queue)) == ERR_AGAIN && --steps > 0 &&
	       is_ready(queue) && !this_hart()->reschedule)
		preempt_point();
	tell_error = tell(queue);
	return error && error != ERR_AGAIN ? error : tell_error ? tell_error : error;
}

static void try_work(struct virtio_queue *queue, unsigned steps)
{
	int error = 0;

	if (!take(queue))
		return;
	__atomic_fetch_and(&queue->work, ~(uint32_t)QUEUE_PENDING, __ATOMIC_SEQ_CST);
	if (begin(queue))
		error = work(queue, steps);
	if (error == ERR_AGAIN)
		__atomic_fetch_or(&queue->work, QUEUE_PENDING, __ATOMIC_SEQ_CST);
	else if (error)
		virtio_device_break(queue->device);
	give(queue);
}

bool virtio_queue_begin(struct virtio_queue *queue)
{
	return begin(queue);
}

void virtio_queue_end(struct virtio_queue *queue, int error)
{
	if (!error)
		error = tell(queue);
	if (error)
		virtio_device_break(queue->device);
	give(queue);
}

/*
 * It queues itself again, as others may have done before it has ended. If its VM is to end, that
 * may have waited for who had the queue.
 */
static int job_step(struct job *job)
{
	struct virtio_queue *queue = container_of(job, struct virtio_queue, job);

	__atomic_fetch_and(&queue->work, ~(uint32_t)QUEUE_QUEUED, __ATOMIC_SEQ_CST);
	try_work(queue, STEPS_OF_A_JOB);
	if (!is_ready(queue) && __atomic_load_n(&queue->in_flight, __ATOMIC_SEQ_CST) == 0)
		vm_quiesced(queue->device->vm);
	return 0;
}

void virtio_device_work(struct virtio_device *device)
{
	for (unsigned i = 0; i < device->type.queues; i++) {
		struct virtio_queue *queue = &device->queues[i];
		uint32_t state = __atomic_load_n(&queue->work, __ATOMIC_SEQ_CST);

		if ((state & (QUEUE_PENDING | QUEUE_QUEUED)) == QUEUE_PENDING)
			try_work(queue, STEPS_MAX);
	}
}

void virtio_device_idle(struct virtio_device *device)
{
	for (unsigned i = 0; i < device->type.queues; i++) {
		struct virtio_queue *queue = &device->queues[i];
		int error = 0;

		/* Who has it leaves that to the timer. */
		if (__atomic_load_n(&queue->tell_by, __ATOMIC_SEQ_CST) == TIME_NEVER ||
		    !take(queue))
			continue;
		if (queue->untold_bytes >= BYTES_TO_WAIT_FOR && begin(queue)) {
			__atomic_store_n(&queue->tell_by, 0, __ATOMIC_SEQ_CST);
			error = tell(queue);
		}
		if (error)
			virtio_device_break(device);
		give(queue);
	}
}

/* Whether somebody will look at the queue anyway. */
static bool is_looked_after(struct virtio_queue *queue)
{
	return __atomic_fetch_or(&queue->work, QUEUE_PENDING, __ATOMIC_SEQ_CST) &
	       (QUEUE_BUSY | QUEUE_QUEUED);
}

void virtio_queue_notified(struct virtio_queue *queue)
{
	if (!is_looked_after(queue))
		schedule_devices();
}

void virtio_queue_wake(struct virtio_queue *queue)
{
	if (!is_looked_after(queue))
		queue_job(queue);
}

void virtio_queue_begun(struct virtio_queue *queue)
{
	__atomic_fetch_add(&queue->in_flight, 1, __ATOMIC_SEQ_CST);
}

void virtio_queue_done(struct virtio_queue *queue)
{
	struct vm *vm = queue->device->vm;

	if (__atomic_sub_fetch(&queue->in_flight, 1, __ATOMIC_SEQ_CST) == 0)
		vm_quiesced(vm);
	virtio_queue_wake(queue);
}

/*
 * Interrupts.
 */

static void update_irq_locked(struct virtio_device *device)
{
	irq_line_set(&device->irq, device->interrupts != 0);
}

void virtio_device_interrupt(struct virtio_device *device, uint32_t bits)
{
	spin_lock(&device->lock);
	device->interrupts |= bits;
	update_irq_locked(device);
	spin_unlock(&device->lock);
}

void virtio_device_break(struct virtio_device *device)
{
	spin_lock(&device->lock);
	/* A legacy device cannot say so: it just stops. */
	if (!device->broken && !device->legacy) {
		device->status |= VIRTIO_STATUS_NEEDS_RESET;
		device->generation++;
		if (device->status & VIRTIO_STATUS_DRIVER_OK)
			device->interrupts |= VIRTIO_INTERRUPT_CONFIG;
		update_irq_locked(device);
	}
	device->broken = true;
	spin_unlock(&device->lock);
}

/*
 * Resets.
 */

static void stop(struct virtio_queue *queue)
{
	struct virtio_device *device = queue->device;

	spin_lock(&device->lock);
	__atomic_store_n(&queue->ready, false, __ATOMIC_RELAXED);
	queue->page = 0;
	spin_unlock(&device->lock);
}

/* Takes a queue that is stopped, if nothing is in flight: then nothing can be, until it is given.
 */
static bool take_quiet(struct virtio_queue *queue)
{
	if (!take(queue))
		return false;
	if (__atomic_load_n(&queue->in_flight, __ATOMIC_SEQ_CST) == 0)
		return true;
	give(queue);
	return false;
}

static void cancel(struct virtio_device *device)
{
	if (device->type.ops->cancel)
		device->type.ops->cancel(device);
}

static void forget_place_locked(struct virtio_queue *queue)
{
	__atomic_store_n(&queue->ready, false, __ATOMIC_RELAXED);
	queue->place = (struct vring_place){.size = VRING_SIZE_MAX};
	queue->page = 0;
	queue->align = PAGE_SIZE;
}

int virtio_queue_reset(struct virtio_queue *queue)
{
	struct virtio_device *device = queue->device;

	stop(queue);
	if (!take_quiet(queue)) {
		cancel(device);
		return ERR_AGAIN;
	}
	device->type.ops->reset(device, queue);
	give(queue);
	return 0;
}

/* But not the page size: Linux's driver of legacy devices sets it before it resets them. */
static void clear_locked(struct virtio_device *device)
{
	for (unsigned i = 0; i < device->type.queues; i++)
		forget_place_locked(&device->queues[i]);
	device->status = device->interrupts = 0;
	device->driver_features = 0;
	device->device_select = device->driver_select = device->queue_select = 0;
	device->broken = false;
	update_irq_locked(device);
}

int virtio_device_reset(struct virtio_device *device)
{
	unsigned taken = 0;

	for (unsigned i = 0; i < device->type.queues; i++)
		stop(&device->queues[i]);
	while (taken < device->type.queues && take_quiet(&device->queues[taken]))
		taken++;

	bool all = taken == device->type.queues;

	if (all) {
		for (unsigned i = 0; i < taken; i++)
			device->type.ops->reset(device, &device->queues[i]);
		spin_lock(&device->lock);
		clear_locked(device);
		spin_unlock(&device->lock);
	}
	while (taken > 0)
		give(&device->queues[--taken]);
	if (!all)
		cancel(device);
	return all ? 0 : ERR_AGAIN;
}

/* Whether somebody has it: then its job comes afterwards, and tells the VM. */
static bool is_taken(struct virtio_queue *queue)
{
	return __atomic_load_n(&queue->work, __ATOMIC_SEQ_CST) & QUEUE_BUSY && leave_pending(queue);
}

int virtio_device_quiesce(struct virtio_device *device)
{
	int error = 0;

	if (device->type.ops->close)
		device->type.ops->close(device);
	for (unsigned i = 0; i < device->type.queues; i++) {
		struct virtio_queue *queue = &device->queues[i];

		stop(queue);
		if (__atomic_load_n(&queue->in_flight, __ATOMIC_SEQ_CST) > 0 || is_taken(queue))
			error = ERR_AGAIN;
	}
	if (error)
		cancel(device);
	return error;
}

void virtio_device_power_up(struct virtio_device *device)
{
	/* A timer that is expiring meanwhile may set itself again, once, or queue the job. */
	for (unsigned i = 0; i < device->type.queues; i++) {
		device->queues[i].tell_by = TIME_NEVER;
		timer_cancel(&device->queues[i].timer);
	}
	timer_quiesce();
	for (unsigned i = 0; i < device->type.queues; i++) {
		struct virtio_queue *queue = &device->queues[i];

		timer_cancel(&queue->timer);
		queue->armed = 0;
		schedule_cancel_job(&queue->job);
		queue->work = 0;
	}
	virtio_device_reset(device);
	device->generation = 0;
	device->page_shift = 0;
}

void virtio_device_init(struct virtio_device *device, const struct virtio_type *type, struct vm *vm,
			struct irq_line irq, bool legacy)
{
	*device = (struct virtio_device){
	    .type = *type,
	    .vm = vm,
	    .legacy = legacy,
	    .irq = irq,
	    .features = type->features | VRING_F_INDIRECT_DESC | VRING_F_EVENT_IDX |
			(legacy ? VIRTIO_F_ANY_LAYOUT : VIRTIO_F_VERSION_1),
	};
	for (unsigned i = 0; i < type->queues; i++) {
		device->queues[i].device = device;
		device->queues[i].tell_by = TIME_NEVER;
		timer_init(&device->queues[i].timer, patience_ends);
		list_init(&device->queues[i].job.link);
	}
	clear_locked(device);
}
