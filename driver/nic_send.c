/* SPDX-License-Identifier: MIT */

/* What is sent by the host's NICs: clients, their memory, and whose turn it is. */

#include "driver/nic_driver.h"
#include "kernel/error.h"
#include "kernel/page.h"
#include "kernel/platform.h"

/*
 * What a frame costs besides its bytes. In bytes, as virtual time is at weight 1, but for the
 * scale, which keeps it exact enough at large weights.
 */
#define COST_OF_FRAME 256
#define TIME_SCALE    256

/*
 * While several clients are busy the device gets no more than this, so that what is given to it
 * next is not far from being sent. A client that it has nothing of is let in at once: for that some
 * places are kept free, also by one that is alone.
 */
#define SHARED_FRAMES 32
#define SHARED_BYTES  KIB(128)
#define SHARED_FOR_MS 10 /* after another was busy, since it may come back */
#define KEPT_FREE     16

#define STARTED_A_STEP 16 /* so that no stretch gets long */

#define ETHERNET_HEADER 14
#define VLAN_TAG        4

/*
 * A client's memory. The NIC's lock is held.
 */

static bool sends_long(const struct host_nic *nic)
{
	const struct net_abilities *sends = &nic->info.sends;

	return sends->csum && (sends->tso4 || sends->tso6 || sends->uso4 || sends->uso6);
}

static uint32_t grain_size(const struct host_nic *nic)
{
	return sends_long(nic) ? NIC_LONG_GRAIN : NIC_GRAIN;
}

static uint32_t longest_single(const struct host_nic *nic)
{
	return nic->info.mtu + ETHERNET_HEADER + VLAN_TAG;
}

/* Where so many free grains in a row begin, a bit each. */
static uint64_t free_runs(const struct nic_lane *lane, unsigned count)
{
	uint64_t runs = lane->free;

	for (unsigned have = 1, step; have < count; have += step) {
		step = have < count - have ? have : count - have;
		runs &= runs >> step;
	}
	return runs;
}

/* `first` and `count` are within the grains, and there are never all in one. */
static uint64_t grain_bits(unsigned first, unsigned count)
{
	return (BIT(count) - 1) << first;
}

static struct nic_buffer *reserve(struct nic_lane *lane, unsigned count)
{
	uint64_t runs = free_runs(lane, count);
	struct nic_buffer *buffer;
	unsigned first;

	if (!runs)
		return NULL;
	first = (unsigned)__builtin_ctzll(runs);
	lane->free &= ~grain_bits(first, count);
	buffer = &lane->buffers[first];
	*buffer = (struct nic_buffer){
	    .frame = lane->memory + (uint64_t)first * grain_size(lane->nic) + NIC_HEADROOM,
	    .lane = lane,
	    .grains = count,
	};
	return buffer;
}

static void stop_waiting(struct nic_lane *lane)
{
	lane->nic->wanting -= lane->wanted > 0;
	lane->wanted = 0;
	list_remove(&lane->link);
}

static void give_back(struct nic_buffer *buffer)
{
	struct nic_lane *lane = buffer->lane;

	lane->free |= grain_bits((unsigned)(buffer - lane->buffers), buffer->grains);
	if (lane->wanted && free_runs(lane, lane->wanted)) {
		stop_waiting(lane);
		list_push_back(&lane->nic->called, &lane->link);
	}
}

/*
 * From the clients to the device. The NIC's lock is held.
 */

static bool is_busy(const struct nic_lane *lane)
{
	return lane->queued + lane->started > 0;
}

void host_nic_sent(struct nic_buffer *buffer, bool sent)
{
	struct nic_lane *lane = buffer->lane;
	struct host_nic *nic = lane->nic;

	nic->started--;
	nic->bytes -= buffer->size;
	lane->started--;
	nic->busy -= !is_busy(lane);
	nic->counts.sent += sent;
	nic->counts.sent_bytes += sent ? buffer->size : 0;
	/* Of clients that have quit nobody misses it. */
	nic->counts.send_errors += !sent && lane->client;
	give_back(buffer);
	if (!lane->client && lane->started == 0) {
		nic->wanting--;
		list_push_back(&nic->ended, &lane->link);
	}
}

