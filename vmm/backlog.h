/* SPDX-License-Identifier: MIT */
#ifndef VMM_BACKLOG_H
#define VMM_BACKLOG_H

/*
 * The last 64 KiB that were written to a console, with any number of readers, each at a place of
 * its own: nobody waits for a reader, and one that is too slow finds out how much it missed. It
 * touches no hardware. One caller at a time.
 */

#include "kernel/types.h"

#define BACKLOG_SIZE 65536 /* a power of two */

/* Places are counted in bytes from the first one ever written. */
struct backlog {
	uint8_t *bytes; /* BACKLOG_SIZE of them */
	uint64_t first; /* what lies before is not kept */
	uint64_t head;  /* the next byte goes here */
	uint64_t line;  /* a line begins here that is not complete */
	uint64_t cut;   /* a line ends here though it has no newline; 0: none */
};

struct backlog_reader {
	uint64_t at;
	uint64_t fresh;   /* what lies before was old when it was begun with: may be missed */
	uint64_t dropped; /* bytes missed, until it is told */
};

/* Takes over `bytes`, whatever they are; nothing is kept yet. */
void backlog_init(struct backlog *backlog, uint8_t *bytes);

/* Forgets all. */
void backlog_clear(struct backlog *backlog);

/* Up to BACKLOG_SIZE bytes. */
void backlog_write(struct backlog *backlog, const uint8_t *bytes, unsigned count);

/* Whoever wrote the last line will not complete it. */
void backlog_end_line(struct backlog *backlog);

/* Sets a reader to the oldest byte that is kept, or to the start of the line being written. */
void backlog_rewind(const struct backlog *backlog, struct backlog_reader *reader);
void backlog_skip(const struct backlog *backlog, struct backlog_reader *reader);

/* Sets a reader that is in the line being written to its start, if that is `most` bytes back. */
void backlog_rewind_line(const struct backlog *backlog, struct backlog_reader *reader,
			 unsigned most);

/* Whether there is a byte to read, or a whole line, or as much of one as `size`. */
bool backlog_has_bytes(const struct backlog *backlog, const struct backlog_reader *reader);
bool backlog_has_line(const struct backlog *backlog, const struct backlog_reader *reader,
		      unsigned size);

/*
 * What can be read now, `*count` bytes that lie together; 0 if there are none. The reader stays
 * where it is, but for what it missed: then it goes on half the backlog before the end, so that it
 * misses something seldom.
 */
const uint8_t *backlog_peek(const struct backlog *backlog, struct backlog_reader *reader,
			    unsigned *count);

/*
 * Reads a line into `text`, without CR and LF, cut at `size` bytes. False if there is none, as for
 * backlog_has_line(). Misses what backlog_peek() would.
 */
bool backlog_read_line(const struct backlog *backlog, struct backlog_reader *reader, char *text,
		       unsigned size, unsigned *length);

#endif
