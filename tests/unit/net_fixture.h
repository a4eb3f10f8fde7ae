/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_NET_FIXTURE_H
#define TESTS_UNIT_NET_FIXTURE_H

/* Three guests on a switch, and what their drivers do. For one source file of a test program. */

#define RING_GUESTS 3
#include "tests/unit/virtio_fixture.h"

#include "device/virtio/net.h"
#include "kernel/log.h"
#include "kernel/mmu.h"
#include "kernel/page.h"
#include "kernel/platform.h"
#include "vmm/net.h"
#include "vmm/vmconfig.h"

#include <stdio.h>
#include <stdlib.h>

#define RING_RX (RAM_BASE + 0x1000)
#define RING_TX (RAM_BASE + 0x3000)
#define HEADER  (RAM_BASE + 0x5000) /* of a frame that is sent, which follows it … */
#define FRAME   (RAM_BASE + 0x6000) /* … here */
#define BUFFERS (RAM_BASE + 0x20000)
#define ROOM    0x800 /* from one buffer to the next */
#define SIZE    64

#define A         0
#define B         1
#define C         2
#define BROADCAST 99
#define NOBODY    98

#define F_CSUM       BIT(0)
#define F_GUEST_CSUM BIT(1)
#define F_GUEST_TSO4 BIT(7)
#define F_HOST_TSO4  BIT(11)
#define F_MRG_RXBUF  BIT(15)
#define PLAIN        (VIRTIO_F_VERSION_1 | BIT(5))

#define TIMEBASE 10000000
#define MS       (TIMEBASE / 1000)

static struct net_device nets[RING_GUESTS];
static struct ring_driver rx[RING_GUESTS], tx[RING_GUESTS];
static struct net *lan;
static bool legacy[RING_GUESTS];

uint64_t direct_map_offset;
struct platform platform = {.timebase = TIMEBASE};

static inline void fire_timer(void)
{
	fire(&lan->timer);
}

void log_at(enum log_level level, const char *format, ...)
{
	(void)level, (void)format;
}

void *page_alloc_zeroed(unsigned order)
{
	return calloc(1, PAGE_SIZE << order);
}

/* What the switch's uplink is, if it has one. */
#ifndef NET_UPLINK
#define NET_UPLINK NULL

bool machine_uplink(struct net *net)
{
	(void)net;
	fail();
	return false;
}
#endif

int vmconfig_next_switch(const struct fit *fit, int node)
{
	(void)fit;
	return node < 2 ? node + 1 : -1;
}

/* The second of them is bad. */
int vmconfig_read_switch(struct vmconfig_switch *config, const struct fit *fit, int node)
{
	(void)fit;
	*config = (struct vmconfig_switch){.node = node, .name = "lan0", .uplink = NET_UPLINK};
	return node == 2 ? ERR_EXIST : 0;
}

int gmem_find(struct vm *vm, gpa_t gpa, uint64_t size, hpa_t *hpa, uint64_t *piece)
{
	int error = check_access(gpa, size);

	*hpa = pointer_to_hpa(ram_of(vm) + (gpa.v - RAM_BASE));
	/* Memory is in pieces of 4 KiB. */
	*piece = min_u64(size, PAGE_SIZE - gpa.v % PAGE_SIZE);
	return error;
}

static inline uint64_t address_of(unsigned guest)
{
	return guest == BROADCAST ? MAC_BROADCAST : UINT64_C(0x020000000000) + guest;
}

static inline void put_address(uint8_t *at, uint64_t address)
{
	for (unsigned i = 0; i < 6; i++)
		at[i] = (uint8_t)(address >> (40 - 8 * i));
}

/*
 * Setting up.
 */

static inline void begin_guest(unsigned guest, uint64_t features)
{
	ring_guest = guest;
	begin_setup(features);
	memset(ram + (RING_RX - RAM_BASE), 0, HEADER - RING_RX);
	rx[guest] = set_queue(0, RING_RX, SIZE);
	tx[guest] = set_queue(1, RING_TX, SIZE);
	finish_setup();
}

static inline void make_guest(unsigned guest, bool is_legacy)
{
	struct net_device *net = &nets[guest];

	ring_guest = guest;
	legacy[guest] = is_legacy;
	guest_reset();
	ring_vm.state = VM_RUNNING;
	ring_vm.config.weight = 100;
	snprintf(ring_vm.config.name, sizeof(ring_vm.config.name), "vm%u", guest);
	assert_int_equal(net_device_init(net, lan, "net", address_of(guest), &ring_vm,
					 (struct irq_line){0}, is_legacy),
			 0);
	virtio_slot_init(&slot, 0, &net->device);
	net->device.irq = test_line();
}

static inline int setup_plain(void **state)
{
	(void)state;
	now = 1000 * MS;
	memset(timers, 0, sizeof(timers));
	assert_false(net_init(NULL));
	lan = net_by_name("lan0");
	assert_non_null(lan);
	for (unsigned i = 0; i < RING_GUESTS; i++)
		make_guest(i, false);
	line = false;
	quiesced = vcpu_work = job_count = 0;
	hart.reschedule = 0;
	for (unsigned i = 0; i < RING_GUESTS; i++) {
		guest_lines[i] = false;
		unlocked[i] = &nets[i].device.lock;
	}
	unlocked[3] = &lan->lock;
	for (unsigned i = 0; i < RING_GUESTS; i++)
		begin_guest(i, PLAIN);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < RING_GUESTS; i++) {
		if (lan->ports[nets[i].port.index])
			nets[i].device.type.ops->quit(&nets[i].device);
	}
	free(lan);
	lan = NULL;
	return 0;
}

