/* SPDX-License-Identifier: MIT */

#include "driver/pci_tree.h"

#include "kernel/error.h"
#include "kernel/fdt.h"

#include <string.h>

#define ADDRESS_CELLS 3 /* of PCI: flags and number, and an address of two */
#define SIZE_CELLS    2
#define SPACE(flags)  ((flags) >> 24 & 3) /* 1: I/O, 2: memory of 32 bits, 3: of 64 */
#define PREFETCHABLE  BIT(30)

static uint64_t two_cells(const fdt32_t *cells)
{
	return (uint64_t)fdt32_to_cpu(cells[0]) << 32 | fdt32_to_cpu(cells[1]);
}

static int read_buses(struct host_pci_tree *tree)
{
	int length;
	const fdt32_t *value = fdt_getprop(platform.fdt, tree->node, "bus-range", &length);

	tree->last_bus = 255;
	if (value && length == 8) {
		tree->first_bus = fdt32_to_cpu(value[0]);
		tree->last_bus = fdt32_to_cpu(value[1]);
	}
	return tree->first_bus <= tree->last_bus && tree->last_bus <= 255 ? 0 : ERR_INVAL;
}

/* An entry of `ranges`; `parent` has addresses of so many cells. */
static void add_window(struct host_pci_tree *tree, const fdt32_t *entry, int parent,
		       int parent_cells)
{
	uint32_t flags = fdt32_to_cpu(entry[0]);
	struct host_pci_window window = {
	    .pci = two_cells(entry + 1),
	    .cpu = parent_cells == 2 ? two_cells(entry + ADDRESS_CELLS)
				     : fdt32_to_cpu(entry[ADDRESS_CELLS]),
	    .size = two_cells(entry + ADDRESS_CELLS + parent_cells),
	    .prefetchable = flags & PREFETCHABLE,
	};

	if (SPACE(flags) < 2 || window.size == 0 || tree->window_count == HOST_PCI_WINDOWS_MAX ||
	    window.pci + window.size < window.pci ||
	    fdt_translate(platform.fdt, parent, &window.cpu) != 0 ||
	    window.cpu + window.size < window.cpu)
		return;
	tree->windows[tree->window_count++] = window;
}

static int read_windows(struct host_pci_tree *tree)
{
	int parent = fdt_find_parent(platform.fdt, tree->node);
	int parent_cells = fdt_address_cells(platform.fdt, parent);
	int entry = ADDRESS_CELLS + parent_cells + SIZE_CELLS, length;
	const fdt32_t *ranges = fdt_getprop(platform.fdt, tree->node, "ranges", &length);

	if (!ranges || parent_cells < 1 || parent_cells > 2 ||
	    fdt_address_cells(platform.fdt, tree->node) != ADDRESS_CELLS ||
	    fdt_size_cells(platform.fdt, tree->node) != SIZE_CELLS)
		return ERR_INVAL;
	for (int cells = length / 4; cells >= entry; cells -= entry, ranges += entry)
		add_window(tree, ranges, parent, parent_cells);
	return 0;
}

int host_pci_tree_read(struct host_pci_tree *tree)
{
	int error;

	*tree = (struct host_pci_tree){
	    .node = fdt_node_offset_by_compatible(platform.fdt, -1, "pci-host-ecam-generic")};
	if (tree->node < 0 || !fdt_node_enabled(platform.fdt, tree->node))
		return ERR_NOENT;
	error = fdt_node_reg(platform.fdt, tree->node, 0, &tree->ecam.base, &tree->ecam.size);
	if (!error)
		error = read_buses(tree);
	return error ? error : read_windows(tree);
}

const struct host_pci_window *host_pci_window(const struct host_pci_tree *tree, uint64_t address,
					      uint64_t size)
{
	for (unsigned i = 0; i < tree->window_count; i++) {
		const struct host_pci_window *window = &tree->windows[i];

		if (address && range_within(address, size, window->pci, window->size))
			return window;
	}
	return NULL;
}

/* The cells of an interrupt's specifier there, and before it those of an address. */
static int controller_cells(int controller, int *address_cells)
{
	*address_cells = (int)fdt_node_u64(platform.fdt, controller, "#address-cells", 0) & 3;
	return (int)fdt_node_u64(platform.fdt, controller, "#interrupt-cells", 1) & 3;
}

/*
 * An entry of `interrupt-map`: the function's address and pin, which have to match under the mask,
 * the controller, an address there, and the interrupt (Devicetree Specification 0.4, 2.4.3).
 */
uint32_t host_pci_interrupt(const struct host_pci_tree *tree, unsigned number, unsigned pin)
{
	uint32_t child[ADDRESS_CELLS + 1] = {number << 8, 0, 0, pin};
	int length, mask_length;
	const fdt32_t *map = fdt_getprop(platform.fdt, tree->node, "interrupt-map", &length);
	const fdt32_t *mask =
	    fdt_getprop(platform.fdt, tree->node, "interrupt-map-mask", &mask_length);

	if (!map || !mask || mask_length != (int)sizeof(child))
		return 0;
	for (int cells = length / 4, size; cells > ADDRESS_CELLS + 2; cells -= size, map += size) {
		int controller =
		    fdt_find_phandle(platform.fdt, fdt32_to_cpu(map[ADDRESS_CELLS + 1]));
		int address_cells, interrupt_cells;
		bool matches = true;

		if (controller < 0)
			return 0;
		interrupt_cells = controller_cells(controller, &address_cells);
		size = ADDRESS_CELLS + 2 + address_cells + interrupt_cells;
		for (int i = 0; i <= ADDRESS_CELLS; i++)
			matches &= (child[i] & fdt32_to_cpu(mask[i])) ==
				   (fdt32_to_cpu(map[i]) & fdt32_to_cpu(mask[i]));
		if (matches && cells >= size && controller == platform.plic_node)
			return fdt32_to_cpu(map[size - interrupt_cells]);
	}
	return 0;
}
