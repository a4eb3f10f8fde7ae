/* SPDX-License-Identifier: MIT */
/* unit: driver/virtio/queue.c driver/virtio/packed.c */

/*
 * The driver's side of a virtqueue and a device that writes anything, anywhere in the memory that
 * it shares. What comes back was given to it, and once; and nothing is left out of the count.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "driver/virtio/queue.h"
#include "kernel/error.h"

#define SIZE  8
#define TABLE 6
#define ENTRY 6 /* of a device's write: what to, and its bytes */

static _Alignas(4096) uint8_t memory[4096];
static struct virtqueue_slot slots[SIZE];
static struct virtqueue queue;
static uint8_t tokens[SIZE * 4];
static unsigned given; /* tokens that the device has */
static uint32_t room[sizeof(tokens)];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool right)
{
	if (!right)
		abort();
}

static void add(uint8_t what)
{
	struct virtqueue_buffer buffers[SIZE + 2];
	unsigned readable = what & 3, writable = what >> 2 & 7;
	uint8_t *token = NULL;

	for (unsigned i = 0; i < sizeof(tokens) && !token; i++) {
		if (!tokens[i])
			token = &tokens[i];
	}
	check(token);
	room[token - tokens] = 0;
	for (unsigned i = 0; i < readable + writable; i++) {
		buffers[i] = (struct virtqueue_buffer){HPA(0x1000 * (uint64_t)i), 16 + i};
		if (i >= readable)
			room[token - tokens] += 16 + i;
	}
	if (readable + writable > SIZE + 1 ||
	    virtqueue_add(&queue, buffers, readable, writable, token) != 0)
		return;
	check(!queue.broken);
	*token = 1;
	given++;
	virtqueue_wants_notice(&queue);
}

static void take(void)
{
	bool has = virtqueue_has_used(&queue);
	uint32_t written = 0;
	uint8_t *token = virtqueue_take(&queue, &written);

	check(has || !token);
	if (!token) {
		check(!has || queue.broken);
		return;
	}
	check(token >= tokens && token < tokens + sizeof(tokens) && *token);
	check(written <= room[token - tokens]);
	*token = 0;
	given--;
}

/* The free descriptors are as many as they should be, and in the list. */
static void check_slots(void)
{
	unsigned used = 0, tokens_there = 0, length = 0;
	uint16_t at = queue.free_head;

	for (unsigned i = 0; i < SIZE; i++) {
		tokens_there += slots[i].token != NULL;
		used += slots[i].token ? slots[i].count : 0;
	}
	check(tokens_there == given);
	check(used + queue.free_count == SIZE);
	for (; at < SIZE && length <= SIZE; at = slots[at].next)
		length++;
	check(length == (queue.packed ? SIZE - given : queue.free_count));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virtqueue_kind kind = {SIZE, TABLE, 0};
	uint64_t bytes;

	if (size < 1)
		return 0;
	kind.features = (data[0] & 1 ? VIRTIO_F_RING_PACKED : 0) |
			(data[0] & 2 ? VIRTIO_F_INDIRECT_DESC : 0) |
			(data[0] & 4 ? VIRTIO_F_EVENT_IDX : 0);
	bytes = virtqueue_bytes(&kind);
	check(bytes <= sizeof(memory));
	memset(memory, 0, sizeof(memory));
	memset(tokens, 0, sizeof(tokens));
	given = 0;
	virtqueue_init(&queue, &kind, memory, HPA(0x10000), slots);
	for (data++, size--; size >= ENTRY; data += ENTRY, size -= ENTRY) {
		uint64_t place = ((uint64_t)data[1] << 8 | data[2]) % (bytes - 4);

		switch (data[0] & 3) {
		case 0:
			add(data[1]);
			break;
		case 1:
			take();
			break;
		case 2:
			virtqueue_set_interrupt(&queue, data[1]);
			break;
		default:
			memcpy(memory + place, data + 3, data[0] & 4 ? 2 : 3);
		}
		check_slots();
	}
	return 0;
}
