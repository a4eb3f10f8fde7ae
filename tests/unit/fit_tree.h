/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_FIT_TREE_H
#define TESTS_UNIT_FIT_TREE_H

/*
 * A system file that a test edits, and the messages that reading it makes. For one source
 * file of a test program.
 */

#include "tests/unit/fake_log.h"

#include <libfdt.h>

#define TREE_MAX   16384
#define CHECK(fdt) assert_true((fdt) >= 0)

static uint64_t tree_buffer[TREE_MAX / 8];
static void *const tree = tree_buffer;

/* Empties the tree and the messages. */
static inline void tree_clear(void)
{
	messages[0] = '\0';
	CHECK(fdt_create_empty_tree(tree, TREE_MAX));
}

static inline int node_at(const char *path)
{
	int node = fdt_path_offset(tree, path);

	CHECK(node);
	return node;
}

static inline void add_node(const char *parent, const char *name)
{
	CHECK(fdt_add_subnode(tree, node_at(parent), name));
}

static inline void set_bytes(const char *path, const char *name, const void *bytes, size_t size)
{
	CHECK(fdt_setprop(tree, node_at(path), name, bytes, (int)size));
}

static inline void set_string(const char *path, const char *name, const char *value)
{
	set_bytes(path, name, value, strlen(value) + 1);
}

static inline void set_flag(const char *path, const char *name)
{
	set_bytes(path, name, "", 0);
}

static inline void set_cell(const char *path, const char *name, uint32_t value)
{
	CHECK(fdt_setprop_u32(tree, node_at(path), name, value));
}

static inline void set_u64(const char *path, const char *name, uint64_t value)
{
	CHECK(fdt_setprop_u64(tree, node_at(path), name, value));
}

static inline void set_cells(const char *path, const char *name, const uint32_t *cells,
			     size_t count)
{
	fdt32_t big_endian[256];

	assert_in_range(count, 0, 256);
	for (size_t i = 0; i < count; i++)
		big_endian[i] = cpu_to_fdt32(cells[i]);
	set_bytes(path, name, big_endian, count * 4);
}

#define CELLS(path, name, ...)                                 \
	set_cells(path, name, (const uint32_t[]){__VA_ARGS__}, \
		  sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

/* How the node's children have their addresses. */
static inline void set_sizes(const char *path, uint32_t address_cells, uint32_t size_cells)
{
	set_cell(path, "#address-cells", address_cells);
	set_cell(path, "#size-cells", size_cells);
}

static inline void remove_property(const char *path, const char *name)
{
	CHECK(fdt_delprop(tree, node_at(path), name));
}

#endif
