/* SPDX-License-Identifier: MIT */

#include "shell/console.h"

#include "driver/uart.h"
#include "driver/virtio/console.h"
#include "kernel/error.h"
#include "kernel/log.h"
#include "kernel/options.h"
#include "kernel/page.h"
#include "shell/port.h"
#include "shell/shell.h"
#include "shell/terminal.h"
#include "vmm/hooks.h"
#include "vmm/vm.h"

#include <stdio.h>
#include <string.h>

#define SHELL         0 /* in place of a VM's number */
#define BACKLOG_ORDER 4
#define REFUSALS_MAX  1000
#define FEED_MAX      32 /* bytes that a guest is given in one stretch, however fast it reads */
#define CTRL(c)       ((c) ^ 0x40) /* and back; ^? is DEL */

_Static_assert(PAGE_SIZE << BACKLOG_ORDER == BACKLOG_SIZE, "a backlog is a block of pages");

/* All of it is the boot hart's. */
static struct {
	unsigned last_vm; /* that was focused */
	bool escaped;     /* the escape character came last */
	uint8_t escape;
} keys = {.last_vm = 1, .escape = CTRL(']')};

/*
 * A VM's output.
 */

unsigned console_output(struct vm *vm, const uint8_t *bytes, unsigned count)
{
	struct vm_console *console = &vm->console;
	bool wake;

	spin_lock(&console->lock);
	backlog_write(&console->backlog, bytes, count);
	if (console->port)
		port_send(console);
	wake = !console->queued && terminal_is_due(console);
	spin_unlock(&console->lock);
	if (wake)
		terminal_wake(console);
	return count;
}

/*
 * A VM's input: what was typed, then what came through its port. The lock keeps its devices from
 * being taken down meanwhile: see console_forget().
 */

/* The next byte, which stays; false if there is none. */
static bool next_input(struct vm_console *console, uint8_t *byte)
{
	if (console->head != console->tail) {
		*byte = console->typed[console->tail % VM_CONSOLE_INPUT];
		return true;
	}
	if (!console->holds && console->input_port)
		console->holds = host_port_read(console->input_port, &console->held, 1) > 0;
	*byte = console->held;
	return console->holds;
}

static void drop_input(struct vm_console *console)
{
	if (console->head != console->tail)
		console->tail++;
	else
		console->holds = false;
	console->refused = 0;
}

void console_drained(struct vm *vm)
{
	struct vm_console *console = &vm->console;
	uint8_t byte;

	spin_lock(&console->input_lock);
	for (unsigned left = FEED_MAX; left > 0; left--) {
		/* The guest has the last one still to read, and comes back here when it does. */
		if (vm->state != VM_RUNNING || !next_input(console, &byte) ||
		    !machine_console_input(vm, byte, left == 1))
			break;
		drop_input(console);
	}
	spin_unlock(&console->input_lock);
}

/*
 * The UART asks each millisecond. A guest that reads nothing for a second of these must not keep
 * the escape character from being read; the rest of what is typed then is lost.
 */
static bool takes_input(struct vm_console *console)
{
	if (console->head - console->tail < VM_CONSOLE_INPUT)
		return true;
	if (console->refused < REFUSALS_MAX)
		console->refused++;
	return console->refused == REFUSALS_MAX;
}

static void type(struct vm_console *console, uint8_t byte)
{
	spin_lock(&console->input_lock);
	if (console->head - console->tail < VM_CONSOLE_INPUT)
		console->typed[console->head++ % VM_CONSOLE_INPUT] = byte;
	spin_unlock(&console->input_lock);
	console_drained(vm_with(console));
}

/*
 * Its life.
 */

int console_add(struct vm *vm)
{
	struct vm_console *console = &vm->console;
	uint8_t *bytes = page_alloc(BACKLOG_ORDER);

	if (!bytes)
		return ERR_NOMEM;
	list_init(&console->ready);
	backlog_init(&console->backlog, bytes);
	terminal_add(console);
	port_find(console);
	return 0;
}

void console_remove(struct vm *vm)
{
	struct vm_console *console = &vm->console;

	if (!console->backlog.bytes)
		return;
	if (terminal_focused() == console)
		console_focus(SHELL);
	port_lose(console);
	terminal_remove(console);
	page_clear(console->backlog.bytes, BACKLOG_ORDER);
	page_free(console->backlog.bytes, BACKLOG_ORDER);
	console->backlog.bytes = NULL;
}

uint64_t console_kept_bytes(void)
{
	return BACKLOG_SIZE;
}

void console_restart(struct vm *vm)
{
	struct vm_console *console = &vm->console;

	spin_lock(&console->lock);
	backlog_clear(&console->backlog);
	spin_unlock(&console->lock);
	spin_lock(&console->input_lock);
	console->tail = console->head;
	spin_unlock(&console->input_lock);
}

void console_forget(struct vm *vm)
{
	struct vm_console *console = &vm->console;

	/* Who feeds it still has the lock; who comes later sees that it does not run. */
	spin_lock(&console->input_lock);
	spin_unlock(&console->input_lock);

	spin_lock(&console->lock);
	backlog_end_line(&console->backlog);
	spin_unlock(&console->lock);
	terminal_wake(console);
}

/*
 * The focus.
 */

