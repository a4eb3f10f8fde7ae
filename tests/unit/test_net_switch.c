/* SPDX-License-Identifier: MIT */
/* unit: vmm/net_switch.c */

#include "tests/unit/fake_kernel.h"
#include "vmm/net_switch.h"

#include "kernel/error.h"

#define TIMEBASE 10000000
#define SECOND   ((uint64_t)TIMEBASE)
#define A        UINT64_C(0x525400000001)
#define B        UINT64_C(0x525400000002)
#define C        UINT64_C(0x525400000003)
#define OUTSIDE  UINT64_C(0x0a0000000001)
#define OUTSIDE2 UINT64_C(0x0a0000000002)
#define GROUP    UINT64_C(0x01005e000001)

static struct net_switch net;
static uint16_t port_a, port_b, port_c, uplink;
static uint64_t now;

static int setup(void **state)
{
	(void)state;
	switch_init(&net, TIMEBASE);
	now = 1000 * SECOND;
	assert_int_equal(switch_add_port(&net, A, &port_a), 0);
	assert_int_equal(switch_add_port(&net, B, &port_b), 0);
	assert_int_equal(switch_add_port(&net, C, &port_c), 0);
	return 0;
}

static void add_uplink(void)
{
	assert_int_equal(switch_add_port(&net, 0, &uplink), 0);
}

static void write_address(uint8_t *bytes, uint64_t address)
{
	for (unsigned i = 0; i < MAC_BYTES; i++)
		bytes[i] = (uint8_t)(address >> (8 * (MAC_BYTES - 1 - i)));
}

static bool send(uint16_t from, uint64_t source, uint64_t destination, struct switch_ports *to)
{
	uint8_t addresses[2 * MAC_BYTES];

	write_address(addresses, destination);
	write_address(addresses + MAC_BYTES, source);
	return switch_forward(&net, from, addresses, 100, now, to);
}

/* The ports that a frame goes to, as bits; those above 63 are not among them. */
static uint64_t forward(uint16_t from, uint64_t source, uint64_t destination)
{
	struct switch_ports to;
	uint64_t bits = 0;
	uint16_t port;
	bool any = send(from, source, destination, &to);

	while ((port = switch_next_port(&to)) < 64)
		bits |= BIT(port);
	return any ? bits : 0;
}

/* The one port that it goes to. */
static uint16_t forward_to_one(uint16_t from, uint64_t source, uint64_t destination)
{
	struct switch_ports to;
	uint16_t port;

	assert_true(send(from, source, destination, &to));
	port = switch_next_port(&to);
	assert_int_equal(switch_next_port(&to), SWITCH_NO_PORT);
	return port;
}

static void test_between_ports(void **state)
{
	(void)state;
	assert_int_equal(forward(port_a, A, B), BIT(port_b));
	assert_int_equal(forward(port_b, B, A), BIT(port_a));
	assert_int_equal(forward(port_a, A, A), 0);
	assert_int_equal(net.ports[port_a].counters.forwarded, 1);
	assert_int_equal(net.ports[port_a].counters.bytes, 100);
}

static void test_groups(void **state)
{
	(void)state;
	assert_int_equal(forward(port_a, A, MAC_BROADCAST), BIT(port_b) | BIT(port_c));
	assert_int_equal(forward(port_c, C, GROUP), BIT(port_a) | BIT(port_b));
	add_uplink();
	assert_int_equal(forward(port_a, A, MAC_BROADCAST),
			 BIT(port_b) | BIT(port_c) | BIT(uplink));
	assert_int_equal(forward(uplink, OUTSIDE, MAC_BROADCAST),
			 BIT(port_a) | BIT(port_b) | BIT(port_c));
	/* What bridges say to each other is not passed on. */
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(forward(port_a, A, UINT64_C(0x0180c2000000) + i), 0);
	assert_int_not_equal(forward(port_a, A, UINT64_C(0x0180c2000010)), 0);
}

static void test_forged(void **state)
{
	(void)state;
	add_uplink();
	assert_int_equal(forward(port_a, B, C), 0);
	assert_int_equal(forward(port_a, 0, C), 0);
	assert_int_equal(forward(port_a, MAC_BROADCAST, C), 0);
	assert_int_equal(forward(port_a, OUTSIDE, C), 0);
	assert_int_equal(net.ports[port_a].counters.forged, 4);
	/* Nor from outside. */
	assert_int_equal(forward(uplink, A, B), 0);
	assert_int_equal(forward(uplink, 0, B), 0);
	assert_int_equal(forward(uplink, GROUP, B), 0);
	assert_int_equal(net.ports[uplink].counters.forged, 3);
	assert_int_equal(forward(port_b, B, A), BIT(port_a));
}

static void test_unknown(void **state)
{
	(void)state;
	assert_int_equal(forward(port_a, A, OUTSIDE), 0);
	assert_int_equal(net.ports[port_a].counters.unknown, 1);
	add_uplink();
	assert_int_equal(forward(port_a, A, OUTSIDE), BIT(uplink));
	/* It is not sent back to where it came from, nor to those it is not for. */
	assert_int_equal(forward(uplink, OUTSIDE, OUTSIDE2), 0);
	assert_int_equal(forward(uplink, OUTSIDE2, OUTSIDE), 0);
}

