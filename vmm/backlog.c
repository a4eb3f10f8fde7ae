/* SPDX-License-Identifier: MIT */

#include "vmm/backlog.h"

#include "vmm/copy.h"

/* How much room a reader has that begins with old bytes, or has missed some. */
#define LEAD_OLD    4096
#define LEAD_MISSED (BACKLOG_SIZE / 2)

#define LINE_END 2 /* CR and LF */

void backlog_init(struct backlog *backlog, uint8_t *bytes)
{
	*backlog = (struct backlog){.bytes = bytes};
}

void backlog_clear(struct backlog *backlog)
{
	backlog->first = backlog->line = backlog->cut = backlog->head;
}

static uint64_t oldest(const struct backlog *backlog)
{
	if (backlog->head - backlog->first <= BACKLOG_SIZE)
		return backlog->first;
	return backlog->head - BACKLOG_SIZE;
}

void backlog_write(struct backlog *backlog, const uint8_t *bytes, unsigned count)
{
	unsigned at = (unsigned)(backlog->head % BACKLOG_SIZE);
	unsigned run = count < BACKLOG_SIZE - at ? count : BACKLOG_SIZE - at;

	if (count == 1) {
		backlog->bytes[at] = *bytes;
	} else {
		copy_bytes(backlog->bytes + at, bytes, run);
		copy_bytes(backlog->bytes, bytes + run, count - run);
	}
	for (unsigned i = count; i > 0; i--) {
		if (bytes[i - 1] == '\n') {
			backlog->line = backlog->head + i;
			break;
		}
	}
	backlog->head += count;
}

void backlog_end_line(struct backlog *backlog)
{
	if (backlog->line != backlog->head)
		backlog->line = backlog->cut = backlog->head;
}

void backlog_rewind(const struct backlog *backlog, struct backlog_reader *reader)
{
	reader->at = oldest(backlog);
	reader->fresh = backlog->head;
	reader->dropped = 0;
}

void backlog_skip(const struct backlog *backlog, struct backlog_reader *reader)
{
	reader->at = max_u64(backlog->line, oldest(backlog));
	reader->fresh = 0;
	reader->dropped = 0;
}

void backlog_rewind_line(const struct backlog *backlog, struct backlog_reader *reader,
			 unsigned most)
{
	uint64_t start = max_u64(backlog->line, oldest(backlog));

	if (reader->at > start && reader->at - start <= most)
		reader->at = start;
}

bool backlog_has_bytes(const struct backlog *backlog, const struct backlog_reader *reader)
{
	return reader->at != backlog->head;
}

bool backlog_has_line(const struct backlog *backlog, const struct backlog_reader *reader,
		      unsigned size)
{
	return reader->at < backlog->line || backlog->head - reader->at >= size + LINE_END;
}

/* Leaves out what has been overwritten, and some more, to have a lead over who writes. */
static void catch_up(const struct backlog *backlog, struct backlog_reader *reader)
{
	uint64_t to = oldest(backlog);

	if (reader->at >= to)
		return;
	if (to > backlog->first && to < reader->fresh)
		to = min_u64(to + LEAD_OLD, reader->fresh);
	else if (to > backlog->first)
		to = backlog->head - (BACKLOG_SIZE - LEAD_MISSED);
	if (to > max_u64(reader->at, reader->fresh))
		reader->dropped += to - max_u64(reader->at, reader->fresh);
	reader->at = to;
}

const uint8_t *backlog_peek(const struct backlog *backlog, struct backlog_reader *reader,
			    unsigned *count)
{
	unsigned at;

	catch_up(backlog, reader);
	at = (unsigned)(reader->at % BACKLOG_SIZE);
	*count = (unsigned)min_u64(backlog->head - reader->at, BACKLOG_SIZE - at);
	return backlog->bytes + at;
}

bool backlog_read_line(const struct backlog *backlog, struct backlog_reader *reader, char *text,
		       unsigned size, unsigned *length)
{
	catch_up(backlog, reader);
	*length = 0;
	if (!backlog_has_line(backlog, reader, size))
		return false;
	for (unsigned i = 0; i < size + LINE_END && reader->at != backlog->head; i++) {
		uint8_t byte = backlog->bytes[reader->at % BACKLOG_SIZE];
		bool plain = byte != '\n' && byte != '\r';

		if (plain && *length == size)
			break;
		reader->at++;
		if (plain)
			text[(*length)++] = (char)byte;
		if (byte == '\n' || reader->at == backlog->cut)
			break;
	}
	return true;
}
