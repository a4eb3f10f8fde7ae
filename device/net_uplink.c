/* SPDX-License-Identifier: MIT */

/* A switch's uplink: the port at which a network interface of the host's is plugged in. */

#include "driver/nic.h"
#include "kernel/arena.h"
#include "kernel/error.h"
#include "kernel/log.h"
#include "kernel/page.h"
#include "vmm/copy.h"
#include "vmm/hooks.h"
#include "vmm/net.h"
#include "vmm/schedule.h"

#define WAITING_MAX 64  /* frames that the NIC has received; more are dropped */
#define WORK_STEPS  16  /* of its job's */
#define LINK_BYTES  18U /* of an Ethernet header and a VLAN tag, which an MTU does not count */

/* More than a client and its frames take. */
#define LANE_BYTES KIB(288)

/* What one port sends. */
struct lane {
	struct nic_client client;
	struct net_port *port;
};

struct uplink {
	struct net_port port;
	const struct host_nic_info *info;
	struct host_nic *nic;

	struct job job;
	uint32_t queued; /* atomic */

	/* The boot hart's, in jobs: the first is on its way if `sending`. */
	struct nic_frame *frames[WAITING_MAX];
	unsigned head, tail;
	bool sending;
	struct net_source source;
	struct net_transfer transfer;
};

static struct uplink *uplink_of(struct net_port *port)
{
	return container_of(port, struct uplink, port);
}

/*
 * To the NIC.
 */

static bool begin_sending(struct net_port *port, struct net_abilities *to)
{
	*to = uplink_of(port)->info->sends;
	return true;
}

static int copy_part(void *context, uint64_t at, const void *from, uint64_t *size)
{
	struct nic_buffer *buffer = context;

	copy_bytes(buffer->frame + at, from, *size);
	return 0;
}

/* The largest of the frames that the NIC makes of it. */
static uint32_t largest_of(const struct net_piece *piece)
{
	return piece->header.gso_type == NET_GSO_NONE
		   ? piece->head_size + piece->payload_size
		   : (uint32_t)piece->header.hdr_len + piece->header.gso_size;
}

static int send_piece(struct net_port *port, struct net_port *from, struct net_piece *piece,
		      struct net_source *source)
{
	struct uplink *uplink = uplink_of(port);
	struct lane *lane = from->lane;
	struct nic_buffer *buffer;
	int error;

	if (!lane || largest_of(piece) > uplink->info->mtu + LINK_BYTES)
		return ERR_TOO_LARGE;
	error = nic_buffer_get(&lane->client, piece->head_size + piece->payload_size, &buffer);
	if (error)
		return error == ERR_AGAIN ? ERR_NOENT : error;
	error = net_piece_write(piece, source, copy_part, buffer);
	if (error) {
		nic_buffer_drop(buffer);
		return error;
	}
	copy_bytes(buffer->frame, piece->head, piece->head_size);
	buffer->header = piece->header;
	/* 5.1.6.2: of frames that are sent it is 0. */
	buffer->header.num_buffers = 0;
	nic_buffer_send(buffer);
	return 0;
}

static void has_room(struct nic_client *client)
{
	net_port_wake(container_of(client, struct lane, client)->port);
}

static int join(struct net_port *port, struct net_port *other, struct arena *arena)
{
	struct lane *lane = arena_alloc(arena, sizeof(*lane));
	int error;

	if (!lane)
		return ERR_NOMEM;
	lane->port = other;
	lane->client.nic = uplink_of(port)->nic;
	lane->client.weight = other->weight;
	lane->client.ready = has_room;
	error = nic_client_init(&lane->client);
	if (!error)
		other->lane = lane;
	return error;
}

static void leave(struct net_port *other)
{
	struct lane *lane = other->lane;

	nic_client_quit(&lane->client);
}

/*
 * From the NIC. All of this is in jobs.
 */