static uint64_t cost_of(const struct nic_lane *lane, const struct nic_buffer *buffer)
{
	uint64_t weight = lane->client->weight ? lane->client->weight : 1;

	return (buffer->size + COST_OF_FRAME) * (uint64_t)TIME_SCALE / weight;
}

/* Who has had nothing to send does not get what it did not ask for then. */
static void enqueue(struct nic_lane *lane, struct nic_buffer *buffer)
{
	struct host_nic *nic = lane->nic;

	nic->busy += !is_busy(lane);
	list_push_back(&lane->waiting, &buffer->link);
	if (lane->queued++ > 0)
		return;
	lane->node.key = max_u64(lane->node.key, nic->now);
	heap_insert(&nic->waiting, &lane->node);
}

/* The first frame that waits leaves its lane's queue. */
static void dequeue(struct nic_lane *lane, struct nic_buffer *buffer)
{
	struct host_nic *nic = lane->nic;

	list_remove(&buffer->link);
	heap_remove(&nic->waiting, &lane->node);
	lane->queued--;
	lane->started++;
	nic->started++;
	nic->bytes += buffer->size;
	nic->now = lane->node.key;
	lane->node.key += cost_of(lane, buffer);
	if (lane->queued > 0)
		heap_insert(&nic->waiting, &lane->node);
}

/* What is sent is taken back when there is need of it, without interrupts if possible. */
bool nic_collect(struct host_nic *nic)
{
	int error = nic->failed ? 0 : nic->driver->take_sent(nic);

	nic->failed |= error == ERR_IO;
	return error != 0;
}

static bool is_shared(struct host_nic *nic)
{
	uint64_t now = time_now();

	if (nic->busy > 1)
		nic->shared_until = now + platform.timebase / 1000 * SHARED_FOR_MS;
	return now < nic->shared_until;
}

/* Whether the lane may give the device one more. */
static bool may_start(struct host_nic *nic, const struct nic_lane *lane)
{
	if (nic->started >= nic->depth)
		return false;
	if (lane->started == 0)
		return true;
	if (is_shared(nic))
		return nic->started < SHARED_FRAMES && nic->bytes < SHARED_BYTES;
	return nic->started < nic->depth - min_u64(KEPT_FREE, nic->depth / 4);
}

static int start(struct host_nic *nic, struct nic_lane *lane)
{
	struct nic_buffer *buffer = list_entry(lane->waiting.next, struct nic_buffer, link);
	int error = ERR_IO;

	if (!nic->failed) {
		if (!may_start(nic, lane))
			return ERR_AGAIN;
		error = nic->driver->send(nic, buffer);
		if (error == ERR_AGAIN)
			return error;
	}
	dequeue(lane, buffer);
	if (error)
		host_nic_sent(buffer, false);
	return 0;
}

/* Gives the device what it has room for, a step's worth; returns whether there may be more. */
bool nic_start_some(struct host_nic *nic)
{
	unsigned count = 0, left = STARTED_A_STEP;
	bool collected = false;
	struct heap_node *node;

	while ((node = nic->waiting.root) != NULL && left > 0) {
		if (start(nic, container_of(node, struct nic_lane, node)) == 0) {
			count++;
			left--;
		} else if (collected) {
			break;
		} else {
			collected = true;
			nic_collect(nic);
		}
	}
	if (count && !nic->failed)
		nic->driver->tell(nic);
	return nic->waiting.root && left == 0;
}