unsigned console_focused(void)
{
	struct vm_console *console = terminal_focused();

	return console ? vm_with(console)->number : SHELL;
}

void console_focus(unsigned number)
{
	struct vm *vm = number == SHELL ? NULL : vm_by_number(number);
	char text[VMCONFIG_NAME_MAX + 32];
	int length;

	if (number == SHELL) {
		length =
		    snprintf(text, sizeof(text), "pilae: shell; Ctrl-%c and a digit leaves it\n",
			     CTRL(keys.escape));
	} else if (vm && vm->console.backlog.bytes) {
		keys.last_vm = number;
		length = snprintf(text, sizeof(text), "pilae: console of %s\n", vm->config.name);
	} else {
		length = snprintf(text, sizeof(text), "pilae: there is no VM %u\n", number);
		terminal_message(text, (size_t)length);
		return;
	}
	terminal_focus(vm ? &vm->console : NULL, text, (unsigned)length);
}

void console_leave_shell(void)
{
	console_focus(keys.last_vm);
}

void console_begin(void)
{
	unsigned number = 1;
	struct vm *vm;

	while ((vm = vm_by_number(number)) != NULL && vm->state != VM_LOADING)
		number++;
	if (!vm)
		number = SHELL;
	/* The first one needs no announcement. */
	if (number == 1)
		terminal_focus(&vm->console, "", 0);
	else
		console_focus(number);
	if (vm)
		keys.last_vm = number;
	terminal_show_others(true);
}

void console_shell_output(const char *text, unsigned length, const char *prompt,
			  unsigned prompt_length)
{
	terminal_shell_output(text, length, prompt, prompt_length);
}

/*
 * Keys.
 */

/* A text that is put together without snprintf(), which takes its time. */
struct text {
	unsigned length;
	char bytes[1024];
};

static void add(struct text *text, const char *string)
{
	for (; *string && text->length < sizeof(text->bytes); string++)
		text->bytes[text->length++] = *string;
}

/* The escape character, as it is written. */
static const char *escape_name(void)
{
	static char name[] = "Ctrl-]";

	name[sizeof(name) - 2] = (char)CTRL(keys.escape);
	return name;
}

static void add_key(struct text *text, const char *key, const char *what, const char *name,
		    bool shown)
{
	add(text, "pilae: ");
	add(text, escape_name());
	add(text, " ");
	add(text, key);
	add(text, what);
	add(text, name);
	add(text, shown ? " (shown)\n" : "\n");
}

static void help(void)
{
	struct text text = {0};

	for (const struct vm *vm = vm_next(NULL); vm && vm->number <= 9; vm = vm_next(vm)) {
		char digit[] = {(char)('0' + vm->number), '\0'};

		add_key(&text, digit, "  console of ", vm->config.name,
			vm->number == console_focused());
	}
	add_key(&text, "s", "  the shell", "", console_focused() == SHELL);
	add_key(&text, "a", "  lines of all other VMs, or none", "", terminal_shows_others());
	add_key(&text, escape_name(), "  sends ", escape_name(), false);
	terminal_message(text.bytes, text.length);
}

static void toggle_others(void)
{
	static const char on[] = "pilae: lines of other VMs are shown\n";
	static const char off[] = "pilae: lines of other VMs are not shown\n";
	bool shown = !terminal_shows_others();

	terminal_message(shown ? on : off, shown ? sizeof(on) - 1 : sizeof(off) - 1);
	terminal_show_others(shown);
}

static void typed(uint8_t byte)
{
	struct vm_console *console = terminal_focused();

	if (console)
		type(console, byte);
	else
		shell_key(byte);
}

static void escape_key(uint8_t byte)
{
	if (byte == keys.escape)
		typed(byte);
	else if (byte == 's')
		console_focus(SHELL);
	else if (byte == 'a')
		toggle_others();
	else if (byte >= '1' && byte <= '9')
		console_focus((unsigned)(byte - '0'));
	else
		help();
}

void console_key(uint8_t byte)
{
	bool escaped = keys.escaped;

	keys.escaped = !escaped && byte == keys.escape;
	if (escaped)
		escape_key(byte);
	else if (!keys.escaped)
		typed(byte);
}

static bool is_for_shell(void)
{
	return !terminal_focused() || shell_is_busy();
}

/* At a preemption point, maybe of the shell's own job. */
static void received(uint8_t byte)
{
	if (is_for_shell())
		shell_queue(byte);
	else
		console_key(byte);
}

static bool ready(void)
{
	return is_for_shell() ? shell_has_room() : takes_input(terminal_focused());
}

void console_init(const char *command_line)
{
	static const struct host_uart_user user = {ready, received, terminal_fill};
	char value[4];

	/* "^]" or the like: a control character. */
	if (option_find(command_line, "pilae.escape", value, sizeof(value))) {
		if (strlen(value) == 2 && value[0] == '^' && value[1] >= '?' && value[1] <= '_')
			keys.escape = (uint8_t)CTRL(value[1]);
		else
			log_warn(
			    "command line: pilae.escape=%s: not a control character such as ^]",
			    value);
	}
	terminal_init(option_find(command_line, "pilae.color", value, sizeof(value)));
	shell_init();
	host_uart_init(&user);
	log_set_output(terminal_message);
	log_set_last_output(terminal_write_last, terminal_flush);
}
