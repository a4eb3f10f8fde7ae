/* SPDX-License-Identifier: MIT */

/* `net`: the switches between VMs, and what went through their ports. */

#include "shell/commands.h"
#include "shell/print.h"
#include "vmm/net.h"

static void print_port(const struct net_port *port)
{
	const struct net_port_counts *counts = &port->counts;
	struct switch_counters sent;

	switch_counts(&port->net->table, port->index, &sent);
	shell_print(port->address ? "  " : "  uplink ");
	if (port->address) {
		shell_print_text(port->vm);
		shell_print("/");
	}
	shell_print_text(port->name);
	if (port->address)
		shell_print(" %012llx", (unsigned long long)port->address);
	shell_print(": sent %llu, %llu KiB; received %llu, %llu KiB; ",
		    (unsigned long long)sent.forwarded, (unsigned long long)sent.bytes >> 10,
		    (unsigned long long)counts->received,
		    (unsigned long long)counts->received_bytes >> 10);
	shell_print("dropped: %llu no room, %llu forged, %llu flooding, %llu for nobody, "
		    "%llu malformed\n",
		    (unsigned long long)counts->dropped, (unsigned long long)sent.forged,
		    (unsigned long long)sent.flooded, (unsigned long long)sent.unknown,
		    (unsigned long long)counts->malformed);
}

static void json_of_port(struct shell_json *json, const struct net_port *port)
{
	const struct net_port_counts *counts = &port->counts;
	struct switch_counters sent;

	switch_counts(&port->net->table, port->index, &sent);
	shell_json_object(json);
	shell_json_string(json, "switch", port->net->name);
	shell_json_string(json, "vm", port->vm);
	shell_json_string(json, "port", port->name);
	shell_json_number(json, "address", port->address);
	shell_json_bool(json, "open", port->open);
	shell_json_number(json, "sent", sent.forwarded);
	shell_json_number(json, "sent_bytes", sent.bytes);
	shell_json_number(json, "received", counts->received);
	shell_json_number(json, "received_bytes", counts->received_bytes);
	shell_json_number(json, "no_room", counts->dropped);
	shell_json_number(json, "forged", sent.forged);
	shell_json_number(json, "flooding", sent.flooded);
	shell_json_number(json, "for_nobody", sent.unknown);
	shell_json_number(json, "malformed", counts->malformed);
}

/* Printing passes preemption points, but ports come and go in other jobs only. */
static void list(const struct command_call *call)
{
	struct shell_json json;

	if (call->json)
		shell_json_begin(&json);
	for (struct net *net = net_next(NULL); net; net = net_next(net)) {
		if (!call->json) {
			shell_print_text(net->name);
			shell_print("\n");
		}
		for (unsigned i = 0; i < SWITCH_PORTS_MAX; i++) {
			if (!net->ports[i])
				continue;
			if (call->json)
				json_of_port(&json, net->ports[i]);
			else
				print_port(net->ports[i]);
		}
	}
	if (call->json)
		shell_json_end(&json);
	else if (!net_next(NULL))
		shell_print("there are none\n");
}

const struct command net_commands[] = {
    {"list", "switches, their ports, and what went through them", NULL, COMMAND_JSON, list},
    {NULL, NULL, NULL, 0, NULL},
};
