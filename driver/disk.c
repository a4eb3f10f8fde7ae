/* SPDX-License-Identifier: MIT */

#include "driver/disk.h"

#include "driver/disk_driver.h"
#include "kernel/error.h"
#include "kernel/hart.h"
#include "kernel/log.h"
#include "kernel/platform.h"
#include "kernel/timer.h"

#include <string.h>

/*
 * What a request costs besides its bytes, and one that moves none (a FLUSH …). In bytes, as
 * virtual time is at weight 1, but for the scale, which keeps it exact enough at large weights.
 */
#define COST_OF_REQUEST KIB(4)
#define COST_OF_OTHERS  KIB(64)
#define TIME_SCALE      256

/*
 * While several clients are busy the device gets no more than this, so that what is given to it
 * next is not far from being served. A client that it has nothing of is let in at once: for that
 * some places are kept free, also by one that is alone. Nobody gets further ahead than so many
 * bytes, at the usual weight, of one all of whose requests are at the device: that has asked for
 * little at a time, and would wait behind much each time that it asks for more.
 */
#define SHARED_REQUESTS 16
#define SHARED_BYTES    MIB(1)
#define SHARED_AHEAD    (KIB(16) * TIME_SCALE / 100)
#define SHARED_FOR_MS   10 /* after another was busy, since it may come back */
#define KEPT_FREE       8

/* So that no stretch gets long: pieces that are started, and requests that are handed back. */
#define PIECES_A_STEP     160
#define DONE_A_STEP       4
#define DONE_AN_INTERRUPT 2

static struct host_disk *disks[HOST_DISKS_MAX]; /* the boot hart's */
static unsigned disk_count;

unsigned host_disk_count(void)
{
	return disk_count;
}

struct host_disk *host_disk_by_index(unsigned index)
{
	return index < disk_count ? disks[index] : NULL;
}

struct host_disk *host_disk_by_name(const char *name)
{
	for (unsigned i = 0; i < disk_count; i++) {
		if (strcmp(disks[i]->info.name, name) == 0 ||
		    strcmp(disks[i]->info.path, name) == 0)
			return disks[i];
	}
	return NULL;
}

const struct host_disk_info *host_disk_info(const struct host_disk *disk)
{
	return &disk->info;
}

void host_disk_counts(struct host_disk *disk, struct host_disk_counts *counts)
{
	spin_lock(&disk->lock);
	*counts = disk->counts;
	spin_unlock(&disk->lock);
}

int host_disk_add(struct host_disk *disk)
{
	if (disk_count == HOST_DISKS_MAX)
		return ERR_NOMEM;
	list_init(&disk->clients);
	list_init(&disk->finished);
	disks[disk_count++] = disk;
	return 0;
}

int host_disk_remove(struct host_disk *disk)
{
	unsigned i = 0;

	if (!list_empty(&disk->clients))
		return ERR_EXIST;
	while (i < disk_count && disks[i] != disk)
		i++;
	for (; i + 1 < disk_count; i++)
		disks[i] = disks[i + 1];
	disk_count--;
	return 0;
}

/*
 * Clients.
 */

const struct disk_client *host_disk_next_client(const struct host_disk *disk,
						const struct disk_client *client)
{
	const struct list *next = client ? client->link.next : disk->clients.next;

	return next == &disk->clients ? NULL : list_entry(next, struct disk_client, link);
}

/* Who has sectors of that slice, if one of the two writes. */
static const struct disk_client *rival_of(const struct disk_client *client)
{
	const struct disk_client *other = NULL;

	while ((other = host_disk_next_client(client->disk, other)) != NULL) {
		if (ranges_overlap(client->first, client->sectors, other->first, other->sectors) &&
		    !(client->read_only && other->read_only))
			return other;
	}
	return NULL;
}

