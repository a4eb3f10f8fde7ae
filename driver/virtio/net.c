/* SPDX-License-Identifier: MIT */

/* The host's virtio network interfaces (Virtio 1.3, 5.1), for driver/nic.c. */

#include "driver/nic_driver.h"
#include "driver/virtio/registry.h"
#include "kernel/error.h"
#include "kernel/mmu.h"
#include "kernel/page.h"
#include "kernel/trap.h"

#include <string.h>

/* 5.1.3. */
#define F_CSUM       BIT(0)
#define F_GUEST_CSUM BIT(1)
#define F_MTU        BIT(3)
#define F_MAC        BIT(5)
#define F_GUEST_TSO4 BIT(7)
#define F_GUEST_TSO6 BIT(8)
#define F_GUEST_ECN  BIT(9)
#define F_HOST_TSO4  BIT(11)
#define F_HOST_TSO6  BIT(12)
#define F_HOST_ECN   BIT(13)
#define F_MRG_RXBUF  BIT(15)
#define F_STATUS     BIT(16)
#define F_ANY_LAYOUT BIT(27) /* of legacy devices alone: the header need not be on its own */
#define F_GUEST_USO4 BIT(54)
#define F_GUEST_USO6 BIT(55)
#define F_HOST_USO   BIT(56)
#define GUEST_LONG   (F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN | F_GUEST_USO4 | F_GUEST_USO6)
#define HOST_LONG    (F_HOST_TSO4 | F_HOST_TSO6 | F_HOST_ECN | F_HOST_USO)
#define WANTED                                                                                     \
	(F_CSUM | F_GUEST_CSUM | F_MTU | F_MAC | F_MRG_RXBUF | F_STATUS | GUEST_LONG | HOST_LONG | \
	 VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_RING_PACKED)

/* 5.1.4: offsets in the configuration. */
#define MAC_FIELD 0
#define STATUS    6
#define MTU_FIELD 10
#define LINK_UP   1

#define MAC_BYTES    6
#define MTU_USUAL    1500
#define MTU_MIN      68
#define FRAME_MIN    14
#define ROOM_FOR_MTU 18 /* Ethernet header and VLAN tag */

/* Queues that are used. */
#define RECEIVE  0
#define TRANSMIT 1

/*
 * Buffers for what is received are pages, so placed that the frame after the header is aligned.
 * Where they are not merged one has to be enough for a frame, so that there are no long ones.
 */
#define SIZE_MAX_USED  128 /* of either queue; so many buffers */
#define FRAME_AT       NIC_HEADROOM
#define SINGLE_MTU_MAX (PAGE_SIZE - FRAME_AT - ROOM_FOR_MTU)
#define TAKEN_A_STEP   16

struct host_net {
	struct host_nic nic;
	struct host_virtio *virtio;
	uint32_t header_size; /* in front of a frame, both ways */
	bool untold[2];       /* buffers were added to the queue */
	struct virtqueue queues[2];
	struct virtqueue_slot slots[2][SIZE_MAX_USED];

	/* Allocated while it is open: both rings, and the buffers. */
	char *rings;
	uint8_t *buffers;
	unsigned rings_order, buffers_order;

	/* A frame takes a buffer at least, so that there is always one for what is received. */
	struct list free_frames;
	struct nic_frame frames[SIZE_MAX_USED];
	struct nic_frame *partial; /* one of which buffers are missing still … */
	unsigned wanted;           /* … and how many it is in */
};

static struct host_net *net_of(struct host_nic *nic)
{
	return container_of(nic, struct host_net, nic);
}

/*
 * Sending. The NIC's lock is held.
 */

static int send(struct host_nic *nic, struct nic_buffer *buffer)
{
	struct host_net *net = net_of(nic);
	uint8_t *start = buffer->frame - net->header_size;
	struct virtqueue_buffer piece = {pointer_to_hpa(start), net->header_size + buffer->size};
	int error;

	/* 5.1.6.2.1: a driver says neither of these. */
	buffer->header.num_buffers = 0;
	buffer->header.flags &= NET_HEADER_NEEDS_CSUM;
	memcpy(start, &buffer->header, net->header_size);
	error = virtqueue_add(&net->queues[TRANSMIT], &piece, 1, 0, buffer);
	if (error)
		return error == ERR_AGAIN ? error : ERR_IO;
	net->untold[TRANSMIT] = true;
	return 0;
}

static void tell(struct host_nic *nic)
{
	struct host_net *net = net_of(nic);

	for (unsigned i = 0; i < ARRAY_SIZE(net->queues); i++) {
		if (net->untold[i] && virtqueue_wants_notice(&net->queues[i]))
			host_virtio_notify(net->virtio, &net->queues[i]);
		net->untold[i] = false;
	}
}

