/* SPDX-License-Identifier: MIT */
#include "device/uart.h"

#include "vmm/machine.h"

#define UART_SIZE 8 /* bytes that answer, of its page */

/* Registers; 0 and 1 are the divisor while LCR.DLAB is set. */
#define UART_DATA 0
#define UART_IER  1
#define UART_IIR  2 /* read */
#define UART_FCR  2 /* write */
#define UART_LCR  3
#define UART_MCR  4
#define UART_LSR  5
#define UART_MSR  6
#define UART_SCR  7

#define IER_RX     0x01
#define IER_THR    0x02
#define IER_STATUS 0x04
#define IER_ALL    0x0f

#define IIR_NONE    0x01
#define IIR_THR     0x02
#define IIR_RX      0x04
#define IIR_STATUS  0x06
#define IIR_TIMEOUT 0x0c
#define IIR_FIFOS   0xc0

#define FCR_ENABLE   0x01
#define FCR_CLEAR_RX 0x02
#define FCR_CLEAR_TX 0x04
#define FCR_STICKY   0xc9
#define LCR_8N1      0x03
#define LCR_DLAB     0x80
#define MCR_LOOP     0x10
#define MCR_ALL      0x1f
#define LSR_READY    0x01
#define LSR_OVERRUN  0x02
#define LSR_TX_EMPTY 0x60 /* holding register and shift register */
#define MSR_PRESENT  0xb0 /* CTS, DSR, DCD */

static bool uart_has_fifos(const struct uart *uart)
{
	return uart->fcr & FCR_ENABLE;
}

static unsigned uart_capacity(const struct uart *uart)
{
	return uart_has_fifos(uart) ? UART_FIFO_SIZE : 1;
}

static uint8_t uart_interrupt(const struct uart *uart)
{
	static const uint8_t triggers[] = {1, 4, 8, 14};

	if ((uart->ier & IER_STATUS) && uart->overrun)
		return IIR_STATUS;
	if ((uart->ier & IER_RX) && uart->count) {
		bool below = uart_has_fifos(uart) && uart->count < triggers[uart->fcr >> 6];

		return below ? IIR_TIMEOUT : IIR_RX;
	}
	if ((uart->ier & IER_THR) && uart->thr_pending)
		return IIR_THR;
	return IIR_NONE;
}

static void uart_update_irq(struct uart *uart)
{
	bool level = uart_interrupt(uart) != IIR_NONE;

	if (level == uart->irq_level)
		return;
	uart->irq_level = level;
	irq_line_set(&uart->irq, level);
}

/* An overrun loses the new byte in the FIFO, and the old one without FIFOs. */
static void uart_put(struct uart *uart, uint8_t byte)
{
	bool full = uart->count == uart_capacity(uart);

	uart->overrun |= full;
	if (!uart_has_fifos(uart)) {
		uart->rbr = byte;
		uart->count = 1;
	} else if (!full) {
		uart->fifo[(uart->head + uart->count) % UART_FIFO_SIZE] = byte;
		uart->count++;
	}
}

static uint8_t uart_pop(struct uart *uart)
{
	uint8_t byte = uart->rbr;

	if (!uart_has_fifos(uart)) {
		uart->count = 0;
	} else if (uart->count == 0) {
		byte = 0;
	} else {
		byte = uart->fifo[uart->head];
		uart->head = (uint8_t)((uart->head + 1) % UART_FIFO_SIZE);
		uart->count--;
	}
	uart_update_irq(uart);
	return byte;
}

static bool uart_accepts(const struct uart *uart)
{
	return !(uart->mcr & MCR_LOOP) && uart->count < uart_capacity(uart);
}

/* After the guest made room: whether `drained` is to be called, once the lock is free. */
static bool uart_take_refused(struct uart *uart)
{
	bool due = uart->refused && uart_accepts(uart);

	uart->refused &= !due;
	return due;
}

static uint8_t uart_read_iir(struct uart *uart)
{
	uint8_t id = uart_interrupt(uart);

	if (id == IIR_THR) {
		uart->thr_pending = false;
		uart_update_irq(uart);
	}
	return id | (uart_has_fifos(uart) ? IIR_FIFOS : 0);
}

static uint8_t uart_read_lsr(struct uart *uart)
{
	uint8_t lsr =
	    LSR_TX_EMPTY | (uart->count ? LSR_READY : 0) | (uart->overrun ? LSR_OVERRUN : 0);

	if (uart->overrun) {
		uart->overrun = false;
		uart_update_irq(uart);
	}
	return lsr;
}

/* In a loop DTR, RTS, OUT1 and OUT2 are DSR, CTS, RI and DCD. */
static uint8_t uart_read_msr(const struct uart *uart)
{
	unsigned mcr = uart->mcr;

	if (!(mcr & MCR_LOOP))
		return MSR_PRESENT;
	return (uint8_t)((mcr & 0x0c) << 4 | (mcr & 0x02) << 3 | (mcr & 0x01) << 5);
}