int disk_client_init(struct disk_client *client, const char **other)
{
	struct host_disk *disk = client->disk;
	const struct host_disk_info *info = &disk->info;
	const struct disk_client *rival;

	if (client->first >= info->sectors)
		return ERR_RANGE;
	if (client->sectors == 0)
		client->sectors = info->sectors - client->first;
	if (!range_within(client->first, client->sectors, 0, info->sectors) ||
	    !is_aligned(client->first | client->sectors, info->block_size / DISK_SECTOR))
		return ERR_RANGE;
	if (info->read_only && !client->read_only)
		return ERR_DENIED;
	rival = rival_of(client);
	if (rival) {
		*other = rival->name;
		return ERR_EXIST;
	}
	list_init(&client->waiting);
	client->node.key = 0;
	client->queued = client->started = client->pending = 0;
	list_push_back(&disk->clients, &client->link);
	return 0;
}

void disk_client_quit(struct disk_client *client)
{
	list_remove(&client->link);
}

unsigned disk_client_in_flight(const struct disk_client *client)
{
	return __atomic_load_n(&client->pending, __ATOMIC_ACQUIRE);
}

static bool is_busy(const struct disk_client *client)
{
	return client->queued + client->started > 0;
}

/*
 * Requests: what is wrong with one.
 */

static int check_pieces(const struct host_disk_info *info, const struct disk_request *request)
{
	uint64_t bytes = 0;

	if (request->sectors > info->sectors_max || request->piece_count > info->segments_max)
		return ERR_INVAL;
	for (unsigned i = 0; i < request->piece_count; i++) {
		uint32_t length = request->pieces[i].length;

		if (length == 0 || length > info->piece_max)
			return ERR_INVAL;
		bytes += length;
	}
	return bytes == (uint64_t)request->sectors * DISK_SECTOR ? 0 : ERR_INVAL;
}

static int check_kind(const struct host_disk_info *info, const struct disk_request *request)
{
	switch (request->operation) {
	case DISK_READ:
	case DISK_WRITE:
		return check_pieces(info, request);
	case DISK_DISCARD:
		if (!info->can_discard)
			return ERR_NOSYS;
		return request->sectors <= info->discard_max ? 0 : ERR_INVAL;
	case DISK_WRITE_ZEROES:
		if (!info->can_write_zeroes)
			return ERR_NOSYS;
		return request->sectors <= info->write_zeroes_max ? 0 : ERR_INVAL;
	default:
		return ERR_INVAL;
	}
}

static int check(const struct disk_client *client, const struct disk_request *request)
{
	const struct host_disk_info *info = &client->disk->info;
	uint64_t blocks = info->block_size / DISK_SECTOR;

	if (request->operation == DISK_FLUSH)
		return 0;
	if (!range_within(request->sector, request->sectors, 0, client->sectors))
		return ERR_RANGE;
	if (request->sectors == 0 || !is_aligned(request->sector | request->sectors, blocks))
		return ERR_INVAL;
	if (request->operation != DISK_READ && client->read_only)
		return ERR_DENIED;
	return check_kind(info, request);
}

/* Bytes that it moves over the bus. */
static uint64_t bytes_of(const struct disk_request *request)
{
	return request->operation <= DISK_WRITE ? (uint64_t)request->sectors * DISK_SECTOR : 0;
}

static uint64_t cost_of(const struct disk_request *request)
{
	uint64_t bytes = bytes_of(request);
	uint64_t weight = request->client->weight ? request->client->weight : 1;

	return (bytes ? bytes + COST_OF_REQUEST : COST_OF_OTHERS) * TIME_SCALE / weight;
}

/*
 * From the clients to the device. The lock is held.
 */

static void hand_back(struct host_disk *disk, struct disk_request *request, int error)
{
	request->error = error;
	disk->counts.errors += error && error != ERR_AGAIN;
	list_push_back(&disk->finished, &request->link);
}

void host_disk_finish(struct host_disk *disk, struct disk_request *request, int error)
{
	struct disk_client *client = request->client;

	disk->started--;
	disk->bytes -= bytes_of(request);
	client->started--;
	if (!is_busy(client)) {
		disk->busy--;
		heap_remove(&disk->served, &client->node);
	}
	if (!error && request->operation == DISK_READ)
		disk->counts.read_bytes += bytes_of(request);
	if (!error && request->operation == DISK_WRITE)
		disk->counts.written_bytes += bytes_of(request);
	hand_back(disk, request, error);
}

