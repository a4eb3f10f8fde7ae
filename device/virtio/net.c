/* SPDX-License-Identifier: MIT */
#include "device/virtio/net.h"

#include "kernel/error.h"
#include "kernel/mmu.h"
#include "kernel/platform.h"
#include "vmm/gmem.h"
#include "vmm/vm.h"

#include <string.h>

#define NET_DEVICE_ID 1

#define NET_RECEIVE  0
#define NET_TRANSMIT 1
#define NET_QUEUES   2

/* 5.1.3: features. */
#define NET_F_CSUM       BIT(0)
#define NET_F_GUEST_CSUM BIT(1)
#define NET_F_MAC        BIT(5)
#define NET_F_GUEST_TSO4 BIT(7)
#define NET_F_GUEST_TSO6 BIT(8)
#define NET_F_GUEST_ECN  BIT(9)
#define NET_F_HOST_TSO4  BIT(11)
#define NET_F_HOST_TSO6  BIT(12)
#define NET_F_HOST_ECN   BIT(13)
#define NET_F_MRG_RXBUF  BIT(15)
#define NET_F_STATUS     BIT(16)
#define NET_F_GUEST_USO4 BIT(54)
#define NET_F_GUEST_USO6 BIT(55)
#define NET_F_HOST_USO   BIT(56)

#define NET_S_LINK_UP 1

/*
 * How often a driver is told, at least, of what has been sent. A connection of Linux's may have
 * what it sends in a millisecond on its way to an interface, so that this keeps none waiting.
 */
#define SENT_TOLD_PER_SECOND 2000

/* 5.1.6.1: the legacy header ends before num_buffers, unless buffers are mergeable. */
#define LEGACY_HEADER_SIZE offsetof(struct net_header, num_buffers)

_Static_assert(sizeof(struct net_header) == 12, "5.1.6");

static struct net_device *net_of(struct virtio_device *device)
{
	return container_of(device, struct net_device, device);
}

static struct net_device *net_with(struct net_port *port)
{
	return container_of(port, struct net_device, port);
}

/* A legacy driver may change them at any moment: what sizes depend on is looked at once. */
static bool has(const struct net_device *net, uint64_t feature)
{
	return net->device.driver_features & feature;
}

static uint32_t header_size(const struct net_device *net, bool mergeable)
{
	return net->device.legacy && !mergeable ? LEGACY_HEADER_SIZE : sizeof(struct net_header);
}

/* What there is of one segment, `offset` bytes into a part of a chain. */
static struct vring_segment segment_at(const struct vring_chain *chain, bool writable,
				       uint64_t offset, uint64_t size)
{
	struct vring_cursor cursor = vring_seek(chain, writable, offset);

	return vring_next(chain, &cursor, size);
}

/*
 * Sending.
 */

static int find_bytes(struct net_source *source, uint64_t offset, const void **at, uint64_t *size)
{
	struct net_device *net = container_of(source, struct net_device, source);
	struct vring_segment segment =
	    segment_at(&net->chain, false, net->header_size + offset, *size);
	hpa_t hpa;
	int error = gmem_find(net->device.vm, segment.gpa, segment.length, &hpa, size);

	if (!error)
		*at = hpa_to_pointer(hpa);
	return error;
}

static struct net_abilities abilities_as_sender(const struct net_device *net)
{
	return (struct net_abilities){
	    .csum = has(net, NET_F_CSUM),
	    .tso4 = has(net, NET_F_HOST_TSO4),
	    .tso6 = has(net, NET_F_HOST_TSO6),
	    .ecn = has(net, NET_F_HOST_ECN),
	    .uso4 = has(net, NET_F_HOST_USO),
	    .uso6 = has(net, NET_F_HOST_USO),
	};
}

