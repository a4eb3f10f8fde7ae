/* SPDX-License-Identifier: MIT */
/* unit: kernel/timer.c kernel/heap.c */
#include "tests/unit/fake_kernel.h"

#include "kernel/timer.h"
#include "riscv/csr.h"
#include "riscv/sbi.h"

#define TIMERS 200
#define RANGE  300 /* of deadlines: many are the same */

static uint64_t now;
static uint64_t hardware[FAKE_HARTS]; /* what each hart's timer is set to */
static unsigned sbi_calls, csr_writes;

/* The model of each timer: where it is queued and for when. */
static struct entry {
	struct timer timer;
	const struct hart *hart; /* or NULL */
	uint64_t deadline;
	unsigned expirations;
	bool again; /* sets itself anew when it expires */
} entries[TIMERS];

static uint64_t last_expired;

uint64_t time_now(void)
{
	return now;
}

void csr_write(unsigned csr, uint64_t value)
{
	assert_int_equal(csr, CSR_STIMECMP);
	assert_true(this_hart()->has_sstc);
	hardware[this_hart()->index] = value;
	csr_writes++;
}

void csr_set(unsigned csr, uint64_t bits)
{
	assert_int_equal(csr, CSR_SIE);
	check_expected(bits);
}

struct sbi_ret sbi_call(uint64_t extension, uint64_t function, uint64_t arg0, uint64_t arg1,
			uint64_t arg2, uint64_t arg3, uint64_t arg4)
{
	assert_int_equal(extension, SBI_EXT_TIME);
	assert_int_equal(function, SBI_TIME_SET_TIMER);
	assert_int_equal(arg1 | arg2 | arg3 | arg4, 0);
	assert_false(this_hart()->has_sstc);
	hardware[this_hart()->index] = arg0;
	sbi_calls++;
	return (struct sbi_ret){0, 0};
}

static void set(struct entry *entry, uint64_t deadline)
{
	timer_set(&entry->timer, deadline);
	entry->hart = deadline == TIME_NEVER ? NULL : this_hart();
	entry->deadline = deadline;
}

static void expired(struct timer *timer)
{
	struct entry *entry = container_of(timer, struct entry, timer);

	assert_ptr_equal(entry->hart, this_hart());
	assert_true(entry->deadline <= now);
	assert_true(entry->deadline >= last_expired);
	assert_int_equal(this_hart()->timers.lock.owner, this_hart()->timers.lock.next);
	assert_ptr_equal(this_hart()->timers.expiring, timer);
	last_expired = entry->deadline;
	entry->hart = NULL;
	entry->expirations++;
	if (entry->again)
		set(entry, now + 1 + fake_random_below(RANGE));
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	now = 1000;
	sbi_calls = csr_writes = 0;
	memset(entries, 0, sizeof(entries));
	for (unsigned i = 0; i < TIMERS; i++)
		timer_init(&entries[i].timer, expired);
	for (unsigned i = FAKE_HARTS; i-- > 0;) {
		present_hart = &harts[i];
		/* Both ways of setting the hardware. */
		present_hart->has_sstc = i & 1;
		expect_value(csr_set, bits, BIT(IRQ_S_TIMER));
		timer_init_hart();
		assert_int_equal(hardware[i], TIME_NEVER);
	}
	return 0;
}

static uint64_t earliest(const struct hart *hart)
{
	uint64_t first = TIME_NEVER;

	for (unsigned i = 0; i < TIMERS; i++) {
		if (entries[i].hart == hart)
			first = min_u64(first, entries[i].deadline);
	}
	return first;
}

/*
 * An interrupt: what is due expires, in the order of the deadlines; one interrupt deals with a
 * bounded number, and the hardware, armed for what is left, fires again.
 */
static void interrupt(void)
{
	last_expired = 0;
	for (unsigned n = 0; n == 0 || earliest(this_hart()) <= now; n++) {
		assert_true(n <= TIMERS / 16);
		timer_interrupt();
		assert_int_equal(hardware[this_hart()->index], earliest(this_hart()));
	}
	assert_null(this_hart()->timers.expiring);
}

