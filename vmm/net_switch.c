/* SPDX-License-Identifier: MIT */

#include "vmm/net_switch.h"

#include "kernel/error.h"
#include "kernel/timer.h"

#include <string.h>

/* How far from its place an address is looked for. */
#define PROBES 16

uint64_t mac_read(const uint8_t bytes[MAC_BYTES])
{
	uint64_t address = 0;

	for (unsigned i = 0; i < MAC_BYTES; i++)
		address = address << 8 | bytes[i];
	return address;
}

void switch_init(struct net_switch *net, uint64_t timebase)
{
	memset(net, 0, sizeof(*net));
	net->lock = (struct spinlock)SPINLOCK_INIT;
	net->timebase = timebase;
	net->uplink = SWITCH_NO_PORT;
}

/*
 * Addresses.
 */

/* Multiplicative hashing: whoever chooses addresses outside may fill PROBES places, not more. */
static unsigned first_place(uint64_t address)
{
	return (unsigned)(address * UINT64_C(0x9e3779b97f4a7c15) >> 32) % SWITCH_ADDRESSES;
}

static struct switch_address *place_of(struct net_switch *net, uint64_t address, unsigned probe)
{
	return &net->addresses[(first_place(address) + probe) % SWITCH_ADDRESSES];
}

static struct switch_address *find_address(struct net_switch *net, uint64_t address)
{
	for (unsigned probe = 0; probe < PROBES; probe++) {
		struct switch_address *place = place_of(net, address, probe);

		if (place->address == address)
			return place;
	}
	return NULL;
}

/* Whether it has been silent for so long that it is not known any more. */
static bool is_old(const struct net_switch *net, const struct switch_address *known, uint64_t now)
{
	return known->seen != TIME_NEVER && now - known->seen > SWITCH_AGE_S * net->timebase;
}

/* The place of one that is learned: a free one, or that of the one that has been silent longest. */
static struct switch_address *choose_place(struct net_switch *net, uint64_t address)
{
	struct switch_address *best = NULL;

	for (unsigned probe = 0; probe < PROBES; probe++) {
		struct switch_address *place = place_of(net, address, probe);

		if (place->address == 0)
			return place;
		if (place->seen != TIME_NEVER && (!best || place->seen < best->seen))
			best = place;
	}
	return best;
}

/* A place for a port's own address: what was learned gives way. */
static int own_address(struct net_switch *net, uint64_t address, uint16_t port)
{
	struct switch_address *place = find_address(net, address);

	if (place && place->seen == TIME_NEVER)
		return ERR_EXIST;
	if (!place)
		place = choose_place(net, address);
	if (!place)
		return ERR_NOMEM;
	*place = (struct switch_address){address, TIME_NEVER, port};
	return 0;
}

/* false: the address is a port's own, and a frame from the uplink cannot come from there. */
static bool learn(struct net_switch *net, uint64_t address, uint16_t port, uint64_t now)
{
	struct switch_address *place = find_address(net, address);

	if (place && place->seen == TIME_NEVER)
		return false;
	if (!place)
		place = choose_place(net, address);
	if (place)
		*place = (struct switch_address){address, now, port};
	return true;
}

/*
 * Ports.
 */

static int free_port(const struct net_switch *net)
{
	for (int i = 0; i < SWITCH_PORTS_MAX; i++) {
		if (!net->ports[i].used)
			return i;
	}
	return ERR_NOMEM;
}

static int add_port_locked(struct net_switch *net, uint64_t address, uint16_t *port)
{
	int index = free_port(net);
	int error = 0;

	if (index < 0)
		return index;
	*port = (uint16_t)index;
	if (address)
		error = own_address(net, address, *port);
	else if (net->uplink != SWITCH_NO_PORT)
		error = ERR_EXIST;
	else
		net->uplink = *port;
	if (error)
		return error;
	net->ports[index] = (struct switch_port){.used = true, .address = address};
	net->ports[index].allowance = SWITCH_FLOOD_BURST * (net->timebase / SWITCH_FLOOD_RATE);
	net->ports_end = (unsigned)max_u64(net->ports_end, (uint64_t)index + 1);
	return 0;
}

int switch_add_port(struct net_switch *net, uint64_t address, uint16_t *port)
{
	int error;

	if (mac_is_group(address) || address > MAC_BROADCAST)
		return ERR_INVAL;
	spin_lock(&net->lock);
	error = add_port_locked(net, address, port);
	spin_unlock(&net->lock);
	return error;
}

