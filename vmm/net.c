/* SPDX-License-Identifier: MIT */

/* The system's switches, and their ports. */

#include "vmm/net.h"

#include "kernel/log.h"
#include "kernel/page.h"
#include "kernel/platform.h"
#include "vmm/hooks.h"
#include "vmm/vmconfig.h"

#include <string.h>

static struct net *first;

struct net *net_next(const struct net *net)
{
	return net ? net->next : first;
}

struct net *net_by_name(const char *name)
{
	struct net *net = first;

	while (net && strcmp(net->name, name) != 0)
		net = net->next;
	return net;
}

/* FNV-1a. Names have no slashes. */
static uint64_t hash_name(uint64_t hash, const char *name)
{
	do {
		hash = (hash ^ (uint8_t)(*name ? *name : '/')) * UINT64_C(0x100000001b3);
	} while (*name++);
	return hash;
}

uint64_t net_make_address(const char *vm, const char *device)
{
	uint64_t hash = hash_name(hash_name(UINT64_C(0xcbf29ce484222325), vm), device);

	/* IEEE 802, 8.2: of the first byte, bit 1 is for local addresses, bit 0 for groups. */
	return ((hash ^ hash >> 48) & MAC_BROADCAST & ~BITS(41, 40)) | BIT(41);
}

static void wake_locked(struct net *net, struct switch_ports *ports)
{
	uint16_t index;

	while ((index = switch_next_port(ports)) != SWITCH_NO_PORT) {
		struct net_port *port = net->ports[index];

		if (port && port->open)
			port->ops->wake(port);
	}
}

void net_port_ready_locked(struct net_port *port)
{
	struct switch_ports waiting = port->waiting;

	port->waiting = (struct switch_ports){{0}};
	wake_locked(port->net, &waiting);
}

void net_port_ready(struct net_port *port)
{
	spin_lock(&port->net->lock);
	net_port_ready_locked(port);
	spin_unlock(&port->net->lock);
}

/* Who waits looks for how long that has been. */
static void time_is_up(struct timer *timer)
{
	struct net *net = container_of(timer, struct net, timer);

	spin_lock(&net->lock);
	net->armed = false;
	for (unsigned i = 0; i < SWITCH_PORTS_MAX; i++) {
		if (net->ports[i])
			net_port_ready_locked(net->ports[i]);
	}
	spin_unlock(&net->lock);
}

static struct net *make(const struct vmconfig_switch *config)
{
	struct net *net = page_alloc_zeroed(page_order(sizeof(*net)));

	if (!net) {
		log_error("/%s: no memory left for it", config->name);
		return NULL;
	}
	switch_init(&net->table, platform.timebase);
	net->name = config->name;
	net->uplink = config->uplink;
	timer_init(&net->timer, time_is_up);
	return net;
}

bool net_init(const struct fit *fit)
{
	struct net **link = &first;
	bool good = true;

	for (int node = vmconfig_next_switch(fit, 0); node >= 0;
	     node = vmconfig_next_switch(fit, node)) {
		struct vmconfig_switch config;

		if (vmconfig_read_switch(&config, fit, node) == 0)
			*link = make(&config);
		if (!*link) {
			good = false;
			continue;
		}
		/* Without its uplink it is there for the VMs all the same. */
		if (config.uplink && !machine_uplink(*link))
			good = false;
		link = &(*link)->next;
	}
	return good;
}

/*
 * Ports.
 */

int net_port_add(struct net *net, struct net_port *port, struct arena *arena)
{
	struct net_port *uplink = net->uplink_port;
	int error = switch_add_port(&net->table, port->address, &port->index);

	if (error)
		return error;
	if (uplink)
		error = uplink->ops->join(uplink, port, arena);
	if (error) {
		switch_remove_port(&net->table, port->index);
		return error;
	}
	if (port->address == 0)
		net->uplink_port = port;
	port->net = net;
	spin_lock(&net->lock);
	net->ports[port->index] = port;
	spin_unlock(&net->lock);
	return 0;
}

void net_port_remove(struct net_port *port)
{
	struct net *net = port->net;

	spin_lock(&net->lock);
	net->ports[port->index] = NULL;
	spin_unlock(&net->lock);
	switch_remove_port(&net->table, port->index);
	if (port->lane)
		net->uplink_port->ops->leave(port);
}

void net_port_wake(struct net_port *port)
{
	spin_lock(&port->net->lock);
	if (port->open)
		port->ops->wake(port);
	spin_unlock(&port->net->lock);
}

static void set_open(struct net_port *port, bool open)
{
	spin_lock(&port->net->lock);
	__atomic_store_n(&port->open, open, __ATOMIC_RELAXED);
	net_port_ready_locked(port);
	spin_unlock(&port->net->lock);
}

void net_port_open(struct net_port *port)
{
	if (!__atomic_load_n(&port->open, __ATOMIC_RELAXED))
		set_open(port, true);
}

void net_port_close(struct net_port *port)
{
	set_open(port, false);
}

void net_port_reset(struct net_port *port)
{
	port->life = __atomic_add_fetch(&port->net->lives, 1, __ATOMIC_RELAXED);
	port->stalled = false;
}
