/* SPDX-License-Identifier: MIT */

#include "shell/terminal.h"

#include "driver/uart.h"
#include "kernel/list.h"
#include "kernel/lock.h"
#include "kernel/platform.h"
#include "kernel/timer.h"
#include "shell/plain_text.h"
#include "vmm/copy.h"
#include "vmm/vm.h"

#include <stdio.h>
#include <string.h>

#define OWN_SIZE   65536 /* bytes of messages and of the shell's that wait; a power of two */
#define RECORD_MAX 1024  /* of one of them */
#define FILL       256   /* bytes in one stretch, the last piece may be more */
#define PIECE_MAX  256   /* bytes of a focused console */
#define PIECE_COST 24    /* of a piece, in the time that a byte takes */
#define ROOM_MIN   (2 * RECORD_MAX) /* for any piece, with all that is put around it */

/*
 * Lines of others wait while the VM that is focused may be in the midst of one: parts of a second
 * since it has last shown something, and since that line began.
 */
#define OPEN_QUIET 10
#define OPEN_MOST  1

/* At the end of the machine: tries to get a lock, and for how long output is waited for. */
#define FLUSH_TRIES   100000
#define FLUSH_SECONDS 5

#define COLOR_MESSAGE "\033[1m"
#define COLOR_OFF     "\033[0m"

/* What waits of our own. Text of the shell's is either of the line that is edited, or not. */
enum record { RECORD_MESSAGE, RECORD_TEXT, RECORD_EDIT };

struct record_header {
	enum record kind;
	unsigned length;
};

static struct {
	struct spinlock lock;     /* guards the rest, and the UART's writing end */
	struct list consoles;     /* all */
	struct list ready;        /* those that have something to show */
	struct vm_console *focus; /* NULL: the shell; changed by the boot hart alone */
	bool begun;               /* something has been focused */
	bool others;              /* lines of the others are shown; the boot hart changes it */
	bool color;
	bool last;              /* the machine ends: nobody else runs any more */
	bool line_open;         /* the terminal is not at the start of a line */
	uint64_t opened, added; /* times: of a focused VM's line, the first part and the last */
	unsigned put;           /* in this stretch: bytes, and what their pieces cost */

	char prompt[LINE_RENDER_MAX]; /* shows the line that is typed for the shell */
	unsigned prompt_length;       /* 0: it runs a command */
	bool prompt_shown;

	unsigned head, tail; /* of own[], free-running */
	uint64_t dropped;    /* bytes that found no room there, until that is told */
} terminal = {
    .lock = SPINLOCK_INIT,
    .consoles = LIST_INIT(terminal.consoles),
    .ready = LIST_INIT(terminal.ready),
    .others = true,
};

/* Records: a header and the text. Not in the image. */
static char own[OWN_SIZE];

/*
 * The functions named put_… have the terminal's lock.
 */

static void put_raw(const char *text, size_t length)
{
	if (length == 0)
		return;
	host_uart_write(text, length);
	terminal.put += (unsigned)length + PIECE_COST;
	terminal.line_open = text[length - 1] != '\n';
}