/* More than the allowance of frames for many are dropped; others are not. */
static void test_storm(void **state)
{
	unsigned passed = 0;

	(void)state;
	for (unsigned i = 0; i < 10 * SWITCH_FLOOD_BURST; i++)
		passed += forward(port_a, A, MAC_BROADCAST) != 0;
	assert_int_equal(passed, SWITCH_FLOOD_BURST);
	assert_int_equal(net.ports[port_a].counters.flooded, 9 * SWITCH_FLOOD_BURST);
	assert_int_equal(forward(port_a, A, B), BIT(port_b));
	assert_int_not_equal(forward(port_b, B, MAC_BROADCAST), 0);

	for (unsigned i = 0; i < 10 * SWITCH_FLOOD_RATE; i++) {
		now += SECOND / SWITCH_FLOOD_RATE / 2;
		passed += forward(port_a, A, MAC_BROADCAST) != 0;
	}
	assert_in_range(passed, SWITCH_FLOOD_BURST + 5 * SWITCH_FLOOD_RATE - 1,
			SWITCH_FLOOD_BURST + 5 * SWITCH_FLOOD_RATE);
	/* A rest restores no more than a burst. */
	now += 1000 * SECOND;
	passed = 0;
	for (unsigned i = 0; i < 2 * SWITCH_FLOOD_BURST; i++)
		passed += forward(port_a, A, MAC_BROADCAST) != 0;
	assert_int_equal(passed, SWITCH_FLOOD_BURST);
}

/* One that has been heard is not flooded, but as soon as it has been silent for long. */
static void test_learned(void **state)
{
	(void)state;
	add_uplink();
	forward(uplink, OUTSIDE, A);
	for (unsigned i = 0; i < 10 * SWITCH_FLOOD_BURST; i++)
		assert_int_equal(forward(port_a, A, OUTSIDE), BIT(uplink));
	now += SWITCH_AGE_S * SECOND + 1;
	for (unsigned i = 0; i < SWITCH_FLOOD_BURST; i++)
		assert_int_equal(forward(port_a, A, OUTSIDE), BIT(uplink));
	assert_int_equal(forward(port_a, A, OUTSIDE), 0);
	forward(uplink, OUTSIDE, A);
	assert_int_equal(forward(port_a, A, OUTSIDE), BIT(uplink));
}

/* However many there are outside, VMs' own addresses stay known, and can be added. */
static void test_many_outside(void **state)
{
	uint16_t port;

	(void)state;
	add_uplink();
	for (uint64_t i = 0; i < 100000; i++) {
		now++;
		assert_int_equal(forward(uplink, OUTSIDE + i, A), BIT(port_a));
	}
	assert_int_equal(forward(port_a, A, OUTSIDE + 99999), BIT(uplink));
	for (uint64_t i = 0; i < 64; i++)
		assert_int_equal(switch_add_port(&net, C + 1 + i, &port), 0);
	assert_int_equal(forward_to_one(port_a, A, C + 64), port);
}

static void test_ports(void **state)
{
	uint16_t port;

	(void)state;
	assert_int_equal(switch_add_port(&net, B, &port), ERR_EXIST);
	assert_int_equal(switch_add_port(&net, GROUP, &port), ERR_INVAL);
	assert_int_equal(switch_add_port(&net, BIT(48), &port), ERR_INVAL);
	add_uplink();
	assert_int_equal(switch_add_port(&net, 0, &port), ERR_EXIST);

	switch_remove_port(&net, port_b);
	assert_int_equal(forward(port_a, A, MAC_BROADCAST), BIT(port_c) | BIT(uplink));
	assert_int_equal(forward(port_b, B, A), 0);
	assert_int_equal(switch_add_port(&net, B, &port), 0);
	assert_int_equal(forward(port_a, A, B), BIT(port));

	/* An address that was learned outside is the VM's once it has it. */
	forward(uplink, OUTSIDE, A);
	assert_int_equal(switch_add_port(&net, OUTSIDE, &port), 0);
	assert_int_equal(forward(port_a, A, OUTSIDE), BIT(port));
	assert_int_equal(forward(uplink, OUTSIDE, A), 0);

	switch_remove_port(&net, uplink);
	assert_int_equal(forward(port_a, A, OUTSIDE2), 0);
	assert_int_equal(switch_add_port(&net, 0, &uplink), 0);
	for (uint64_t i = 0; switch_add_port(&net, 0x100 + i, &port) == 0; i++)
		assert_true(i < SWITCH_PORTS_MAX);
	assert_int_equal(switch_add_port(&net, 0x1000, &port), ERR_NOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_between_ports, setup),
	    cmocka_unit_test_setup(test_groups, setup),
	    cmocka_unit_test_setup(test_forged, setup),
	    cmocka_unit_test_setup(test_unknown, setup),
	    cmocka_unit_test_setup(test_storm, setup),
	    cmocka_unit_test_setup(test_learned, setup),
	    cmocka_unit_test_setup(test_many_outside, setup),
	    cmocka_unit_test_setup(test_ports, setup),
	};

	return cmocka_run_group_tests_name("net_switch", tests, NULL, NULL);
}