/*
 * Drivers.
 */

/* Offers buffer `n`, of `size` bytes. */
static inline void offer(unsigned guest, unsigned n, uint32_t size)
{
	ring_guest = guest;
	memset(ram + (BUFFERS + n * ROOM - RAM_BASE), 0xee, ROOM);
	driver_describe(&rx[guest], n, BUFFERS + n * ROOM, size, D_WRITE, 0);
	driver_offer(&rx[guest], n);
}

static inline void notify(unsigned guest, unsigned queue)
{
	ring_guest = guest;
	wr(R_NOTIFY, queue);
}

/* The byte of a frame that is sent. */
static inline uint8_t byte_at(unsigned guest, unsigned at)
{
	return (uint8_t)(at * 7 + at / 253 + guest);
}

/* A frame with addresses and bytes that tell their place; it is offered, but not notified of. */
static inline void put_frame(unsigned from, unsigned to, uint32_t size)
{
	uint8_t *frame;
	uint32_t header = legacy[from] ? 10 : 12;

	ring_guest = from;
	frame = ram + (FRAME - RAM_BASE);
	memset(ram + (HEADER - RAM_BASE), 0, 12);
	for (unsigned i = 0; i < size; i++)
		frame[i] = byte_at(from, i);
	put_address(frame, address_of(to));
	put_address(frame + 6, address_of(from));
	driver_describe(&tx[from], 0, HEADER, header, D_NEXT, 1);
	driver_describe(&tx[from], 1, FRAME, size, 0, 0);
}

static inline void send(unsigned from, unsigned to, uint32_t size)
{
	put_frame(from, to, size);
	driver_offer(&tx[from], 0);
	notify(from, 1);
}

/* Whether the frame has been taken from the sender since this was last asked. */
static inline bool is_sent(unsigned guest)
{
	uint32_t head, written;

	ring_guest = guest;
	return driver_take(&tx[guest], &head, &written);
}

/* Takes a used buffer; its number, and what was written. */
static inline bool take(unsigned guest, uint32_t *n, uint32_t *written)
{
	ring_guest = guest;
	return driver_take(&rx[guest], n, written);
}

static inline bool receives_nothing(unsigned guest)
{
	uint32_t n, written;

	return !take(guest, &n, &written);
}

/* The next used buffer has a whole frame, as put_frame() made it. */
static inline void assert_received(unsigned guest, unsigned from, unsigned to, uint32_t size)
{
	uint32_t n, written, header = legacy[guest] ? 10 : 12;
	uint8_t addresses[12];
	const uint8_t *at;

	assert_true(take(guest, &n, &written));
	assert_int_equal(written, size + header);
	at = ram + (BUFFERS + n * ROOM - RAM_BASE);
	if (!legacy[guest])
		assert_int_equal(at[10] | at[11] << 8, 1);
	put_address(addresses, address_of(to));
	put_address(addresses + 6, address_of(from));
	assert_memory_equal(at + header, addresses, 12);
	for (unsigned i = 12; i < size; i++)
		assert_int_equal(at[header + i], byte_at(from, i));
	assert_int_equal(at[header + size], 0xee);
}

static inline uint16_t sum_of(const uint8_t *bytes, uint32_t size)
{
	struct checksum checksum;

	checksum_begin(&checksum);
	checksum_add(&checksum, bytes, size);
	return checksum_end(&checksum);
}

/* An IPv4 and TCP header before 54 bytes from the frame's start, with the pseudo header's sum. */
static inline void make_tcp(uint32_t size)
{
	uint8_t *frame = ram + (FRAME - RAM_BASE), pseudo[12] = {10, 0, 0, 1, 10, 0, 0, 2, 0, 6};
	static const uint8_t ip[] = {0x45, 0, 0,  0, 0, 0, 0,  0, 64, 6,
				     0,    0, 10, 0, 0, 1, 10, 0, 0,  2};
	uint16_t sum;

	frame[12] = 8, frame[13] = 0;
	memcpy(frame + 14, ip, sizeof(ip));
	frame[16] = (uint8_t)((size - 14) >> 8), frame[17] = (uint8_t)(size - 14);
	memset(frame + 34, 0, 20);
	frame[46] = 5 << 4;
	frame[47] = 0x18;
	pseudo[10] = (uint8_t)((size - 34) >> 8), pseudo[11] = (uint8_t)(size - 34);
	sum = (uint16_t)~sum_of(pseudo, sizeof(pseudo));
	frame[50] = (uint8_t)(sum >> 8), frame[51] = (uint8_t)sum;
}

static inline void put_header(uint8_t gso_type, uint16_t gso_size)
{
	guest_put(HEADER, 1, 1);
	guest_put(HEADER + 1, gso_type, 1);
	guest_put(HEADER + 4, gso_size, 2);
	guest_put(HEADER + 6, 34, 2);
	guest_put(HEADER + 8, 16, 2);
}

#endif
