/* SPDX-License-Identifier: MIT */
/* unit: device/rtc.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "device/rtc.h"
#include "kernel/error.h"

#define TIME_LOW        0x00
#define TIME_HIGH       0x04
#define ALARM_LOW       0x08
#define ALARM_HIGH      0x0c
#define IRQ_ENABLED     0x10
#define CLEAR_ALARM     0x14
#define ALARM_STATUS    0x18
#define CLEAR_INTERRUPT 0x1c

#define NS_PER_TICK 100
#define EPOCH       UINT64_C(0x18ea2b277e388460)

/* Time stands still, except when a test moves it. */
static uint64_t ticks;
static struct timer *queued;
static struct rtc rtc;
static bool line_level;

uint64_t time_now(void)
{
	return ticks;
}

uint64_t time_ns_to_ticks(uint64_t ns)
{
	return ns / NS_PER_TICK + (ns % NS_PER_TICK != 0);
}

void timer_init(struct timer *timer, void (*expired)(struct timer *timer))
{
	timer->expired = expired;
}

void timer_set(struct timer *timer, uint64_t deadline)
{
	timer->node.key = deadline;
	queued = deadline == TIME_NEVER ? NULL : timer;
}

void timer_cancel(struct timer *timer)
{
	if (queued == timer)
		queued = NULL;
}

static uint64_t wall_clock(void)
{
	return EPOCH + ticks * NS_PER_TICK;
}

static void set_line(struct irq_line *line, bool level)
{
	(void)line;
	assert_false(spin_trylock(&rtc.lock));
	line_level = level;
}

static void pass(uint64_t ns)
{
	ticks += ns / NS_PER_TICK;
	if (queued && queued->node.key <= ticks) {
		struct timer *timer = queued;

		queued = NULL;
		timer->expired(timer);
		assert_true(spin_trylock(&rtc.lock));
		spin_unlock(&rtc.lock);
	}
}

static uint64_t rd(uint64_t offset, unsigned size)
{
	uint64_t value = ~UINT64_C(0);

	assert_int_equal(rtc.device.ops->read(&rtc.device, offset, size, &value), 0);
	return value;
}

static void wr(uint64_t offset, unsigned size, uint64_t value)
{
	assert_int_equal(rtc.device.ops->write(&rtc.device, offset, size, value), 0);
}

static void set_alarm(uint64_t ns)
{
	wr(ALARM_HIGH, 4, ns >> 32);
	wr(ALARM_LOW, 4, ns & 0xffffffff);
}

static int setup(void **state)
{
	(void)state;
	ticks = 1000;
	queued = NULL;
	line_level = false;
	rtc_init(&rtc, (struct irq_line){set_line, NULL, 11}, wall_clock);
	return 0;
}

static void test_place(void **state)
{
	(void)state;
	assert_int_equal(rtc.device.base, 0x101000);
	assert_int_equal(rtc.device.size, 0x24);
}

static void test_widths(void **state)
{
	uint64_t value = 5;

	(void)state;
	for (unsigned size = 1; size <= 2; size++) {
		assert_int_equal(rtc.device.ops->read(&rtc.device, 0, size, &value), ERR_FAULT);
		assert_int_equal(rtc.device.ops->write(&rtc.device, 0, size, 1), ERR_FAULT);
	}
	assert_int_equal(rd(TIME_LOW, 8), wall_clock());
	wr(ALARM_LOW, 8, 0x1122334455667788);
	assert_int_equal(rd(ALARM_LOW, 8), 0x1122334455667788);
	assert_int_equal(rd(ALARM_HIGH, 4), 0x11223344);
}

static void test_time_is_latched(void **state)
{
	uint64_t then = wall_clock();

	(void)state;
	assert_int_equal(rd(TIME_HIGH, 4), 0);
	assert_int_equal(rd(TIME_LOW, 4), then & 0xffffffff);
	pass(UINT64_C(10) << 32);
	assert_int_equal(rd(TIME_HIGH, 4), then >> 32);
	rd(TIME_LOW, 4);
	assert_int_equal(rd(TIME_HIGH, 4), (then >> 32) + 10);
}

static void test_set_time(void **state)
{
	(void)state;
	wr(TIME_HIGH, 4, 5);
	wr(TIME_LOW, 4, 7);
	assert_int_equal(rd(TIME_LOW, 8), UINT64_C(0x500000007));
	pass(1000);
	assert_int_equal(rd(TIME_LOW, 8), UINT64_C(0x500000007) + 1000);
	wr(TIME_LOW, 8, UINT64_MAX);
	assert_int_equal(rd(TIME_LOW, 8), UINT64_MAX);
	pass(1000);
	assert_int_equal(rd(TIME_LOW, 8), 999);
}

static void test_alarm(void **state)
{
	(void)state;
	wr(IRQ_ENABLED, 4, 0xff);
	assert_int_equal(rd(IRQ_ENABLED, 4), 1);
	set_alarm(wall_clock() + 100000);
	assert_int_equal(rd(ALARM_STATUS, 4), 1);
	assert_int_equal(rd(ALARM_LOW, 8), wall_clock() + 100000);
	pass(99900);
	assert_false(line_level);
	pass(100);
	assert_true(line_level);
	assert_int_equal(rd(ALARM_STATUS, 4), 0);
	wr(CLEAR_INTERRUPT, 4, 0);
	assert_false(line_level);
	assert_null(queued);
}

