/* SPDX-License-Identifier: MIT */

#include "kernel/fdt.h"

#include "kernel/error.h"

#include <string.h>

#define CELLS_MAX 3 /* a PCI address has three */
#define NODES_MAX 4096
#define DEPTH_MAX 16

/* The nodes of one tree, in the order of their offsets. */
static struct {
	const void *fdt;
	unsigned count;
	struct {
		int node, parent;
		uint32_t phandle;
	} nodes[NODES_MAX];
} known;

void fdt_index(const void *fdt)
{
	int above[DEPTH_MAX + 1] = {-FDT_ERR_NOTFOUND}, depth = 0;
	unsigned count = 0;

	known.fdt = NULL;
	for (int node = 0; fdt && node >= 0 && depth >= 0;
	     node = fdt_next_node(fdt, node, &depth)) {
		if (count == NODES_MAX || depth >= DEPTH_MAX)
			return;
		known.nodes[count].node = node;
		known.nodes[count].parent = above[depth];
		known.nodes[count++].phandle = fdt_get_phandle(fdt, node);
		above[depth + 1] = node;
	}
	known.count = count;
	known.fdt = fdt;
}

int fdt_find_parent(const void *fdt, int node)
{
	unsigned low = 0, high = known.count;

	if (fdt != known.fdt)
		return fdt_parent_offset(fdt, node);
	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (known.nodes[middle].node == node)
			return known.nodes[middle].parent;
		if (known.nodes[middle].node < node)
			low = middle + 1;
		else
			high = middle;
	}
	return -FDT_ERR_BADOFFSET;
}

int fdt_find_phandle(const void *fdt, uint32_t phandle)
{
	if (fdt != known.fdt || phandle == 0)
		return fdt_node_offset_by_phandle(fdt, phandle);
	for (unsigned i = 0; i < known.count; i++) {
		if (known.nodes[i].phandle == phandle)
			return known.nodes[i].node;
	}
	return -FDT_ERR_NOTFOUND;
}

static uint64_t read_cells(const fdt32_t *cells, int count)
{
	uint64_t value = 0;

	for (int i = 0; i < count; i++)
		value = value << 32 | fdt32_to_cpu(cells[i]);
	return value;
}

/* Translates an address of `bus`'s children to one of its parent's through its ranges. */
static int translate_through(const void *fdt, int bus, int parent, uint64_t *address)
{
	int child_cells = fdt_address_cells(fdt, bus);
	int size_cells = fdt_size_cells(fdt, bus);
	int parent_cells = fdt_address_cells(fdt, parent);
	int length;
	const fdt32_t *ranges = fdt_getprop(fdt, bus, "ranges", &length);

	if (!ranges || child_cells < 1 || parent_cells < 1 || size_cells < 1)
		return ERR_INVAL;
	if (length == 0)
		return 0;

	int entry = child_cells + parent_cells + size_cells;

	for (int cells = length / 4; cells >= entry; cells -= entry, ranges += entry) {
		uint64_t child = read_cells(ranges, child_cells);
		uint64_t size = read_cells(ranges + child_cells + parent_cells, size_cells);

		if (*address >= child && *address - child < size) {
			*address += read_cells(ranges + child_cells, parent_cells) - child;
			return 0;
		}
	}
	return ERR_INVAL;
}

int fdt_node_cells(const void *fdt, int node, unsigned index, uint64_t *address, uint64_t *size)
{
	int parent = fdt_find_parent(fdt, node);
	int address_cells = fdt_address_cells(fdt, parent);
	int size_cells = fdt_size_cells(fdt, parent);
	int length;
	const fdt32_t *reg = fdt_getprop(fdt, node, "reg", &length);

	if (!reg)
		return ERR_NOENT;
	if (parent < 0 || address_cells < 1 || address_cells > CELLS_MAX || size_cells < 0 ||
	    size_cells > 2)
		return ERR_INVAL;

	unsigned entry = (unsigned)(address_cells + size_cells);

	if ((uint64_t)length / 4 < entry * ((uint64_t)index + 1))
		return ERR_NOENT;
	reg += (size_t)entry * index;
	*address = read_cells(reg, address_cells);
	*size = read_cells(reg + address_cells, size_cells);
	return 0;
}

int fdt_translate(const void *fdt, int bus, uint64_t *address)
{
	for (int parent; (parent = fdt_find_parent(fdt, bus)) >= 0; bus = parent) {
		int error = translate_through(fdt, bus, parent, address);

		if (error)
			return error;
	}
	return 0;
}

int fdt_node_reg(const void *fdt, int node, unsigned index, uint64_t *address, uint64_t *size)
{
	int parent = fdt_find_parent(fdt, node);
	int error = fdt_node_cells(fdt, node, index, address, size);

	/* Without sizes it is a number, such as a hart id, and no address. */
	if (error || fdt_size_cells(fdt, parent) == 0)
		return error;
	return fdt_translate(fdt, parent, address);
}

uint64_t fdt_node_u64(const void *fdt, int node, const char *name, uint64_t otherwise)
{
	int length;
	const fdt32_t *value = fdt_getprop(fdt, node, name, &length);

	if (!value || (length != 4 && length != 8))
		return otherwise;
	return read_cells(value, length / 4);
}

int fdt_node_interrupt(const void *fdt, int node, unsigned index, uint32_t *source)
{
	int length;
	const fdt32_t *value = fdt_getprop(fdt, node, "interrupts", &length);

	if (!value || (uint64_t)length / 4 <= index)
		return ERR_NOENT;
	*source = fdt32_to_cpu(value[index]);
	return 0;
}

bool fdt_node_enabled(const void *fdt, int node)
{
	const char *status = fdt_getprop(fdt, node, "status", NULL);

	return !status || strcmp(status, "okay") == 0 || strcmp(status, "ok") == 0;
}
