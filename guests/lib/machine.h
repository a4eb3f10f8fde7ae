/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_LIB_MACHINE_H
#define GUESTS_LIB_MACHINE_H

#include "guests/lib/hart.h"

/* Where the devices of the `virt` machine are. */
#define FINISHER_BASE UINT64_C(0x100000)
#define RTC_BASE      UINT64_C(0x101000)
#define PLIC_BASE     UINT64_C(0x0c000000)
#define UART_BASE     UINT64_C(0x10000000)
#define VIRTIO_BASE   UINT64_C(0x10001000)
#define VIRTIO_STRIDE UINT64_C(0x1000)
#define VIRTIO_SLOTS  8
#define UART_IRQ      10
#define RTC_IRQ       11

/* Nothing is there, neither on `virt` nor on the guest's machine. */
#define NOWHERE UINT64_C(0x08000000)

/* What the device tree and SBI say about the machine. */
struct machine {
	size_t hart_count; /* usable ones, at most HARTS_MAX; harts[0] is the boot hart */
	uint64_t ram_base, ram_size;
	uint64_t timebase; /* ticks a second */
	char isa[2048];    /* of the first hart: "rv64imafdc_sstc_…" */
	char bootargs[512];
	uint64_t sbi_version, sbi_impl, sbi_impl_version;
	bool native;             /* not in Pilae: the machine itself, with its CLINT and PCI */
	bool opensbi;            /* and this is its firmware, which is not strict everywhere */
	uint64_t heap, heap_end; /* RAM that nothing uses */
};

extern struct machine machine;

/* Whether the ISA string has the extension: one letter, or a name such as "sstc". */
bool machine_has(const char *extension);

/* The value of NAME=VALUE in bootargs, as far as fits; false if it is not there. */
bool machine_option(const char *name, char *value, size_t size);

/* Whether an option's value, a list of names with commas, has this one. */
bool machine_lists(const char *list, const char *name);

/* The same as a decimal number; `otherwise` if it is not there. */
uint64_t machine_number(const char *name, uint64_t otherwise);

/* Ends the machine through SRST, with reason none or "system failure". */
__noreturn void machine_shutdown(bool good);

/* The guest's own part, run on the boot hart with interrupts off. */
void guest_main(void);

/* Called by the assembly. */
__noreturn void guest_start(uint64_t hart_id, const void *tree);

#endif