int nic_buffer_get(struct nic_client *client, uint32_t size, struct nic_buffer **buffer)
{
	struct host_nic *nic = client->nic;
	struct nic_lane *lane = client->lane;
	unsigned count = (size + NIC_HEADROOM - 1) / grain_size(nic) + 1;
	int error = 0;

	if (size > (sends_long(nic) ? NET_FRAME_MAX : longest_single(nic)))
		return ERR_TOO_LARGE;
	spin_lock(&nic->lock);
	/* Who asks by himself is not called for what he asked before. */
	stop_waiting(lane);
	*buffer = reserve(lane, count);
	if (!*buffer && !nic->failed) {
		nic_collect(nic);
		*buffer = reserve(lane, count);
	}
	if (nic->failed) {
		if (*buffer)
			give_back(*buffer);
		error = ERR_IO;
	} else if (!*buffer) {
		nic->wanting++;
		lane->wanted = count;
		error = ERR_AGAIN;
	} else {
		(*buffer)->size = size;
	}
	nic_leave(nic, false);
	return error;
}

/* What the client may have got wrong does not get to the device. */
static bool is_sound(struct host_nic *nic, struct nic_buffer *buffer)
{
	bool single = buffer->header.gso_type == NET_GSO_NONE;

	if (!nic->info.sends.csum)
		buffer->header = (struct net_header){0};
	return buffer->size >= ETHERNET_HEADER &&
	       buffer->size <= (single ? longest_single(nic) : NET_FRAME_MAX) &&
	       buffer->size <= buffer->grains * grain_size(nic) - NIC_HEADROOM;
}

void nic_buffer_send(struct nic_buffer *buffer)
{
	struct host_nic *nic = buffer->lane->nic;
	bool sound = is_sound(nic, buffer);

	spin_lock(&nic->lock);
	if (sound) {
		enqueue(buffer->lane, buffer);
	} else {
		nic->counts.send_errors++;
		give_back(buffer);
	}
	nic_leave(nic, nic_start_some(nic));
}

void nic_buffer_drop(struct nic_buffer *buffer)
{
	struct host_nic *nic = buffer->lane->nic;

	spin_lock(&nic->lock);
	give_back(buffer);
	nic_leave(nic, false);
}

/*
 * Clients.
 */

void nic_free_lane(struct nic_lane *lane)
{
	if (lane->nic->stuck)
		return;
	page_free(lane->memory, page_order(NIC_GRAINS * (uint64_t)grain_size(lane->nic)));
	page_free(lane, page_order(sizeof(*lane)));
}

int nic_client_init(struct nic_client *client)
{
	struct host_nic *nic = client->nic;
	struct nic_lane *lane = page_alloc_zeroed(page_order(sizeof(*lane)));

	if (!lane)
		return ERR_NOMEM;
	lane->memory = page_alloc(page_order(NIC_GRAINS * (uint64_t)grain_size(nic)));
	if (!lane->memory) {
		page_free(lane, page_order(sizeof(*lane)));
		return ERR_NOMEM;
	}
	lane->nic = nic;
	lane->client = client;
	lane->free = UINT64_MAX;
	list_init(&lane->link);
	list_init(&lane->waiting);
	client->lane = lane;
	return 0;
}

static void cancel(struct nic_lane *lane)
{
	struct host_nic *nic = lane->nic;

	if (lane->queued > 0) {
		heap_remove(&nic->waiting, &lane->node);
		while (!list_empty(&lane->waiting)) {
			struct list *first = lane->waiting.next;

			list_remove(first);
			give_back(list_entry(first, struct nic_buffer, link));
		}
		lane->queued = 0;
		nic->busy -= !is_busy(lane);
	}
	stop_waiting(lane);
}

void nic_client_cancel(struct nic_client *client)
{
	struct host_nic *nic = client->nic;

	spin_lock(&nic->lock);
	cancel(client->lane);
	nic_leave(nic, false);
}

void nic_client_quit(struct nic_client *client)
{
	struct host_nic *nic = client->nic;
	struct nic_lane *lane = client->lane;
	bool idle;

	spin_lock(&nic->lock);
	cancel(lane);
	lane->client = NULL;
	idle = lane->started == 0;
	nic->wanting += !idle;
	nic_leave(nic, false);
	if (idle)
		nic_free_lane(lane);
}
