/* SPDX-License-Identifier: MIT */
#ifndef VMM_VMCONFIG_H
#define VMM_VMCONFIG_H

/*
 * A VM's description, read from its node below /configurations of the system file and checked
 * in itself: what only the host can tell (which harts and devices there are, how much memory)
 * is for those who build the VM. Everything wrong is reported through log_error with the
 * node's path and the remedy. Nothing is allocated; strings point into the system file.
 * Any hart, no locks.
 */

#include "kernel/types.h"
#include "vmm/fit.h"

#define VMCONFIG_NAME_MAX    64 /* with its terminator */
#define VMCONFIG_PATH_MAX    (VMCONFIG_NAME_MAX + 16)
#define VMCONFIG_DEVICES_MAX 32
#define VMCONFIG_SLOT_ANY    UINT32_MAX

/* The orders of these are those of the words in vmm/vmconfig.c. */
enum vmconfig_engine { VMCONFIG_ENGINE_AUTO, VMCONFIG_ENGINE_HEXT, VMCONFIG_ENGINE_SOFT };
enum vmconfig_populate { VMCONFIG_POPULATE_DEMAND, VMCONFIG_POPULATE_EAGER };
enum vmconfig_on_crash {
	VMCONFIG_ON_CRASH_STOP,
	VMCONFIG_ON_CRASH_RESTART,
	VMCONFIG_ON_CRASH_PAUSE,
};

enum vmconfig_device_kind {
	VMCONFIG_PASSTHROUGH,
	VMCONFIG_VIRTIO_BLK,
	VMCONFIG_VIRTIO_NET,
	VMCONFIG_VIRTIO_CONSOLE,
	VMCONFIG_VIRTIO_RNG,
	VMCONFIG_FLASH,
};

/* A device node; what its kind has no property for is as it is when left out. */
struct vmconfig_device {
	enum vmconfig_device_kind kind;
	const char *name;        /* of the node */
	const char *host;        /* the host's device, or NULL */
	const char *image_name;  /* or NULL */
	struct fit_image image;  /* if image_name is set */
	const char *switch_name; /* of a virtio-net */
	const uint8_t *mac;      /* six bytes, or NULL */
	uint64_t offset, size;   /* the slice, in bytes; size 0: all that follows offset */
	uint32_t slot;           /* of a virtio device, or VMCONFIG_SLOT_ANY */
	uint32_t bank;           /* of a flash, 0 or 1 */
	bool allow_dma, read_only, legacy;
};

struct vmconfig {
	int node;
	char name[VMCONFIG_NAME_MAX]; /* with a `?` for what cannot be in one */
	char path[VMCONFIG_PATH_MAX]; /* "/configurations/NAME", for messages */

	const char *kernel_name, *ramdisk_name, *fdt_name; /* NULL: none */
	struct fit_image kernel, ramdisk, fdt;             /* each if its name is set */
	const char *bootargs;                              /* NULL: not given */

	uint32_t vcpus;    /* 1 to MACHINE_HARTS_MAX */
	uint64_t memory;   /* bytes, a multiple of 2 MiB, not 0 */
	uint64_t ram_base; /* guest-physical; if identity_map, only when ram_base_given */
	bool ram_base_given;
	bool identity_map;

	enum vmconfig_engine engine;
	const void *cpus;              /* cpu_count cells of the tree; see vmconfig_cpu() */
	uint32_t cpu_count;            /* 0: all */
	uint32_t weight;               /* 1 to 10000 */
	uint32_t budget_us, period_us; /* per vCPU; both 0: none */
	enum vmconfig_populate populate;
	enum vmconfig_on_crash on_crash;
	bool manual;
	bool fast_csr;

	unsigned device_count;
	struct vmconfig_device devices[VMCONFIG_DEVICES_MAX];
};

/* A virtual switch that VMs share: a node at the root. */
struct vmconfig_switch {
	int node;
	const char *name;   /* of the node */
	const char *uplink; /* the host's network device, or NULL */
};

/*
 * The VMs' nodes in order: begin with a `node` of 0. A negative result is the end.
 * The same for switches.
 */
int vmconfig_next(const struct fit *fit, int node);
int vmconfig_next_switch(const struct fit *fit, int node);

/*
 * Reads and checks the VM at `node`; images are found, but not yet checked against their
 * hashes (fit_verify_begin). After an error only name and path are of use: everything wrong
 * with the node has been reported, and the VM is refused.
 */
int vmconfig_read(struct vmconfig *config, const struct fit *fit, int node);

/* Whether a VM may be called so. */
bool vmconfig_is_name(const char *name);

/* Reads the switch at `node`, as vmconfig_read(). */
int vmconfig_read_switch(struct vmconfig_switch *config, const struct fit *fit, int node);

/*
 * Reports what the file has in places where no VM or switch would find it: Pilae's nodes of
 * an unknown kind, and a file without any VM. 0, or ERR_INVAL or ERR_NOENT: VMs that are
 * described well may start all the same.
 */
int vmconfig_check_system(const struct fit *fit);

/* The host hart id that is number `index` in pilae,cpus; `index` is below cpu_count. */
uint32_t vmconfig_cpu(const struct vmconfig *config, uint32_t index);

/* Whether the VM may run on the host hart `hart_id`. */
bool vmconfig_allows_cpu(const struct vmconfig *config, uint64_t hart_id);

#endif