static void test_alarm_while_disabled(void **state)
{
	(void)state;
	set_alarm(wall_clock() + 1000);
	pass(1000);
	assert_false(line_level);
	assert_int_equal(rd(ALARM_STATUS, 4), 0);
	wr(IRQ_ENABLED, 4, 1);
	assert_true(line_level);
	wr(IRQ_ENABLED, 4, 2);
	assert_int_equal(rd(IRQ_ENABLED, 4), 0);
	assert_false(line_level);
}

static void test_alarm_past_and_extremes(void **state)
{
	static const struct {
		uint64_t time;
		bool past;
	} alarms[] = {
	    {0, true}, {EPOCH, true}, {INT64_MAX, false}, {UINT64_MAX, true}, {BIT(63), true},
	};

	(void)state;
	wr(IRQ_ENABLED, 4, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(alarms); i++) {
		wr(CLEAR_INTERRUPT, 4, 0);
		set_alarm(alarms[i].time);
		assert_int_equal(line_level, alarms[i].past);
		assert_int_equal(rd(ALARM_STATUS, 4), !alarms[i].past);
	}
}

static void test_alarm_deadline_saturates(void **state)
{
	(void)state;
	wr(TIME_LOW, 8, BIT(63));
	ticks = UINT64_MAX - 10;
	wr(TIME_LOW, 8, BIT(63));
	set_alarm(INT64_MAX);
	assert_int_equal(rd(ALARM_STATUS, 4), 1);
	assert_null(queued);
	assert_int_equal(rtc.deadline, TIME_NEVER);
}

static void test_high_half_does_not_arm(void **state)
{
	(void)state;
	wr(ALARM_HIGH, 4, 0x7fffffff);
	assert_int_equal(rd(ALARM_STATUS, 4), 0);
	wr(ALARM_LOW, 4, 0);
	assert_int_equal(rd(ALARM_STATUS, 4), 1);
}

static void test_clear_alarm(void **state)
{
	(void)state;
	wr(IRQ_ENABLED, 4, 1);
	set_alarm(wall_clock() + 1000);
	wr(CLEAR_ALARM, 4, 0);
	assert_int_equal(rd(ALARM_STATUS, 4), 0);
	assert_null(queued);
	pass(2000);
	assert_false(line_level);
}

/* The timer may be expiring on another hart when the guest changes its mind. */
static void test_late_expiry(void **state)
{
	(void)state;
	wr(IRQ_ENABLED, 4, 1);
	set_alarm(wall_clock() + 1000);
	wr(CLEAR_ALARM, 4, 0);
	rtc.timer.expired(&rtc.timer);
	assert_false(line_level);
	set_alarm(wall_clock() + 5000);
	queued = NULL;
	rtc.timer.expired(&rtc.timer);
	assert_false(line_level);
	assert_non_null(queued);
	pass(5000);
	assert_true(line_level);
}

static void test_other_registers(void **state)
{
	(void)state;
	wr(ALARM_STATUS, 4, 1);
	wr(0x20, 4, 1);
	assert_int_equal(rd(ALARM_STATUS, 4), 0);
	assert_int_equal(rd(CLEAR_ALARM, 4), 0);
	assert_int_equal(rd(CLEAR_INTERRUPT, 4), 0);
	assert_int_equal(rd(0x20, 4), 0);
	wr(IRQ_ENABLED, 8, UINT64_C(0x100000001));
	assert_int_equal(rd(IRQ_ENABLED, 8), 1);
}

static void test_reset(void **state)
{
	(void)state;
	wr(IRQ_ENABLED, 4, 1);
	wr(TIME_LOW, 8, 1);
	set_alarm(0);
	assert_true(line_level);
	set_alarm(1000000);
	assert_non_null(queued);
	rtc_reset(&rtc);
	assert_false(line_level);
	assert_null(queued);
	for (uint64_t offset = TIME_HIGH; offset < 0x24; offset += 4)
		assert_int_equal(rd(offset, 4), 0);
	assert_int_equal(rd(TIME_LOW, 8), wall_clock());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_place, setup),
	    cmocka_unit_test_setup(test_widths, setup),
	    cmocka_unit_test_setup(test_time_is_latched, setup),
	    cmocka_unit_test_setup(test_set_time, setup),
	    cmocka_unit_test_setup(test_alarm, setup),
	    cmocka_unit_test_setup(test_alarm_while_disabled, setup),
	    cmocka_unit_test_setup(test_alarm_past_and_extremes, setup),
	    cmocka_unit_test_setup(test_alarm_deadline_saturates, setup),
	    cmocka_unit_test_setup(test_high_half_does_not_arm, setup),
	    cmocka_unit_test_setup(test_clear_alarm, setup),
	    cmocka_unit_test_setup(test_late_expiry, setup),
	    cmocka_unit_test_setup(test_other_registers, setup),
	    cmocka_unit_test_setup(test_reset, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
