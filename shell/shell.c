/* SPDX-License-Identifier: MIT */

#include "shell/shell.h"

#include "kernel/error.h"
#include "kernel/trap.h"
#include "shell/commands.h"
#include "shell/console.h"
#include "shell/line.h"
#include "shell/print.h"
#include "shell/script.h"
#include "vmm/schedule.h"

#define QUEUE_SIZE 1024 /* a power of two */

static void output(const char *text, unsigned length);
static void complete(const char *text, unsigned length, struct completion *completion);

/* All of it is the boot hart's: bytes are queued there at preemption points. */
static struct {
	struct line line;
	struct job job;
	bool busy; /* the job is queued, or runs */
	unsigned head, tail;
	uint8_t bytes[QUEUE_SIZE];
} shell = {.line = {.prompt = "pilae> ", .output = output, .complete = complete}};

static void output(const char *text, unsigned length)
{
	char prompt[LINE_RENDER_MAX];

	console_shell_output(text, length, prompt, line_render(&shell.line, prompt));
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
	output(text, length);
	preempt_point();
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

static int step(struct job *job)
{
	(void)job;
	if (shell.head == shell.tail) {
		shell.busy = false;
		return 0;
	}
	console_key(shell.bytes[shell.tail++ % QUEUE_SIZE]);
	return ERR_AGAIN;
}

void shell_queue(uint8_t byte)
{
	if (!shell_has_room())
		return;
	shell.bytes[shell.head++ % QUEUE_SIZE] = byte;
	if (!shell.busy) {
		shell.busy = true;
		schedule_job(&shell.job, step);
	}
}

void shell_key(uint8_t byte)
{
	switch (line_input(&shell.line, byte)) {
	case LINE_READY:
		/* To show a long line takes its time already. */
		preempt_point();
		command_run(shell_commands, shell.line.text);
		line_begin(&shell.line);
		break;
	case LINE_LEFT:
		console_leave_shell();
		break;
	case LINE_EDITED:
		break;
	}
}
