/* SPDX-License-Identifier: MIT */

/*
 * What lies between the serial port and programs: a buffer for what is to be sent, and one
 * for what is typed. Typing is edited here: a program gets whole lines.
 *
 *   ^H, DEL  takes back a character     ^C  kills the program in the foreground
 *   ^U       takes back the line        ^D  ends the input: read() returns 0
 */

#include "guests/minikernel/kernel.h"

#define CONTROL(letter) ((letter) - '@')
#define END_OF_INPUT    CONTROL('D')
#define DELETE          0x7f

/* Powers of two. Positions count on and on; modulo the size they are indices. */
#define OUT_SIZE 2048
#define IN_SIZE  1024

/* What is written in one piece appears in one piece. A newline takes two bytes. */
#define PIECE 256

static struct {
	char bytes[OUT_SIZE];
	uint32_t read;
	uint32_t written;
} out;

/* read ≤ ready ≤ written: between the first two, whole lines; then the one being typed. */
static struct {
	char bytes[IN_SIZE];
	uint32_t read;
	uint32_t ready;
	uint32_t written;
	uint32_t readers; /* processes that wait for a line */
} in;

static uint32_t foreground;
static bool interrupted; /* ^C came when there was neither a foreground nor a reader */

int console_next(void)
{
	if (out.read == out.written)
		return -1;
	if (out.written - out.read == OUT_SIZE / 2)
		sched_wakeup(&out);
	return (uint8_t)out.bytes[out.read++ % OUT_SIZE];
}

static void put_byte(char c)
{
	if (out.written - out.read == OUT_SIZE)
		uart_drain();
	out.bytes[out.written++ % OUT_SIZE] = c;
}

void console_put(char c)
{
	if (c == '\n')
		put_byte('\r');
	put_byte(c);
}

/* A piece at a time, each when there is room for all of it. */
static int write_piece(struct proc *p, uint64_t va, uint64_t size)
{
	char piece[PIECE];
	int error = space_read(&p->space, piece, va, size);

	if (error != 0)
		return error;
	while (OUT_SIZE - (out.written - out.read) < 2 * PIECE) {
		if (p->killed)
			return ERR_DENIED;
		sched_sleep(&out);
	}
	for (uint64_t i = 0; i < size; i++)
		console_put(piece[i]);
	uart_start();
	return 0;
}

int64_t console_write(struct proc *p, uint64_t va, uint64_t size)
{
	if (size > INT32_MAX)
		return ERR_INVAL;
	for (uint64_t done = 0; done < size; done += PIECE) {
		int error = write_piece(p, va + done, min_u64(size - done, PIECE));

		if (error != 0)
			return error;
	}
	return (int64_t)size;
}

int64_t console_read(struct proc *p, uint64_t va, uint64_t size)
{
	uint64_t done = 0;

	interrupted = false;
	while (in.read == in.ready) {
		if (p->killed)
			return ERR_DENIED;
		in.readers++;
		sched_sleep(&in);
		in.readers--;
	}
	while (done < size && in.read != in.ready) {
		char c = in.bytes[in.read % IN_SIZE];
		int error;

		/* Alone it means the end, now. After other input, the next read() meets it. */
		if (c == END_OF_INPUT) {
			in.read += done == 0;
			break;
		}
		error = space_write(&p->space, va + done, &c, 1);
		if (error != 0)
			return error;
		in.read++;
		done++;
		if (c == '\n')
			break;
	}
	return (int64_t)done;
}

static void echo(char c)
{
	if (c == '\n' || (c >= ' ' && c != DELETE)) {
		console_put(c);
	} else {
		console_put('^');
		console_put((char)(c + '@'));
	}
}

static void take_back(void)
{
	in.written--;
	console_put('\b');
	console_put(' ');
	console_put('\b');
}

static void finish_line(char c)
{
	if (in.written - in.read == IN_SIZE) {
		console_put('\a');
		return;
	}
	in.bytes[in.written++ % IN_SIZE] = c;
	in.ready = in.written;
	sched_wakeup(&in);
}

/*
 * What was typed before is forgotten. A reader gets an empty line, for the shell to show its
 * prompt. If the shell is just about to start a program, that one is meant.
 */
static void interrupt_key(void)
{
	struct proc *p = foreground != 0 ? proc_find(foreground) : NULL;

	in.written = in.ready = in.read;
	echo(CONTROL('C'));
	console_put('\n');
	if (p != NULL)
		proc_kill_tree(p, STATUS_KILLED);
	else if (in.readers != 0)
		finish_line('\n');
	else
		interrupted = true;
}

static void add_character(char c)
{
	/* The last place is for the end of the line. */
	if ((c < ' ' && c != '\t') || in.written - in.read >= IN_SIZE - 1) {
		console_put('\a');
		return;
	}
	in.bytes[in.written++ % IN_SIZE] = c;
	echo(c == '\t' ? ' ' : c);
}

static void edit(char c)
{
	switch (c) {
	case CONTROL('C'):
		interrupt_key();
		break;
	case CONTROL('U'):
		while (in.written != in.ready)
			take_back();
		break;
	case CONTROL('H'):
	case DELETE:
		if (in.written != in.ready)
			take_back();
		break;
	case '\r':
	case '\n':
		echo('\n');
		finish_line('\n');
		break;
	case END_OF_INPUT:
		finish_line(c);
		break;
	default:
		add_character(c);
	}
}

void console_input(char c)
{
	edit(c);
	uart_start();
}

void console_set_foreground(uint32_t pid)
{
	struct proc *p = interrupted ? proc_find(pid) : NULL;

	foreground = pid;
	if (p != NULL)
		proc_kill_tree(p, STATUS_KILLED);
	interrupted = false;
}
