/* SPDX-License-Identifier: MIT */
#include "guests/lib/console.h"

#include "guests/lib/sync.h"
#include "riscv/sbi.h"

static bool have_dbcn;
static struct spinlock lock;

void console_init(void)
{
	struct sbi_ret ret =
	    sbi_call(SBI_EXT_BASE, SBI_BASE_PROBE_EXTENSION, SBI_EXT_DBCN, 0, 0, 0, 0);

	have_dbcn = ret.error == 0 && ret.value != 0;
}

static void put(const char *text, size_t length)
{
	while (have_dbcn && length > 0) {
		struct sbi_ret ret =
		    sbi_call(SBI_EXT_DBCN, SBI_DBCN_WRITE, length, (uint64_t)text, 0, 0, 0);

		if (ret.error != 0 || ret.value > length)
			break;
		text += ret.value;
		length -= ret.value;
	}
	for (; length > 0; length--)
		sbi_call(SBI_EXT_CONSOLE_PUTCHAR, 0, (uint8_t)*text++, 0, 0, 0, 0);
}

struct writer {
	char *buffer;
	size_t size, length;
};

static void emit(struct writer *writer, char c)
{
	if (writer->length + 1 < writer->size)
		writer->buffer[writer->length++] = c;
}

static void emit_number(struct writer *writer, uint64_t value, unsigned int base,
			unsigned int width, char pad)
{
	char digits[20];
	unsigned int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value > 0);
	for (; width > n; width--)
		emit(writer, pad);
	while (n > 0)
		emit(writer, digits[--n]);
}

static void emit_signed(struct writer *writer, int64_t value, unsigned int width, char pad)
{
	if (value < 0)
		emit(writer, '-');
	emit_number(writer, value < 0 ? -(uint64_t)value : (uint64_t)value, 10, width, pad);
}

struct spec {
	char conversion, pad;
	bool is_long;
	unsigned int width;
};

static const char *parse_spec(const char *format, struct spec *spec)
{
	*spec = (struct spec){.pad = ' '};
	if (*format == '0')
		spec->pad = *format++;
	for (; *format >= '0' && *format <= '9'; format++)
		spec->width = spec->width * 10 + (unsigned int)(*format - '0');
	for (; *format == 'l' || *format == 'z'; format++)
		spec->is_long = true;
	spec->conversion = *format;
	return format;
}

size_t format_v(char *buffer, size_t size, const char *format, va_list args)
{
	struct writer writer = {buffer, size, 0};
	struct spec spec;

	for (; *format; format++) {
		if (*format != '%') {
			emit(&writer, *format);
			continue;
		}
		format = parse_spec(format + 1, &spec);
		if (spec.conversion == 's') {
			for (const char *s = va_arg(args, const char *); *s; s++)
				emit(&writer, *s);
		} else if (spec.conversion == 'c') {
			emit(&writer, (char)va_arg(args, int));
		} else if (spec.conversion == 'd') {
			emit_signed(&writer,
				    spec.is_long ? va_arg(args, int64_t) : va_arg(args, int),
				    spec.width, spec.pad);
		} else if (spec.conversion == 'u' || spec.conversion == 'x') {
			emit_number(&writer,
				    spec.is_long ? va_arg(args, uint64_t)
						 : va_arg(args, unsigned int),
				    spec.conversion == 'x' ? 16 : 10, spec.width, spec.pad);
		} else {
			emit(&writer, spec.conversion);
		}
	}
	if (size > 0)
		buffer[writer.length] = 0;
	return writer.length;
}

size_t format(char *buffer, size_t size, const char *format, ...)
{
	va_list args;
	size_t length;

	va_start(args, format);
	length = format_v(buffer, size, format, args);
	va_end(args);
	return length;
}

void print(const char *format, ...)
{
	char buffer[PRINT_MAX + 1];
	va_list args;
	size_t length;

	va_start(args, format);
	length = format_v(buffer, sizeof(buffer), format, args);
	va_end(args);
	spin_lock(&lock);
	put(buffer, length);
	spin_unlock(&lock);
}

void print_raw(const char *format, ...)
{
	char buffer[PRINT_MAX + 1];
	va_list args;

	va_start(args, format);
	put(buffer, format_v(buffer, sizeof(buffer), format, args));
	va_end(args);
}
