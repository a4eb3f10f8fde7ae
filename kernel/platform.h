/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_PLATFORM_H
#define KERNEL_PLATFORM_H

/* The machine, as the host's device tree describes it. Filled once at boot, then constant. */

#include "kernel/types.h"

#define PLATFORM_MEMORY_MAX 16
#define PLATFORM_VIRTIO_MAX 32

#define PLATFORM_PLIC_SOURCES_MAX 1023 /* that a PLIC can have (PLIC 1.0, 1.3) */

struct range {
	uint64_t base, size; /* host-physical, bytes */
};

struct platform_uart {
	struct range registers; /* size 0: there is none */
	unsigned stride;        /* bytes from one register to the next */
	unsigned width;         /* of an access: 1 or 4 bytes */
	uint32_t interrupt;     /* PLIC source; 0: none, poll */
};

/* A place for a virtio device, which may be empty. */
struct platform_virtio {
	struct range registers;
	uint32_t interrupt; /* PLIC source; 0: none, poll */
	int node;           /* in the device tree */
};

struct platform {
	const void *fdt; /* in the direct map */
	const char *bootargs;
	uint64_t timebase; /* ticks a second */

	unsigned memory_count;
	struct range memory[PLATFORM_MEMORY_MAX];
	struct range fdt_range, initrd;

	struct platform_uart uart;
	struct range plic;     /* size 0: there is none; as the next two */
	uint32_t plic_sources; /* up to PLATFORM_PLIC_SOURCES_MAX */
	int plic_node;         /* in the device tree, or negative */
	struct range finisher, rtc;
	unsigned virtio_count;
	struct platform_virtio virtio[PLATFORM_VIRTIO_MAX]; /* by ascending address */

	const void *rng_seed;
	unsigned rng_seed_size;
};

extern struct platform platform;

/*
 * Memory and everything needed to map it: runs with the early mapping of the tree. ERR_INVAL: it is
 * none; ERR_NOENT: it tells of no memory.
 */
int platform_read_memory(const void *fdt, hpa_t fdt_address);

/*
 * All the rest; platform.fdt is reached through the direct map by now. A device that the tree says
 * is disabled is left alone.
 */
void platform_read_devices(void);

/*
 * Calls `visit` for each range that is not to be touched (no-map reserved memory) or only
 * not to be allocated (other reserved memory, /memreserve/).
 */
void platform_for_reserved(const void *fdt, void (*visit)(struct range range, bool no_map));

/* The context of the PLIC that interrupts that hart in S-mode, or ERR_NOENT. */
int platform_plic_context(uint64_t hart_id, uint32_t *context);

/* The address of mtime, in a CLINT or ACLINT; 0: the tree has none. */
uint64_t platform_mtime(void);

#endif