static int find_bytes(struct net_source *source, uint64_t offset, const void **at, uint64_t *size)
{
	struct uplink *uplink = container_of(source, struct uplink, source);
	const struct nic_frame *frame = uplink->frames[uplink->head % WAITING_MAX];
	unsigned n = 0;

	for (; offset >= frame->pieces[n].size; n++)
		offset -= frame->pieces[n].size;
	*at = frame->pieces[n].start + offset;
	*size = min_u64(*size, frame->pieces[n].size - offset);
	return 0;
}

static bool begin_frame(struct uplink *uplink)
{
	const struct nic_frame *frame = uplink->frames[uplink->head % WAITING_MAX];

	nic_frame_read(frame, 0, uplink->transfer.frame.head,
		       (uint32_t)min_u64(frame->size, NET_HEAD_MAX));
	return net_transfer_begin(&uplink->transfer, frame->size, &frame->header,
				  &uplink->info->receives) == 0;
}

/* What net_transfer_step() says; ERR_NOENT: there is no frame. */
static int work(struct uplink *uplink)
{
	int result = 0;

	if (uplink->head == uplink->tail)
		return ERR_NOENT;
	if (!uplink->sending)
		uplink->sending = begin_frame(uplink);
	if (uplink->sending)
		result = net_transfer_step(&uplink->transfer);
	if (result)
		return result;
	uplink->sending = false;
	nic_frame_release(uplink->frames[uplink->head++ % WAITING_MAX]);
	return ERR_AGAIN;
}

static int job_step(struct job *job)
{
	struct uplink *uplink = container_of(job, struct uplink, job);
	int result = ERR_AGAIN;

	__atomic_store_n(&uplink->queued, 0, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < WORK_STEPS && result == ERR_AGAIN; i++)
		result = work(uplink);
	if (result == ERR_AGAIN)
		uplink->port.ops->wake(&uplink->port);
	return 0;
}

static void wake(struct net_port *port)
{
	struct uplink *uplink = uplink_of(port);

	if (!__atomic_exchange_n(&uplink->queued, 1, __ATOMIC_SEQ_CST))
		schedule_job(&uplink->job, job_step);
}

static bool receive(void *context, struct nic_frame *frame)
{
	struct uplink *uplink = context;

	if (uplink->tail - uplink->head == WAITING_MAX)
		return true;
	uplink->frames[uplink->tail++ % WAITING_MAX] = frame;
	wake(&uplink->port);
	return false;
}

/*
 * Plugging in.
 */

static const struct net_port_ops uplink_ops = {
    .begin = begin_sending,
    .put = send_piece,
    .wake = wake,
    .join = join,
    .leave = leave,
};

static int plug_in(struct net *net, struct host_nic *nic)
{
	struct uplink *uplink = page_alloc_zeroed(page_order(sizeof(*uplink)));
	int error;

	if (!uplink)
		return ERR_NOMEM;
	uplink->nic = nic;
	uplink->info = host_nic_info(nic);
	uplink->source.find = find_bytes;
	uplink->transfer.from = &uplink->port;
	uplink->transfer.source = &uplink->source;
	uplink->port = (struct net_port){
	    .ops = &uplink_ops, .vm = "", .name = uplink->info->name, .shared = true};
	error = host_nic_open(nic, net->name, receive, uplink);
	if (!error)
		error = net_port_add(net, &uplink->port, NULL);
	if (error)
		return error;
	net->port_bytes = LANE_BYTES;
	net_port_open(&uplink->port);
	return 0;
}

bool machine_uplink(struct net *net)
{
	struct host_nic *nic = host_nic_by_name(net->uplink);
	int error;

	if (!nic) {
		log_error("/%s: pilae,uplink = \"%s\": there is no such network device; this "
			  "machine has %u, from virtio-net0 up",
			  net->name, net->uplink, host_nic_count());
		return false;
	}
	if (host_nic_user(nic)) {
		log_error("/%s: pilae,uplink = \"%s\": it is switch %s's", net->name, net->uplink,
			  host_nic_user(nic));
		return false;
	}
	error = plug_in(net, nic);
	if (error)
		log_error("/%s: pilae,uplink = \"%s\": %s", net->name, net->uplink,
			  error_string(error));
	return !error;
}