static int take_sent(struct host_nic *nic)
{
	struct virtqueue *queue = &net_of(nic)->queues[TRANSMIT];
	struct nic_buffer *buffer;
	uint32_t written;

	for (unsigned i = 0; i < TAKEN_A_STEP; i++) {
		buffer = virtqueue_take(queue, &written);
		if (!buffer)
			return queue->broken ? ERR_IO : 0;
		host_nic_sent(buffer, true);
	}
	return ERR_AGAIN;
}

/* What it was given is what the queue knows of. */
static int drop(struct host_nic *nic)
{
	struct virtqueue *queue = &net_of(nic)->queues[TRANSMIT];
	unsigned count = 0;

	for (unsigned i = 0; i < queue->size && count < TAKEN_A_STEP; i++) {
		if (!queue->slots[i].token)
			continue;
		host_nic_sent(queue->slots[i].token, false);
		queue->slots[i].token = NULL;
		count++;
	}
	return count == TAKEN_A_STEP ? ERR_AGAIN : 0;
}

/*
 * Receiving. The NIC's lock is held.
 */

static void give_buffer(struct host_net *net, unsigned index)
{
	uint8_t *page = net->buffers + index * PAGE_SIZE;
	uint32_t before = FRAME_AT - net->header_size;
	struct virtqueue_buffer piece = {pointer_to_hpa(page + before),
					 (uint32_t)PAGE_SIZE - before};

	/* There are as many as the queue has room for. */
	virtqueue_add(&net->queues[RECEIVE], &piece, 0, 1, page);
	net->untold[RECEIVE] = true;
}

static uint16_t index_of(const struct host_net *net, const uint8_t *page)
{
	return (uint16_t)((uint64_t)(page - net->buffers) / PAGE_SIZE);
}

static void release(struct host_nic *nic, struct nic_frame *frame)
{
	struct host_net *net = net_of(nic);

	for (unsigned i = 0; i < frame->piece_count; i++)
		give_buffer(net, frame->buffers[i]);
	list_push_back(&net->free_frames, &frame->link);
}

/* Such as have no room for the header are no frame's, and the device's again. */
static bool begin_frame(struct host_net *net, const uint8_t *page, uint32_t written)
{
	struct nic_frame *frame = list_entry(net->free_frames.next, struct nic_frame, link);

	if (written < net->header_size)
		return false;
	list_remove(&frame->link);
	frame->nic = &net->nic;
	frame->size = 0;
	frame->piece_count = 0;
	memcpy(&frame->header, page + FRAME_AT - net->header_size, net->header_size);
	/* 5.1.6.4: without merging some leave it as it was. */
	net->wanted = net->virtio->features & F_MRG_RXBUF ? frame->header.num_buffers : 1;
	frame->header.num_buffers = 1;
	net->partial = frame;
	return true;
}

static void add_piece(struct host_net *net, const uint8_t *page, uint32_t written)
{
	struct nic_frame *frame = net->partial;
	unsigned i = frame->piece_count++;
	uint32_t before = i == 0 ? FRAME_AT : FRAME_AT - net->header_size;
	uint32_t size = i == 0 ? written - net->header_size : written;

	frame->buffers[i] = index_of(net, page);
	frame->pieces[i].start = page + before;
	frame->pieces[i].size = size;
	frame->size += size;
}

/* All of its buffers are there. */
static bool is_frame(const struct nic_frame *frame)
{
	for (unsigned i = 0; i < frame->piece_count; i++) {
		if (frame->pieces[i].size == 0)
			return false;
	}
	return frame->size >= FRAME_MIN && frame->size <= NET_FRAME_MAX;
}

/* ERR_AGAIN: it was no whole frame; ERR_IO: what comes next cannot be told. */
static int take_buffer(struct host_net *net, uint8_t *page, uint32_t written,
		       struct nic_frame **frame)
{
	if (!net->partial && !begin_frame(net, page, written)) {
		host_nic_count_bad(&net->nic);
		give_buffer(net, index_of(net, page));
		return ERR_AGAIN;
	}
	if (net->wanted == 0 || net->wanted > NIC_PIECES_MAX)
		return ERR_IO;
	add_piece(net, page, written);
	if (net->partial->piece_count < net->wanted)
		return ERR_AGAIN;
	*frame = net->partial;
	net->partial = NULL;
	if (is_frame(*frame))
		return 0;
	host_nic_count_bad(&net->nic);
	release(&net->nic, *frame);
	*frame = NULL;
	return ERR_AGAIN;
}

