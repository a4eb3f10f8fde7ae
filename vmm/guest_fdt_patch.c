/* SPDX-License-Identifier: MIT */
#include "vmm/guest_fdt.h"

#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "kernel/error.h"
#include "kernel/log.h"

/* What guest_fdt_patch() may add, names and alignment included, beside bootargs and rng-seed. */
#define PATCH_SIZE 512

#define NODE_NAME_MAX 40

size_t guest_fdt_patch_size(const struct guest_fdt_info *info, size_t fdt_size)
{
	size_t bootargs_size = info->bootargs ? strlen(info->bootargs) : 0;

	return align_up(fdt_size + PATCH_SIZE + bootargs_size + info->rng_seed_size, 8);
}

static bool is_memory_node(const void *fdt, int node)
{
	int length;
	const char *type = fdt_getprop(fdt, node, "device_type", &length);

	return type && length == sizeof("memory") && memcmp(type, "memory", sizeof("memory")) == 0;
}

/* The first memory node behind `node`, or behind the root's start if that is 0. */
static int next_memory_node(const void *fdt, int node)
{
	node = node == 0 ? fdt_first_subnode(fdt, 0) : fdt_next_subnode(fdt, node);
	while (node >= 0 && !is_memory_node(fdt, node))
		node = fdt_next_subnode(fdt, node);
	return node;
}

static int set_string(void *fdt, int node, const char *name, const char *string)
{
	return fdt_setprop(fdt, node, name, string, (int)strlen(string) + 1);
}

static int add_memory_node(void *fdt, uint64_t base)
{
	char name[NODE_NAME_MAX];
	int node, error;

	snprintf(name, sizeof(name), "memory@%lx", base);
	node = fdt_add_subnode(fdt, 0, name);
	if (node < 0)
		return node;
	error = set_string(fdt, node, "device_type", "memory");
	return error ? error : node;
}

/* Appends a number of one cell or two; -FDT_ERR_BADVALUE if it needs more than there are. */
static int put_cells(uint8_t **at, int cells, uint64_t value)
{
	if ((cells != 1 && cells != 2) || (cells == 1 && value > UINT32_MAX))
		return -FDT_ERR_BADVALUE;
	if (cells == 2)
		fdt64_st(*at, value);
	else
		fdt32_st(*at, (uint32_t)value);
	*at += sizeof(fdt32_t) * (unsigned)cells;
	return 0;
}

/* The VM's RAM is one range: further memory nodes would name what is not there. */
static int patch_memory(void *fdt, const struct guest_fdt_info *info)
{
	uint8_t reg[16], *end = reg;
	int node = next_memory_node(fdt, 0);
	int error, extra;

	if (node < 0)
		node = add_memory_node(fdt, info->ram_base);
	if (node < 0)
		return node;
	error = put_cells(&end, fdt_address_cells(fdt, 0), info->ram_base);
	if (!error)
		error = put_cells(&end, fdt_size_cells(fdt, 0), info->ram_size);
	if (!error)
		error = fdt_setprop(fdt, node, "reg", reg, (int)(end - reg));
	while (!error && (extra = next_memory_node(fdt, node)) >= 0)
		error = fdt_del_node(fdt, extra);
	return error;
}

static int delete_property(void *fdt, int node, const char *name)
{
	int error = fdt_delprop(fdt, node, name);

	return error == -FDT_ERR_NOTFOUND ? 0 : error;
}

/* Without a ramdisk, one that the tree may name is not in memory. */
static int patch_ramdisk(void *fdt, int chosen, const struct guest_fdt_info *info)
{
	int error;

	if (info->ramdisk_size == 0) {
		error = delete_property(fdt, chosen, "linux,initrd-start");
		return error ? error : delete_property(fdt, chosen, "linux,initrd-end");
	}
	error = fdt_setprop_u64(fdt, chosen, "linux,initrd-start", info->ramdisk);
	return error ? error
		     : fdt_setprop_u64(fdt, chosen, "linux,initrd-end",
				       info->ramdisk + info->ramdisk_size);
}

static int patch_chosen(void *fdt, const struct guest_fdt_info *info)
{
	int chosen = fdt_subnode_offset(fdt, 0, "chosen");
	int error = 0;

	if (chosen == -FDT_ERR_NOTFOUND)
		chosen = fdt_add_subnode(fdt, 0, "chosen");
	if (chosen < 0)
		return chosen;
	if (info->bootargs)
		error = set_string(fdt, chosen, "bootargs", info->bootargs);
	if (!error)
		error = patch_ramdisk(fdt, chosen, info);
	if (!error)
		error =
		    fdt_setprop(fdt, chosen, "rng-seed", info->rng_seed, (int)info->rng_seed_size);
	return error;
}

static int report_patch(const struct guest_fdt_info *info, int fdt_error)
{
	if (fdt_error == -FDT_ERR_BADVALUE) {
		log_error(
		    "%s: fdt: its #address-cells or #size-cells cannot hold the VM's RAM: make "
		    "them <2>",
		    info->path);
		return ERR_RANGE;
	}
	log_error("%s: fdt: %s: make it again with dtc", info->path, fdt_strerror(fdt_error));
	return fdt_error == -FDT_ERR_NOSPACE ? ERR_TOO_LARGE : ERR_CORRUPT;
}

static int check_tree(const void *fdt, size_t size)
{
	if (size < sizeof(struct fdt_header))
		return -FDT_ERR_TRUNCATED;
	/* fdt_check_full() reads NULL as the root's name in trees of an older version. */
	return fdt_version(fdt) < 16 ? -FDT_ERR_BADVERSION : fdt_check_full(fdt, size);
}

static int copy_patched(void *buf, size_t size, const void *fdt, size_t fdt_size,
			const struct guest_fdt_info *info)
{
	int error;

	memmove(buf, fdt, fdt_size);
	error = check_tree(buf, fdt_size);
	if (!error)
		error = fdt_open_into(buf, buf, (int)size);
	/* It is of version 17 now, the first in which names are looked for in its strings only. */
	if (!error)
		error = fdt_check_full(buf, size);
	if (!error)
		error = patch_memory(buf, info);
	if (!error)
		error = patch_chosen(buf, info);
	return error ? error : fdt_pack(buf);
}

int guest_fdt_patch(void *buf, size_t size, const void *fdt, size_t fdt_size,
		    const struct guest_fdt_info *info)
{
	int error;

	if (size > INT32_MAX || fdt_size > size)
		return report_patch(info, -FDT_ERR_NOSPACE);
	if (info->preempt_allow)
		info->preempt_allow();
	error = copy_patched(buf, size, fdt, fdt_size, info);
	if (info->preempt_forbid)
		info->preempt_forbid();
	return error ? report_patch(info, error) : 0;
}
