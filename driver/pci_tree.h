/* SPDX-License-Identifier: MIT */
#ifndef DRIVER_PCI_TREE_H
#define DRIVER_PCI_TREE_H

/* What the host's device tree says of its PCI, for driver/pci.c. */

#include "kernel/platform.h"
#include "kernel/types.h"

#define HOST_PCI_WINDOWS_MAX 4

/* Addresses for memory BARs, and where the processor finds them. */
struct host_pci_window {
	uint64_t pci, cpu, size;
	bool prefetchable;
};

struct host_pci_tree {
	int node;
	struct range ecam; /* begins with the first bus */
	unsigned first_bus, last_bus;
	unsigned window_count;
	struct host_pci_window windows[HOST_PCI_WINDOWS_MAX];
};

/* ERR_NOENT: there is no host bridge; ERR_INVAL: its node makes no sense. */
int host_pci_tree_read(struct host_pci_tree *tree);

/* The window that has all of that range of the bus's addresses, or NULL. */
const struct host_pci_window *host_pci_window(const struct host_pci_tree *tree, uint64_t address,
					      uint64_t size);

/*
 * The PLIC source of an INTx pin (1 to 4) of a function on the host bridge's bus, by its number as
 * in ECAM; 0: none that is known.
 */
uint32_t host_pci_interrupt(const struct host_pci_tree *tree, unsigned number, unsigned pin);

#endif