/*
 * The client is about to have one more, and in neither heap if none of them waits. Who has had
 * nothing to do does not get what it did not ask for then.
 */
static void join(struct host_disk *disk, struct disk_client *client)
{
	disk->busy += !is_busy(client);
	if (client->queued > 0)
		return;
	if (client->started > 0)
		heap_remove(&disk->served, &client->node);
	else
		client->node.key = max_u64(client->node.key, disk->now);
}

static void enqueue(struct host_disk *disk, struct disk_request *request)
{
	struct disk_client *client = request->client;

	list_push_back(&client->waiting, &request->link);
	if (client->queued++ == 0)
		heap_insert(&disk->waiting, &client->node);
}

/* The first request that waits leaves its client's queue. */
static void dequeue(struct host_disk *disk, struct disk_request *request)
{
	struct disk_client *client = request->client;

	list_remove(&request->link);
	heap_remove(&disk->waiting, &client->node);
	client->queued--;
}

/* A request goes to the device: its client, which is in neither heap, advances. */
static void charge(struct host_disk *disk, const struct disk_request *request)
{
	struct disk_client *client = request->client;

	client->started++;
	disk->now = client->node.key;
	if (disk->served.root)
		disk->now = min_u64(disk->now, disk->served.root->key);
	client->node.key += cost_of(request);
	heap_insert(client->queued > 0 ? &disk->waiting : &disk->served, &client->node);
	disk->started++;
	disk->bytes += bytes_of(request);
	disk->counts.requests++;
}

static bool is_shared(struct host_disk *disk)
{
	uint64_t now = time_now();

	if (disk->busy > 1)
		disk->shared_until = now + platform.timebase / 1000 * SHARED_FOR_MS;
	return now < disk->shared_until;
}

/* Of one for whom that ends as soon as the device is done with something. */
static bool is_ahead(const struct host_disk *disk, const struct disk_client *client)
{
	const struct heap_node *served = disk->served.root;

	return served && client->node.key > served->key + SHARED_AHEAD;
}

/* Whether the client may give the device one more. */
static bool may_start(struct host_disk *disk, const struct disk_client *client)
{
	unsigned kept_free = (unsigned)min_u64(KEPT_FREE, disk->depth / 4);

	if (disk->started >= disk->depth)
		return false;
	if (client->started == 0)
		return true;
	if (is_shared(disk))
		return disk->started < SHARED_REQUESTS && disk->bytes < SHARED_BYTES &&
		       !is_ahead(disk, client);
	return disk->started < disk->depth - kept_free;
}

/* ERR_AGAIN: not now. Another error is for charge(), too. */
static int try_start(struct host_disk *disk, struct disk_request *request)
{
	if (disk->failed)
		return ERR_IO;
	return may_start(disk, request->client) ? disk->driver->start(disk, request) : ERR_AGAIN;
}

static void note_started(struct host_disk *disk, struct disk_request *request, int error)
{
	charge(disk, request);
	if (error)
		host_disk_finish(disk, request, error);
}

static void tell(struct host_disk *disk)
{
	if (!disk->failed)
		disk->driver->tell(disk);
}

/* Gives the device what it has room for, a step's worth; returns whether there would be more. */
static bool start_some(struct host_disk *disk)
{
	unsigned pieces = 0, requests = 0;
	struct heap_node *node;

	while ((node = disk->waiting.root) != NULL && pieces < PIECES_A_STEP) {
		struct disk_client *client = container_of(node, struct disk_client, node);
		struct disk_request *request =
		    list_entry(client->waiting.next, struct disk_request, link);
		int error = try_start(disk, request);

		if (error == ERR_AGAIN)
			break;
		/* A request without pieces costs something, too. */
		pieces += 8 + (request->operation <= DISK_WRITE ? request->piece_count : 0);
		dequeue(disk, request);
		note_started(disk, request, error);
		requests++;
	}
	if (requests)
		tell(disk);
	return disk->waiting.root && pieces >= PIECES_A_STEP;
}

static int step(struct job *job);

