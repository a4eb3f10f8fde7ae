/* SPDX-License-Identifier: MIT */

#include "driver/uart.h"

#include "driver/plic.h"
#include "kernel/hart.h"
#include "kernel/lock.h"
#include "kernel/log.h"
#include "kernel/mmu.h"
#include "kernel/platform.h"
#include "kernel/timer.h"
#include "riscv/sbi.h"

#include <stdio.h>

#define RBR 0
#define THR 0
#define IER 1
#define IIR 2
#define FCR 2
#define LSR 5

#define IER_RX   1
#define IER_THRE 2
#define FCR_ON   7 /* FIFOs on and emptied */
#define LSR_DR   0x01
#define LSR_THRE 0x20

#define FIFO_SIZE 16
#define RING_SIZE 65536 /* a power of two */
#define BURST     16    /* FIFOs filled in one stretch */

#define POLLS_PER_SECOND 100

static volatile char *uart;
static void (*receive)(uint8_t byte);
static struct timer poll_timer;

static struct {
	struct spinlock lock; /* guards the rest, THR and IER */
	unsigned head, tail;  /* free-running; head - tail bytes wait */
	bool thre_enabled;
	uint64_t dropped; /* bytes that found no room since that was last told */
	char bytes[RING_SIZE];
} ring = {.lock = SPINLOCK_INIT};

static uint8_t read_register(unsigned n)
{
	volatile char *at = uart + (uint64_t)n * platform.uart.stride;

	return platform.uart.width == 4 ? (uint8_t)*(volatile uint32_t *)at
					: *(volatile uint8_t *)at;
}

static void write_register(unsigned n, uint8_t value)
{
	volatile char *at = uart + (uint64_t)n * platform.uart.stride;

	if (platform.uart.width == 4)
		*(volatile uint32_t *)at = value;
	else
		*(volatile uint8_t *)at = value;
}

/* Sends what the FIFO takes; asks for an interrupt if that is not all. The lock is held. */
static void send(void)
{
	/* A device that takes everything at once must not keep the hart for all of it. */
	for (unsigned n = 0; n < BURST && ring.head != ring.tail && read_register(LSR) & LSR_THRE;
	     n++) {
		for (unsigned i = 0; i < FIFO_SIZE && ring.head != ring.tail; i++)
			write_register(THR, (uint8_t)ring.bytes[ring.tail++ % RING_SIZE]);
	}

	bool waiting = ring.head != ring.tail;

	if (waiting != ring.thre_enabled && platform.uart.interrupt) {
		ring.thre_enabled = waiting;
		write_register(IER, IER_RX | (waiting ? IER_THRE : 0));
	}
}

static void handle_interrupt(void)
{
	/* Reading IIR acknowledges what has no other cause. */
	read_register(IIR);
	/* As many as a FIFO holds, so that a line that never rests keeps nobody here. */
	for (unsigned i = 0; i < FIFO_SIZE && read_register(LSR) & LSR_DR; i++)
		receive(read_register(RBR));
	spin_lock(&ring.lock);
	send();
	spin_unlock(&ring.lock);
}

static void poll(struct timer *timer)
{
	uint8_t byte;

	if (uart) {
		handle_interrupt();
	} else {
		struct sbi_ret ret = sbi_call(SBI_EXT_CONSOLE_GETCHAR, 0, 0, 0, 0, 0, 0);

		byte = (uint8_t)ret.error;
		if (ret.error >= 0)
			receive(byte);
	}
	timer_set(timer, time_now() + platform.timebase / POLLS_PER_SECOND);
}

static void start_polling(void)
{
	timer_init(&poll_timer, poll);
	timer_set(&poll_timer, time_now());
}

void host_uart_init(void (*received)(uint8_t byte))
{
	receive = received;
	if (platform.uart.registers.size == 0) {
		start_polling();
		return;
	}
	uart = mmu_map_registers(HPA(platform.uart.registers.base), platform.uart.registers.size);
	write_register(IER, 0);
	write_register(FCR, FCR_ON);
	if (platform.uart.interrupt &&
	    host_plic_enable(platform.uart.interrupt, handle_interrupt) == 0) {
		write_register(IER, IER_RX);
	} else {
		platform.uart.interrupt = 0;
		start_polling();
	}
}

static void write_to_firmware(const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sbi_call(SBI_EXT_CONSOLE_PUTCHAR, 0, (uint8_t)bytes[i], 0, 0, 0, 0);
}

/* Tells how much is missing, where it is missing. The lock is held. */
static void put_dropped(void)
{
	static char text[64];
	int length = snprintf(text, sizeof(text), "\r\npilae: %llu bytes of output dropped\r\n",
			      (unsigned long long)ring.dropped);

	for (int i = 0; i < length; i++)
		ring.bytes[ring.head++ % RING_SIZE] = text[i];
	ring.dropped = 0;
}

void host_uart_write(const char *bytes, size_t count)
{
	if (!uart) {
		write_to_firmware(bytes, count);
		return;
	}
	spin_lock(&ring.lock);
	if (ring.dropped && ring.head - ring.tail <= RING_SIZE / 2)
		put_dropped();
	for (size_t i = 0; i < count; i++) {
		if (ring.dropped || ring.head - ring.tail == RING_SIZE)
			ring.dropped++;
		else
			ring.bytes[ring.head++ % RING_SIZE] = bytes[i];
	}
	send();
	spin_unlock(&ring.lock);
}

/* Waits at most a second, and takes no lock: who holds it may be stopped. */
static bool wait_for_room(void)
{
	uint64_t end = time_now() + platform.timebase;

	while (!(read_register(LSR) & LSR_THRE)) {
		if (time_now() > end)
			return false;
	}
	return true;
}

void host_uart_flush(void)
{
	unsigned left = ring.head - ring.tail;

	/* A hart that was stopped while it sent may have gone on for a moment. */
	for (left = left <= RING_SIZE ? left : 0; uart && left > 0 && wait_for_room(); left--)
		write_register(THR, (uint8_t)ring.bytes[ring.tail++ % RING_SIZE]);
	ring.tail = ring.head;
}

void host_uart_write_last(const char *bytes, size_t count)
{
	if (!uart) {
		write_to_firmware(bytes, count);
		return;
	}
	host_uart_flush();
	for (size_t i = 0; i < count && wait_for_room(); i++) {
		if (bytes[i] == '\n')
			write_register(THR, '\r');
		write_register(THR, (uint8_t)bytes[i]);
	}
}
