/* SPDX-License-Identifier: MIT */
/* unit: device/virtio/net.c device/virtio/device.c device/virtio/mmio.c device/virtio/vring.c vmm/net.c vmm/net_transfer.c vmm/net_switch.c vmm/net_offload.c vmm/checksum.c vmm/copy.c */
#include "tests/unit/net_fixture.h"

static void test_registers(void **state)
{
	(void)state;
	ring_guest = B;
	assert_int_equal(rd(R_DEVICE_ID), 1);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(rd_sized(R_CONFIG + i, 1), address_of(B) >> (40 - 8 * i) & 0xff);
	assert_int_equal(rd_sized(R_CONFIG + 6, 2), 1);
	wr(R_FEATURES_SEL, 1);
	assert_int_equal(rd(R_FEATURES), nets[B].device.features >> 32);
}

static void test_deliver(void **state)
{
	(void)state;
	offer(B, 3, 1526);
	send(A, B, 100);
	run_all();
	assert_true(is_sent(A));
	assert_received(B, A, B, 100);
	/* Who sent it is told later. */
	assert_true(!guest_lines[A] && guest_lines[B] && !guest_lines[C]);
	fire(&nets[A].device.queues[1].timer);
	run_all();
	assert_true(guest_lines[A] && !guest_lines[C]);
	assert_true(receives_nothing(B));
	/* The largest, the smallest, and what is no frame. */
	offer(B, 1, 1526);
	send(A, B, 1514);
	run_all();
	assert_received(B, A, B, 1514);
	offer(B, 1, 1526);
	send(A, B, 14);
	run_all();
	assert_received(B, A, B, 14);
	offer(B, 1, 1526);
	send(A, B, 13);
	run_all();
	assert_true(is_sent(A) && is_sent(A) && is_sent(A) && !is_sent(A));
	assert_true(receives_nothing(B));
	assert_int_equal(nets[A].port.counts.malformed, 1);
	assert_int_equal(nets[B].port.counts.received, 3);
	assert_int_equal(nets[B].port.counts.received_bytes, 1628);
	assert_int_equal(nets[A].device.status & S_NEEDS_RESET, 0);
}

static void test_no_header(void **state)
{
	(void)state;
	put_frame(A, B, 100);
	driver_describe(&tx[A], 0, HEADER, 5, 0, 0);
	driver_offer(&tx[A], 0);
	notify(A, 1);
	run_all();
	assert_true(is_sent(A));
	assert_int_equal(nets[A].port.counts.malformed, 1);
}

static void test_broadcast(void **state)
{
	(void)state;
	offer(A, 0, 1526);
	offer(B, 0, 1526);
	offer(C, 0, 1526);
	send(A, BROADCAST, 60);
	run_all();
	assert_received(B, A, BROADCAST, 60);
	assert_received(C, A, BROADCAST, 60);
	assert_true(receives_nothing(A));
	/* Nobody waits for the one that has no room. */
	offer(C, 1, 1526);
	send(A, BROADCAST, 60);
	run_all();
	assert_received(C, A, BROADCAST, 60);
	assert_true(is_sent(A) && is_sent(A));
	assert_int_equal(nets[B].port.counts.dropped, 1);
}

static void test_forged(void **state)
{
	(void)state;
	offer(B, 0, 1526);
	put_frame(A, B, 60);
	put_address(ram + (FRAME + 6 - RAM_BASE), address_of(C));
	driver_offer(&tx[A], 0);
	notify(A, 1);
	run_all();
	assert_true(is_sent(A));
	assert_true(receives_nothing(B));
	assert_int_equal(lan->table.ports[nets[A].port.index].counters.forged, 1);
	send(A, NOBODY, 60);
	run_all();
	assert_true(is_sent(A));
	assert_true(receives_nothing(B) && receives_nothing(C));
}

/*
 * Buffers.
 */

static void test_mergeable(void **state)
{
	uint32_t n, written, at = 0;

	(void)state;
	begin_guest(B, PLAIN | F_MRG_RXBUF);
	for (unsigned i = 0; i < 10; i++)
		offer(B, i, i == 2 ? 7 : 1000);
	send(A, B, 5000);
	run_all();
	assert_true(is_sent(A));
	/* All but the last one are full. */
	for (unsigned i = 0; i < 7; i++) {
		assert_true(take(B, &n, &written));
		assert_int_equal(n, i);
		assert_int_equal(written, i == 2 ? 7 : i == 6 ? 5012 - 5007 : 1000);
		for (uint32_t j = 0; j < written; j++, at++) {
			if (at >= 12 + 12)
				assert_int_equal(guest_get(BUFFERS + i * ROOM + j, 1),
						 byte_at(A, at - 12));
		}
	}
	assert_int_equal(guest_get(BUFFERS + 10, 2), 7);
	assert_true(receives_nothing(B));
	/* The others are still there. */
	send(A, B, 2900);
	run_all();
	assert_true(take(B, &n, &written));
	assert_int_equal(n, 7);
	assert_int_equal(guest_get(BUFFERS + 7 * ROOM + 10, 2), 3);
}

