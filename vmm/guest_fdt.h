/* SPDX-License-Identifier: MIT */
#ifndef VMM_GUEST_FDT_H
#define VMM_GUEST_FDT_H

/*
 * The guest's device tree: that of QEMU's `virt`, limited to the devices that a guest has
 * here. Any context, no locks; nothing is allocated.
 */

#include "kernel/platform.h"
#include "kernel/types.h"

/* A device of the host that the guest has: its node, and what that means. */
struct guest_fdt_device {
	const void *host; /* the host's device tree */
	int node;         /* there */
	unsigned range_count, interrupt_count;
	const struct range *ranges; /* of registers */
	const uint32_t *interrupts; /* PLIC sources, the guest's as well */
};

/* Whether the guest's own device at this address, or with this interrupt, gives way to it. */
bool guest_fdt_takes(const struct guest_fdt_device *device, uint64_t base, uint64_t size,
		     uint32_t interrupt);

#define GUEST_FDT_DEVICES_MAX 32

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
	unsigned flash_banks;           /* a bit for each that there is */
	const uint8_t *rng_seed;
	uint32_t rng_seed_size; /* bytes */
	/* Each takes the place of the guest's own at its address, or with its interrupt. */
	unsigned device_count; /* up to GUEST_FDT_DEVICES_MAX */
	const struct guest_fdt_device *devices;
	/* Preemption points (kernel/trap.h); or all three NULL. */
	void (*preempt)(void);                                /* after every node written */
	void (*preempt_allow)(void), (*preempt_forbid)(void); /* around what libfdt does */
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
 * ERR_TOO_LARGE if it does not fit; each reported through log_error. Neither `fdt` nor `buf` may
 * change meanwhile.
 */
int guest_fdt_patch(void *buf, size_t size, const void *fdt, size_t fdt_size,
		    const struct guest_fdt_info *info);

#endif
