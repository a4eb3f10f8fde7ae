/* SPDX-License-Identifier: MIT */

/* `dt`: the machine's device tree as source. It is walked with a preemption point for each tag. */

#include "kernel/fdt.h"
#include "kernel/platform.h"
#include "kernel/trap.h"
#include "shell/commands.h"
#include "shell/print.h"

#include <string.h>

#define INDENT_MAX 16

/* Whether `component`, of so many bytes, names a node: its unit address may be left out. */
static bool is_named(const char *name, const char *component, size_t length)
{
	if (strncmp(name, component, length) != 0)
		return false;
	return name[length] == '\0' || (name[length] == '@' && !memchr(component, '@', length));
}

/* The node at a path, or a negative number. libfdt's own search has no preemption points. */
static int find_node(const void *fdt, const char *path)
{
	int node = 0, depth = 0, matched = 0;

	if (*path != '/')
		return -FDT_ERR_BADPATH;
	for (;;) {
		path += strspn(path, "/");

		size_t length = strcspn(path, "/");

		if (length == 0)
			return node;
		do {
			node = fdt_next_node(fdt, node, &depth);
			preempt_point();
			/* The parent's last child has been passed. */
			if (node < 0 || depth <= matched)
				return -FDT_ERR_NOTFOUND;
		} while (depth != matched + 1 ||
			 !is_named(fdt_get_name(fdt, node, NULL), path, length));
		matched++;
		path += length;
	}
}

static void indent(int depth)
{
	for (int i = 0; i < depth && i < INDENT_MAX; i++)
		shell_write("\t", 1);
}

/* One or more strings, none of them empty, of what can be printed. */
static bool is_text(const char *value, int length)
{
	if (length == 0 || value[length - 1] != '\0')
		return false;
	for (int i = 0; i < length; i++) {
		bool at_start = i == 0 || value[i - 1] == '\0';

		if (value[i] == '\0' ? at_start : value[i] < ' ' || value[i] > '~')
			return false;
	}
	return true;
}

static void print_text(const char *value, int length)
{
	const char *separator = "";

	for (const char *s = value; s < value + length; s += strlen(s) + 1) {
		shell_write(separator, (unsigned)strlen(separator));
		shell_write("\"", 1);
		for (const char *c = s; *c; c++)
			shell_print(*c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
		shell_write("\"", 1);
		separator = ", ";
	}
}

static void print_numbers(const char *value, int length)
{
	unsigned size = length % 4 ? 1 : 4;

	shell_print(size == 4 ? "<" : "[");
	for (int i = 0; i < length; i += (int)size) {
		uint32_t number = 0;

		for (unsigned n = 0; n < size; n++)
			number = number << 8 | (uint8_t)value[i + (int)n];
		shell_print(size == 4 ? "%s0x%x" : "%s%02x", i ? " " : "", number);
	}
	shell_print(size == 4 ? ">" : "]");
}

/* What randomness is made of is nobody's business. */
static bool is_secret(const char *name)
{
	return strcmp(name, "rng-seed") == 0 || strcmp(name, "kaslr-seed") == 0;
}

static void print_property(const void *fdt, int property, int depth)
{
	const char *name;
	int length;
	const char *value = fdt_getprop_by_offset(fdt, property, &name, &length);

	preempt_point();
	if (!value)
		return;
	indent(depth);
	shell_print("%s", name);
	if (is_secret(name)) {
		shell_print("; /* not shown */\n");
		return;
	}
	if (length > 0)
		shell_print(" = ");
	if (is_text(value, length))
		print_text(value, length);
	else if (length > 0)
		print_numbers(value, length);
	shell_print(";\n");
}

static void open_node(const void *fdt, int node, int depth)
{
	const char *name = fdt_get_name(fdt, node, NULL);
	int property;

	indent(depth);
	shell_print("%s {\n", node == 0 ? "/" : name);
	fdt_for_each_property_offset(property, fdt, node)
	{
		print_property(fdt, property, depth + 1);
	}
}

static void close_nodes(int *open, int depth)
{
	while (*open > depth) {
		--*open;
		indent(*open);
		shell_print("};\n");
	}
}

static void print_tree(const void *fdt, int node)
{
	int depth = 0, open = 0;

	do {
		close_nodes(&open, depth);
		open_node(fdt, node, depth);
		open++;
		node = fdt_next_node(fdt, node, &depth);
		preempt_point();
	} while (node >= 0 && depth > 0);
	close_nodes(&open, 0);
}

void inspect_tree(const struct command_call *call)
{
	const void *fdt = platform.fdt;
	const char *path = call->word ? call->word : "/";
	int node = find_node(fdt, path);

	if (node >= 0)
		print_tree(fdt, node);
	else
		shell_refuse("%s: the device tree has no such node\n", path);
}