static void test_does_not_fit(void **state)
{
	(void)state;
	offer(B, 0, 1000);
	send(A, B, 1514);
	run_all();
	assert_true(is_sent(A));
	assert_true(receives_nothing(B));
	assert_int_equal(nets[B].port.counts.dropped, 1);
	send(A, B, 988);
	run_all();
	assert_received(B, A, B, 988);
}

/* The frame waits, and goes on when there is room. */
static void test_waits_for_room(void **state)
{
	(void)state;
	send(A, B, 100);
	run_all();
	assert_false(is_sent(A));
	assert_true(is_set(&lan->timer));
	now += MS;
	offer(B, 0, 1526);
	notify(B, 0);
	run_all();
	assert_true(is_sent(A));
	assert_received(B, A, B, 100);
	/* What the timer was for is over. */
	fire_timer();
	run_all();
	assert_int_equal(nets[B].port.counts.dropped, 0);
	/* Part of the buffers for a large frame does not do; they are kept. */
	begin_guest(B, PLAIN | F_MRG_RXBUF);
	offer(B, 0, 1000);
	send(A, B, 1500);
	run_all();
	assert_false(is_sent(A));
	offer(B, 1, 1000);
	notify(B, 0);
	run_all();
	assert_true(is_sent(A));
	ring_guest = B;
	assert_int_equal(driver_used_index(&rx[B]), 2);
}

/* A guest that never reads holds up a frame, and then none. */
static void test_never_reads(void **state)
{
	(void)state;
	send(A, B, 100);
	run_all();
	assert_false(is_sent(A));
	fire_timer();
	run_all();
	assert_true(is_sent(A));
	assert_int_equal(nets[B].port.counts.dropped, 1);
	for (unsigned i = 0; i < 10; i++) {
		offer(C, i, 1526);
		send(A, B, 100);
		run_all();
		assert_true(is_sent(A));
		send(A, C, 100);
		run_all();
		assert_received(C, A, C, 100);
		assert_true(is_sent(A));
	}
	assert_int_equal(nets[B].port.counts.dropped, 11);
	/* As soon as it takes one, it is waited for again. */
	offer(B, 0, 1526);
	notify(B, 0);
	send(A, B, 100);
	run_all();
	assert_received(B, A, B, 100);
	send(A, B, 100);
	run_all();
	assert_true(is_sent(A) && !is_sent(A));
}

/* One that reads just in time cannot hold up the others all the time. */
static void test_reads_slowly(void **state)
{
	uint64_t held = 0, begin = now;
	unsigned lost = 0;

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		uint64_t before = now;

		send(A, B, 100);
		run_all();
		if (is_sent(A)) {
			lost++;
			now += MS / 2;
			continue;
		}
		now += 3 * MS;
		offer(B, i % SIZE, 1526);
		notify(B, 0);
		run_all();
		assert_true(is_sent(A));
		assert_received(B, A, B, 100);
		held += now - before;
	}
	assert_in_range(lost, 50, 190);
	assert_in_range(held, 1, (now - begin) * 6 / 10);
}

/*
 * Offloads.
 */

static void test_checksum(void **state)
{
	uint8_t segment[2000] = {10, 0, 0, 1, 10, 0, 0, 2, 0, 6, 966 >> 8, 966 & 0xff};
	uint32_t n, written;

	(void)state;
	begin_guest(A, PLAIN | F_CSUM);
	offer(B, 0, 1526);
	put_frame(A, B, 1000);
	make_tcp(1000);
	put_header(0, 0);
	driver_offer(&tx[A], 0);
	notify(A, 1);
	run_all();
	assert_true(take(B, &n, &written));
	assert_int_equal(written, 1012);
	assert_int_equal(guest_get(BUFFERS, 8), 0);
	memcpy(segment + 12, ram + (BUFFERS + 12 + 34 - RAM_BASE), 966);
	assert_int_equal(sum_of(segment, 978), 0);
	/* Who can do it gets it as it is. */
	begin_guest(B, PLAIN | F_GUEST_CSUM);
	offer(B, 0, 1526);
	ring_guest = A;
	driver_offer(&tx[A], 0);
	notify(A, 1);
	run_all();
	assert_true(take(B, &n, &written));
	assert_int_equal(guest_get(BUFFERS, 1), 1);
	assert_int_equal(guest_get(BUFFERS + 6, 4), 34 | 16 << 16);
}

