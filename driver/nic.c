/* SPDX-License-Identifier: MIT */

#include "driver/nic.h"

#include "driver/nic_driver.h"
#include "kernel/error.h"
#include "kernel/log.h"
#include "kernel/trap.h"
#include "vmm/copy.h"

#include <string.h>

/* So that no stretch gets long. */
#define CALLED_A_STEP   8
#define RECEIVED_A_STEP 16

static struct host_nic *nics[HOST_NICS_MAX]; /* the boot hart's */
static unsigned nic_count;

unsigned host_nic_count(void)
{
	return nic_count;
}

struct host_nic *host_nic_by_index(unsigned index)
{
	return index < nic_count ? nics[index] : NULL;
}

struct host_nic *host_nic_by_name(const char *name)
{
	for (unsigned i = 0; i < nic_count; i++) {
		if (strcmp(nics[i]->info.name, name) == 0 || strcmp(nics[i]->info.path, name) == 0)
			return nics[i];
	}
	return NULL;
}

const struct host_nic_info *host_nic_info(const struct host_nic *nic)
{
	return &nic->info;
}

bool host_nic_has_link(struct host_nic *nic)
{
	return !nic->given_up && nic->driver->has_link(nic);
}

void host_nic_counts(struct host_nic *nic, struct host_nic_counts *counts)
{
	spin_lock(&nic->lock);
	*counts = nic->counts;
	spin_unlock(&nic->lock);
}

const char *host_nic_user(const struct host_nic *nic)
{
	return nic->user;
}

int host_nic_add(struct host_nic *nic)
{
	if (nic_count == HOST_NICS_MAX)
		return ERR_NOMEM;
	list_init(&nic->called);
	list_init(&nic->ended);
	list_init(&nic->job.link);
	nics[nic_count++] = nic;
	return 0;
}

int host_nic_remove(struct host_nic *nic)
{
	unsigned i = 0;

	if (nic->user)
		return ERR_EXIST;
	while (i < nic_count && nics[i] != nic)
		i++;
	for (; i + 1 < nic_count; i++)
		nics[i] = nics[i + 1];
	nic_count--;
	return 0;
}

/*
 * The job, on the boot hart.
 */

static int step(struct job *job);

void nic_leave(struct host_nic *nic, bool more)
{
	bool queue;

	more |=
	    !nic->given_up && (nic->failed || (!nic->armed && (nic->waiting.root || nic->wanting)));
	more |= !list_empty(&nic->called);
	queue = more && !nic->job_queued;
	if (more)
		nic->again = nic->job_queued = true;
	spin_unlock(&nic->lock);
	if (queue)
		schedule_job(&nic->job, step);
}

static struct nic_lane *take_lane(struct host_nic *nic, struct list *list)
{
	struct nic_lane *lane = NULL;

	spin_lock(&nic->lock);
	if (!list_empty(list)) {
		lane = list_entry(list->next, struct nic_lane, link);
		list_remove(&lane->link);
	}
	spin_unlock(&nic->lock);
	return lane;
}

static void free_ended(struct host_nic *nic)
{
	struct nic_lane *lane;

	while ((lane = take_lane(nic, &nic->ended)) != NULL)
		nic_free_lane(lane);
}

static void call_back(struct host_nic *nic)
{
	struct nic_lane *lane;

	for (unsigned i = 0; i < CALLED_A_STEP; i++) {
		lane = take_lane(nic, &nic->called);
		if (!lane)
			return;
		lane->client->ready(lane->client);
		preempt_point();
	}
}

static void give_up(struct host_nic *nic)
{
	nic->stuck = nic->driver->stop(nic) != 0;
	nic->given_up = true;
	log_error("%s (%s): it does not keep to the rules, and is not used any more",
		  nic->info.name, nic->info.path);
}

/* Takes back what the device has sent, and gives it more; returns whether there may be more. */
static bool exchange(struct host_nic *nic)
{
	bool more;

	if (nic->failed && !nic->given_up)
		give_up(nic);
	spin_lock(&nic->lock);
	nic->again = false;
	more = nic_collect(nic);
	if (nic->given_up)
		more = nic->driver->drop(nic) == ERR_AGAIN;
	more |= nic_start_some(nic);
	spin_unlock(&nic->lock);
	return more;
}