static int receive(struct host_nic *nic, struct nic_frame **frame)
{
	struct host_net *net = net_of(nic);
	struct virtqueue *queue = &net->queues[RECEIVE];
	int error = ERR_AGAIN;

	for (unsigned i = 0; i < TAKEN_A_STEP && error == ERR_AGAIN; i++) {
		uint32_t written;
		uint8_t *page = virtqueue_take(queue, &written);

		if (!page)
			return queue->broken ? ERR_IO : ERR_NOENT;
		error = take_buffer(net, page, written, frame);
	}
	return error;
}

static bool arm(struct host_nic *nic, bool receives, unsigned sent)
{
	struct virtqueue *queues = net_of(nic)->queues;

	virtqueue_set_interrupt(&queues[RECEIVE], receives);
	virtqueue_set_interrupt(&queues[TRANSMIT], sent);
	return (receives && virtqueue_has_used(&queues[RECEIVE])) ||
	       (sent && virtqueue_has_used(&queues[TRANSMIT]));
}

static void handle_events(void *context, uint32_t events)
{
	struct host_net *net = context;

	host_nic_interrupted(&net->nic, events & HOST_VIRTIO_EVENT_CONFIG &&
					    host_virtio_needs_reset(net->virtio));
}

/*
 * Getting one going.
 */

/* Those of the features that make sense together, and with the buffers that it is given. */
static uint64_t sensible(struct host_virtio *virtio)
{
	uint64_t has = virtio->features;
	unsigned mtu = has & F_MTU ? host_virtio_config16(virtio, MTU_FIELD) : MTU_USUAL;

	if (!(has & F_CSUM))
		has &= ~HOST_LONG;
	if (!(has & F_GUEST_CSUM) || !(has & F_MRG_RXBUF))
		has &= ~GUEST_LONG;
	if (!(has & (F_HOST_TSO4 | F_HOST_TSO6)))
		has &= ~F_HOST_ECN;
	if (!(has & (F_GUEST_TSO4 | F_GUEST_TSO6)))
		has &= ~F_GUEST_ECN;
	if (mtu < MTU_MIN || (mtu > SINGLE_MTU_MAX && !(has & F_MRG_RXBUF)))
		has &= ~F_MTU;
	/*
	 * Who enables notices and then takes more has to move the place where it wants the next.
	 * QEMU 10 does not for packed rings, where it has waited for its backend to send.
	 */
	if (has & VIRTIO_F_RING_PACKED)
		has &= ~VIRTIO_F_EVENT_IDX;
	return has;
}

static int negotiate(struct host_virtio *virtio)
{
	int error = host_virtio_negotiate(virtio, WANTED | (virtio->legacy ? F_ANY_LAYOUT : 0));
	uint64_t features;

	if (error)
		return error;
	features = sensible(virtio);
	if (features != virtio->features)
		error = host_virtio_negotiate(virtio, features);
	return virtio->legacy && !(features & F_ANY_LAYOUT) ? ERR_NOSYS : error;
}

static uint64_t read_mac(struct host_virtio *virtio)
{
	uint64_t mac = 0;

	for (unsigned i = 0; i < MAC_BYTES && virtio->features & F_MAC; i++)
		mac = mac << 8 | host_virtio_config8(virtio, MAC_FIELD + i);
	/* That of many is nobody's. */
	return mac >> 40 & 1 ? 0 : mac;
}

static void read_info(struct host_net *net)
{
	struct host_virtio *virtio = net->virtio;
	uint64_t has = virtio->features;

	net->header_size = offsetof(struct net_header, num_buffers);
	if (!virtio->legacy || has & F_MRG_RXBUF)
		net->header_size = sizeof(struct net_header);
	net->nic.info = (struct host_nic_info){
	    .name = virtio->name,
	    .path = virtio->path,
	    .mac = read_mac(virtio),
	    .mtu = has & F_MTU ? host_virtio_config16(virtio, MTU_FIELD) : MTU_USUAL,
	    .sends = {.csum = has & F_CSUM,
		      .tso4 = has & F_HOST_TSO4,
		      .tso6 = has & F_HOST_TSO6,
		      .ecn = has & F_HOST_ECN,
		      .uso4 = has & F_HOST_USO,
		      .uso6 = has & F_HOST_USO},
	    .receives = {.csum = has & F_GUEST_CSUM,
			 .tso4 = has & F_GUEST_TSO4,
			 .tso6 = has & F_GUEST_TSO6,
			 .ecn = has & F_GUEST_ECN,
			 .uso4 = has & F_GUEST_USO4,
			 .uso6 = has & F_GUEST_USO6,
			 .data_valid = has & F_GUEST_CSUM},
	};
}

