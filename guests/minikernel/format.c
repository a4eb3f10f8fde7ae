/* SPDX-License-Identifier: MIT */

/* A small printf, for the kernel and for programs. */

#include "guests/minikernel/text.h"

struct output {
	void (*put)(char c, void *arg);
	void *arg;
};

/* How a number or string is to be set. */
struct field {
	uint32_t width;
	bool left;
	bool zeroes;
	bool wide; /* the argument has 64 bits */
};

static void pad(struct output *out, char c, size_t from, size_t to)
{
	for (; from < to; from++)
		out->put(c, out->arg);
}

static void put_text(struct output *out, const struct field *f, const char *text, size_t length)
{
	char filler = f->zeroes ? '0' : ' ';

	if (!f->left)
		pad(out, filler, length, f->width);
	for (size_t i = 0; i < length; i++)
		out->put(text[i], out->arg);
	if (f->left)
		pad(out, ' ', length, f->width);
}

static void put_number(struct output *out, const struct field *f, uint64_t value, uint32_t base,
		       bool negative)
{
	char digits[24];
	size_t i = sizeof(digits);

	do {
		digits[--i] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value != 0);
	if (negative)
		digits[--i] = '-';
	put_text(out, f, digits + i, sizeof(digits) - i);
}

/* Reads the flags, the width and the size at `text`, and returns what follows them. */
static const char *parse_field(const char *text, struct field *f)
{
	*f = (struct field){0};
	for (; *text == '-' || *text == '0'; text++) {
		f->left |= *text == '-';
		f->zeroes |= *text == '0';
	}
	for (; *text >= '0' && *text <= '9'; text++)
		f->width = f->width * 10 + (uint32_t)(*text - '0');
	if (*text == 'l') {
		f->wide = true;
		text++;
	}
	return text;
}

void format(void (*put)(char c, void *arg), void *arg, const char *text, va_list args)
{
	struct output out = {put, arg};
	struct field f;
	const char *s;
	int64_t number;
	char c;

	for (; *text != '\0'; text++) {
		if (*text != '%') {
			put(*text, arg);
			continue;
		}
		text = parse_field(text + 1, &f);
		switch (*text) {
		case 'd':
			number = f.wide ? va_arg(args, int64_t) : va_arg(args, int);
			put_number(&out, &f, number < 0 ? -(uint64_t)number : (uint64_t)number, 10,
				   number < 0);
			break;
		case 'u':
		case 'x':
			put_number(&out, &f,
				   f.wide ? va_arg(args, uint64_t) : va_arg(args, unsigned),
				   *text == 'x' ? 16 : 10, false);
			break;
		case 's':
			s = va_arg(args, const char *);
			put_text(&out, &f, s, strlen(s));
			break;
		case 'c':
			c = (char)va_arg(args, int);
			put_text(&out, &f, &c, 1);
			break;
		default:
			put(*text, arg);
		}
	}
}
