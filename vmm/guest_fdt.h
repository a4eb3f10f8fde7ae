/* SPDX-License-Identifier: MIT */
#ifndef VMM_GUEST_FDT_H
#define VMM_GUEST_FDT_H

/*
 * The guest's device tree: that of QEMU's `virt`, limited to the devices that a guest has
 * here. Any context, no locks; nothing is allocated.
 */

#include "kernel/types.h"

struct guest_fdt_info {
	const char *path;         /* of the VM's node, for messages */
	unsigned hart_count;      /* 1 to MACHINE_HARTS_MAX */
	uint32_t timebase;        /* ticks a second */
	const char *isa;          /* of every hart, from "rv64" on: "rv64imafdc_zicsr_zifencei" */
	const char *mmu_type;     /* "riscv,sv39" and so on */
	uint32_t cbom_block_size; /* bytes; 0 where the hart has no such instructions */
	uint32_t cboz_block_size;
	uint32_t cbop_block_size;
	uint64_t ram_base, ram_size;
	const char *bootargs;           /* NULL: none given */
	uint64_t ramdisk, ramdisk_size; /* guest-physical; size 0: none */
	const uint8_t *rng_seed;
	uint32_t rng_seed_size; /* bytes */
	void (*preempt)(void);  /* called after every node, for preemption points; or NULL */
};

/*
 * Bytes that guest_fdt_write() needs at most. The ramdisk's place and the seed's bytes need
 * not be known yet.
 */
size_t guest_fdt_size(const struct guest_fdt_info *info);

/*
 * Writes the tree into `buf`, aligned to 8, of `size` bytes. Its header tells its true size.
 * ERR_TOO_LARGE if it does not fit, which is not reported.
 */
int guest_fdt_write(void *buf, size_t size, const struct guest_fdt_info *info);

/* The same for guest_fdt_patch() and a tree of `fdt_size` bytes. */
size_t guest_fdt_patch_size(const struct guest_fdt_info *info, size_t fdt_size);

/*
 * Copies the tree at `fdt`, of `fdt_size` bytes and any alignment, to `buf`, aligned to 8, of
 * `size` bytes, and sets there what only Pilae knows: /memory and, in /chosen, bootargs (if
 * given), the initial ramdisk and rng-seed. Of `info`, nothing else is used. ERR_CORRUPT if
 * it is not a sound tree, ERR_RANGE if its cells are too small for the addresses,
 * ERR_TOO_LARGE if it does not fit; each reported through log_error. Between two calls of
 * info->preempt, libfdt takes some 40 instructions a byte of the tree.
 */
int guest_fdt_patch(void *buf, size_t size, const void *fdt, size_t fdt_size,
		    const struct guest_fdt_info *info);

#endif
