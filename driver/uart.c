/* SPDX-License-Identifier: MIT */

#include "driver/uart.h"

#include "driver/plic.h"
#include "kernel/lock.h"
#include "kernel/mmu.h"
#include "kernel/platform.h"
#include "kernel/timer.h"
#include "riscv/sbi.h"
#include "vmm/copy.h"

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
#define RING_SIZE 4096 /* a power of two */
#define BURST     16   /* FIFOs filled in one stretch */

/*
 * A device that takes everything at once, as an emulated one does, would interrupt without rest
 * while there is something to send: it is given a burst each millisecond.
 */
#define BURSTS_PER_SECOND 1000
#define POLLS_PER_SECOND  100

static volatile char *uart;
static const struct host_uart_user *user;
static struct timer timer;  /* the next burst, input that waits, or the next poll */
static bool receive_paused; /* the user takes no more; the boot hart's, as the next */
static bool paced;          /* the next burst is sent when the timer expires */

static struct {
	struct spinlock lock; /* guards the rest, THR and IER */
	unsigned head, tail;  /* free-running; head - tail bytes wait */
	bool more;            /* the user has more */
	uint8_t enabled;      /* what IER is */
	bool busy;            /* transmit() will be called: by an interrupt, or by the timer */
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

/* Firmware may take its time for each byte. */
static void send_to_firmware(void)
{
	for (unsigned i = 0; i < FIFO_SIZE && ring.head != ring.tail; i++)
		sbi_call(SBI_EXT_CONSOLE_PUTCHAR, 0, (uint8_t)ring.bytes[ring.tail++ % RING_SIZE],
			 0, 0, 0, 0);
}

/* Sends what the device takes, of a burst at most. The lock is held. */
static void send(void)
{
	if (!uart) {
		send_to_firmware();
		return;
	}
	for (unsigned n = 0; n < BURST && ring.head != ring.tail && read_register(LSR) & LSR_THRE;
	     n++) {
		for (unsigned i = 0; i < FIFO_SIZE && ring.head != ring.tail; i++)
			write_register(THR, (uint8_t)ring.bytes[ring.tail++ % RING_SIZE]);
	}
}

static bool is_polled(void)
{
	return !platform.uart.interrupt;
}

/* The lock is held. */
static void enable_interrupts(bool thre)
{
	uint8_t enabled = (receive_paused ? 0 : IER_RX) | (thre ? IER_THRE : 0);

	if (is_polled() || enabled == ring.enabled)
		return;
	ring.enabled = enabled;
	write_register(IER, enabled);
}

/* Lets transmit() be called, if it is not going to be. The lock is held. */
static void keep_going(void)
{
	if (ring.busy || (ring.head == ring.tail && !ring.more))
		return;
	__atomic_store_n(&ring.busy, true, __ATOMIC_SEQ_CST);
	enable_interrupts(true);
}

/* Fetches more, and sends. Boot hart. */
static void transmit(void)
{
	spin_lock(&ring.lock);
	ring.more = false;
	/* Who has something new now either sees this, or the user's `fill` sees what it has. */
	__atomic_store_n(&ring.busy, false, __ATOMIC_SEQ_CST);
	spin_unlock(&ring.lock);
	user->fill();

	spin_lock(&ring.lock);
	send();
	ring.busy = ring.head != ring.tail || ring.more;
	paced = ring.busy && (is_polled() || read_register(LSR) & LSR_THRE);
	enable_interrupts(ring.busy && !paced);
	spin_unlock(&ring.lock);
}

/* As many as a FIFO holds, so that a line that never rests keeps nobody here. */
static void receive(void)
{
	receive_paused = false;
	for (unsigned i = 0; i < FIFO_SIZE && read_register(LSR) & LSR_DR; i++) {
		receive_paused = !user->ready();
		if (receive_paused)
			break;
		user->receive(read_register(RBR));
	}
}

static void receive_from_firmware(void)
{
	struct sbi_ret ret;

	if (!user->ready())
		return;
	ret = sbi_call(SBI_EXT_CONSOLE_GETCHAR, 0, 0, 0, 0, 0, 0);
	if (ret.error >= 0)
		user->receive((uint8_t)ret.error);
}

static void set_timer(void)
{
	if (paced || receive_paused)
		timer_set(&timer, time_now() + platform.timebase / BURSTS_PER_SECOND);
	else if (is_polled())
		timer_set(&timer, time_now() + platform.timebase / POLLS_PER_SECOND);
}

static void handle_interrupt(void *argument)
{
	bool was_paced = paced, was_paused = receive_paused;

	(void)argument;
	/* Reading IIR acknowledges what has no other cause. */
	read_register(IIR);
	receive();
	if (receive_paused != was_paused) {
		spin_lock(&ring.lock);
		enable_interrupts(ring.enabled & IER_THRE);
		spin_unlock(&ring.lock);
	}
	if (host_uart_is_busy() && !paced)
		transmit();
	if (paced != was_paced || receive_paused != was_paused)
		set_timer();
}

static void timer_expired(struct timer *expired)
{
	(void)expired;
	if (uart)
		receive();
	else
		receive_from_firmware();
	transmit();
	set_timer();
}

void host_uart_init(const struct host_uart_user *its_user)
{
	user = its_user;
	timer_init(&timer, timer_expired);
	if (platform.uart.registers.size == 0) {
		platform.uart.interrupt = 0;
		timer_set(&timer, time_now());
		return;
	}
	uart = mmu_map_registers(HPA(platform.uart.registers.base), platform.uart.registers.size);
	write_register(IER, 0);
	write_register(FCR, FCR_ON);
	if (platform.uart.interrupt &&
	    host_plic_enable(platform.uart.interrupt, handle_interrupt, NULL) == 0) {
		enable_interrupts(false);
	} else {
		platform.uart.interrupt = 0;
		timer_set(&timer, time_now());
	}
}

unsigned host_uart_room(void)
{
	unsigned tail = __atomic_load_n(&ring.tail, __ATOMIC_ACQUIRE);

	return RING_SIZE - (ring.head - tail);
}

bool host_uart_is_busy(void)
{
	return __atomic_load_n(&ring.busy, __ATOMIC_SEQ_CST);
}

void host_uart_continue(void)
{
	spin_lock(&ring.lock);
	ring.more = true;
	keep_going();
	spin_unlock(&ring.lock);
}

void host_uart_write(const char *bytes, size_t count)
{
	size_t at, run;

	spin_lock(&ring.lock);
	count = min_u64(count, RING_SIZE - (ring.head - ring.tail));
	at = ring.head % RING_SIZE;
	run = min_u64(count, RING_SIZE - at);
	copy_bytes(ring.bytes + at, bytes, run);
	copy_bytes(ring.bytes, bytes + run, count - run);
	ring.head += (unsigned)count;
	if (!ring.busy) {
		send();
		keep_going();
	}
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

static void put_last(char byte)
{
	if (uart)
		write_register(THR, (uint8_t)byte);
	else
		sbi_call(SBI_EXT_CONSOLE_PUTCHAR, 0, (uint8_t)byte, 0, 0, 0, 0);
}

void host_uart_flush(void)
{
	unsigned left = ring.head - ring.tail;

	/* A hart that was stopped while it sent may have gone on for a moment. */
	for (left = left <= RING_SIZE ? left : 0; left > 0 && (!uart || wait_for_room()); left--)
		put_last(ring.bytes[ring.tail++ % RING_SIZE]);
	ring.tail = ring.head;
}

void host_uart_write_last(const char *bytes, size_t count)
{
	host_uart_flush();
	for (size_t i = 0; i < count && (!uart || wait_for_room()); i++) {
		if (bytes[i] == '\n')
			put_last('\r');
		put_last(bytes[i]);
	}
}
