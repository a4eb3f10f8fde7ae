/* SPDX-License-Identifier: MIT */
/* A guest that uses its harts in one way for a while, and tells what it got. See README.md. */
#include "guests/lib/console.h"
#include "guests/lib/machine.h"
#include "guests/lib/memory.h"
#include "guests/lib/sync.h"
#include "guests/lib/trap.h"
#include "riscv/sbi.h"

#define NS_PER_SECOND  UINT64_C(1000000000)
#define CANARY_PARTS   64      /* so that it takes little from those beside it */
#define CANARY_LATE_US 5000000 /* more than a busy host may take */

static uint64_t from, until; /* ticks */
static uint64_t rounds_of[HARTS_MAX];

static uint64_t ticks_of_us(uint64_t us)
{
	return us * (machine.timebase / 1000) / 1000;
}

static uint64_t ns_of_ticks(uint64_t ticks)
{
	return ticks * (NS_PER_SECOND / machine.timebase);
}

static void set_timer(uint64_t deadline)
{
	sbi_call(SBI_EXT_TIME, SBI_TIME_SET_TIMER, deadline, 0, 0, 0, 0);
}

/* A round of computing: about a hundred instructions. */
static void compute(void)
{
	__asm__ volatile("	li t0, 49\n"
			 "1:	addi t0, t0, -1\n"
			 "	bnez t0, 1b\n" ::
			     : "t0");
}

/* Waits in WFI; with interrupts off: it ends when one is pending all the same. */
static void sleep_until(uint64_t deadline)
{
	csr_set(CSR_SIE, BIT(IRQ_S_TIMER));
	set_timer(deadline);
	while (time_now() < deadline)
		__asm__ volatile("wfi" ::: "memory");
	set_timer(UINT64_MAX);
}

static void burn(void)
{
	uint64_t rounds = 0;

	while (time_now() < from)
		;
	for (; time_now() < until; rounds++)
		compute();
	rounds_of[hart_self() - harts] = rounds;
}

static void burn_on(void *argument)
{
	(void)argument;
	burn();
}

static void burn_on_all(void)
{
	for (size_t i = 1; i < machine.hart_count; i++)
		hart_run(i, burn_on, NULL);
	burn();
	for (size_t i = 1; i < machine.hart_count; i++)
		hart_join(i, 60000);
	for (size_t i = 0; i < machine.hart_count; i++)
		print("neighbour: %lu: %lu rounds\n", (uint64_t)i, rounds_of[i]);
}

static void periodic(void)
{
	uint64_t period = ticks_of_us(machine_number("period", 10000)),
		 work = machine_number("work", 1000);
	uint64_t periods = 0, missed = 0, latency = 0, done = 0;

	for (uint64_t begin = from; begin < until; begin += period, periods++) {
		sleep_until(begin);
		latency = max_u64(latency, time_now() - begin);
		for (uint64_t i = 0; i < work; i++)
			compute();

		uint64_t took = time_now() - begin;

		done = max_u64(done, took);
		missed += took > period;
	}
	print("neighbour: %lu periods, %lu missed, latency at most %lu ns, done after at most "
	      "%lu ns\n",
	      periods, missed, ns_of_ticks(latency), ns_of_ticks(done));
}

static void timer_again(struct trap_frame *frame)
{
	(void)frame;
	set_timer(time_now() + 20);
}

static void timers(void)
{
	struct hart *hart = hart_self();

	sleep_until(from);
	hart->on_interrupt = timer_again;
	set_timer(0);
	csr_set(CSR_SIE, BIT(IRQ_S_TIMER));
	csr_set(CSR_SSTATUS, SSTATUS_SIE);
	while (time_now() < until)
		__asm__ volatile("wfi" ::: "memory");
	csr_clear(CSR_SSTATUS, SSTATUS_SIE);
	print("neighbour: %lu timer interrupts\n", (uint64_t)hart->interrupts[IRQ_S_TIMER]);
}

