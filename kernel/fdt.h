/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_FDT_H
#define KERNEL_FDT_H

/* What reading the host's device tree takes beyond libfdt. */

#include "kernel/types.h"

#include <libfdt.h>

/*
 * Notes where the nodes of a tree are, which is not to change any more: libfdt would walk from its
 * beginning for each parent and phandle. One tree, or NULL for none; before other harts read it.
 */
void fdt_index(const void *fdt);

/* fdt_parent_offset() and fdt_node_offset_by_phandle(), at once where the tree has an index. */
int fdt_find_parent(const void *fdt, int node);
int fdt_find_phandle(const void *fdt, uint32_t phandle);

/*
 * Entry `index` of the node's reg, by its parent's cell counts, translated through the
 * ranges of the buses above. ERR_NOENT if there is none, ERR_INVAL if it makes no sense.
 */
int fdt_node_reg(const void *fdt, int node, unsigned index, uint64_t *address, uint64_t *size);

/* The same as it stands there, not translated. */
int fdt_node_cells(const void *fdt, int node, unsigned index, uint64_t *address, uint64_t *size);

/* Translates an address of the bus's children to the root's; ERR_INVAL if that cannot be done. */
int fdt_translate(const void *fdt, int bus, uint64_t *address);

/* A property of one or two cells as a number, or `otherwise`. */
uint64_t fdt_node_u64(const void *fdt, int node, const char *name, uint64_t otherwise);

/* The next of the node's values of `interrupts` (one cell each), or ERR_NOENT. */
int fdt_node_interrupt(const void *fdt, int node, unsigned index, uint32_t *source);

/* Whether the node is usable: no status, or "okay" or "ok". */
bool fdt_node_enabled(const void *fdt, int node);

#endif
