/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_CONSOLE_FIXTURE_H
#define TESTS_UNIT_CONSOLE_FIXTURE_H

/*
 * What the consoles need around them: VMs whose guests read as much as a test says, the host's
 * UART, a terminal, a port and a shell that note what they are told. For one source file of a test
 * program.
 */

#include "tests/unit/fake_kernel.h"

#include "driver/uart.h"
#include "driver/virtio/console.h"
#include "kernel/page.h"
#include "shell/console.h"
#include "shell/port.h"
#include "shell/shell.h"
#include "shell/terminal.h"
#include "vmm/hooks.h"
#include "vmm/vm.h"

#define VMS    9
#define ESCAPE 0x1d
#define UART   (*uart_user)

static struct vm vms[VMS];
static unsigned vm_total;
static const struct host_uart_user *uart_user;

static bool is_locked(struct spinlock *lock)
{
	if (!spin_trylock(lock))
		return true;
	spin_unlock(lock);
	return false;
}

static void assert_unlocked(void)
{
	for (unsigned i = 0; i < VMS; i++) {
		assert_false(is_locked(&vms[i].console.lock));
		assert_false(is_locked(&vms[i].console.input_lock));
	}
}

struct vm *vm_next(const struct vm *vm)
{
	unsigned next = vm ? (unsigned)(vm - vms) + 1 : 0;

	return next < vm_total ? &vms[next] : NULL;
}

struct vm *vm_by_number(unsigned number)
{
	return number >= 1 && number <= vm_total ? &vms[number - 1] : NULL;
}

/* Pages: one block at a time. */
static uint8_t block[BACKLOG_SIZE];
static bool has_memory;
static unsigned blocks_used;

void *page_alloc(unsigned order)
{
	assert_int_equal(PAGE_SIZE << order, BACKLOG_SIZE);
	blocks_used += has_memory;
	return has_memory ? block : NULL;
}

void page_clear(void *page, unsigned order)
{
	memset(page, 0, PAGE_SIZE << order);
}

void page_free(void *page, unsigned order)
{
	assert_int_equal(PAGE_SIZE << order, BACKLOG_SIZE);
	assert_ptr_equal(page, block);
	/* What one VM has shown is none of the next one's. */
	for (unsigned i = 0; i < BACKLOG_SIZE; i++)
		assert_int_equal(block[i], 0);
	blocks_used--;
}

/* The terminal. */
static struct vm_console *focused;
static bool others, colored;
static unsigned wakes, fills;
static char told[4096]; /* messages */
static struct vm_console *known[VMS];

void terminal_init(bool color)
{
	colored = color;
}

void terminal_add(struct vm_console *console)
{
	assert_ptr_equal(console->ready.next, &console->ready);
	known[vm_with(console) - vms] = console;
}

void terminal_remove(struct vm_console *console)
{
	assert_ptr_not_equal(focused, console);
	assert_null(console->port);
	known[vm_with(console) - vms] = NULL;
}

bool terminal_is_due(const struct vm_console *console)
{
	assert_true(is_locked((struct spinlock *)&console->lock));
	return console->shown == VM_CONSOLE_ALL;
}

void terminal_wake(struct vm_console *console)
{
	(void)console;
	assert_unlocked();
	wakes++;
}

void terminal_message(const char *text, size_t length)
{
	assert_true(length > 0 && text[length - 1] == '\n');
	strncat(told, text, length);
}

void terminal_focus(struct vm_console *console, const char *text, unsigned length)
{
	focused = console;
	others = !console;
	if (length > 0)
		terminal_message(text, length);
}

struct vm_console *terminal_focused(void)
{
	return focused;
}

void terminal_show_others(bool shown)
{
	others = shown;
}

bool terminal_shows_others(void)
{
	return others;
}

void terminal_shell_output(const char *text, unsigned length, const char *prompt,
			   unsigned prompt_length)
{
	(void)text, (void)length, (void)prompt, (void)prompt_length;
}

void terminal_fill(void)
{
	fills++;
}

void terminal_flush(void)
{
}

void terminal_write_last(const char *text, size_t length)
{
	(void)text, (void)length;
}

void log_set_output(void (*output)(const char *text, size_t length))
{
	assert_ptr_equal(output, terminal_message);
}

void log_set_last_output(void (*last)(const char *text, size_t length), void (*flush)(void))
{
	assert_ptr_equal(last, terminal_write_last);
	assert_ptr_equal(flush, terminal_flush);
}

/* The shell. */
static char shell_keys[256], shell_queued[256];
static bool shell_busy, shell_room;

void shell_init(void)
{
}

bool shell_is_busy(void)
{
	return shell_busy;
}

bool shell_has_room(void)
{
	return shell_room;
}

void shell_queue(uint8_t byte)
{
	strncat(shell_queued, (const char *)&byte, 1);
}

void shell_key(uint8_t byte)
{
	strncat(shell_keys, (const char *)&byte, 1);
}

/* Ports. */
static struct vm_console *port_owner;
static unsigned port_sends;
static uint8_t port_in[4096];
static unsigned port_head, port_tail;

void port_find(struct vm_console *console)
{
	port_owner = console;
}

void port_lose(struct vm_console *console)
{
	console->port = NULL;
	port_owner = NULL;
}

void port_send(struct vm_console *console)
{
	assert_true(is_locked(&console->lock));
	port_sends++;
}

unsigned host_port_read(struct host_port *port, uint8_t *bytes, unsigned size)
{
	assert_non_null(port);
	assert_int_equal(size, 1);
	if (port_head == port_tail)
		return 0;
	*bytes = port_in[port_tail++ % sizeof(port_in)];
	return 1;
}

void host_uart_init(const struct host_uart_user *user)
{
	uart_user = user;
}

/* The guest's devices. */
static uint8_t guest_in[65536];
static unsigned guest_count, guest_room, calls;
static bool asked_back; /* console_drained() will be called when it has read */

bool machine_console_input(struct vm *vm, uint8_t byte, bool more)
{
	assert_true(is_locked(&vm->console.input_lock));
	calls++;
	if (guest_room == 0) {
		asked_back = true;
		return false;
	}
	guest_room--;
	guest_in[guest_count++ % sizeof(guest_in)] = byte;
	asked_back = more;
	return true;
}

static inline void type_text(const char *text)
{
	for (; *text; text++) {
		assert_true(UART.ready());
		UART.receive((uint8_t)*text);
	}
}

static inline void expect_guest(const char *text)
{
	assert_int_equal(guest_count, strlen(text));
	assert_memory_equal(guest_in, text, guest_count);
	guest_count = 0;
}

static inline void expect_told(const char *text)
{
	assert_string_equal(told, text);
	told[0] = '\0';
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	memset(vms, 0, sizeof(vms));
	for (unsigned i = 0; i < VMS; i++) {
		vms[i].number = i + 1;
		vms[i].state = VM_RUNNING;
		vms[i].console.backlog.bytes = block;
		snprintf(vms[i].config.name, sizeof(vms[i].config.name), "vm%u", i + 1);
	}
	vm_total = 3;
	has_memory = true;
	guest_count = wakes = fills = port_sends = port_head = port_tail = calls = 0;
	guest_room = UINT32_MAX;
	shell_busy = asked_back = false;
	shell_room = true;
	shell_keys[0] = shell_queued[0] = '\0';
	memset(block, 0, sizeof(block));
	console_init("pilae.escape=^]");
	console_focus(1);
	told[0] = '\0';
	return 0;
}

/* As they come from the shell's queue. */
static inline void keys(const char *text)
{
	for (; *text; text++)
		console_key((uint8_t)*text);
}

#endif
