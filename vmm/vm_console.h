/* SPDX-License-Identifier: MIT */
#ifndef VMM_VM_CONSOLE_H
#define VMM_VM_CONSOLE_H

/* What the consoles (shell/) keep for a VM, as a part of its struct vm. */

#include "kernel/list.h"
#include "kernel/lock.h"
#include "kernel/types.h"
#include "vmm/backlog.h"

#define VM_CONSOLE_INPUT 512 /* bytes that wait for the guest; a power of two */

struct host_port;

/* What the host's UART shows of a VM. */
enum vm_console_shown { VM_CONSOLE_SILENT, VM_CONSOLE_LINES, VM_CONSOLE_ALL };

struct vm_console {
	struct list link, ready; /* guarded by the terminal's lock, as are changes of `shown` */

	struct spinlock lock; /* guards the output: all up to the next lock */
	struct backlog backlog;
	struct backlog_reader uart, port_reader;
	enum vm_console_shown shown;
	bool queued;            /* it is in the list `ready` */
	struct host_port *port; /* of its own, or NULL */

	struct spinlock input_lock; /* guards the input: all below */
	unsigned head, tail;        /* free-running; head - tail bytes wait */
	unsigned refused;           /* how often there was no room since the guest took a byte */
	bool holds;                 /* a byte from the port, that the guest had no room for */
	uint8_t held;
	struct host_port *input_port;
	uint8_t typed[VM_CONSOLE_INPUT];
};

#endif