static void test_segments(void **state)
{
	uint32_t n, written;

	(void)state;
	begin_guest(A, PLAIN | F_CSUM | F_HOST_TSO4);
	for (unsigned i = 0; i < 19; i++)
		offer(B, i, 1526);
	put_frame(A, B, 54 + 20 * 1000 - 1);
	make_tcp(54 + 20 * 1000 - 1);
	put_header(1, 1000);
	driver_offer(&tx[A], 0);
	notify(A, 1);
	run_all();
	for (unsigned i = 0; i < 19; i++) {
		assert_true(take(B, &n, &written));
		assert_int_equal(written, 12 + 1054);
		assert_int_equal(guest_get(BUFFERS + n * ROOM + 12 + 54, 1),
				 byte_at(A, 54 + i * 1000));
	}
	/* The last one waits for a buffer. */
	assert_false(is_sent(A));
	offer(B, 20, 1526);
	notify(B, 0);
	run_all();
	assert_true(take(B, &n, &written));
	assert_int_equal(written, 12 + 1053);
	assert_true(is_sent(A));
	assert_int_equal(nets[B].port.counts.received, 20);
}

/*
 * Others come and go.
 */

static void test_not_there(void **state)
{
	(void)state;
	ring_guest = B;
	offer(B, 0, 1526);
	ring_vm.state = VM_PAUSED;
	send(A, B, 100);
	run_all();
	assert_true(is_sent(A));
	assert_true(receives_nothing(B));
	ring_vms[B].state = VM_RUNNING;
	ring_guest = B;
	wr(R_STATUS, 0);
	send(A, B, 100);
	run_all();
	assert_true(is_sent(A));
	assert_int_equal(nets[B].port.counts.dropped, 2);
	begin_guest(B, PLAIN);
	offer(B, 0, 1526);
	send(A, B, 100);
	run_all();
	assert_received(B, A, B, 100);
}

/*
 * Bad rings.
 */

static void test_broken_receiver(void **state)
{
	(void)state;
	offer(B, 0, 1526);
	ring_guest = B;
	guest_put(rx[B].place.available + 2, 0x7777, 2);
	offer(C, 0, 1526);
	send(A, B, 100);
	run_all();
	send(A, C, 100);
	run_all();
	assert_int_equal(nets[B].device.status & S_NEEDS_RESET, S_NEEDS_RESET);
	assert_int_equal(nets[A].device.status & S_NEEDS_RESET, 0);
	assert_received(C, A, C, 100);
	assert_true(is_sent(A) && is_sent(A));
	/* A buffer to read is none. */
	begin_guest(B, PLAIN);
	ring_guest = B;
	driver_describe(&rx[B], 0, BUFFERS, 1526, 0, 0);
	driver_offer(&rx[B], 0);
	send(A, B, 100);
	run_all();
	assert_int_equal(nets[B].device.status & S_NEEDS_RESET, S_NEEDS_RESET);
	/* A loop. */
	begin_guest(B, PLAIN | F_MRG_RXBUF);
	ring_guest = B;
	driver_describe(&rx[B], 0, BUFFERS, 1, D_WRITE | D_NEXT, 0);
	driver_offer(&rx[B], 0);
	send(A, B, 100);
	run_all();
	assert_int_equal(nets[B].device.status & S_NEEDS_RESET, S_NEEDS_RESET);
}

static void test_broken_sender(void **state)
{
	(void)state;
	offer(B, 0, 1526);
	send(A, B, 100);
	driver_describe(&tx[A], 1, RAM_BASE + RAM_SIZE, 100, 0, 0);
	run_all();
	assert_int_equal(nets[A].device.status & S_NEEDS_RESET, S_NEEDS_RESET);
	assert_int_equal(nets[B].device.status & S_NEEDS_RESET, 0);
	assert_true(receives_nothing(B));
	send(C, B, 100);
	run_all();
	assert_received(B, C, B, 100);
}

static void test_no_memory(void **state)
{
	(void)state;
	offer(B, 0, 1526);
	send(A, B, 100);
	short_of_memory = true;
	run_all();
	short_of_memory = false;
	assert_int_equal(nets[B].device.status & S_NEEDS_RESET, 0);
}