/* What is no frame, or may go nowhere, is taken all the same. An error is the ring's. */
static int begin_frame(struct net_device *net, struct virtio_queue *queue)
{
	struct net_abilities sender = abilities_as_sender(net);
	struct net_header header = {0};
	uint64_t size;
	int error;

	net->header_size = header_size(net, has(net, NET_F_MRG_RXBUF));
	size = net->chain.readable_bytes - min_u64(net->chain.readable_bytes, net->header_size);
	error = vring_read(&queue->ring, &net->chain, 0, &header,
			   min_u64(net->chain.readable_bytes, net->header_size));
	if (!error)
		error = vring_read(&queue->ring, &net->chain, net->header_size,
				   net->transfer.frame.head, min_u64(size, NET_HEAD_MAX));
	if (error)
		return error;
	net->sending = net_transfer_begin(&net->transfer, size, &header, &sender) == 0;
	return 0;
}

static int transmit(struct net_device *net, struct virtio_queue *queue)
{
	int result = 0;

	if (!net->sending) {
		result = vring_pop(&queue->ring, &net->chain);
		if (result)
			return result == ERR_NOENT ? 0 : result;
		result = begin_frame(net, queue);
		if (result)
			return result;
	}
	if (net->sending)
		result = net_transfer_step(&net->transfer);
	if (result)
		return result == NET_WAITS ? 0 : result;
	net->sending = false;
	queue->untold_bytes += net->chain.readable_bytes;
	result = vring_push(&queue->ring, net->chain.head, 0);
	return result ? result : ERR_AGAIN;
}

static void wake_sender(struct net_port *port)
{
	virtio_queue_wake(&net_with(port)->device.queues[NET_TRANSMIT]);
}

/*
 * Receiving: what a sender does, on its hart.
 */

static bool take_receiver(struct net_port *port)
{
	return virtio_queue_take(&net_with(port)->device.queues[NET_RECEIVE]);
}

static void give_receiver(struct net_port *port)
{
	struct net_device *net = net_with(port);
	int error = net->receive_error;

	net->receive_error = 0;
	virtio_queue_end(&net->device.queues[NET_RECEIVE], error);
}

/* One that is paused, or has not begun, takes nothing. */
static bool begin_receiving(struct net_port *port, struct net_abilities *to)
{
	struct net_device *net = net_with(port);

	if (__atomic_load_n(&net->device.vm->state, __ATOMIC_RELAXED) != VM_RUNNING ||
	    !virtio_queue_begin(&net->device.queues[NET_RECEIVE]))
		return false;
	net->mergeable = has(net, NET_F_MRG_RXBUF);
	net->receive_header_size = header_size(net, net->mergeable);
	*to = (struct net_abilities){
	    .csum = has(net, NET_F_GUEST_CSUM),
	    .tso4 = has(net, NET_F_GUEST_TSO4),
	    .tso6 = has(net, NET_F_GUEST_TSO6),
	    .ecn = has(net, NET_F_GUEST_ECN),
	    .uso4 = has(net, NET_F_GUEST_USO4),
	    .uso6 = has(net, NET_F_GUEST_USO6),
	    .data_valid = has(net, NET_F_GUEST_CSUM),
	};
	return true;
}

static int write_payload(void *context, uint64_t at, const void *from, uint64_t *size)
{
	struct net_device *net = context;
	struct vring_segment segment;

	if (at != net->place_at)
		net->place = vring_seek(&net->buffers.chain, true, net->receive_header_size + at);
	segment = vring_next(&net->buffers.chain, &net->place, *size);
	*size = segment.length;
	net->place_at = at + segment.length;
	return gmem_write(net->device.vm, segment.gpa, from, *size);
}

/* Into buffers that were taken for it, which have room for all. */
static int write_piece(struct net_device *net, struct vring *ring, struct net_piece *piece,
		       struct net_source *source)
{
	uint32_t size = net->receive_header_size;
	int error;

	net->place_at = UINT64_MAX;
	error = net_piece_write(piece, source, write_payload, net);

	if (error)
		return error;
	/* 5.1.6.4.1: it is 1 unless buffers are mergeable. */
	piece->header.num_buffers = (uint16_t)net->buffers.count;
	error = vring_write(ring, &net->buffers.chain, 0, &piece->header, size);
	return error ? error
		     : vring_write(ring, &net->buffers.chain, size, piece->head, piece->head_size);
}