/* Has the job done, once more if it is at it; with the lock held, which is released. */
static void leave(struct host_disk *disk, bool more)
{
	bool queue = more && !disk->job_queued;

	if (more)
		disk->again = disk->job_queued = true;
	spin_unlock(&disk->lock);
	if (queue)
		schedule_job(&disk->job, step);
}

/* Where nothing waits: gives it to the device at once, if that has room. */
static bool start_now(struct host_disk *disk, struct disk_request *request)
{
	int error = disk->waiting.root ? ERR_AGAIN : try_start(disk, request);

	if (error == ERR_AGAIN)
		return false;
	note_started(disk, request, error);
	tell(disk);
	return true;
}

void disk_submit(struct disk_client *client, struct disk_request *request)
{
	struct host_disk *disk = client->disk;
	int error = check(client, request);
	bool more = false;

	request->client = client;
	request->hart = this_hart()->index;
	spin_lock(&disk->lock);
	client->pending++;
	if (error || (request->operation == DISK_FLUSH && !disk->info.can_flush)) {
		hand_back(disk, request, error);
	} else {
		join(disk, client);
		if (!start_now(disk, request)) {
			enqueue(disk, request);
			more = start_some(disk);
		}
	}
	leave(disk, more || !list_empty(&disk->finished));
}

void disk_client_cancel(struct disk_client *client)
{
	struct host_disk *disk = client->disk;

	spin_lock(&disk->lock);
	if (client->queued > 0) {
		heap_remove(&disk->waiting, &client->node);
		while (!list_empty(&client->waiting)) {
			struct list *first = client->waiting.next;

			list_remove(first);
			hand_back(disk, list_entry(first, struct disk_request, link), ERR_AGAIN);
		}
		client->queued = 0;
		if (is_busy(client))
			heap_insert(&disk->served, &client->node);
		else
			disk->busy--;
	}
	leave(disk, !list_empty(&disk->finished));
}

/*
 * Back again, on the boot hart.
 */

/* Takes what the device is done with, and gives it more; returns whether there may be more. */
static bool exchange(struct host_disk *disk)
{
	bool more = false, worked = !disk->failed;

	spin_lock(&disk->lock);
	disk->again = false;
	if (!disk->failed)
		disk->failed = disk->driver->take(disk, &more) != 0;
	if (disk->failed)
		more = disk->driver->fail(disk);
	more |= start_some(disk);
	spin_unlock(&disk->lock);
	if (worked && disk->failed)
		log_error("%s (%s): it does not keep to the rules, and is not used any more",
			  disk->info.name, disk->info.path);
	return more;
}

/* Hands a request back. Neither it nor its client is touched after that. */
static bool deliver(struct host_disk *disk)
{
	struct disk_request *request = NULL;

	spin_lock(&disk->lock);
	if (!list_empty(&disk->finished)) {
		request = list_entry(disk->finished.next, struct disk_request, link);
		list_remove(&request->link);
		__atomic_store_n(&request->client->pending, request->client->pending - 1,
				 __ATOMIC_RELEASE);
	}
	spin_unlock(&disk->lock);
	if (request)
		request->done(request, request->error);
	return request != NULL;
}

/*
 * One round, and returns with the lock held whether there is more to do. An interrupt that comes
 * at a preemption point of some `done` leaves its work to this round.
 */
static bool do_round(struct host_disk *disk, unsigned count)
{
	bool more;

	disk->in_round = true;
	more = exchange(disk);
	while (count-- > 0 && deliver(disk))
		;
	disk->in_round = false;
	spin_lock(&disk->lock);
	return more || disk->again || !list_empty(&disk->finished);
}

static int step(struct job *job)
{
	struct host_disk *disk = container_of(job, struct host_disk, job);
	bool more = do_round(disk, DONE_A_STEP);

	disk->job_queued = more;
	spin_unlock(&disk->lock);
	return more ? ERR_AGAIN : 0;
}

void host_disk_interrupted(struct host_disk *disk)
{
	if (disk->in_round)
		disk->again = true;
	else
		leave(disk, do_round(disk, DONE_AN_INTERRUPT));
}
