/* SPDX-License-Identifier: MIT */

#include "shell/plain_text.h"

#define ESC 0x1b
#define BEL 0x07
#define CAN 0x18
#define SUB 0x1a
#define DEL 0x7f

/* A line of bytes, read from left to right. */
struct bytes {
	const uint8_t *at, *end;
};

static bool is_within(uint8_t byte, uint8_t first, uint8_t last)
{
	return first <= byte && byte <= last;
}

static void skip_within(struct bytes *bytes, uint8_t first, uint8_t last)
{
	while (bytes->at < bytes->end && is_within(*bytes->at, first, last))
		bytes->at++;
}

/* A byte that may end a sequence; any other is not part of it. */
static void skip_final(struct bytes *bytes, uint8_t first, uint8_t last)
{
	if (bytes->at < bytes->end && is_within(*bytes->at, first, last))
		bytes->at++;
}

/* ECMA-48, 5.4: behind CSI. */
static void skip_control_sequence(struct bytes *bytes)
{
	skip_within(bytes, 0x30, 0x3f);
	skip_within(bytes, 0x20, 0x2f);
	skip_final(bytes, 0x40, 0x7e);
}

/* 5.6: behind what opens a string; up to ST, or BEL, as terminals have it. */
static void skip_string(struct bytes *bytes)
{
	for (; bytes->at < bytes->end; bytes->at++) {
		uint8_t byte = *bytes->at;

		if (byte == BEL || byte == CAN || byte == SUB) {
			bytes->at++;
			return;
		}
		/* ST; or another sequence, which ends the string. */
		if (byte == ESC)
			return;
	}
}

static bool opens_string(uint8_t byte)
{
	return byte == 'P' || byte == 'X' || byte == ']' || byte == '^' || byte == '_';
}

/* Behind ESC. */
static void skip_escape_sequence(struct bytes *bytes)
{
	if (bytes->at == bytes->end)
		return;
	if (*bytes->at == '[') {
		bytes->at++;
		skip_control_sequence(bytes);
	} else if (opens_string(*bytes->at)) {
		bytes->at++;
		skip_string(bytes);
	} else {
		skip_within(bytes, 0x20, 0x2f);
		skip_final(bytes, 0x30, 0x7e);
	}
}

/* C1, whose 32 characters are ESC's with 0x40 to 0x5f. */
static void skip_c1(struct bytes *bytes, uint8_t byte)
{
	if (byte == '[' + 0x40)
		skip_control_sequence(bytes);
	else if (opens_string((uint8_t)(byte - 0x40)))
		skip_string(bytes);
}

/* How many bytes a character of UTF-8 has that begins with this one; 0: none does. */
static unsigned utf8_size(uint8_t first)
{
	return first < 0x80                   ? 1
	       : is_within(first, 0xc2, 0xdf) ? 2
	       : is_within(first, 0xe0, 0xef) ? 3
	       : is_within(first, 0xf0, 0xf4) ? 4
					      : 0;
}

/* The bytes of the character that is next; 0 if it is not a whole one. */
static unsigned character_size(const struct bytes *bytes)
{
	unsigned size = utf8_size(*bytes->at);

	if (size > (uint64_t)(bytes->end - bytes->at))
		return 0;
	for (unsigned i = 1; i < size; i++) {
		if (!is_within(bytes->at[i], 0x80, 0xbf))
			return 0;
	}
	return size;
}

/* Passes what is next. Returns whether it is to be shown. */
static bool pass(struct bytes *bytes)
{
	uint8_t byte = *bytes->at;
	unsigned size;

	/* Nearly all of it is, and this is done with interrupts off. */
	if (is_within(byte, 0x20, DEL - 1)) {
		bytes->at++;
		return true;
	}
	size = character_size(bytes);
	bytes->at += size ? size : 1;
	if (byte == ESC) {
		skip_escape_sequence(bytes);
		return false;
	}
	if (size == 2 && byte == 0xc2 && bytes->at[-1] < 0xa0) {
		skip_c1(bytes, bytes->at[-1]);
		return false;
	}
	if (size == 0 && is_within(byte, 0x80, 0x9f))
		skip_c1(bytes, byte);
	return size > 1 || byte == '\t';
}

/* CSI, numbers, and 'm'. */
static bool is_color(const uint8_t *first, const uint8_t *end)
{
	if (end - first < 3 || first[0] != ESC || first[1] != '[' || end[-1] != 'm')
		return false;
	for (const uint8_t *byte = first + 2; byte < end - 1; byte++) {
		if (!is_within(*byte, '0', ';'))
			return false;
	}
	return true;
}

unsigned plain_text(char *text, unsigned length, bool colors)
{
	struct bytes bytes = {(const uint8_t *)text, (const uint8_t *)text + length};
	uint8_t *to = (uint8_t *)text;

	while (bytes.at < bytes.end) {
		const uint8_t *first = bytes.at;

		if (!pass(&bytes) && !(colors && is_color(first, bytes.at)))
			continue;
		while (first < bytes.at)
			*to++ = *first++;
	}
	return (unsigned)(to - (uint8_t *)text);
}
