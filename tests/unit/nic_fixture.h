/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_NIC_FIXTURE_H
#define TESTS_UNIT_NIC_FIXTURE_H

/* A virtio NIC of the host's with three clients. For one source file of a test program. */

#include "tests/unit/fake_jobs.h"
#include "tests/unit/fake_plic.h"
#include "tests/unit/fake_time.h"
#include "tests/unit/fake_virtio_device.h"

#include "driver/nic_driver.h"
#include "driver/virtio/registry.h"
#include "kernel/page.h"
#include "vmm/copy.h"

#define RX 0
#define TX 1

#define CSUM       BIT(0)
#define GUEST_CSUM BIT(1)
#define MTU        BIT(3)
#define MAC        BIT(5)
#define GUEST_TSO4 BIT(7)
#define HOST_TSO4  BIT(11)
#define MRG_RXBUF  BIT(15)
#define STATUS     BIT(16)
#define EVENT_IDX  VIRTIO_F_EVENT_IDX
#define PACKED     VIRTIO_F_RING_PACKED

#define CLIENTS 3

static struct host_virtio virtio;
static struct host_nic *nic;
static struct nic_client clients[CLIENTS];
static unsigned ready_count[CLIENTS], page_count;
static struct {
	void *block;
	unsigned order;
} blocks[64];

/* What was received, and how many frames are to be kept. */
static struct net_header last_header;
static uint8_t last_frame[NET_FRAME_MAX];
static uint32_t last_size;
static unsigned received, keep_next, kept_count;
static struct nic_frame *kept[256];

void *page_alloc(unsigned order)
{
	for (unsigned i = 0; i < ARRAY_SIZE(blocks); i++) {
		if (blocks[i].block)
			continue;
		blocks[i].block = aligned_alloc(PAGE_SIZE, PAGE_SIZE << order);
		blocks[i].order = order;
		assert_non_null(blocks[i].block);
		memset(blocks[i].block, 0xa5, PAGE_SIZE << order);
		page_count += 1U << order;
		return blocks[i].block;
	}
	return NULL;
}

void *page_alloc_zeroed(unsigned order)
{
	void *block = page_alloc(order);

	preempt_point();
	if (block)
		memset(block, 0, PAGE_SIZE << order);
	return block;
}

void page_free(void *block, unsigned order)
{
	for (unsigned i = 0; i < ARRAY_SIZE(blocks); i++) {
		if (blocks[i].block != block)
			continue;
		assert_int_equal(blocks[i].order, order);
		free(block);
		blocks[i].block = NULL;
		page_count -= 1U << order;
		return;
	}
	fail_msg("freed what is not allocated");
}

void copy_bytes(void *to, const void *from, uint64_t size)
{
	memcpy(to, from, size);
}

/* Interrupts if the driver wanted that, and has all of its jobs done. */
static void settle(void)
{
	for (unsigned i = 0; i < 100 && (fake_device.events || queued_job); i++) {
		if (fake_device.events)
			plic_handler(plic_argument);
		run_jobs();
	}
}

static void config(unsigned offset, unsigned size, uint64_t value)
{
	memcpy(fake_device.config + offset, &value, size);
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	fake_device_reset();
	fake_device.queue_count = 2;
	platform.timebase = 10000000;
	memset(&virtio, 0, sizeof(virtio));
	memset(ready_count, 0, sizeof(ready_count));
	virtio.transport = &fake_transport;
	virtio.id = VIRTIO_ID_NET;
	virtio.interrupt = PLIC_SOURCE;
	strcpy(virtio.name, "virtio-net0");
	strcpy(virtio.path, "/soc/virtio@1");
	queued_job = NULL;
	received = keep_next = kept_count = 0;
	now = 1000;
	memcpy(fake_device.config, "\x52\x54\0\x12\x34\x56\1", 7);
	config(10, 2, 9000);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (host_nic_count()) {
		if (host_nic_user(nic))
			host_nic_close(nic);
		assert_int_equal(host_net_driver.unbind(&virtio), 0);
	}
	assert_int_equal(page_count, 0);
	return 0;
}