static uint8_t uart_read_register(struct uart *uart, uint64_t reg)
{
	if (reg <= 1 && (uart->lcr & LCR_DLAB))
		return uart->divisor[reg];
	switch (reg) {
	case UART_DATA:
		return uart_pop(uart);
	case UART_IER:
		return uart->ier;
	case UART_IIR:
		return uart_read_iir(uart);
	case UART_LCR:
		return uart->lcr;
	case UART_MCR:
		return uart->mcr;
	case UART_LSR:
		return uart_read_lsr(uart);
	case UART_MSR:
		return uart_read_msr(uart);
	default:
		return uart->scr;
	}
}

/* Whatever its width, an access is one of the register at its offset alone, as on `virt`. */
static int uart_read(struct mmio_device *device, uint64_t offset, unsigned size, uint64_t *value)
{
	struct uart *uart = container_of(device, struct uart, device);
	bool drained;

	(void)size;
	/* What drivers poll, and what changes nothing unless there was an overrun. */
	if (offset == UART_LSR && likely(!__atomic_load_n(&uart->overrun, __ATOMIC_RELAXED))) {
		*value = LSR_TX_EMPTY |
			 (__atomic_load_n(&uart->count, __ATOMIC_RELAXED) ? LSR_READY : 0);
		return 0;
	}
	spin_lock(&uart->lock);
	*value = uart_read_register(uart, offset);
	drained = uart_take_refused(uart);
	spin_unlock(&uart->lock);
	if (drained)
		uart->line.drained(uart->line.context);
	return 0;
}

/* Enabling the interrupt announces an empty transmitter anew; 8250 drivers test for this. */
static void uart_write_ier(struct uart *uart, uint8_t value)
{
	if ((uart->ier ^ value) & IER_THR)
		uart->thr_pending = value & IER_THR;
	uart->ier = value & IER_ALL;
}

static void uart_write_fcr(struct uart *uart, uint8_t value)
{
	if ((value ^ uart->fcr) & FCR_ENABLE)
		value |= FCR_CLEAR_RX | FCR_CLEAR_TX;
	if (value & FCR_CLEAR_RX)
		uart->count = 0;
	if (value & FCR_CLEAR_TX)
		uart->thr_pending = true;
	uart->fcr = value & FCR_STICKY;
}

static void uart_write_register(struct uart *uart, uint64_t reg, uint8_t value)
{
	if (reg <= 1 && (uart->lcr & LCR_DLAB)) {
		uart->divisor[reg] = value;
		return;
	}
	switch (reg) {
	case UART_DATA:
		uart->thr_pending = true;
		if (uart->mcr & MCR_LOOP)
			uart_put(uart, value);
		break;
	case UART_IER:
		uart_write_ier(uart, value);
		break;
	case UART_FCR:
		uart_write_fcr(uart, value);
		break;
	case UART_LCR:
		uart->lcr = value;
		break;
	case UART_MCR:
		uart->mcr = value & MCR_ALL;
		break;
	case UART_SCR:
		uart->scr = value;
		break;
	}
}

static int uart_write(struct mmio_device *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct uart *uart = container_of(device, struct uart, device);
	uint8_t byte = (uint8_t)value;
	bool sent, drained;

	(void)size;
	spin_lock(&uart->lock);
	sent = offset == UART_DATA && !(uart->lcr & LCR_DLAB) && !(uart->mcr & MCR_LOOP);
	uart_write_register(uart, offset, byte);
	uart_update_irq(uart);
	drained = uart_take_refused(uart);
	spin_unlock(&uart->lock);
	if (sent)
		uart->line.output(uart->line.context, &byte, 1);
	if (drained)
		uart->line.drained(uart->line.context);
	return 0;
}

bool uart_receive(struct uart *uart, uint8_t byte, bool more)
{
	bool accepts;

	spin_lock(&uart->lock);
	accepts = uart_accepts(uart);
	if (accepts) {
		uart_put(uart, byte);
		uart_update_irq(uart);
	}
	uart->refused |= more || !accepts;
	spin_unlock(&uart->lock);
	return accepts;
}

void uart_reset(struct uart *uart)
{
	bool drained;

	spin_lock(&uart->lock);
	uart->head = uart->count = uart->rbr = 0;
	uart->ier = uart->mcr = uart->scr = 0;
	uart->fcr = FCR_ENABLE;
	uart->lcr = LCR_8N1;
	uart->divisor[0] = 2;
	uart->divisor[1] = 0;
	uart->overrun = uart->thr_pending = false;
	uart_update_irq(uart);
	drained = uart_take_refused(uart);
	spin_unlock(&uart->lock);
	if (drained)
		uart->line.drained(uart->line.context);
}

void uart_init(struct uart *uart, struct irq_line irq, const struct uart_line *line)
{
	static const struct mmio_ops ops = {uart_read, uart_write};

	*uart = (struct uart){
	    .device = {"uart", &ops, MACHINE_UART_BASE, UART_SIZE},
	    .irq = irq,
	    .line = *line,
	};
	uart_reset(uart);
}

bool uart_take(struct uart *uart, uint8_t *byte)
{
	bool any, drained;

	spin_lock(&uart->lock);
	any = uart->count > 0;
	if (any)
		*byte = uart_pop(uart);
	drained = any && uart_take_refused(uart);
	spin_unlock(&uart->lock);
	if (drained)
		uart->line.drained(uart->line.context);
	return any;
}