static void put_string(const char *text)
{
	put_raw(text, strlen(text));
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

static bool has_prompt(void)
{
	return terminal.begun && !terminal.focus && terminal.prompt_length > 0;
}

/* Other lines appear above the shell's prompt, which put_prompt() then shows again. */
static void put_line_start(void)
{
	if (has_prompt() && terminal.prompt_shown) {
		put_string("\r\033[K");
		terminal.line_open = false;
	} else if (terminal.line_open) {
		put_raw("\r\n", 2);
	}
	terminal.prompt_shown = false;
}

static void put_prompt(void)
{
	if (!has_prompt() || terminal.prompt_shown || terminal.head != terminal.tail)
		return;
	put_raw(terminal.prompt, terminal.prompt_length);
	terminal.prompt_shown = true;
}

static void put_message(const char *text, size_t length)
{
	put_line_start();
	if (terminal.color)
		put_string(COLOR_MESSAGE);
	put_text(text, text[length - 1] == '\n' ? length - 1 : length);
	put_string(terminal.color ? COLOR_OFF "\r\n" : "\r\n");
}

/* A missing part is told where it is missing. */
static void put_dropped(const char *name, uint64_t bytes)
{
	char text[VMCONFIG_NAME_MAX + 64];
	int length = snprintf(text, sizeof(text), "pilae: %s%s%llu bytes of output dropped\n", name,
			      *name ? ": " : "", (unsigned long long)bytes);

	put_message(text, (size_t)length);
}

/*
 * Messages and the shell's text.
 */

static void add_bytes(const char *bytes, size_t count)
{
	size_t at = terminal.head % OWN_SIZE;
	size_t run = min_u64(count, OWN_SIZE - at);

	copy_bytes(own + at, bytes, run);
	copy_bytes(own, bytes + run, count - run);
	terminal.head += (unsigned)count;
}

static void take_bytes(char *bytes, size_t count)
{
	size_t at = terminal.tail % OWN_SIZE;
	size_t run = min_u64(count, OWN_SIZE - at);

	copy_bytes(bytes, own + at, run);
	copy_bytes(bytes + run, own, count - run);
	terminal.tail += (unsigned)count;
}

static void add_record(enum record kind, const char *text, size_t length)
{
	struct record_header header = {kind, (unsigned)min_u64(length, RECORD_MAX)};

	if (length == 0)
		return;
	if (terminal.dropped ||
	    terminal.head - terminal.tail + header.length + sizeof(header) > OWN_SIZE) {
		terminal.dropped += length;
		return;
	}
	add_bytes((const char *)&header, sizeof(header));
	add_bytes(text, header.length);
}

static void put_record(void)
{
	static char text[RECORD_MAX];
	struct record_header header;

	take_bytes((char *)&header, sizeof(header));
	take_bytes(text, header.length);
	if (header.kind == RECORD_MESSAGE) {
		put_message(text, header.length);
		return;
	}
	put_text(text, header.length);
	/* What begins with a CR shows all of the line. */
	terminal.prompt_shown =
	    header.kind == RECORD_EDIT && (terminal.prompt_shown || text[0] == '\r');
}

static bool put_own(void)
{
	if (terminal.head != terminal.tail) {
		put_record();
		return true;
	}
	if (!terminal.dropped)
		return false;
	put_dropped("", terminal.dropped);
	terminal.dropped = 0;
	return true;
}

/*
 * VMs.
 */

bool terminal_is_due(const struct vm_console *console)
{
	if (console->shown == VM_CONSOLE_ALL)
		return backlog_has_bytes(&console->backlog, &console->uart);
	return console->shown == VM_CONSOLE_LINES &&
	       backlog_has_line(&console->backlog, &console->uart, TERMINAL_LINE_MAX);
}

/* Without snprintf(), which takes its time. */
static void put_name(const struct vm_console *console)
{
	const struct vm *vm = vm_with(console);
	char color[] = "\033[31m";

	color[3] = (char)('1' + vm->number % 6);
	if (terminal.color)
		put_string(color);
	put_string("[");
	put_string(vm->config.name);
	put_string("]");
	put_string(terminal.color ? COLOR_OFF " " : " ");
}

static void put_line(struct vm_console *console)
{
	char text[TERMINAL_LINE_MAX];
	unsigned length;

	if (!backlog_read_line(&console->backlog, &console->uart, text, sizeof(text), &length))
		return;
	put_line_start();
	put_name(console);
	put_raw(text, plain_text(text, length, terminal.color));
	/* It may have changed the colour. */
	put_string(terminal.color ? COLOR_OFF "\r\n" : "\r\n");
}

/* Of so many bytes, those that are shown at once: up to the end of a line, if there is one. */
static unsigned piece_of(const uint8_t *bytes, unsigned count)
{
	unsigned most = (unsigned)min_u64(count, PIECE_MAX);

	for (unsigned i = most; i > 0; i--) {
		if (bytes[i - 1] == '\n')
			return i;
	}
	return most;
}

/* The VM's lock is held. */
static void put_some_of(struct vm_console *console)
{
	unsigned count;
	const uint8_t *bytes = backlog_peek(&console->backlog, &console->uart, &count);

	if (console->uart.dropped > 0) {
		put_dropped(vm_with(console)->config.name, console->uart.dropped);
		console->uart.dropped = 0;
	}
	if (console->shown == VM_CONSOLE_LINES) {
		put_line(console);
	} else if (console->shown == VM_CONSOLE_ALL) {
		count = piece_of(bytes, count);
		terminal.added = time_now();
		if (!terminal.line_open)
			terminal.opened = terminal.added;
		put_raw((const char *)bytes, count);
		console->uart.at += count;
	}
}

/* Whether what is shown of the focused VM is likely to be continued at once. */
static bool is_within_line(void)
{
	uint64_t now = time_now();

	return terminal.focus && terminal.line_open && !terminal.last &&
	       now - terminal.added < platform.timebase / OPEN_QUIET &&
	       now - terminal.opened < platform.timebase / OPEN_MOST;
}

/* At the end of the machine who holds the lock may be stopped. */
static bool lock_console(struct vm_console *console)
{
	if (!terminal.last) {
		spin_lock(&console->lock);
		return true;
	}
	for (unsigned i = 0; i < FLUSH_TRIES; i++) {
		if (spin_trylock(&console->lock))
			return true;
	}
	return false;
}

static void enqueue(struct vm_console *console)
{
	if (console->queued)
		return;
	console->queued = true;
	list_push_back(&terminal.ready, &console->ready);
}

/* The one whose turn it is, or NULL. */
static struct vm_console *next_ready(void)
{
	if (list_empty(&terminal.ready))
		return NULL;
	if (is_within_line())
		return terminal.focus->queued ? terminal.focus : NULL;
	return list_entry(terminal.ready.next, struct vm_console, ready);
}

/* Who has had its turn goes to the end. */
static bool put_of_vm(void)
{
	struct vm_console *console = next_ready();

	if (!console)
		return false;
	list_remove(&console->ready);
	if (!lock_console(console))
		return true;
	console->queued = false;
	if (terminal_is_due(console))
		put_some_of(console);
	if (terminal_is_due(console))
		enqueue(console);
	spin_unlock(&console->lock);
	return true;
}

static bool has_more(void)
{
	return terminal.head != terminal.tail || terminal.dropped || !list_empty(&terminal.ready);
}

/* `vms`: not only of our own, so that a command's output takes its time alone. */
static void put_what_there_is_room_for(bool vms)
{
	terminal.put = 0;
	while (terminal.put < FILL && host_uart_room() >= ROOM_MIN &&
	       (put_own() || (vms && put_of_vm())))
		;
	put_prompt();
	if (has_more())
		host_uart_continue();
}

/* The UART asks by itself while it is busy. */
static void put_unless_busy(bool vms)
{
	if (!host_uart_is_busy())
		put_what_there_is_room_for(vms);
}

void terminal_fill(void)
{
	spin_lock(&terminal.lock);
	put_what_there_is_room_for(true);
	spin_unlock(&terminal.lock);
}

void terminal_wake(struct vm_console *console)
{
	spin_lock(&terminal.lock);
	spin_lock(&console->lock);
	if (terminal_is_due(console))
		enqueue(console);
	spin_unlock(&console->lock);
	put_unless_busy(true);
	spin_unlock(&terminal.lock);
}

void terminal_message(const char *text, size_t length)
{
	spin_lock(&terminal.lock);
	while (length > 0) {
		const char *end = memchr(text, '\n', length);
		size_t line = end ? (size_t)(end - text) + 1 : length;

		add_record(RECORD_MESSAGE, text, line);
		text += line;
		length -= line;
	}
	put_unless_busy(false);
	spin_unlock(&terminal.lock);
}

void terminal_shell_output(const char *text, unsigned length, const char *prompt,
			   unsigned prompt_length)
{
	spin_lock(&terminal.lock);
	memcpy(terminal.prompt, prompt, prompt_length);
	terminal.prompt_length = prompt_length;
	if (terminal.begun && !terminal.focus)
		add_record(prompt_length ? RECORD_EDIT : RECORD_TEXT, text, length);
	put_unless_busy(false);
	spin_unlock(&terminal.lock);
}

/*
 * What is shown.
 */

static enum vm_console_shown shown_of(const struct vm_console *console)
{
	if (console == terminal.focus)
		return VM_CONSOLE_ALL;
	/* Who has a port of its own is read there. */
	return terminal.others && !console->port ? VM_CONSOLE_LINES : VM_CONSOLE_SILENT;
}

/* The terminal's lock is held. */
static void update(struct vm_console *console, bool rewind)
{
	enum vm_console_shown shown;

	spin_lock(&console->lock);
	shown = shown_of(console);
	if (rewind)
		backlog_rewind(&console->backlog, &console->uart);
	else if (console->shown == VM_CONSOLE_SILENT && shown == VM_CONSOLE_LINES)
		backlog_skip(&console->backlog, &console->uart);
	else if (console->shown == VM_CONSOLE_ALL && shown == VM_CONSOLE_LINES)
		backlog_rewind_line(&console->backlog, &console->uart, TERMINAL_LINE_MAX);
	console->shown = shown;
	if (terminal_is_due(console))
		enqueue(console);
	spin_unlock(&console->lock);
}

void terminal_update(struct vm_console *console)
{
	spin_lock(&terminal.lock);
	update(console, false);
	put_unless_busy(false);
	spin_unlock(&terminal.lock);
}

static void update_all(struct vm_console *rewound)
{
	list_for_each(link, &terminal.consoles)
	{
		struct vm_console *console = list_entry(link, struct vm_console, link);

		update(console, console == rewound);
	}
}

void terminal_focus(struct vm_console *console, const char *text, unsigned length)
{
	spin_lock(&terminal.lock);
	/* What is typed stays to be seen, and so does a prompt that is left. */
	terminal.prompt_shown = false;
	/* At first, and above the shell's prompt, there are lines of all. */
	terminal.others = !console || !terminal.begun;
	terminal.begun = true;
	terminal.focus = console;
	update_all(console);
	if (length > 0)
		add_record(RECORD_MESSAGE, text, length);
	put_unless_busy(false);
	spin_unlock(&terminal.lock);
}

struct vm_console *terminal_focused(void)
{
	return terminal.focus;
}

void terminal_show_others(bool shown)
{
	spin_lock(&terminal.lock);
	terminal.others = shown;
	update_all(NULL);
	put_unless_busy(false);
	spin_unlock(&terminal.lock);
}

bool terminal_shows_others(void)
{
	return terminal.others;
}

void terminal_add(struct vm_console *console)
{
	spin_lock(&terminal.lock);
	list_push_back(&terminal.consoles, &console->link);
	update(console, false);
	spin_unlock(&terminal.lock);
}

void terminal_remove(struct vm_console *console)
{
	spin_lock(&terminal.lock);
	spin_lock(&console->lock);
	list_remove(&console->link);
	list_remove(&console->ready);
	console->shown = VM_CONSOLE_SILENT;
	spin_unlock(&console->lock);
	spin_unlock(&terminal.lock);
}

void terminal_init(bool color)
{
	terminal.color = color;
}

/*
 * The end of the machine.
 */

void terminal_flush(void)
{
	uint64_t end = time_now() + FLUSH_SECONDS * platform.timebase;
	bool locked = false;

	/* After a panic others are stopped wherever they were: their lists are left alone. */
	for (unsigned i = 0; i < FLUSH_TRIES && !locked && !terminal.last; i++)
		locked = spin_trylock(&terminal.lock);
	host_uart_flush();
	if (!locked)
		return;
	terminal.last = true;
	while (has_more() && time_now() < end) {
		terminal.put = 0;
		if (!put_own())
			put_of_vm();
		host_uart_flush();
	}
	spin_unlock(&terminal.lock);
}

void terminal_write_last(const char *text, size_t length)
{
	terminal.last = true;
	host_uart_write_last(text, length);
}
