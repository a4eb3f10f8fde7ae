/* SPDX-License-Identifier: MIT */
#ifndef DRIVER_PCI_H
#define DRIVER_PCI_H

/*
 * The host's PCI: one host bridge with ECAM (`pci-host-ecam-generic`), its bus, and those behind
 * bridges that the firmware has numbered. Memory BARs that the firmware has left without an
 * address are given one on the host bridge's own bus. Interrupts are INTx, through a PLIC; no MSI.
 * All of this is the boot hart's; what maps registers is for boot only.
 */

#include "kernel/types.h"

#define HOST_PCI_FUNCTIONS_MAX 64
#define HOST_PCI_BUSES_MAX     16
#define HOST_PCI_BARS          6
#define HOST_PCI_NAME_MAX      16

#define PCI_VENDOR_ID        0x00
#define PCI_DEVICE_ID        0x02
#define PCI_COMMAND          0x04
#define PCI_STATUS           0x06
#define PCI_HEADER_TYPE      0x0e
#define PCI_BAR              0x10
#define PCI_SUBSYSTEM_ID     0x2e
#define PCI_CAPABILITIES     0x34
#define PCI_INTERRUPT_PIN    0x3d
#define PCI_CAPABILITY_OTHER 9 /* a vendor's own */

struct host_pci_bar {
	uint64_t address; /* on the bus; 0: none */
	uint64_t size;    /* 0: there is no such memory BAR */
	bool wide;        /* of 64 bits */
	bool prefetchable;
};

struct host_pci_function {
	unsigned number; /* bus, device and function, as in ECAM: bits 15..8, 7..3, 2..0 */
	char name[HOST_PCI_NAME_MAX]; /* pci:00:02.0 */
	uint16_t vendor, device;
	uint32_t interrupt; /* PLIC source of its INTx; 0: none */
	bool is_bridge, on_root_bus;
	volatile char *config; /* 4 KiB */
	struct host_pci_bar bars[HOST_PCI_BARS];
};

/* Finds all functions. At boot; without a host bridge there are none. */
void host_pci_init(void);

/* The function after this one by their numbers, or the first for NULL; NULL: no more. */
struct host_pci_function *host_pci_next(const struct host_pci_function *function);

/* Reads and writes its configuration: 1, 2 or 4 bytes at an offset aligned to that. */
uint32_t host_pci_read(const struct host_pci_function *function, unsigned offset, unsigned size);
void host_pci_write(struct host_pci_function *function, unsigned offset, unsigned size,
		    uint32_t value);

/* The offset of its next capability of that kind after one (0: the first); 0: there is none. */
unsigned host_pci_capability(const struct host_pci_function *function, uint8_t kind,
			     unsigned after);

/*
 * Maps a piece of a BAR, and lets the function answer there; NULL if it is not within one that
 * has an address. Boot only.
 */
volatile void *host_pci_map(struct host_pci_function *function, unsigned bar, uint64_t offset,
			    uint64_t size);

/* Whether it may use memory (be bus master). */
void host_pci_let_use_memory(struct host_pci_function *function, bool may);

#endif
