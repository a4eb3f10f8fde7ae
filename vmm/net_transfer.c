/* SPDX-License-Identifier: MIT */

/* Frames on their way from port to port. */

#include "kernel/error.h"
#include "kernel/platform.h"
#include "kernel/trap.h"
#include "vmm/net.h"

/*
 * For how long a frame waits for room, so that a sender that is quicker than its receiver loses
 * none; and what a receiver may make others wait at once, which it gets back in twice the time:
 * else it could keep them from all that they have to say to anybody.
 */
#define WAIT_MS     4
#define PATIENCE_MS 20

/* For an uplink, which has room for each sender: until its device can be taken to be stuck. */
#define SHARED_WAIT_MS 100

#define PIECES_A_STEP 8
#define COPY_STEP     KIB(4)

static uint64_t ticks_of(unsigned ms)
{
	return platform.timebase / 1000 * ms;
}

static void count(uint64_t *counter, uint64_t by)
{
	__atomic_fetch_add(counter, by, __ATOMIC_RELAXED);
}

int net_transfer_begin(struct net_transfer *transfer, uint64_t size, const struct net_header *wish,
		       const struct net_abilities *sender)
{
	struct net_port *from = transfer->from;
	struct switch_ports rest;
	int error = net_frame_check(&transfer->frame, size, wish, sender);

	if (error) {
		count(&from->counts.malformed, 1);
		return error;
	}
	if (!switch_forward(&from->net->table, from->index, transfer->frame.head, size, time_now(),
			    &transfer->to))
		return ERR_DENIED;
	rest = transfer->to;
	switch_next_port(&rest);
	transfer->single = switch_next_port(&rest) == SWITCH_NO_PORT;
	transfer->current = SWITCH_NO_PORT;
	transfer->begun = transfer->made = false;
	transfer->since = 0;
	return 0;
}

static void end_delivery(struct net_transfer *transfer)
{
	transfer->current = SWITCH_NO_PORT;
	transfer->begun = transfer->made = false;
	transfer->since = 0;
}

/*
 * Waiting.
 */

static void wait_locked(const struct net_transfer *transfer, struct net_port *port)
{
	port->waiting.word[transfer->from->index / 64] |= BIT(transfer->from->index % 64);
}

static void stop_waiting_locked(const struct net_transfer *transfer, struct net_port *port)
{
	port->waiting.word[transfer->from->index / 64] &= ~BIT(transfer->from->index % 64);
}

/* The timer's own lock comes before the switch's. */
static void set_timer(struct net *net)
{
	bool set;

	spin_lock(&net->lock);
	set = !net->armed;
	net->armed = true;
	spin_unlock(&net->lock);
	if (set)
		timer_set(&net->timer, time_now() + ticks_of(WAIT_MS));
}

static uint64_t patience_of(struct net_port *port, uint64_t now)
{
	port->patience =
	    min_u64(ticks_of(PATIENCE_MS), port->patience + (now - port->patience_at) / 2);
	port->patience_at = now;
	return port->patience;
}

static void end_wait(struct net_transfer *transfer, struct net_port *port, uint64_t now)
{
	if (transfer->since != 0 && !port->shared)
		port->patience -= min_u64(patience_of(port, now), now - transfer->since);
	transfer->since = 0;
}

/* Whether the frame is kept until there is room. What goes to many is not. */
static bool waits_for_room(struct net_transfer *transfer, struct net_port *port, uint64_t now)
{
	uint64_t limit = ticks_of(port->shared ? SHARED_WAIT_MS : WAIT_MS);

	if (!port->shared && (!transfer->single || port->stalled))
		return false;
	if (transfer->since == 0) {
		if (!port->shared && patience_of(port, now) < limit)
			return false;
		transfer->since = now;
	} else if (now - transfer->since >= limit) {
		if (!port->shared)
			port->stalled = true;
		return false;
	}
	spin_lock(&port->net->lock);
	wait_locked(transfer, port);
	spin_unlock(&port->net->lock);
	return true;
}

/*
 * Others want the port, too: they try before the sender does again, so that who is quickest does
 * not have it all the time. Whether it has to.
 */
static bool gives_way(const struct net_transfer *transfer, struct net_port *port)
{
	struct net *net = port->net;
	struct switch_ports others;
	bool any;

	if (port->shared)
		return false;
	spin_lock(&net->lock);
	others = port->waiting;
	any = switch_next_port(&others) != SWITCH_NO_PORT;
	if (any) {
		net_port_ready_locked(port);
		transfer->from->ops->wake(transfer->from);
	}
	spin_unlock(&net->lock);
	return any;
}

