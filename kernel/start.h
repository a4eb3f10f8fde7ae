/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_START_H
#define KERNEL_START_H

#include "kernel/types.h"

/* Where boot/start.S goes on the boot hart, with the early address space. */
void kernel_main(uint64_t hart_id, uint64_t fdt_address, uint64_t load_address) __noreturn;

/*
 * What runs on top of the kernel: called on the boot hart once memory, devices' descriptions
 * and log are there, on a guarded stack; starts the other harts when it is ready for them.
 */
void hypervisor_main(void) __noreturn;

/*
 * What runs on top of the kernel reserves memory that is not to be allocated by anyone, by
 * boot_memory_reserve(): called before hypervisor_main(), when there is the direct map and the
 * initial ramdisk, but neither allocator nor log level. It keeps no pointer to the ramdisk.
 */
void hypervisor_reserve(void);

/* The initial ramdisk in the direct map; false if there is none that memory holds. */
bool kernel_initrd(const void **start, uint64_t *size);

/* The system file was found elsewhere, and is there now. Boot hart. */
void kernel_set_initrd(const void *start, uint64_t size);

#endif