void switch_remove_port(struct net_switch *net, uint16_t port)
{
	spin_lock(&net->lock);
	for (unsigned i = 0; i < SWITCH_ADDRESSES; i++) {
		if (net->addresses[i].address && net->addresses[i].port == port)
			net->addresses[i] = (struct switch_address){0};
	}
	if (net->uplink == port)
		net->uplink = SWITCH_NO_PORT;
	net->ports[port].used = false;
	while (net->ports_end > 0 && !net->ports[net->ports_end - 1].used)
		net->ports_end--;
	spin_unlock(&net->lock);
}

/*
 * Frames.
 */

static void add_port_to(struct switch_ports *to, uint16_t port)
{
	to->word[port / 64] |= BIT(port % 64);
}

/* Whether a port may send one more frame to many; its allowance grows with time. */
static bool may_flood(const struct net_switch *net, struct switch_port *port, uint64_t now)
{
	uint64_t frame = net->timebase / SWITCH_FLOOD_RATE;
	uint64_t most = SWITCH_FLOOD_BURST * frame;

	port->allowance = min_u64(most, port->allowance + min_u64(most, now - port->counted_at));
	port->counted_at = now;
	if (port->allowance < frame)
		return false;
	port->allowance -= frame;
	return true;
}

/* 802.1Q, 8.6.3: of these sixteen a frame stays on its link. */
static bool is_link_local(uint64_t address)
{
	return address >> 4 == UINT64_C(0x0180c200000);
}

static bool to_many(const struct net_switch *net, uint16_t from, uint64_t destination,
		    struct switch_ports *to)
{
	bool any = false;

	if (is_link_local(destination))
		return false;
	for (unsigned i = 0; i < net->ports_end; i++) {
		if (i == from || !net->ports[i].used)
			continue;
		add_port_to(to, (uint16_t)i);
		any = true;
	}
	return any;
}

/* An address that no VM here has is outside, if anywhere. */
static bool to_unknown(const struct net_switch *net, uint16_t from, struct switch_ports *to)
{
	if (net->uplink == SWITCH_NO_PORT || net->uplink == from)
		return false;
	add_port_to(to, net->uplink);
	return true;
}

static bool choose_ports(struct net_switch *net, uint16_t from, uint64_t destination, uint64_t now,
			 struct switch_ports *to)
{
	struct switch_port *port = &net->ports[from];
	bool group = mac_is_group(destination);
	const struct switch_address *known = group ? NULL : find_address(net, destination);

	if (known && !is_old(net, known, now)) {
		/* Where it came from it has been already. */
		if (known->port == from)
			return false;
		add_port_to(to, known->port);
		return true;
	}
	if (group ? !to_many(net, from, destination, to) : !to_unknown(net, from, to)) {
		port->counters.unknown++;
		return false;
	}
	if (!may_flood(net, port, now)) {
		port->counters.flooded++;
		return false;
	}
	return true;
}

/* Whether a frame may come from there: a VM's from its own address, others from nobody's here. */
static bool is_genuine(struct net_switch *net, uint16_t from, uint64_t source, uint64_t now)
{
	uint64_t own = net->ports[from].address;

	if (own)
		return source == own;
	return source != 0 && !mac_is_group(source) && learn(net, source, from, now);
}

static bool forward_locked(struct net_switch *net, uint16_t from, const uint8_t *addresses,
			   uint64_t bytes, uint64_t now, struct switch_ports *to)
{
	struct switch_port *port = &net->ports[from];

	if (!port->used)
		return false;
	if (!is_genuine(net, from, mac_read(addresses + MAC_BYTES), now)) {
		port->counters.forged++;
		return false;
	}
	if (!choose_ports(net, from, mac_read(addresses), now, to))
		return false;
	port->counters.forwarded++;
	port->counters.bytes += bytes;
	return true;
}

bool switch_forward(struct net_switch *net, uint16_t port, const uint8_t addresses[2 * MAC_BYTES],
		    uint64_t bytes, uint64_t now, struct switch_ports *to)
{
	bool any;

	*to = (struct switch_ports){{0}};
	spin_lock(&net->lock);
	any = forward_locked(net, port, addresses, bytes, now, to);
	spin_unlock(&net->lock);
	return any;
}

void switch_counts(struct net_switch *net, uint16_t port, struct switch_counters *counts)
{
	spin_lock(&net->lock);
	*counts = net->ports[port].counters;
	spin_unlock(&net->lock);
}

uint16_t switch_next_port(struct switch_ports *ports)
{
	for (unsigned i = 0; i < ARRAY_SIZE(ports->word); i++) {
		if (ports->word[i] == 0)
			continue;

		unsigned bit = (unsigned)__builtin_ctzll(ports->word[i]);

		ports->word[i] &= ports->word[i] - 1;
		return (uint16_t)(64 * i + bit);
	}
	return SWITCH_NO_PORT;
}