/*
 * Delivery.
 */

/*
 * Takes the port that the frame goes to. 0; ERR_NOENT: it is not there; NET_WAITS: somebody else
 * has it.
 */
static int take(const struct net_transfer *transfer, struct net_port **taken)
{
	struct net *net = transfer->from->net;
	struct net_port *port;
	int result = ERR_NOENT;

	spin_lock(&net->lock);
	port = net->ports[transfer->current];
	if (port && port->open) {
		result = port->shared || port->ops->take(port) ? 0 : NET_WAITS;
		if (result == 0)
			stop_waiting_locked(transfer, port);
		else
			wait_locked(transfer, port);
	} else if (port) {
		count(&port->counts.dropped, 1);
	}
	spin_unlock(&net->lock);
	*taken = port;
	return result;
}

/* false: the port takes nothing, or it was reset since the delivery began. */
static bool begin(struct net_transfer *transfer, struct net_port *port)
{
	struct net_abilities to;

	if (!port->ops->begin(port, &to) || (transfer->begun && transfer->life != port->life))
		return false;
	if (!transfer->begun)
		net_delivery_begin(&transfer->delivery, &transfer->frame, &to);
	transfer->begun = true;
	transfer->life = port->life;
	return true;
}

static bool has_more(const struct net_transfer *transfer)
{
	return transfer->made || transfer->delivery.next < transfer->delivery.count;
}

static int put_next(struct net_transfer *transfer, struct net_port *port)
{
	struct net_piece *piece = &transfer->piece;
	int error;

	if (!transfer->made)
		transfer->made = net_delivery_next(&transfer->delivery, piece);
	error = port->ops->put(port, transfer->from, piece, transfer->source);
	if (error)
		return error;
	transfer->made = false;
	if (!port->shared)
		port->stalled = false;
	count(&port->counts.received, 1);
	count(&port->counts.received_bytes, piece->head_size + piece->payload_size);
	return 0;
}

/* Some of the pieces. 0: that was all, or the rest cannot be delivered; ERR_AGAIN; NET_WAITS. */
static int deliver(struct net_transfer *transfer, struct net_port *port)
{
	uint64_t now;
	int error = begin(transfer, port) ? 0 : ERR_DENIED;

	for (unsigned i = 0; !error && i < PIECES_A_STEP && (i == 0 || has_more(transfer)); i++) {
		error = put_next(transfer, port);
		preempt_point();
	}
	now = time_now();
	if (error == ERR_NOENT && waits_for_room(transfer, port, now))
		return NET_WAITS;
	end_wait(transfer, port, now);
	if (error)
		count(&port->counts.dropped, 1);
	return !error && has_more(transfer) ? ERR_AGAIN : 0;
}

int net_transfer_step(struct net_transfer *transfer)
{
	struct net *net = transfer->from->net;
	struct net_port *port;
	bool gave_way;
	int result;

	if (transfer->current == SWITCH_NO_PORT)
		transfer->current = switch_next_port(&transfer->to);
	if (transfer->current == SWITCH_NO_PORT)
		return 0;
	result = take(transfer, &port);
	if (result == NET_WAITS) {
		/* Who has it may be ending it, and tell nobody. */
		set_timer(net);
		return result;
	}
	if (result != 0) {
		end_delivery(transfer);
		return ERR_AGAIN;
	}
	result = deliver(transfer, port);
	gave_way = result != NET_WAITS && gives_way(transfer, port);
	if (!port->shared)
		port->ops->give(port);
	if (result == NET_WAITS)
		set_timer(net);
	else if (result == 0)
		end_delivery(transfer);
	return gave_way || result == NET_WAITS ? NET_WAITS : ERR_AGAIN;
}

int net_piece_write(struct net_piece *piece, struct net_source *source,
		    int (*write)(void *context, uint64_t at, const void *from, uint64_t *size),
		    void *context)
{
	const void *from;
	int error;

	for (uint64_t done = 0, size; done < piece->payload_size; done += size) {
		size = min_u64(piece->payload_size - done, COPY_STEP);
		if (source->find(source, piece->payload + done, &from, &size) != 0)
			return ERR_IO;
		error = write(context, piece->head_size + done, from, &size);
		if (error)
			return error;
		if (piece->sums)
			checksum_add(&piece->checksum, from, size);
		preempt_point();
	}
	net_piece_finish(piece);
	return 0;
}
