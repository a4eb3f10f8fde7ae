/* SPDX-License-Identifier: MIT */
/* unit: device/plic.c device/uart.c device/rtc.c device/finisher.c vmm/bus.c */

/*
 * A guest that reads and writes the registers of its PLIC, UART, clock and test finisher, in any
 * width, while bytes come in, time passes, and lines rise and fall.
 */
#include "tests/fuzz/fenced.h"

#include "device/finisher.h"
#include "device/plic.h"
#include "device/rtc.h"
#include "device/uart.h"
#include "engine/vcpu.h"
#include "kernel/arena.h"
#include "kernel/error.h"
#include "vmm/machine.h"

#define HARTS       5
#define ALLOCATIONS 8
#define CLAIM(hart) (MACHINE_PLIC_BASE + 0x201004 + 0x2000 * (uint64_t)(hart))
#define ENTRY       12 /* bytes of a step: what, size, an address, a value */

static struct bus bus;
static struct plic plic;
static struct uart uart;
static struct rtc rtc;
static struct finisher finisher;
static struct vcpu vcpus[HARTS], *vcpu_list[HARTS];
static bool notified[HARTS];
static unsigned harts;
static void *allocated[ALLOCATIONS];
static unsigned allocations, events;
static uint64_t now;
static struct timer *alarm_timer;

void *arena_alloc(struct arena *arena, size_t size)
{
	(void)arena;
	check(allocations < ALLOCATIONS);
	return allocated[allocations++] = calloc(1, size);
}

static void notify(struct vcpu *vcpu, unsigned irq, bool level)
{
	check(irq == IRQ_S_EXT && vcpu->id < harts && notified[vcpu->id] != level);
	notified[vcpu->id] = level;
}

void vcpu_raise(struct vcpu *vcpu, unsigned irq)
{
	notify(vcpu, irq, true);
}

void vcpu_lower(struct vcpu *vcpu, unsigned irq)
{
	notify(vcpu, irq, false);
}

/* A tick is 100 ns. */
static uint64_t wall_clock(void)
{
	return now * 100;
}

uint64_t time_now(void)
{
	return now;
}

uint64_t time_ticks_to_ns(uint64_t ticks)
{
	return ticks * 100;
}

uint64_t time_ns_to_ticks(uint64_t ns)
{
	return ns / 100 + (ns % 100 != 0);
}

void timer_init(struct timer *timer, void (*expired)(struct timer *timer))
{
	*timer = (struct timer){.expired = expired};
}

void timer_set(struct timer *timer, uint64_t deadline)
{
	timer->node.key = deadline;
	alarm_timer = timer;
}

void timer_cancel(struct timer *timer)
{
	check(!alarm_timer || alarm_timer == timer);
	alarm_timer = NULL;
}

static void output(void *context, const uint8_t *bytes, unsigned count)
{
	(void)context;
	check(bytes && count > 0 && count <= 8);
}

static void drained(void *context)
{
	(void)context;
}

static void finished(void *context, enum finisher_event event, unsigned code)
{
	(void)context;
	check(event <= FINISHER_FAIL && code <= UINT16_MAX);
	events++;
}

static void start(void)
{
	struct uart_line line = {output, drained, NULL};

	memset(&bus, 0, sizeof(bus));
	memset(notified, 0, sizeof(notified));
	alarm_timer = NULL;
	now = 1000;
	for (unsigned i = 0; i < HARTS; i++) {
		vcpu_list[i] = &vcpus[i];
		vcpus[i].id = i;
	}
	check(plic_init(&plic, NULL, harts, vcpu_list) == 0);
	uart_init(&uart, plic_line(&plic, MACHINE_UART_IRQ), &line);
	rtc_init(&rtc, plic_line(&plic, MACHINE_RTC_IRQ), wall_clock);
	finisher_init(&finisher, finished, NULL);
	check(bus_add(&bus, &plic.device) == 0 && bus_add(&bus, &uart.device) == 0 &&
	      bus_add(&bus, &rtc.device) == 0 && bus_add(&bus, &finisher.device) == 0);
}

static void check_unlocked(void)
{
	check(plic.lock.next == plic.lock.owner && uart.lock.next == uart.lock.owner &&
	      rtc.lock.next == rtc.lock.owner);
}

static void pass_time(uint64_t ticks)
{
	struct timer *timer = alarm_timer;

	now += ticks;
	if (timer && timer->node.key <= now) {
		alarm_timer = NULL;
		timer->expired(timer);
	}
}

static void access(bool writes, uint64_t address, unsigned size, uint64_t value)
{
	uint64_t read = 0;
	int error = writes ? bus_write(&bus, GPA(address), size, value)
			   : bus_read(&bus, GPA(address), size, &read);

	check(error == 0 || error == ERR_FAULT);
	check(size == 8 || read >> 8 * size == 0);
}

/* The registers that do something are few: an address is one of these places and a little. */
static uint64_t address_of(uint8_t place, uint16_t offset)
{
	static const uint64_t bases[] = {
	    MACHINE_UART_BASE,
	    MACHINE_RTC_BASE,
	    MACHINE_TEST_BASE,
	    MACHINE_PLIC_BASE,
	    MACHINE_PLIC_BASE + 0x1000,
	    MACHINE_PLIC_BASE + 0x2000,
	    MACHINE_PLIC_BASE + 0x200000,
	    MACHINE_PLIC_BASE + 0x210000,
	};
	uint64_t base = bases[place % ARRAY_SIZE(bases)];

	return base + (base < MACHINE_PLIC_BASE ? offset & 0xff : offset);
}

static void step(const uint8_t *entry)
{
	unsigned size = 1U << (entry[1] & 3);
	uint16_t offset = (uint16_t)(entry[2] | entry[3] << 8);
	uint64_t address = address_of(entry[1] >> 2, offset);
	struct irq_line line;
	uint64_t value;

	memcpy(&value, entry + 4, sizeof(value));
	switch (entry[0] & 7) {
	case 0:
		uart_receive(&uart, entry[2], entry[3] & 1);
		break;
	case 1:
		pass_time(offset);
		break;
	case 2:
		line = plic_line(&plic, offset % (PLIC_SOURCES + 2));
		irq_line_set(&line, entry[1] & 1);
		break;
	default:
		/* No access crosses a page. */
		if ((address & (PAGE_SIZE - 1)) + size <= PAGE_SIZE)
			access(entry[0] & 1, address, size, value);
	}
	check_unlocked();
}

/* A hart is told that there is something for it, and is not when there is nothing. */
static void check_told(void)
{
	for (unsigned i = 0; i < harts; i++) {
		bool told = notified[i];
		uint64_t source;

		check(bus_read(&bus, GPA(CLAIM(i)), 4, &source) == 0);
		check((source != 0) == told && source < PLIC_SOURCES);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	harts = 1 + data[0] % HARTS;
	start();
	for (data++, size--; size >= ENTRY; data += ENTRY, size -= ENTRY)
		step(data);
	check_told();
	if (data[-1] & 1) {
		uart_reset(&uart);
		rtc_reset(&rtc);
		plic_reset(&plic);
		check_told();
	}
	while (allocations > 0)
		free(allocated[--allocations]);
	return 0;
}