static void test_legacy(void **state)
{
	(void)state;
	teardown(state);
	lan = NULL;
	assert_false(net_init(NULL));
	lan = net_by_name("lan0");
	unlocked[3] = &lan->lock;
	make_guest(A, false);
	make_guest(C, false);
	make_guest(B, true);
	wr(R_PAGE_SIZE, 4096);
	for (unsigned i = 0; i < 2; i++) {
		uint64_t base = i ? RING_TX : RING_RX;

		wr(R_QUEUE_SEL, i);
		wr(R_QUEUE_SIZE, SIZE);
		wr(R_QUEUE_ALIGN, 64);
		wr(R_QUEUE_PFN, (uint32_t)(base >> 12));
		*(i ? &tx[B] : &rx[B]) = driver_init(base, SIZE);
	}
	finish_setup();
	begin_guest(A, PLAIN);
	offer(A, 0, 1526);
	offer(B, 0, 1526);
	send(A, B, 100);
	send(B, A, 300);
	run_all();
	assert_received(B, A, B, 100);
	assert_received(A, B, A, 300);
}

/* Anything in rings and headers, in any order: all is in one piece afterwards. */
static uint64_t random_state = 88172645463325252;

static uint32_t pick(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)((random_state >> 20) % below);
}

static void spoil(void)
{
	static const uint64_t places[] = {RING_RX, RING_TX, HEADER, FRAME};

	guest_put(places[pick(4)] + pick(0x600), random_state >> 8, 1 + pick(8));
}

static void random_step(void)
{
	unsigned guest = pick(3), size = 14 + pick(6000);

	ring_guest = guest;
	switch (pick(8)) {
	case 0:
		spoil();
		break;
	case 1:
		begin_guest(guest, PLAIN | (pick(2) ? F_MRG_RXBUF : 0) | (pick(2) ? F_CSUM : 0) |
				       (pick(2) ? F_GUEST_CSUM : 0) | (pick(2) ? F_HOST_TSO4 : 0) |
				       (pick(2) ? F_GUEST_TSO4 : 0));
		break;
	case 2:
	case 3:
		offer(guest, pick(SIZE), pick(3) ? 1526 : pick(ROOM));
		notify(guest, 0);
		break;
	case 4:
		if (is_set(&lan->timer))
			fire_timer();
		now += pick(MS);
		break;
	default:
		put_frame(guest, pick(4) ? pick(3) : BROADCAST, size);
		make_tcp(size < 60 ? 60 : size);
		put_header(pick(3) ? 1 : 0, (uint16_t)(64 + pick(2000)));
		driver_offer(&tx[guest], 0);
		notify(guest, 1);
	}
	if (pick(2))
		run_all();
}

static void test_random(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 60000; i++)
		random_step();
	if (is_set(&lan->timer))
		fire_timer();
	run_all();
	for (unsigned i = 0; i < RING_GUESTS; i++) {
		ring_guest = i;
		memset(ram, 0, sizeof(ram));
		begin_guest(i, PLAIN);
	}
	offer(B, 0, 1526);
	send(A, B, 100);
	run_all();
	assert_received(B, A, B, 100);
}

static void test_addresses(void **state)
{
	uint64_t address = net_make_address("web", "net");

	(void)state;
	assert_int_equal(address >> 40 & 3, 2);
	assert_int_equal(address >> 48, 0);
	assert_int_equal(address, net_make_address("web", "net"));
	assert_int_not_equal(address, net_make_address("web", "net0"));
	assert_int_not_equal(address, net_make_address("webn", "et"));
}

static void test_ports(void **state)
{
	static struct net_device other;

	(void)state;
	assert_int_equal(net_device_init(&other, lan, "net", address_of(A), &ring_vm,
					 (struct irq_line){0}, false),
			 ERR_EXIST);
	assert_ptr_equal(lan->ports[nets[A].port.index], &nets[A].port);
	assert_null(net_by_name("lan1"));
	assert_null(net_next(lan));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_registers, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_deliver, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_no_header, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_broadcast, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_forged, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_mergeable, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_does_not_fit, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_waits_for_room, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_never_reads, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_reads_slowly, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_checksum, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_segments, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_not_there, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_broken_receiver, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_broken_sender, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_no_memory, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_legacy, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_random, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_addresses, setup_plain, teardown),
	    cmocka_unit_test_setup_teardown(test_ports, setup_plain, teardown),
	};

	return cmocka_run_group_tests_name("virtio_net", tests, NULL, NULL);
}