static bool receive(void *context, struct nic_frame *frame)
{
	uint32_t size = 0;

	assert_ptr_equal(context, &virtio);
	assert_true(spin_trylock(&nic->lock));
	spin_unlock(&nic->lock);
	assert_in_range(frame->piece_count, 1, NIC_PIECES_MAX);
	for (unsigned i = 0; i < frame->piece_count; i++) {
		assert_true(frame->pieces[i].size > 0);
		size += frame->pieces[i].size;
	}
	assert_int_equal(size, frame->size);
	nic_frame_read(frame, 0, last_frame, size);
	last_size = size;
	last_header = frame->header;
	received++;
	preempt_point();
	if (keep_next == 0)
		return true;
	keep_next--;
	kept[kept_count++] = frame;
	return false;
}

static void ready(struct nic_client *client)
{
	assert_true(spin_trylock(&nic->lock));
	spin_unlock(&nic->lock);
	ready_count[client - clients]++;
}

static void begin(uint64_t features)
{
	fake_device.offered |= features;
	assert_int_equal(host_net_driver.bind(&virtio), 0);
	assert_int_equal(host_nic_count(), 1);
	nic = host_nic_by_index(0);
}

static void open_it(uint64_t features)
{
	begin(features);
	assert_int_equal(host_nic_open(nic, "lan", receive, &virtio), 0);
}

static void begin_clients(void)
{
	for (unsigned i = 0; i < CLIENTS; i++) {
		clients[i] = (struct nic_client){.nic = nic, .weight = 100, .ready = ready};
		assert_int_equal(nic_client_init(&clients[i]), 0);
	}
}

static void end_clients(void)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		nic_client_quit(&clients[i]);
}

/* The device receives a frame of `size` bytes; where it says nonsense, in these. */
static int lie_buffers;
static uint32_t header_bytes = 12;

static inline void device_receives(uint32_t size, uint8_t seed)
{
	static struct fake_chain chains[NIC_PIECES_MAX + 1];
	static uint8_t bytes[12 + NET_FRAME_MAX + 1000];
	struct net_header *header = (void *)bytes;
	uint32_t total = header_bytes + size, at = 0, written[NIC_PIECES_MAX + 1];
	unsigned count = 0;

	memset(bytes, 0, header_bytes);
	for (uint32_t i = 0; i < size; i++)
		bytes[header_bytes + i] = (uint8_t)(seed + i * 13 + (i >> 8));
	for (; at < total; count++) {
		assert_true(fake_pop(RX, &chains[count]));
		assert_int_equal(chains[count].writable, 1);
		written[count] = (uint32_t)min_u64(total - at, chains[count].pieces[0].length);
		at += written[count];
	}
	header->flags = NET_HEADER_DATA_VALID;
	if (header_bytes == 12)
		header->num_buffers = (uint16_t)(lie_buffers >= 0 ? lie_buffers : (int)count);
	at = 0;
	for (unsigned i = 0; i < count; i++) {
		memcpy((void *)chains[i].pieces[0].address.v, bytes + at, written[i]);
		at += written[i];
		fake_push(&chains[i], written[i]);
	}
}

static inline void assert_received(uint32_t size, uint8_t seed)
{
	assert_int_equal(last_size, size);
	for (uint32_t i = 0; i < size; i++)
		assert_int_equal(last_frame[i], (uint8_t)(seed + i * 13 + (i >> 8)));
}

static inline unsigned send_frames(unsigned client, unsigned count, uint32_t size)
{
	struct nic_buffer *buffer;

	for (unsigned i = 0; i < count; i++) {
		int error = nic_buffer_get(&clients[client], size, &buffer);

		if (error) {
			assert_int_equal(error, ERR_AGAIN);
			return i;
		}
		assert_true(is_aligned((uint64_t)buffer->frame, 16));
		assert_int_equal(buffer->size, size);
		memset(buffer->frame, (int)client, size);
		nic_buffer_send(buffer);
	}
	return count;
}

/* The device sends up to so many; returns how many, and whose in `whose`. */
static inline unsigned device_sends(unsigned limit, unsigned whose[CLIENTS])
{
	struct fake_chain chain;
	unsigned count = 0;

	for (; count < limit && fake_pop(TX, &chain); count++) {
		const uint8_t *bytes = (const void *)chain.pieces[0].address.v;

		assert_int_equal(chain.readable, 1);
		assert_int_equal(chain.writable, 0);
		assert_true(chain.pieces[0].length >= header_bytes + 14);
		for (uint32_t i = header_bytes; i < chain.pieces[0].length; i++)
			assert_int_equal(bytes[i], bytes[header_bytes]);
		assert_int_equal(bytes[1], 0);
		whose[bytes[header_bytes]]++;
		fake_push(&chain, 0);
	}
	return count;
}

#endif
