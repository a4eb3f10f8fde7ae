/* SPDX-License-Identifier: MIT */
/* A system file with one VM, and what reading its description says. */
#ifndef TESTS_UNIT_VMCONFIG_FIXTURE_H
#define TESTS_UNIT_VMCONFIG_FIXTURE_H

#include "kernel/error.h"
#include "tests/unit/fit_tree.h"
#include "vmm/vmconfig.h"

#define WEB "/configurations/web"

static struct vmconfig config;
static struct fit fit;

static void add_device(const char *name, const char *compatible)
{
	char path[64];

	add_node(WEB, name);
	snprintf(path, sizeof(path), WEB "/%s", name);
	set_string(path, "compatible", compatible);
}

static void add_image(const char *name, const char *type, size_t size)
{
	static const uint8_t bytes[4096];
	char path[64];

	add_node("/images", name);
	snprintf(path, sizeof(path), "/images/%s", name);
	set_string(path, "type", type);
	set_bytes(path, "data", bytes, size);
}

/* The least that a VM can be: a kernel and memory. */
static int build_tree(void **state)
{
	(void)state;
	tree_clear();
	add_node("/", "images");
	add_image("linux", "kernel", 16);
	add_image("initrd", "ramdisk", 16);
	add_image("dtb", "flat_dt", 16);
	add_image("disk", "filesystem", 2048);
	add_node("/", "configurations");
	add_node("/configurations", "web");
	set_string(WEB, "compatible", "pilae,vm");
	set_string(WEB, "kernel", "linux");
	set_u64(WEB, "pilae,memory", MIB(512));
	return 0;
}

static int read_node(const char *path)
{
	assert_int_equal(fit_open(&fit, tree, fdt_totalsize(tree)), 0);
	return vmconfig_read(&config, &fit, node_at(path));
}

static void expect_good(void)
{
	int error = read_node(WEB);

	if (error)
		fail_msg("error %d: %s", error, messages);
	assert_string_equal(messages, "");
}

static void expect_bad(int error, const char *message)
{
	messages[0] = '\0';
	assert_int_equal(read_node(WEB), error);
	expect_message(message);
}

#endif
