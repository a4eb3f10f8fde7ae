/* SPDX-License-Identifier: MIT */
#include "vmm/tree_writer.h"

#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#define NODE_NAME_MAX 40

void tree_preempt(const struct tree_writer *writer)
{
	if (writer->preempt)
		writer->preempt();
}

void tree_put_raw(struct tree_writer *writer, const void *data, size_t size)
{
	if (writer->used <= writer->size && size <= writer->size - writer->used)
		memcpy(writer->buf + writer->used, data, size);
	writer->used += size;
}

void tree_put_raw_u32(struct tree_writer *writer, uint32_t value)
{
	/* Most of a tree is these, and tokens are aligned. */
	if (writer->used <= writer->size && sizeof(value) <= writer->size - writer->used)
		*(fdt32_t *)(writer->buf + writer->used) = cpu_to_fdt32(value);
	writer->used += sizeof(value);
}

/* Devicetree Specification 0.4, 5.4: tokens are aligned to four bytes. */
static void tree_put_padding(struct tree_writer *writer)
{
	static const uint8_t zeroes[FDT_TAGSIZE];

	tree_put_raw(writer, zeroes, align_up(writer->used, FDT_TAGSIZE) - writer->used);
}

void tree_begin_node(struct tree_writer *writer, const char *name)
{
	tree_put_raw_u32(writer, FDT_BEGIN_NODE);
	tree_put_raw(writer, name, strlen(name) + 1);
	tree_put_padding(writer);
}

void tree_begin_unit(struct tree_writer *writer, const char *name, uint64_t address)
{
	char full[NODE_NAME_MAX];

	snprintf(full, sizeof(full), "%s@%lx", name, address);
	tree_begin_node(writer, full);
}

void tree_begin_numbered(struct tree_writer *writer, const char *name, unsigned number)
{
	char full[NODE_NAME_MAX];

	snprintf(full, sizeof(full), "%s%u", name, number);
	tree_begin_node(writer, full);
}

void tree_end_node(struct tree_writer *writer)
{
	tree_put_raw_u32(writer, FDT_END_NODE);
	tree_preempt(writer);
}

void tree_begin_property(struct tree_writer *writer, uint32_t name, size_t size)
{
	tree_put_raw_u32(writer, FDT_PROP);
	tree_put_raw_u32(writer, (uint32_t)size);
	tree_put_raw_u32(writer, name);
}

void tree_end_property(struct tree_writer *writer, size_t start)
{
	size_t value = start + sizeof(struct fdt_property);

	if (writer->used <= writer->size)
		fdt32_st(writer->buf + start + offsetof(struct fdt_property, len),
			 (uint32_t)(writer->used - value));
	tree_put_padding(writer);
}

void tree_put_bytes(struct tree_writer *writer, uint32_t name, const void *data, size_t size)
{
	tree_begin_property(writer, name, size);
	tree_put_raw(writer, data, size);
	tree_put_padding(writer);
}

void tree_put_flag(struct tree_writer *writer, uint32_t name)
{
	tree_begin_property(writer, name, 0);
}

void tree_put_string(struct tree_writer *writer, uint32_t name, const char *string)
{
	tree_put_bytes(writer, name, string, strlen(string) + 1);
}

void tree_put_cell(struct tree_writer *writer, uint32_t name, uint32_t cell)
{
	tree_begin_property(writer, name, sizeof(cell));
	tree_put_raw_u32(writer, cell);
}

void tree_put_u64(struct tree_writer *writer, uint32_t name, uint64_t value)
{
	fdt64_t number = cpu_to_fdt64(value);

	tree_put_bytes(writer, name, &number, sizeof(number));
}
