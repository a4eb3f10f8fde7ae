/* SPDX-License-Identifier: MIT */

#include "shell/port.h"

#include "driver/virtio/console.h"
#include "kernel/log.h"
#include "shell/script.h"
#include "shell/terminal.h"
#include "vmm/hooks.h"
#include "vmm/vm.h"

#include <stdio.h>
#include <string.h>

#define SHELL_NAME "pilae"

static int script; /* its address is the owner of the shell's port */

/* False if there is no room to tell it. */
static bool tell_dropped(struct vm_console *console)
{
	char text[64];
	int length = snprintf(text, sizeof(text), "\r\npilae: %llu bytes of output dropped\r\n",
			      (unsigned long long)console->port_reader.dropped);

	/* It fits into one buffer: all of it is taken, or nothing. */
	if (host_port_write(console->port, (const uint8_t *)text, (unsigned)length) == 0)
		return false;
	console->port_reader.dropped = 0;
	return true;
}

void port_send(struct vm_console *console)
{
	struct backlog_reader *reader = &console->port_reader;

	if (!host_port_is_open(console->port))
		return;
	/* In two pieces, where the backlog wraps. */
	for (unsigned i = 0; i < 2; i++) {
		unsigned count, taken;
		const uint8_t *bytes = backlog_peek(&console->backlog, reader, &count);

		if ((reader->dropped > 0 && !tell_dropped(console)) || count == 0)
			return;
		taken = host_port_write(console->port, bytes, count);
		reader->at += taken;
		if (taken < count)
			return;
	}
}

static void attach(struct vm_console *console, struct host_port *port)
{
	if (console->port || host_port_owner(port))
		return;
	spin_lock(&console->lock);
	console->port = port;
	backlog_rewind(&console->backlog, &console->port_reader);
	port_send(console);
	spin_unlock(&console->lock);
	spin_lock(&console->input_lock);
	console->input_port = port;
	spin_unlock(&console->input_lock);
	host_port_claim(port, console);
	terminal_update(console);
	log_info("%s: its console has a port of its own", vm_with(console)->config.name);
}

static void detach(struct vm_console *console)
{
	struct host_port *port = console->port;

	spin_lock(&console->input_lock);
	console->input_port = NULL;
	spin_unlock(&console->input_lock);
	spin_lock(&console->lock);
	console->port = NULL;
	spin_unlock(&console->lock);
	host_port_release(port);
}

void port_find(struct vm_console *console)
{
	const char *name = vm_with(console)->config.name;
	struct host_port *port = strcmp(name, SHELL_NAME) == 0 ? NULL : host_port_by_name(name);

	if (port)
		attach(console, port);
}

void port_lose(struct vm_console *console)
{
	if (console->port)
		detach(console);
}

/*
 * What the driver tells.
 */

static void named(struct host_port *port, const char *name)
{
	struct vm *vm;

	if (strcmp(name, SHELL_NAME) == 0) {
		if (!host_port_owner(port) && script_begin(port))
			host_port_claim(port, &script);
		return;
	}
	vm = vm_by_name(name);
	if (vm && vm->console.backlog.bytes)
		attach(&vm->console, port);
}

static void removed(struct host_port *port)
{
	void *owner = host_port_owner(port);

	if (owner == &script) {
		script_end();
		host_port_release(port);
	} else if (owner) {
		detach(owner);
		terminal_update(owner);
	}
}

static void send(struct host_port *port)
{
	struct vm_console *console = host_port_owner(port);

	spin_lock(&console->lock);
	port_send(console);
	spin_unlock(&console->lock);
}

static void opened(struct host_port *port, bool open)
{
	void *owner = host_port_owner(port);
	struct vm_console *console = owner;

	if (!owner)
		return;
	if (owner == &script) {
		script_opened(open);
		return;
	}
	if (!open)
		return;
	/* What it missed while nobody was there is no loss. */
	spin_lock(&console->lock);
	console->port_reader.fresh = console->backlog.head;
	spin_unlock(&console->lock);
	send(port);
}

static void received(struct host_port *port)
{
	if (host_port_owner(port) == &script)
		script_received();
	else
		console_drained(vm_with(host_port_owner(port)));
}

static void drained(struct host_port *port)
{
	if (host_port_owner(port) != &script)
		send(port);
}

void port_init(void)
{
	static const struct host_port_events events = {named, removed, opened, received, drained};

	host_ports_init(&events);
}
