/* SPDX-License-Identifier: MIT */

#include "shell/script.h"

#include "driver/virtio/console.h"
#include "kernel/error.h"
#include "kernel/platform.h"
#include "kernel/timer.h"
#include "kernel/trap.h"
#include "shell/commands.h"
#include "shell/line.h"
#include "vmm/schedule.h"

#include <stdio.h>
#include <string.h>

/*
 * How long the other side may read nothing, and in all keep a command waiting, before the rest of
 * its output is dropped: other jobs and the boot hart's vCPUs wait, too.
 */
#define PATIENCE_PER_SECOND 10
#define WAIT_SECONDS        5
#define BYTES_A_STEP        64

/* All of it is the boot hart's. */
static struct {
	struct host_port *port; /* NULL: there is none */
	struct job job;
	bool busy;       /* the job is queued, or runs */
	bool closed;     /* the other side went since the job ran */
	bool running;    /* a command */
	bool failed;     /* it has, */
	bool stuck;      /* nobody reads what it prints, */
	bool within;     /* what was printed last is no whole line */
	uint64_t lost;   /* and this many bytes of it are lost */
	uint64_t waited; /* ticks that it has waited for who reads */
	unsigned length;
	bool too_long;
	bool complete; /* the line is, and has not been run */
	char line[LINE_SIZE];
} script;

bool script_runs(void)
{
	return script.running;
}

void script_fail(void)
{
	script.failed = true;
}

static bool is_out_of_patience(uint64_t waits)
{
	return waits > platform.timebase / PATIENCE_PER_SECOND ||
	       script.waited + waits > WAIT_SECONDS * platform.timebase;
}

void script_write(const char *text, unsigned length)
{
	uint64_t since = time_now();

	while (length > 0 && !script.stuck && script.port) {
		unsigned taken = host_port_write(script.port, (const uint8_t *)text, length);

		if (taken > 0)
			script.within = text[taken - 1] != '\n';
		text += taken;
		length -= taken;
		if (taken == 0 &&
		    (!host_port_is_open(script.port) || is_out_of_patience(time_now() - since)))
			script.stuck = true;
		if (taken > 0)
			script.waited += time_now() - since;
		preempt_point();
		/* Others may have had the hart meanwhile: that was not the port's time. */
		if (taken > 0)
			since = time_now();
	}
	script.lost += length;
}

/* Where a line has lost its end, what comes next is a line of its own all the same. */
static void put_end(void)
{
	const char *start = script.within ? "\n" : "";
	char text[64];
	int length;

	if (script.lost > 0)
		length = snprintf(text, sizeof(text), "%serror: %llu bytes of output dropped\n",
				  start, (unsigned long long)script.lost);
	else
		length =
		    snprintf(text, sizeof(text), "%s%s\n", start, script.failed ? "error" : "ok");
	script.stuck = false;
	script_write(text, (unsigned)length);
}

static void run(void)
{
	script.failed = script.stuck = false;
	script.lost = script.waited = 0;
	script.running = true;
	if (script.within)
		script_write("\n", 1);
	if (script.too_long) {
		script.failed = true;
		script_write("the line is too long\n", 21);
	} else {
		command_run(shell_commands, script.line);
	}
	put_end();
	script.running = false;
}

static void begin_line(void)
{
	script.length = 0;
	script.too_long = script.complete = false;
}

static void end_line(void)
{
	script.line[script.length] = '\0';
	run();
	begin_line();
}

/* An empty line does nothing, and so CR LF may end one. */
static void take(uint8_t byte)
{
	if (byte == '\r' || byte == '\n')
		script.complete = script.length > 0 || script.too_long;
	else if (script.length == LINE_SIZE - 1)
		script.too_long = true;
	else
		script.line[script.length++] = byte >= ' ' && byte <= '~' ? (char)byte : ' ';
}

/* False if there was nothing to read. */
static bool read_line(void)
{
	uint8_t byte;

	for (unsigned i = 0; i < BYTES_A_STEP && !script.complete; i++) {
		if (host_port_read(script.port, &byte, 1) == 0) {
			/* What is there when the other side has gone was sent before. */
			if (script.closed)
				begin_line();
			script.closed = false;
			return false;
		}
		take(byte);
	}
	return true;
}

/* A line at the most. It is run when the port is known to be open, or its answer would be lost. */
static int step(struct job *job)
{
	(void)job;
	script.busy = script.port && read_line();
	if (script.busy && script.complete && host_port_is_up_to_date(script.port)) {
		end_line();
		/* The port may have gone meanwhile. */
		script.busy = script.port != NULL;
	}
	return script.busy ? ERR_AGAIN : 0;
}

void script_received(void)
{
	if (script.busy || !script.port)
		return;
	script.busy = true;
	schedule_job(&script.job, step);
}

void script_opened(bool open)
{
	script.within = false;
	if (!open)
		script.closed = true;
	script_received();
}

bool script_begin(struct host_port *port)
{
	if (script.port)
		return false;
	script.port = port;
	script.closed = script.within = false;
	begin_line();
	return true;
}

void script_end(void)
{
	script.port = NULL;
}
