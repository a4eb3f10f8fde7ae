/* SPDX-License-Identifier: MIT */

#include "shell/console.h"

#include "driver/uart.h"
#include "kernel/lock.h"
#include "kernel/log.h"
#include "kernel/options.h"
#include "vmm/hooks.h"
#include "vmm/vm.h"

#include <stdio.h>
#include <string.h>

#define LINE_MAX  256 /* of a VM that is not focused; a longer line is cut there */
#define INPUT_MAX 256 /* bytes that wait for the focused VM; a power of two */
#define VMS_MAX   64  /* that have a line buffer of their own */
#define CTRL(c)   ((c) & 0x1f)

/* A line of a VM that is not focused, until it is complete. */
struct pending_line {
	unsigned length;
	char text[LINE_MAX];
};

static struct {
	struct spinlock lock; /* guards the rest and the host's UART; before the UART's own */
	unsigned focus;       /* the VM's number */
	bool line_open;       /* the terminal is not at the start of a line */
	bool escaped;         /* the escape character came last */
	uint8_t escape;
	struct pending_line lines[VMS_MAX];
} console = {.lock = SPINLOCK_INIT, .focus = 1, .escape = CTRL(']')};

/* Bytes typed for the focused VM that its UART had no room for. Boot hart and vCPUs. */
static struct {
	struct spinlock lock; /* guards the rest; before the locks of a VM's UART */
	unsigned head, tail;
	uint8_t bytes[INPUT_MAX];
} input = {.lock = SPINLOCK_INIT};

/* The functions named put_… have the console's lock. */

static void put_raw(const char *text, size_t length)
{
	if (length == 0)
		return;
	host_uart_write(text, length);
	console.line_open = text[length - 1] != '\n';
}

static void put_line_start(void)
{
	if (console.line_open)
		put_raw("\r\n", 2);
}

/* Messages of the hypervisor's own: on a line of their own, with CR for the terminal. */
static void put_message(const char *text, size_t length)
{
	put_line_start();
	while (length > 0) {
		const char *end = memchr(text, '\n', length);
		size_t run = end ? (size_t)(end - text) : length;

		put_raw(text, run);
		if (!end)
			return;
		put_raw("\r\n", 2);
		text += run + 1;
		length -= run + 1;
	}
}

static void log_to_console(const char *text, size_t length)
{
	spin_lock(&console.lock);
	put_message(text, length);
	spin_unlock(&console.lock);
}

static void put_pending_line(const struct vm *vm, struct pending_line *line)
{
	char prefix[VMCONFIG_NAME_MAX + 4];
	int length = snprintf(prefix, sizeof(prefix), "[%s] ", vm->config.name);

	put_line_start();
	put_raw(prefix, (size_t)length);
	put_raw(line->text, line->length);
	put_raw("\r\n", 2);
	line->length = 0;
}

/* How many bytes were taken: a complete line ends the call, so that it is a short one. */
static unsigned put_unfocused(struct vm *vm, const uint8_t *bytes, unsigned count)
{
	struct pending_line *line;

	if (vm->number > VMS_MAX)
		return count;
	line = &console.lines[vm->number - 1];
	for (unsigned i = 0; i < count; i++) {
		bool full = line->length == LINE_MAX;

		if (bytes[i] == '\n' || full)
			put_pending_line(vm, line);
		if (bytes[i] != '\r' && bytes[i] != '\n')
			line->text[line->length++] = (char)bytes[i];
		if (bytes[i] == '\n' || full)
			return i + 1;
	}
	return count;
}

unsigned console_output(struct vm *vm, const uint8_t *bytes, unsigned count)
{
	spin_lock(&console.lock);
	if (vm->number == console.focus)
		put_raw((const char *)bytes, count);
	else
		count = put_unfocused(vm, bytes, count);
	spin_unlock(&console.lock);
	return count;
}

/*
 * Offers the VM what waits for it, if it is the focused one, as long as it takes it. The lock
 * keeps its devices from being taken down meanwhile: see console_forget().
 */
static void feed(struct vm *vm)
{
	spin_lock(&input.lock);
	while (vm && vm->number == console.focus && vm->state == VM_RUNNING &&
	       input.head != input.tail) {
		if (!machine_console_input(vm, input.bytes[input.tail % INPUT_MAX]))
			break;
		input.tail++;
	}
	spin_unlock(&input.lock);
}

void console_drained(struct vm *vm)
{
	feed(vm);
}

void console_forget(struct vm *vm)
{
	(void)vm;
	/* Who feeds it still has the lock; who comes later sees that it does not run. */
	spin_lock(&input.lock);
	spin_unlock(&input.lock);
}

static void focus(unsigned number)
{
	char text[VMCONFIG_NAME_MAX + 32];
	const struct vm *vm = vm_by_number(number);
	int length;

	spin_lock(&console.lock);
	if (!vm) {
		length = snprintf(text, sizeof(text), "pilae: there is no VM %u\n", number);
	} else {
		console.focus = number;
		length = snprintf(text, sizeof(text), "pilae: console of %s\n", vm->config.name);
	}
	put_message(text, (size_t)length);
	spin_unlock(&console.lock);

	/* What was typed for the VM before is not meant for this one. */
	spin_lock(&input.lock);
	input.tail = input.head;
	spin_unlock(&input.lock);
}

static void help(void)
{
	char text[VMCONFIG_NAME_MAX + 64];

	spin_lock(&console.lock);
	for (unsigned n = 1; n <= vm_count() && n <= 9; n++) {
		const struct vm *vm = vm_by_number(n);
		int length = snprintf(text, sizeof(text), "pilae: Ctrl-%c %u  console of %s%s\n",
				      console.escape | 0x40, n, vm->config.name,
				      n == console.focus ? " (shown)" : "");

		put_message(text, (size_t)length);
	}
	int length = snprintf(text, sizeof(text), "pilae: Ctrl-%c Ctrl-%c  sends Ctrl-%c\n",
			      console.escape | 0x40, console.escape | 0x40, console.escape | 0x40);

	put_message(text, (size_t)length);
	spin_unlock(&console.lock);
}

static void type(uint8_t byte)
{
	spin_lock(&input.lock);
	/* Full: the guest has not read for that long; what it does not read is lost. */
	if (input.head - input.tail < INPUT_MAX)
		input.bytes[input.head++ % INPUT_MAX] = byte;
	spin_unlock(&input.lock);
	feed(vm_by_number(console.focus));
}

static void received(uint8_t byte)
{
	bool escaped = console.escaped;

	console.escaped = !escaped && byte == console.escape;
	if (console.escaped)
		return;
	if (!escaped || byte == console.escape)
		type(byte);
	else if (byte >= '1' && byte <= '9')
		focus((unsigned)(byte - '0'));
	else
		help();
}

void console_init(const char *command_line)
{
	char value[4];

	/* "^]" or the like: a control character. */
	if (option_find(command_line, "pilae.escape", value, sizeof(value))) {
		if (strlen(value) == 2 && value[0] == '^' && value[1] >= '?' && value[1] <= '_')
			console.escape = CTRL((uint8_t)value[1]);
		else
			log_warn(
			    "command line: pilae.escape=%s: not a control character such as ^]",
			    value);
	}
	host_uart_init(received);
	log_set_output(log_to_console);
	log_set_last_output(host_uart_write_last, host_uart_flush);
}
