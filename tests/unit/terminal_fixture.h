/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_TERMINAL_FIXTURE_H
#define TESTS_UNIT_TERMINAL_FIXTURE_H

/*
 * The host's UART, which takes as much as the test says and keeps all that it is given, and VMs
 * with consoles. For one source file of a test program.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "driver/uart.h"
#include "kernel/platform.h"
#include "kernel/timer.h"
#include "shell/terminal.h"
#include "vmm/vm.h"

#define VMS       3
#define UART_ROOM 4096
#define MS        10000 /* ticks */
#define SECOND    (1000 * MS)

struct platform platform = {.timebase = SECOND};
static uint64_t now;

uint64_t time_now(void)
{
	return now;
}

/* The UART. */
static char shown[4 << 20];
static size_t shown_length;
static unsigned room = UART_ROOM, continued;
static bool uart_busy;
static void (*at_write)(void); /* what happens at the next one, or NULL */

unsigned host_uart_room(void)
{
	return room;
}

void host_uart_write(const char *bytes, size_t count)
{
	void (*hook)(void) = at_write;

	at_write = NULL;
	if (hook)
		hook();
	/* What there is no room for would be lost. */
	assert_in_range(count, 1, room);
	assert_true(shown_length + count < sizeof(shown));
	memcpy(shown + shown_length, bytes, count);
	shown_length += count;
	shown[shown_length] = '\0';
	room -= (unsigned)count;
}

void host_uart_continue(void)
{
	continued++;
}

bool host_uart_is_busy(void)
{
	return uart_busy;
}

void host_uart_flush(void)
{
	room = UART_ROOM;
}

void host_uart_write_last(const char *bytes, size_t count)
{
	room = UART_ROOM;
	host_uart_write(bytes, count);
}

/* The VMs. */
static struct vm vms[VMS];
static uint8_t kept[VMS][BACKLOG_SIZE];
static const char *const vm_names[VMS] = {"web", "db", "mail"};

/* As the console does it, with the locks as the headers say. */
static void vm_write(unsigned n, const char *text, size_t length)
{
	struct vm_console *console = &vms[n].console;
	bool wake;

	spin_lock(&console->lock);
	backlog_write(&console->backlog, (const uint8_t *)text, (unsigned)length);
	wake = !console->queued && terminal_is_due(console);
	spin_unlock(&console->lock);
	if (wake)
		terminal_wake(console);
}

static inline void vm_print(unsigned n, const char *text)
{
	vm_write(n, text, strlen(text));
}

static void vm_add(unsigned n)
{
	struct vm *vm = &vms[n];

	memset(vm, 0, sizeof(*vm));
	vm->number = n + 1;
	snprintf(vm->config.name, sizeof(vm->config.name), "%s", vm_names[n]);
	list_init(&vm->console.ready);
	backlog_init(&vm->console.backlog, kept[n]);
	terminal_add(&vm->console);
}

/* Lets the UART take all there is; nothing may be left that it was not told of. */
static void drain(void)
{
	unsigned told, idle = 0;

	uart_busy = false;
	for (unsigned i = 0; idle < 2; i++) {
		assert_true(i < 100000);
		room = UART_ROOM;
		told = continued;
		terminal_fill();
		idle = continued == told ? idle + 1 : 0;
		now += MS;
	}
}

/* All that was shown since the last time. */
static const char *take_shown(void)
{
	static char text[sizeof(shown)];

	drain();
	memcpy(text, shown, shown_length + 1);
	shown_length = 0;
	shown[0] = '\0';
	return text;
}

#define expect_shown(text) assert_string_equal(take_shown(), text)

static inline void message(const char *text)
{
	terminal_message(text, strlen(text));
}

static inline void focus(unsigned n)
{
	terminal_focus(&vms[n].console, "", 0);
}

/* The first VM has the focus, lines of the others are shown, and the cursor is at a line's start.
 */
static int setup(void **state)
{
	(void)state;
	terminal_init(false);
	for (unsigned i = 0; i < VMS; i++)
		vm_add(i);
	focus(0);
	terminal_show_others(true);
	message("pilae: begin\n");
	take_shown();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	terminal_shell_output("", 0, "", 0);
	terminal_focus(NULL, "", 0);
	for (unsigned i = 0; i < VMS; i++)
		terminal_remove(&vms[i].console);
	take_shown();
	return 0;
}

#endif
