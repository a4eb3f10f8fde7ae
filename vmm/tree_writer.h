/* SPDX-License-Identifier: MIT */
#ifndef VMM_TREE_WRITER_H
#define VMM_TREE_WRITER_H

/*
 * Writes a flattened device tree (Devicetree Specification 0.4, 5.4) front to back. Not libfdt:
 * its fdt_finish() visits every property in one stretch, which takes five million instructions for
 * 512 harts. Names of properties are offsets into a strings block that the caller writes. No locks.
 */

#include "kernel/types.h"

/* What is written beyond the end of the buffer, which may be NULL if it is empty, is only counted.
 */
struct tree_writer {
	uint8_t *buf;
	size_t size, used;     /* bytes */
	void (*preempt)(void); /* called after every node, for preemption points; or NULL */
};

void tree_preempt(const struct tree_writer *writer);

/* As they are, without alignment: parts of a property, or of what is not the tree. */
void tree_put_raw(struct tree_writer *writer, const void *data, size_t size);
void tree_put_raw_u32(struct tree_writer *writer, uint32_t value);

/* Nodes: NAME, NAME@ADDRESS, NAMENUMBER. The whole name of at most 39 characters. */
void tree_begin_node(struct tree_writer *writer, const char *name);
void tree_begin_unit(struct tree_writer *writer, const char *name, uint64_t address);
void tree_begin_numbered(struct tree_writer *writer, const char *name, unsigned number);
void tree_end_node(struct tree_writer *writer);

/* A property whose value, of `size` bytes, follows by tree_put_raw(). */
void tree_begin_property(struct tree_writer *writer, uint32_t name, size_t size);

/* The end of one whose size was not known, or is no multiple of 4, and that began at `start`,
 * `used` before it. */
void tree_end_property(struct tree_writer *writer, size_t start);

/* Whole properties. */
void tree_put_bytes(struct tree_writer *writer, uint32_t name, const void *data, size_t size);
void tree_put_flag(struct tree_writer *writer, uint32_t name);
void tree_put_string(struct tree_writer *writer, uint32_t name, const char *string);
void tree_put_cell(struct tree_writer *writer, uint32_t name, uint32_t cell);
void tree_put_u64(struct tree_writer *writer, uint32_t name, uint64_t value);

/* A list of strings, given as a literal with "\0" between them. */
#define tree_put_strings(writer, name, literal) \
	tree_put_bytes(writer, name, literal, sizeof(literal))

#endif
