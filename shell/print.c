/* SPDX-License-Identifier: MIT */

#include "shell/print.h"

#include "kernel/printable.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void print(const char *format, va_list arguments)
{
	char text[SHELL_PRINT_MAX];

	vsnprintf(text, sizeof(text), format, arguments);
	shell_write(text, (unsigned)strlen(text));
}

void shell_print(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print(format, arguments);
	va_end(arguments);
}

void shell_refuse(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print(format, arguments);
	va_end(arguments);
	shell_fail();
}

void shell_print_text(const char *string)
{
	char text[64];
	unsigned length = 0;

	for (; *string; string++) {
		text[length++] = printable(*string);
		if (length == sizeof(text)) {
			shell_write(text, length);
			length = 0;
		}
	}
	shell_write(text, length);
}

/* What stands for `c` in a string. Bytes that are no ASCII are taken for Latin-1. */
static void print_json_character(unsigned char c)
{
	if (c == '"' || c == '\\')
		shell_print("\\%c", c);
	else if (c < ' ' || c >= 0x7f)
		shell_print("\\u%04x", c);
	else
		shell_print("%c", c);
}

void shell_print_json(const char *string)
{
	shell_write("\"", 1);
	for (; *string; string++)
		print_json_character((unsigned char)*string);
	shell_write("\"", 1);
}

void shell_json_begin(struct shell_json *json)
{
	json->objects = json->members = 0;
	shell_print("[");
}

void shell_json_object(struct shell_json *json)
{
	shell_print("%s", json->objects++ ? "},\n {" : "{");
	json->members = 0;
}

static void print_name(struct shell_json *json, const char *name)
{
	shell_print("%s\"%s\": ", json->members++ ? ", " : "", name);
}

void shell_json_string(struct shell_json *json, const char *name, const char *value)
{
	print_name(json, name);
	shell_print_json(value);
}

void shell_json_number(struct shell_json *json, const char *name, uint64_t value)
{
	print_name(json, name);
	shell_print("%llu", (unsigned long long)value);
}

void shell_json_bool(struct shell_json *json, const char *name, bool value)
{
	print_name(json, name);
	shell_print("%s", value ? "true" : "false");
}

void shell_json_end(struct shell_json *json)
{
	shell_print("%s]\n", json->objects ? "}" : "");
}