/* The next frame, instead of the last, which is released; NULL if there is none. */
static int take_frame(struct host_nic *nic, struct nic_frame **frame)
{
	struct nic_frame *last = *frame;
	int error = ERR_NOENT;

	*frame = NULL;
	spin_lock(&nic->lock);
	if (last && !nic->failed)
		nic->driver->release(nic, last);
	if (!nic->failed)
		error = nic->driver->receive(nic, frame);
	if (!error) {
		nic->counts.received++;
		nic->counts.received_bytes += (*frame)->size;
	}
	nic->failed |= error == ERR_IO;
	spin_unlock(&nic->lock);
	return error;
}

/* Returns whether there may be more. */
static bool receive_some(struct host_nic *nic)
{
	struct nic_frame *frame = NULL;
	int error = 0;

	for (unsigned i = 0; i < RECEIVED_A_STEP; i++) {
		error = take_frame(nic, &frame);
		if (error && error != ERR_AGAIN)
			break;
		if (!error && !nic->receive(nic->context, frame))
			frame = NULL;
		preempt_point();
	}
	if (frame)
		nic_frame_release(frame);
	return error != ERR_NOENT;
}

/* Nothing more is known to be done: the device is to interrupt for what comes. */
static bool arm(struct host_nic *nic)
{
	bool waits = nic->waiting.root || nic->wanting;

	if (nic->failed)
		return !nic->given_up;
	nic->armed = waits;
	return nic->driver->arm(nic, true,
				waits ? (unsigned)max_u64(1, (nic->started + 1) / 2) : 0);
}

static int step(struct job *job)
{
	struct host_nic *nic = container_of(job, struct host_nic, job);
	bool more = exchange(nic);

	preempt_point();
	call_back(nic);
	more |= receive_some(nic);
	free_ended(nic);
	spin_lock(&nic->lock);
	if (!nic->failed)
		nic->driver->tell(nic);
	more |= nic->again || !list_empty(&nic->called);
	if (!more)
		more = arm(nic);
	nic->job_queued = more;
	spin_unlock(&nic->lock);
	return more ? ERR_AGAIN : 0;
}

void host_nic_interrupted(struct host_nic *nic, bool broken)
{
	spin_lock(&nic->lock);
	nic->failed |= broken;
	nic->armed = false;
	if (!nic->failed)
		nic->driver->arm(nic, false, 0);
	nic_leave(nic, true);
}

void nic_frame_release(struct nic_frame *frame)
{
	struct host_nic *nic = frame->nic;

	spin_lock(&nic->lock);
	if (!nic->failed) {
		nic->driver->release(nic, frame);
		nic->driver->tell(nic);
	}
	spin_unlock(&nic->lock);
}

void nic_frame_read(const struct nic_frame *frame, uint32_t offset, void *to, uint32_t size)
{
	for (unsigned i = 0; size > 0 && i < frame->piece_count; i++) {
		uint32_t in_piece = frame->pieces[i].size, count;

		if (offset >= in_piece) {
			offset -= in_piece;
			continue;
		}
		count = (uint32_t)min_u64(size, in_piece - offset);
		copy_bytes(to, frame->pieces[i].start + offset, count);
		to = (char *)to + count;
		size -= count;
		offset = 0;
	}
}

/*
 * Opening and closing.
 */

int host_nic_open(struct host_nic *nic, const char *user,
		  bool (*receive)(void *context, struct nic_frame *frame), void *context)
{
	int error;

	if (nic->user)
		return ERR_EXIST;
	nic->receive = receive;
	nic->context = context;
	nic->failed = nic->given_up = nic->stuck = nic->armed = false;
	nic->shared_until = 0;
	error = nic->driver->open(nic);
	if (!error)
		nic->user = user;
	return error;
}

void host_nic_close(struct host_nic *nic)
{
	int error = ERR_AGAIN;

	if (!nic->given_up)
		nic->stuck = nic->driver->stop(nic) != 0;
	schedule_cancel_job(&nic->job);
	nic->failed = nic->given_up = true;
	nic->job_queued = false;
	while (error == ERR_AGAIN) {
		spin_lock(&nic->lock);
		error = nic->driver->drop(nic);
		spin_unlock(&nic->lock);
		preempt_point();
	}
	free_ended(nic);
	nic->driver->close(nic);
	nic->given_up = false;
	nic->user = NULL;
}