static void flood(void)
{
	uint64_t lines = 0;

	sleep_until(from);
	for (; time_now() < until; lines++)
		print("a line of text that nobody is going to read, number %lu\n", lines);
	print("neighbour: %lu lines\n", lines);
}

static void faults(void)
{
	static const uint32_t wrong[] = {
	    0xffffffff, /* illegal */
	    0x00053003, /* ld zero, 0(a0): nothing is there */
	    0x00b53023, /* sd a1, 0(a0) */
	    0x00100073, /* ebreak */
	    0x6801b073, /* hgatp: no such CSR for a guest */
	};
	uint64_t taken = 0;

	sleep_until(from);
	for (; time_now() < until; taken++)
		insn_exec2(wrong[taken % ARRAY_SIZE(wrong)], NOWHERE, 0, taken & 8);
	print("neighbour: %lu exceptions\n", taken);
}

static void memory(void)
{
	sleep_until(from);
	for (uint64_t a = machine.heap; a < machine.heap_end; a += PAGE_SIZE)
		*(volatile uint64_t *)a = a;
	if (time_now() < until)
		sbi_call(SBI_EXT_SRST, SBI_SRST_RESET, SBI_SRST_COLD_REBOOT, 0, 0, 0, 0);
	print("neighbour: done\n");
}

static void sleep(void)
{
	sleep_until(until);
	print("neighbour: slept\n");
}

static uint64_t pattern(uint64_t address, uint64_t round)
{
	return (address ^ round << 48) * UINT64_C(0x9e3779b97f4a7c15);
}

static __noreturn void canary_fail(const char *why, uint64_t value)
{
	print("neighbour: not ok: %s 0x%lx\n", why, value);
	machine_shutdown(false);
}

/* Each part of memory in turn: is it as it was left, a while ago? */
static void canary_check(uint64_t beat)
{
	uint64_t size = align_down((machine.heap_end - machine.heap) / CANARY_PARTS, PAGE_SIZE);
	uint64_t from_ = machine.heap + beat % CANARY_PARTS * size, round = beat / CANARY_PARTS;

	for (uint64_t a = from_; a < from_ + size; a += 8) {
		volatile uint64_t *word = (volatile uint64_t *)a;

		if (round > 0 && *word != pattern(a, round - 1))
			canary_fail("memory has changed at", a);
		*word = pattern(a, round);
	}
}

/* Its timer wakes it, and it sees whether anybody has touched its memory or its registers. */
static void canary(void)
{
	const uint64_t period = ticks_of_us(20000);

	for (uint64_t beat = 0; time_now() < until; beat++) {
		uint64_t due = time_now() + period, kept = pattern(beat, 1);

		csr_write(CSR_SEPC, kept & ~UINT64_C(3));
		sleep_until(due);
		if (time_now() > due + ticks_of_us(CANARY_LATE_US))
			canary_fail("the timer was late, in ticks:", time_now() - due);
		if (csr_read(CSR_SEPC) != (kept & ~UINT64_C(3)))
			canary_fail("sepc has changed:", csr_read(CSR_SEPC));
		canary_check(beat);
		if (beat % CANARY_PARTS == 0)
			print("neighbour: canary %lu\n", beat / CANARY_PARTS);
	}
}

static const struct {
	const char *name;
	void (*run)(void);
} kinds[] = {
    {"burn", burn_on_all}, {"periodic", periodic}, {"timers", timers}, {"flood", flood},
    {"faults", faults},    {"memory", memory},     {"sleep", sleep},   {"canary", canary},
};

void guest_main(void)
{
	char kind[16] = "";

	machine_option("do", kind, sizeof(kind));
	from = ticks_of_us(machine_number("from", 0) * 1000);
	until = ticks_of_us(machine_number("until", 1000) * 1000);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(kind, kinds[i].name) != 0)
			continue;
		if (time_now() > from && strcmp(kind, "memory") != 0)
			print("neighbour: late\n");
		kinds[i].run();
		machine_shutdown(true);
	}
	print("neighbour: do=%s: no such thing\n", kind);
	machine_shutdown(false);
}