/* A power of two; 0: there is no such queue. */
static unsigned queue_size(struct host_net *net, unsigned index)
{
	unsigned most = host_virtio_queue_max(net->virtio, index);
	unsigned size = SIZE_MAX_USED;

	while (size > most)
		size /= 2;
	return size;
}

/* Both queues, and buffers in which nothing of others is seen that the device does not write. */
static int allocate(struct host_net *net, const struct virtqueue_kind kinds[2])
{
	uint64_t first = align_up(virtqueue_bytes(&kinds[0]), PAGE_SIZE);

	net->buffers_order = page_order(kinds[RECEIVE].size * PAGE_SIZE);
	net->rings_order = page_order(first + virtqueue_bytes(&kinds[1]));
	net->rings = page_alloc_zeroed(net->rings_order);
	preempt_point();
	net->buffers = page_alloc_zeroed(net->buffers_order);
	preempt_point();
	if (!net->rings || !net->buffers)
		return ERR_NOMEM;
	for (unsigned i = 0; i < ARRAY_SIZE(net->queues); i++) {
		char *at = net->rings + (i ? first : 0);

		virtqueue_init(&net->queues[i], &kinds[i], at, pointer_to_hpa(at), net->slots[i]);
	}
	return 0;
}

static void fill(struct host_net *net)
{
	list_init(&net->free_frames);
	net->partial = NULL;
	for (unsigned i = 0; i < net->queues[RECEIVE].size; i++) {
		list_push_back(&net->free_frames, &net->frames[i].link);
		give_buffer(net, i);
		if (i % 32 == 0)
			preempt_point();
	}
	net->nic.depth = net->queues[TRANSMIT].size;
}

static void free_memory(struct host_net *net)
{
	if (net->rings)
		page_free(net->rings, net->rings_order);
	if (net->buffers)
		page_free(net->buffers, net->buffers_order);
	net->rings = NULL;
	net->buffers = NULL;
}

static int set_up(struct host_net *net)
{
	struct virtqueue_kind kinds[2];
	int error = negotiate(net->virtio);

	if (error)
		return error;
	read_info(net);
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		kinds[i] = (struct virtqueue_kind){.size = queue_size(net, i),
						   .features = net->virtio->features};
		if (kinds[i].size == 0)
			return ERR_NOENT;
	}
	error = allocate(net, kinds);
	for (unsigned i = 0; i < ARRAY_SIZE(kinds) && !error; i++)
		error = host_virtio_set_queue(net->virtio, i, &net->queues[i]);
	return error;
}

static int stop(struct host_nic *nic)
{
	return host_virtio_reset(net_of(nic)->virtio);
}

static int open(struct host_nic *nic)
{
	struct host_net *net = net_of(nic);
	int error = set_up(net);

	if (error) {
		if (stop(nic) == 0)
			free_memory(net);
		return error;
	}
	fill(net);
	host_virtio_listen(net->virtio, handle_events, net);
	host_virtio_ready(net->virtio);
	spin_lock(&nic->lock);
	arm(nic, true, 0);
	tell(nic);
	spin_unlock(&nic->lock);
	return 0;
}

static void close(struct host_nic *nic)
{
	if (!nic->stuck)
		free_memory(net_of(nic));
}

static bool has_link(struct host_nic *nic)
{
	struct host_virtio *virtio = net_of(nic)->virtio;

	return !(virtio->features & F_STATUS) || host_virtio_config16(virtio, STATUS) & LINK_UP;
}

static const struct host_nic_driver driver = {
    .open = open,
    .stop = stop,
    .close = close,
    .has_link = has_link,
    .send = send,
    .tell = tell,
    .take_sent = take_sent,
    .receive = receive,
    .release = release,
    .arm = arm,
    .drop = drop,
};

/* It is known, but does not work until it is opened. */
static int bind(struct host_virtio *virtio)
{
	int error = negotiate(virtio);
	struct host_net *net;

	if (error)
		return error;
	net = page_alloc_zeroed(page_order(sizeof(*net)));
	if (!net)
		return ERR_NOMEM;
	net->virtio = virtio;
	net->nic.driver = &driver;
	read_info(net);
	virtio->data = net;
	error = host_nic_add(&net->nic);
	if (error)
		page_free(net, page_order(sizeof(*net)));
	return error;
}

static int unbind(struct host_virtio *virtio)
{
	struct host_net *net = virtio->data;
	int error = host_nic_remove(&net->nic);

	if (!error)
		page_free(net, page_order(sizeof(*net)));
	return error;
}

const struct host_virtio_driver host_net_driver = {
    .id = VIRTIO_ID_NET,
    .name = "network",
    .in_use = "it is the uplink of a switch",
    .bind = bind,
    .unbind = unbind,
};
