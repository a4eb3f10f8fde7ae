/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_GUEST_TREE_H
#define TESTS_UNIT_GUEST_TREE_H

/* A guest's device tree that has been written, and what is in it. For one source file of a test. */

#include <stdlib.h>

#include "kernel/types.h"
#include "tests/unit/fit_tree.h"
#include "vmm/guest_fdt.h"

static struct guest_fdt_info info;
static void *written;

static int teardown(void **state)
{
	(void)state;
	free(written);
	written = NULL;
	return 0;
}

/* Writes into memory of exactly the size that is asked for. */
static void write_tree(void)
{
	size_t size = guest_fdt_size(&info);

	free(written);
	written = malloc(size);
	assert_non_null(written);
	assert_int_equal(guest_fdt_write(written, size, &info), 0);
	assert_int_equal(fdt_check_full(written, size), 0);
	/* The size allows for a ramdisk's two properties. */
	assert_int_equal(fdt_totalsize(written), size - (info.ramdisk_size ? 0 : 40));
	expect_silence();
}

static int find(const void *fdt, const char *path)
{
	int node = fdt_path_offset(fdt, path);

	if (node < 0)
		fail_msg("no %s", path);
	return node;
}

static inline void expect_bytes(const void *fdt, const char *path, const char *name,
				const void *bytes, size_t size)
{
	int length;
	const void *value = fdt_getprop(fdt, find(fdt, path), name, &length);

	if (!value)
		fail_msg("no %s in %s", name, path);
	assert_int_equal(length, size);
	assert_memory_equal(value, bytes, size);
}

static inline void expect_text(const void *fdt, const char *path, const char *name,
			       const char *value)
{
	expect_bytes(fdt, path, name, value, strlen(value) + 1);
}

static inline void expect_cell(const void *fdt, const char *path, const char *name, uint32_t value)
{
	fdt32_t cell = cpu_to_fdt32(value);

	expect_bytes(fdt, path, name, &cell, sizeof(cell));
}

static inline void expect_u64(const void *fdt, const char *path, const char *name, uint64_t value)
{
	fdt64_t number = cpu_to_fdt64(value);

	expect_bytes(fdt, path, name, &number, sizeof(number));
}

static inline void expect_reg(const void *fdt, const char *path, uint64_t base, uint64_t size)
{
	fdt64_t reg[2] = {cpu_to_fdt64(base), cpu_to_fdt64(size)};

	expect_bytes(fdt, path, "reg", reg, sizeof(reg));
}

static inline void expect_none(const void *fdt, const char *path, const char *name)
{
	assert_null(fdt_getprop(fdt, find(fdt, path), name, NULL));
}

#endif
