/* SPDX-License-Identifier: MIT */

#include "shell/shell.h"

#include "kernel/error.h"
#include "kernel/platform.h"
#include "kernel/timer.h"
#include "kernel/trap.h"
#include "shell/commands.h"
#include "shell/console.h"
#include "shell/line.h"
#include "shell/print.h"
#include "shell/script.h"
#include "vmm/schedule.h"

#define QUEUE_SIZE 1024 /* a power of two */
#define ROW_MAX    512  /* bytes of a command's that are shown at once */

static void output(const char *text, unsigned length);
static void complete(const char *text, unsigned length, struct completion *completion);

/* All of it is the boot hart's: bytes are queued there at preemption points. */
static struct {
	struct line line;
	struct job job;
	bool busy; /* the job is queued, or runs */
	unsigned head, tail;
	uint8_t bytes[QUEUE_SIZE];
	/* What a command has printed of a line, which is shown when it is whole. */
	unsigned row_length;
	char row[ROW_MAX];
	/* Of a command that goes on, or NULL. */
	void (*live_show)(void);
	void (*live_end)(void);
	struct timer live_timer;
	bool live_due;
} shell = {.line = {.prompt = "pilae> ", .output = output, .complete = complete}};

static void put(const char *text, unsigned length)
{
	char prompt[LINE_RENDER_MAX];

	console_shell_output(text, length, prompt, line_render(&shell.line, prompt));
}

/* Shows what has been printed of a line so far. */
static void show_row(void)
{
	if (shell.row_length == 0)
		return;
	put(shell.row, shell.row_length);
	shell.row_length = 0;
	preempt_point();
}

/* The editor's. */
static void output(const char *text, unsigned length)
{
	show_row();
	put(text, length);
}

static void complete(const char *text, unsigned length, struct completion *completion)
{
	command_complete(shell_commands, text, length, completion);
}

void shell_write(const char *text, unsigned length)
{
	if (script_runs()) {
		script_write(text, length);
		return;
	}
	/* To format it has taken as long already. */
	preempt_point();
	/* Nobody's line comes between the parts of one. */
	for (unsigned i = 0; i < length; i++) {
		shell.row[shell.row_length++] = text[i];
		if (text[i] == '\n' || shell.row_length == ROW_MAX)
			show_row();
	}
}

void shell_init(void)
{
	line_begin(&shell.line);
}

bool shell_is_busy(void)
{
	return shell.busy;
}

bool shell_has_room(void)
{
	return shell.head - shell.tail < QUEUE_SIZE;
}

void shell_fail(void)
{
	if (script_runs())
		script_fail();
}

bool shell_is_script(void)
{
	return script_runs();
}

static void wake(void);

static void end_live(void)
{
	timer_cancel(&shell.live_timer);
	shell.live_show = NULL;
	shell.live_due = false;
	shell.live_end();
	line_begin(&shell.line);
}

static void show_live(void)
{
	shell.live_due = false;
	shell.live_show();
	show_row();
	timer_set(&shell.live_timer, time_now() + platform.timebase);
}

/* On the boot hart, whose job set it. */
static void live_expired(struct timer *timer)
{
	(void)timer;
	shell.live_due = true;
	wake();
}

void shell_begin_live(void (*show)(void), void (*end)(void))
{
	timer_init(&shell.live_timer, live_expired);
	shell.live_show = show;
	shell.live_end = end;
	show_live();
}

static bool is_live_left(void)
{
	return shell.live_show && console_focused() != 0;
}

static int step(struct job *job)
{
	(void)job;
	/* A script's command may have given the terminal to a VM. */
	if (is_live_left())
		end_live();
	if (shell.live_due && shell.live_show)
		show_live();
	if (shell.head == shell.tail) {
		shell.busy = false;
		return 0;
	}
	console_key(shell.bytes[shell.tail++ % QUEUE_SIZE]);
	if (is_live_left())
		end_live();
	return ERR_AGAIN;
}

void shell_queue(uint8_t byte)
{
	if (!shell_has_room())
		return;
	shell.bytes[shell.head++ % QUEUE_SIZE] = byte;
	wake();
}

static void wake(void)
{
	if (shell.busy)
		return;
	shell.busy = true;
	schedule_job(&shell.job, step);
}

void shell_key(uint8_t byte)
{
	if (shell.live_show) {
		end_live();
		return;
	}
	switch (line_input(&shell.line, byte)) {
	case LINE_READY:
		/* To show a long line takes its time already. */
		preempt_point();
		command_run(shell_commands, shell.line.text);
		if (!shell.live_show)
			line_begin(&shell.line);
		break;
	case LINE_LEFT:
		console_leave_shell();
		break;
	case LINE_EDITED:
		break;
	}
}
