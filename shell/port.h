/* SPDX-License-Identifier: MIT */
#ifndef SHELL_PORT_H
#define SHELL_PORT_H

/*
 * Ports of the host's virtio consoles: the one named as a VM is that VM's console, the one named
 * `pilae` is for scripts to send commands through. A VM's port carries its bytes as they are.
 */

#include "vmm/vm_console.h"

/* Gets ready for the host's ports. On the boot hart, before host_virtio_init() finds them. */
void port_init(void);

/* A VM is new, and is given the port of its name; or it goes. Boot hart, no lock held. */
void port_find(struct vm_console *console);
void port_lose(struct vm_console *console);

/* The VM has written: sends what there is room for. It has a port; its lock is held. Any hart. */
void port_send(struct vm_console *console);

#endif
