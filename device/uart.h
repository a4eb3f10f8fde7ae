/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_UART_H
#define DEVICE_UART_H

/*
 * A 16550A UART as on QEMU's `virt`, on a line that takes no time: what is written has been
 * sent at once, and what was received is announced at once, by the character timeout while
 * there is less of it than the trigger level.
 */

#include "kernel/lock.h"
#include "kernel/types.h"
#include "vmm/bus.h"
#include "vmm/irq.h"

#define UART_FIFO_SIZE 16

/* What the UART is connected to. All are called on any hart, with no lock held. */
struct uart_line {
	void (*output)(void *context, const uint8_t *bytes, unsigned count);
	/* There is room after uart_receive refused a byte or had `more`; may call it. */
	void (*drained)(void *context);
	void *context;
};

struct uart {
	struct mmio_device device; /* for the VM's bus */
	struct spinlock lock;      /* guards all below */
	struct irq_line irq;
	struct uart_line line;
	uint8_t fifo[UART_FIFO_SIZE];
	uint8_t head, count; /* of what was received and not read; without FIFOs at most 1 */
	uint8_t rbr;         /* what was received last without FIFOs */
	uint8_t ier, fcr, lcr, mcr, scr, divisor[2];
	bool overrun;
	bool thr_pending; /* the transmitter became empty, and IIR has not told yet */
	bool irq_level;
	bool refused; /* `drained` is due */
};

/* `line` is copied. The interrupt line is set with the UART's lock held. */
void uart_init(struct uart *uart, struct irq_line irq, const struct uart_line *line);

/*
 * As the firmware of `virt` leaves it: 8N1, FIFOs on, no interrupts, nothing received. No vCPU
 * of the VM runs.
 */
void uart_reset(struct uart *uart);

/*
 * A byte comes in. False: it is not taken, because there is no room or the guest has looped the
 * UART back to itself; `drained` is called when it can be offered again. It is called, too, when
 * the guest has read some of what it has, if there is `more` than this byte. Any hart; takes the
 * UART's lock.
 */
bool uart_receive(struct uart *uart, uint8_t byte, bool more);

/*
 * Takes the oldest byte that the guest has not read, as the firmware of `virt` does for SBI
 * calls. False if there is none. Any hart; takes the UART's lock.
 */
bool uart_take(struct uart *uart, uint8_t *byte);

#endif
