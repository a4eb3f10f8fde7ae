/* SPDX-License-Identifier: MIT */

#include "shell/console.h"

#include "driver/uart.h"
#include "kernel/lock.h"
#include "kernel/log.h"
#include "kernel/options.h"
#include "shell/line.h"
#include "shell/shell.h"
#include "vmm/hooks.h"
#include "vmm/vm.h"

#include <stdio.h>
#include <string.h>

#define LINE_MAX  256 /* of a VM that is not focused; a longer line is cut there */
#define INPUT_MAX 256 /* bytes that wait for the focused VM; a power of two */
#define VMS_MAX   64  /* that have a line buffer of their own */
#define SHELL     0   /* in place of a VM's number */
#define CTRL(c)   ((c) & 0x1f)

/* A line of a VM that is not focused, until it is complete. */
struct pending_line {
	unsigned length;
	char text[LINE_MAX];
};

static struct {
	struct spinlock lock; /* guards the rest and the host's UART; before the UART's own */
	unsigned focus;       /* the VM's number, or SHELL; changed by the boot hart alone */
	unsigned last_vm;     /* that was focused */
	bool line_open;       /* the terminal is not at the start of a line */
	bool escaped;         /* the escape character came last */
	uint8_t escape;
	char prompt[LINE_RENDER_MAX]; /* shows the line that is typed for the shell */
	unsigned prompt_length;       /* 0: it runs a command */
	struct pending_line lines[VMS_MAX];
} console = {.lock = SPINLOCK_INIT, .focus = 1, .last_vm = 1, .escape = CTRL(']')};

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

static bool has_prompt(void)
{
	return console.focus == SHELL && console.prompt_length > 0;
}

/* Other lines appear above the shell's prompt, which put_prompt() then shows again. */
static void put_line_start(void)
{
	static const char erase[] = "\r\033[K";

	if (has_prompt()) {
		put_raw(erase, sizeof(erase) - 1);
		console.line_open = false;
	} else if (console.line_open) {
		put_raw("\r\n", 2);
	}
}

static void put_prompt(void)
{
	if (has_prompt())
		put_raw(console.prompt, console.prompt_length);
}

/* With CR for the terminal. */
static void put_text(const char *text, size_t length)
{
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

/* Messages of the hypervisor's own: on a line of their own. */
static void put_message(const char *text, size_t length)
{
	put_line_start();
	put_text(text, length);
	put_prompt();
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
	put_prompt();
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

void console_remove(unsigned number)
{
	spin_lock(&console.lock);
	if (number <= VMS_MAX)
		console.lines[number - 1].length = 0;
	spin_unlock(&console.lock);
	if (console.focus == number)
		console_focus(SHELL);
}

unsigned console_focused(void)
{
	return console.focus;
}

void console_shell_output(const char *text, unsigned length, const char *prompt,
			  unsigned prompt_length)
{
	spin_lock(&console.lock);
	memcpy(console.prompt, prompt, prompt_length);
	console.prompt_length = prompt_length;
	if (console.focus == SHELL)
		put_text(text, length);
	spin_unlock(&console.lock);
}

static void put_focus(unsigned number, const struct vm *vm)
{
	char text[VMCONFIG_NAME_MAX + 32];
	int length;

	console.focus = number;
	if (vm) {
		console.last_vm = number;
		length = snprintf(text, sizeof(text), "pilae: console of %s\n", vm->config.name);
	} else {
		length =
		    snprintf(text, sizeof(text), "pilae: shell; Ctrl-%c and a digit leaves it\n",
			     console.escape | 0x40);
	}
	/* What is typed stays to be seen, and so does a prompt that is left. */
	if (console.line_open)
		put_raw("\r\n", 2);
	put_text(text, (size_t)length);
	put_prompt();
}

void console_focus(unsigned number)
{
	char text[64];
	int length = snprintf(text, sizeof(text), "pilae: there is no VM %u\n", number);
	const struct vm *vm = number == SHELL ? NULL : vm_by_number(number);

	spin_lock(&console.lock);
	if (number == SHELL || vm)
		put_focus(number, vm);
	else
		put_message(text, (size_t)length);
	spin_unlock(&console.lock);

	/* What was typed for the VM before is not meant for this one. */
	spin_lock(&input.lock);
	input.tail = input.head;
	spin_unlock(&input.lock);
}

void console_leave_shell(void)
{
	console_focus(console.last_vm);
}

void console_begin(void)
{
	unsigned number = 1;
	const struct vm *vm;

	while ((vm = vm_by_number(number)) != NULL && vm->state != VM_LOADING)
		number++;
	if (number != console.focus)
		console_focus(vm ? number : SHELL);
}

static void help(void)
{
	char text[VMCONFIG_NAME_MAX + 64];

	spin_lock(&console.lock);
	put_line_start();
	for (const struct vm *vm = vm_next(NULL); vm && vm->number <= 9; vm = vm_next(vm)) {
		int length = snprintf(text, sizeof(text), "pilae: Ctrl-%c %u  console of %s%s\n",
				      console.escape | 0x40, vm->number, vm->config.name,
				      vm->number == console.focus ? " (shown)" : "");

		put_text(text, (size_t)length);
	}
	int length =
	    snprintf(text, sizeof(text),
		     "pilae: Ctrl-%c s  the shell%s\npilae: Ctrl-%c Ctrl-%c  sends Ctrl-%c\n",
		     console.escape | 0x40, console.focus == SHELL ? " (shown)" : "",
		     console.escape | 0x40, console.escape | 0x40, console.escape | 0x40);

	put_text(text, (size_t)length);
	put_prompt();
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

static void typed(uint8_t byte)
{
	if (console.focus == SHELL)
		shell_key(byte);
	else
		type(byte);
}

static void escape_key(uint8_t byte)
{
	if (byte == console.escape)
		typed(byte);
	else if (byte == 's')
		console_focus(SHELL);
	else if (byte >= '1' && byte <= '9')
		console_focus((unsigned)(byte - '0'));
	else
		help();
}

void console_key(uint8_t byte)
{
	bool escaped = console.escaped;

	console.escaped = !escaped && byte == console.escape;
	if (escaped)
		escape_key(byte);
	else if (!console.escaped)
		typed(byte);
}

/* At a preemption point, maybe of the shell's own job. */
static void received(uint8_t byte)
{
	if (console.focus == SHELL || shell_is_busy())
		shell_queue(byte);
	else
		console_key(byte);
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
	shell_init();
	host_uart_init(received);
	log_set_output(log_to_console);
	log_set_last_output(host_uart_write_last, host_uart_flush);
}