static void do_something(void)
{
	struct entry *entry = &entries[fake_random_below(TIMERS)];
	unsigned before = entry->expirations;

	switch (fake_random_below(8)) {
	case 0:
		timer_cancel(&entry->timer);
		entry->hart = NULL;
		break;
	case 1:
		set(entry, TIME_NEVER);
		break;
	case 2:
		now += fake_random_below(RANGE / 4);
		interrupt();
		return;
	case 3:
		entry->again = !entry->again;
		break;
	case 4:
		present_hart = &harts[fake_random_below(FAKE_HARTS)];
		return;
	default:
		set(entry, now + fake_random_below(RANGE) - RANGE / 10);
		break;
	}
	/* Nothing expires but in an interrupt. */
	assert_int_equal(entry->expirations, before);
}

static void test_random_operations(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 30000; i++) {
		const struct hart *acted = this_hart();

		do_something();
		assert_int_equal(hardware[acted->index], earliest(acted));
		/* Elsewhere it may be early, after timers were taken from there, never late. */
		for (unsigned h = 0; h < FAKE_HARTS; h++)
			assert_true(hardware[h] <= earliest(&harts[h]));
		if (acted != this_hart())
			interrupt();
	}
	for (unsigned i = 0; i < TIMERS; i++) {
		assert_true(entries[i].expirations > 0);
		assert_true(!entries[i].hart == !entries[i].timer.queue);
	}
	assert_true(sbi_calls > 0 && csr_writes > 0);
}

static void test_all_in_order(void **state)
{
	(void)state;
	for (unsigned i = 0; i < TIMERS; i++)
		set(&entries[i], now + i * 7919 % TIMERS);
	for (unsigned i = 0; i < TIMERS; i++) {
		assert_int_equal(hardware[0], now);
		interrupt();
		for (unsigned n = 0; n < TIMERS; n++)
			assert_int_equal(entries[n].expirations, n * 7919 % TIMERS <= i);
		now++;
	}
	assert_int_equal(hardware[0], TIME_NEVER);
}

static void test_fired_hardware_is_armed_again(void **state)
{
	(void)state;
	set(&entries[0], now + 5);
	hardware[0] = 0;
	interrupt();
	assert_int_equal(hardware[0], now + 5);
	assert_int_equal(entries[0].expirations, 0);
}

static void test_unchanged_deadline_costs_nothing(void **state)
{
	unsigned before;

	(void)state;
	set(&entries[0], now + 5);
	before = sbi_calls;
	set(&entries[1], now + 5);
	set(&entries[2], now + 6);
	timer_cancel(&entries[1].timer);
	assert_int_equal(sbi_calls, before);
}

static void test_quiesce_returns(void **state)
{
	(void)state;
	set(&entries[0], now);
	interrupt();
	timer_quiesce();
	assert_int_equal(entries[0].expirations, 1);
}

static void test_conversions(void **state)
{
	(void)state;
	platform.timebase = 10000000;
	assert_int_equal(time_ticks_to_ns(0), 0);
	assert_int_equal(time_ticks_to_ns(1), 100);
	assert_int_equal(time_ticks_to_ns(UINT64_C(184467440737095516)),
			 UINT64_C(18446744073709551600));
	assert_int_equal(time_ns_to_ticks(0), 0);
	assert_int_equal(time_ns_to_ticks(1), 1);
	assert_int_equal(time_ns_to_ticks(100), 1);
	assert_int_equal(time_ns_to_ticks(101), 2);
	assert_int_equal(time_ns_to_ticks(UINT64_MAX), UINT64_C(184467440737095517));
	platform.timebase = 32768;
	assert_int_equal(time_ticks_to_ns(32768), 1000000000);
	assert_int_equal(time_ticks_to_ns(1), 30517);
	assert_int_equal(time_ns_to_ticks(1000000000), 32768);
	assert_int_equal(time_ns_to_ticks(1000000001), 32769);
	platform.timebase = 4000000000;
	assert_int_equal(time_ns_to_ticks(1000), 4000);
	assert_int_equal(time_ns_to_ticks(UINT64_MAX / 4 - 1000000000),
			 UINT64_C(18446744069709551612));
	assert_int_equal(time_ns_to_ticks(UINT64_MAX / 2), TIME_NEVER);
	assert_int_equal(time_ns_to_ticks(UINT64_MAX), TIME_NEVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_random_operations, setup),
	    cmocka_unit_test_setup(test_all_in_order, setup),
	    cmocka_unit_test_setup(test_fired_hardware_is_armed_again, setup),
	    cmocka_unit_test_setup(test_unchanged_deadline_costs_nothing, setup),
	    cmocka_unit_test_setup(test_quiesce_returns, setup),
	    cmocka_unit_test(test_conversions),
	};

	return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