static int receive(struct net_port *port, struct net_port *from, struct net_piece *piece,
		   struct net_source *source)
{
	struct net_device *net = net_with(port);
	struct vring *ring = &net->device.queues[NET_RECEIVE].ring;
	uint64_t bytes =
	    (uint64_t)net->receive_header_size + piece->head_size + piece->payload_size;
	int error =
	    vring_pop_batch(ring, &net->buffers, bytes, net->mergeable ? VRING_BATCH_MAX : 1);

	(void)from;
	if (error) {
		if (error != ERR_NOENT && error != ERR_TOO_LARGE && error != ERR_NOMEM)
			net->receive_error = error;
		return error;
	}
	/* What fails now is memory, the receiver's or the sender's. */
	error = write_piece(net, ring, piece, source);
	if (!error)
		error = vring_push_batch(ring, &net->buffers, bytes);
	if (error)
		vring_return_batch(ring, &net->buffers);
	return error ? ERR_NOMEM : 0;
}

/*
 * The device.
 */

/* It is there for others as soon as its driver uses it. */
static int net_work(struct virtio_device *device, struct virtio_queue *queue)
{
	struct net_device *net = net_of(device);

	net_port_open(&net->port);
	if (queue == &device->queues[NET_TRANSMIT])
		return transmit(net, queue);
	net_port_ready(&net->port);
	return 0;
}

static void net_reset(struct virtio_device *device, struct virtio_queue *queue)
{
	struct net_device *net = net_of(device);

	if (queue == &device->queues[NET_TRANSMIT])
		net->sending = false;
	else
		net_port_reset(&net->port);
}

static void net_close(struct virtio_device *device)
{
	net_port_close(&net_of(device)->port);
}

static void net_quit(struct virtio_device *device)
{
	net_port_remove(&net_of(device)->port);
}

static uint64_t features_for(bool legacy)
{
	uint64_t features = NET_F_CSUM | NET_F_GUEST_CSUM | NET_F_MAC | NET_F_GUEST_TSO4 |
			    NET_F_GUEST_TSO6 | NET_F_GUEST_ECN | NET_F_HOST_TSO4 | NET_F_HOST_TSO6 |
			    NET_F_HOST_ECN | NET_F_MRG_RXBUF | NET_F_STATUS;

	return legacy ? features : features | NET_F_GUEST_USO4 | NET_F_GUEST_USO6 | NET_F_HOST_USO;
}

int net_device_init(struct net_device *net, struct net *to, const char *name, uint64_t address,
		    struct vm *vm, struct irq_line irq, bool legacy)
{
	static const struct virtio_ops ops = {
	    .id = NET_DEVICE_ID,
	    .work = net_work,
	    .reset = net_reset,
	    .close = net_close,
	    .quit = net_quit,
	};
	static const struct net_port_ops port_ops = {
	    .take = take_receiver,
	    .give = give_receiver,
	    .begin = begin_receiving,
	    .put = receive,
	    .wake = wake_sender,
	};
	struct virtio_type type = {
	    .ops = &ops,
	    .features = features_for(legacy),
	    .queues = NET_QUEUES,
	    .config = &net->config,
	    .config_size = sizeof(net->config),
	};

	memset(net, 0, sizeof(*net));
	for (unsigned i = 0; i < MAC_BYTES; i++)
		net->config.mac[i] = (uint8_t)(address >> 8 * (MAC_BYTES - 1 - i));
	net->config.status = NET_S_LINK_UP;
	net->source.find = find_bytes;
	net->transfer.from = &net->port;
	net->transfer.source = &net->source;
	virtio_device_init(&net->device, &type, vm, irq, legacy);
	virtio_queue_be_patient(&net->device.queues[NET_TRANSMIT],
				platform.timebase / SENT_TOLD_PER_SECOND);
	net->port = (struct net_port){.ops = &port_ops,
				      .vm = vm->config.name,
				      .name = name,
				      .weight = vm->config.weight,
				      .address = address};
	return net_port_add(to, &net->port, &vm->arena);
}
