/* SPDX-License-Identifier: MIT */
/* unit: device/finisher.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "device/finisher.h"
#include "kernel/error.h"

static struct finisher finisher;
static unsigned events, last_code;
static enum finisher_event last_event;

static void happened(void *context, enum finisher_event event, unsigned code)
{
	assert_ptr_equal(context, &events);
	last_event = event;
	last_code = code;
	events++;
}

static int wr(uint64_t offset, unsigned size, uint64_t value)
{
	return finisher.device.ops->write(&finisher.device, offset, size, value);
}

static int setup(void **state)
{
	(void)state;
	events = 0;
	finisher_init(&finisher, happened, &events);
	return 0;
}

static void test_place(void **state)
{
	(void)state;
	assert_int_equal(finisher.device.base, 0x100000);
	assert_int_equal(finisher.device.size, 0x1000);
}

static void test_events(void **state)
{
	(void)state;
	assert_int_equal(wr(0, 4, 0x5555), 0);
	assert_int_equal(last_event, FINISHER_POWEROFF);
	assert_int_equal(last_code, 0);
	assert_int_equal(wr(0, 4, 0x7777), 0);
	assert_int_equal(last_event, FINISHER_RESET);
	assert_int_equal(wr(0, 4, 0x13333), 0);
	assert_int_equal(last_event, FINISHER_FAIL);
	assert_int_equal(last_code, 1);
	assert_int_equal(wr(0, 4, 0xffff3333), 0);
	assert_int_equal(last_code, 0xffff);
	assert_int_equal(wr(0, 2, 0x3333), 0);
	assert_int_equal(last_code, 0);
	assert_int_equal(events, 5);
}

static void test_other_writes(void **state)
{
	(void)state;
	assert_int_equal(wr(0, 4, 0), 0);
	assert_int_equal(wr(0, 4, 0x15556), 0);
	assert_int_equal(wr(0, 4, 0x55550000), 0);
	for (unsigned offset = 2; offset < 0x1000; offset += 2)
		assert_int_equal(wr(offset, offset % 4 ? 2 : 4, 0x5555), 0);
	assert_int_equal(events, 0);
}

static void test_widths(void **state)
{
	uint64_t value;

	(void)state;
	for (unsigned size = 1; size <= 8; size *= 2) {
		int expected = size == 2 || size == 4 ? 0 : ERR_FAULT;

		value = 1;
		assert_int_equal(finisher.device.ops->read(&finisher.device, 8, size, &value),
				 expected);
		assert_int_equal(value, expected ? 1 : 0);
		assert_int_equal(wr(0, size, 0x55), expected);
	}
	assert_int_equal(wr(0, 8, 0x5555), ERR_FAULT);
	assert_int_equal(events, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_place, setup),
	    cmocka_unit_test_setup(test_events, setup),
	    cmocka_unit_test_setup(test_other_writes, setup),
	    cmocka_unit_test_setup(test_widths, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
