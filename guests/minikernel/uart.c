/* SPDX-License-Identifier: MIT */

/*
 * The serial port, an ns16550a: one register for bytes in both directions, with a FIFO each.
 * It interrupts when a byte has come, and when the FIFO for sending has become empty. The
 * line's speed is as the firmware has set it.
 */

#include "guests/minikernel/kernel.h"

enum {
	RBR = 0, /* read: byte received; write: byte to send */
	IER = 1, /* interrupts enabled */
	IIR = 2, /* read: why it interrupts; write: FIFO control */
	LCR = 3,
	MCR = 4,
	LSR = 5, /* line status */
};

#define IER_RECEIVED 0x01
#define IER_EMPTY    0x02
#define IIR_NONE     0x01 /* no interrupt is pending */
#define IIR_FIFOS    0xc0
#define FCR_ENABLE   0x01
#define LCR_8N1      0x03
#define MCR_DTR_RTS  0x03
#define MCR_OUT2     0x08 /* lets interrupts out */
#define LSR_RECEIVED 0x01
#define LSR_EMPTY    0x20 /* the FIFO for sending takes as much as it can hold */

static volatile uint8_t *uart;
static uint32_t fifo_size;
static bool sending; /* an interrupt will tell when the FIFO has become empty */

static volatile uint8_t *reg(uint32_t n)
{
	return uart + (n << machine.uart_shift);
}

void uart_init(void)
{
	uart = vm_map_device(machine.uart.base, machine.uart.size);
	*reg(IER) = 0;
	*reg(LCR) = LCR_8N1;
	*reg(MCR) = MCR_DTR_RTS | MCR_OUT2;
	*reg(IIR) = FCR_ENABLE;
	fifo_size = (*reg(IIR) & IIR_FIFOS) == IIR_FIFOS ? 16 : 1;
	*reg(IER) = IER_RECEIVED | IER_EMPTY;
	plic_enable(machine.uart_irq);
}

bool uart_present(void)
{
	return uart != NULL;
}

/* Fills the FIFO, which is empty. */
static void fill(void)
{
	sending = false;
	for (uint32_t i = 0; i < fifo_size; i++) {
		int c = console_next();

		if (c < 0)
			return;
		*reg(RBR) = (uint8_t)c;
		sending = true;
	}
}

void uart_start(void)
{
	if (!sending && (*reg(LSR) & LSR_EMPTY) != 0)
		fill();
}

void uart_drain(void)
{
	do {
		while ((*reg(LSR) & LSR_EMPTY) == 0)
			;
		fill();
	} while (sending);
}

void uart_interrupt(void)
{
	uint8_t status;

	/* Reading IIR is what tells the UART that "empty" has been understood. */
	while ((*reg(IIR) & IIR_NONE) == 0) {
		while (((status = *reg(LSR)) & LSR_RECEIVED) != 0)
			console_input((char)*reg(RBR));
		if ((status & LSR_EMPTY) != 0)
			fill();
	}
}
