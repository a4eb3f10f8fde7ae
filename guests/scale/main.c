/* SPDX-License-Identifier: MIT */
/*
 * One of many guests on a hart. Tells when it began and, with `role=run`, what it had of the hart
 * during a while in which it always wanted it: in how many turns, and how many instructions. Turns
 * right after one another are one. All guests have the same while, and what none of them had of it
 * the hypervisor took to go from one to the next. `number=` is the guest's own: they print one
 * after the other.
 */
#include "guests/lib/console.h"
#include "guests/lib/machine.h"
#include "guests/lib/memory.h"
#include "guests/lib/sync.h"
#include "guests/scale/scale.h"
#include "riscv/sbi.h"

#define NEVER (~UINT64_C(0))

/* In ticks of `time`. Each of 64 has had a turn before the while begins. */
#define RUN   (SCALE_ALL_STARTED + UINT64_C(3000000))
#define BEGIN (RUN + UINT64_C(500000))
#define END   (BEGIN + UINT64_C(2000000))
#define PRINT (END + UINT64_C(200000))
#define EACH  UINT64_C(10000)

#define TICK 100 /* instructions, under -icount shift=0 */
/* Shorter than anybody's turn, and longer than it takes to be given one more right after one. */
#define ANOTHER 10000

extern uint64_t scale_started;

struct turns {
	uint64_t begin, end; /* of the while, as the counter has it */
	uint64_t first;      /* of the present turn */
	uint64_t count, own;
};

static uint64_t counter(void)
{
	return csr_read(CSR_INSTRET);
}

static void sleep_until(uint64_t deadline)
{
	sbi_call(SBI_EXT_TIME, SBI_TIME_SET_TIMER, deadline, 0, 0, 0, 0);
	csr_write(CSR_SIE, BIT(IRQ_S_TIMER));
	while (time_now() < deadline)
		__asm__ volatile("wfi" ::: "memory");
	csr_write(CSR_SIE, 0);
	sbi_call(SBI_EXT_TIME, SBI_TIME_SET_TIMER, NEVER, 0, 0, 0, 0);
}

/* The counter at time 0, had it never stood still: by the reading that was interrupted least. */
static uint64_t counter_base(void)
{
	uint64_t least = NEVER, base = 0;

	for (int i = 0; i < 16; i++) {
		uint64_t before = counter(), time = time_now(), after = counter();

		if (after - before < least) {
			least = after - before;
			base = after - time * TICK;
		}
	}
	return base;
}

/* It has had the hart from turns->first to `last`, but for interrupts. */
static void add_own(struct turns *turns, uint64_t last)
{
	uint64_t first = turns->first > turns->begin ? turns->first : turns->begin;

	if (last > first)
		turns->own += last - first;
}

static void take_turns(struct turns *turns)
{
	uint64_t last = counter(), present;

	turns->first = last;
	while ((present = counter()) < turns->end) {
		if (present - last > ANOTHER) {
			add_own(turns, last);
			turns->first = present;
			turns->count += present > turns->begin;
		}
		last = present;
	}
	add_own(turns, last);
}

void guest_main(void)
{
	uint64_t number = machine_number("number", 0);
	struct turns turns = {0};
	char role[8];

	if (machine_option("role", role, sizeof(role)) && strcmp(role, "run") == 0) {
		uint64_t base;

		sleep_until(RUN);
		base = counter_base();
		turns.begin = base + BEGIN * TICK;
		turns.end = base + END * TICK;
		take_turns(&turns);
	}
	sleep_until(PRINT + number * EACH);
	print("scale started %lu\nscale turns %lu\nscale own %lu\n", scale_started, turns.count,
	      turns.own);
}
