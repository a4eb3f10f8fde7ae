/* SPDX-License-Identifier: MIT */

/*
 * A reader of flattened device trees (Devicetree Specification 0.4, chapter 5). The tree is
 * a sequence of big-endian 32-bit tokens: a node begins (with its name), has properties (each
 * a length, the offset of its name in a block of strings, and the value), then the nodes in
 * it, and ends. Nobody needs a random access to it; the kernel walks once over all nodes.
 */

#include "guests/minikernel/kernel.h"

#define FDT_MAGIC      0xd00dfeed
#define FDT_BEGIN_NODE 1
#define FDT_END_NODE   2
#define FDT_PROP       3
#define FDT_NOP        4

/* The header, in big-endian words. */
enum { MAGIC, TOTALSIZE, OFF_STRUCT, OFF_STRINGS, OFF_RESERVED, VERSION };

static const uint32_t *fdt;

uint32_t fdt_be32(const void *cell)
{
	const uint8_t *byte = cell;

	return (uint32_t)byte[0] << 24 | (uint32_t)byte[1] << 16 | (uint32_t)byte[2] << 8 | byte[3];
}

static uint64_t be64(const uint32_t *cells)
{
	return (uint64_t)fdt_be32(cells) << 32 | fdt_be32(cells + 1);
}

void fdt_init(const void *tree)
{
	fdt = tree;
	if (!is_aligned((uintptr_t)tree, 4) || fdt_be32(&fdt[MAGIC]) != FDT_MAGIC)
		panic("there is no device tree where a1 points");
	if (fdt_size() > MEGAPAGE_SIZE)
		panic("the device tree is larger than 2 MiB");
}

uint64_t fdt_size(void)
{
	return fdt_be32(&fdt[TOTALSIZE]);
}

static const char *at_offset(uint32_t header_word)
{
	return (const char *)fdt + fdt_be32(&fdt[header_word]);
}

bool fdt_reserved(uint32_t index, uint64_t *base, uint64_t *size)
{
	const uint32_t *entry = (const uint32_t *)at_offset(OFF_RESERVED) + 4 * (size_t)index;

	*base = be64(entry);
	*size = be64(entry + 2);
	return *base != 0 || *size != 0;
}

/* Past `bytes` bytes of data, which are padded to whole tokens. */
static const uint32_t *skip(const uint32_t *token, size_t bytes)
{
	return token + (bytes + 3) / 4;
}

/* The property at or after `token`, past any NOPs; NULL when the node's properties are over. */
static const uint32_t *property_at(const uint32_t *token)
{
	while (fdt_be32(token) == FDT_NOP)
		token++;
	return fdt_be32(token) == FDT_PROP ? token : NULL;
}

static const uint32_t *property_after(const uint32_t *property)
{
	return property_at(skip(property + 3, fdt_be32(property + 1)));
}

const void *fdt_property(const struct fdt_walk *w, const char *name, uint32_t *length)
{
	const uint32_t *p = property_at(w->properties);

	for (; p != NULL; p = property_after(p)) {
		if (strcmp(at_offset(OFF_STRINGS) + fdt_be32(p + 2), name) != 0)
			continue;
		if (length != NULL)
			*length = fdt_be32(p + 1);
		return p + 3;
	}
	return NULL;
}

uint32_t fdt_cell(const struct fdt_walk *w, const char *name, uint32_t otherwise)
{
	uint32_t length;
	const uint32_t *value = fdt_property(w, name, &length);

	return value != NULL && length >= 4 ? fdt_be32(value) : otherwise;
}

bool fdt_has_string(const struct fdt_walk *w, const char *name, const char *text)
{
	uint32_t length;
	const char *list = fdt_property(w, name, &length);
	size_t step;

	if (list == NULL)
		return false;
	for (const char *end = list + length; list < end; list += step) {
		if (strcmp(list, text) == 0)
			return true;
		step = strlen(list) + 1;
	}
	return false;
}

bool fdt_reg(const struct fdt_walk *w, uint32_t index, uint64_t *base, uint64_t *size)
{
	/* A node's addresses have the form that the node around it says. */
	uint32_t address_cells = w->address_cells[w->depth - 1];
	uint32_t size_cells = w->size_cells[w->depth - 1];
	uint32_t length;
	const uint32_t *reg = fdt_property(w, "reg", &length);
	uint64_t pair = address_cells + size_cells;

	if (reg == NULL || pair * 4 * (index + UINT64_C(1)) > length)
		return false;
	reg += pair * index;
	*base = address_cells == 2 ? be64(reg) : fdt_be32(reg);
	reg += address_cells;
	*size = size_cells == 2 ? be64(reg) : size_cells == 1 ? fdt_be32(reg) : 0;
	return true;
}

struct fdt_walk fdt_begin(void)
{
	return (struct fdt_walk){.next = (const uint32_t *)at_offset(OFF_STRUCT),
				 .address_cells = {2},
				 .size_cells = {1}};
}

/* At the first token after FDT_BEGIN_NODE, which is the node's name. */
static void enter_node(struct fdt_walk *w, const uint32_t *token)
{
	const uint32_t *p;

	if (++w->depth >= FDT_DEPTH)
		panic("the device tree is nested too deeply");
	w->name[w->depth] = (const char *)token;
	w->properties = skip(token, strlen((const char *)token) + 1);
	w->address_cells[w->depth] = fdt_cell(w, "#address-cells", 2);
	w->size_cells[w->depth] = fdt_cell(w, "#size-cells", 1);
	w->next = w->properties;
	for (p = property_at(w->properties); p != NULL; p = property_after(p))
		w->next = skip(p + 3, fdt_be32(p + 1));
}

bool fdt_next(struct fdt_walk *w)
{
	for (;;) {
		switch (fdt_be32(w->next++)) {
		case FDT_BEGIN_NODE:
			enter_node(w, w->next);
			return true;
		case FDT_END_NODE:
			w->depth--;
			break;
		case FDT_NOP:
			break;
		default: /* FDT_END */
			return false;
		}
	}
}
