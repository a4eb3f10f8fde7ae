/* SPDX-License-Identifier: MIT */
/* unit: device/uart.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/uart.h"

static struct uart uart;
static bool line_level;
static char sent[4096];
static unsigned sent_count, drained_count;
static const char *typed; /* what the console offers when it is asked again */

static void assert_unlocked(void)
{
	assert_true(spin_trylock(&uart.lock));
	spin_unlock(&uart.lock);
}

/* Only changes are told. */
static void set_line(struct irq_line *line, bool level)
{
	(void)line;
	assert_false(spin_trylock(&uart.lock));
	assert_int_not_equal(level, line_level);
	line_level = level;
}

static void output(void *context, const uint8_t *bytes, unsigned count)
{
	assert_ptr_equal(context, &sent);
	assert_unlocked();
	for (unsigned i = 0; i < count; i++)
		sent[sent_count++] = (char)bytes[i];
}

static void drained(void *context)
{
	assert_ptr_equal(context, &sent);
	assert_unlocked();
	drained_count++;
	while (*typed && uart_receive(&uart, (uint8_t)*typed, false))
		typed++;
}

static uint64_t rd(uint64_t offset)
{
	uint64_t value = ~UINT64_C(0);

	assert_int_equal(uart.device.ops->read(&uart.device, offset, 1, &value), 0);
	assert_unlocked();
	return value;
}

static void wr(uint64_t offset, uint64_t value)
{
	assert_int_equal(uart.device.ops->write(&uart.device, offset, 1, value), 0);
	assert_unlocked();
}

static int setup(void **state)
{
	static const struct uart_line line = {output, drained, &sent};

	(void)state;
	memset(sent, 0, sizeof(sent));
	sent_count = drained_count = 0;
	typed = "";
	line_level = false;
	uart_init(&uart, (struct irq_line){set_line, NULL, 10}, &line);
	return 0;
}

/* Plays "w4=10 r5=60 …": writes and reads of registers, with what `virt` answers, in hex. */
static void play(const char *transcript)
{
	for (const char *at = transcript; *at;) {
		uint64_t reg = (uint64_t)(at[1] - '0');
		char *end;
		uint64_t value = strtoull(at + 3, &end, 16), got = value;

		if (*at == 'w')
			wr(reg, value);
		else
			got = rd(reg);
		if (got != value)
			fail_msg("%.*s: got %x, after %.*s", (int)(end - at), at, (unsigned)got,
				 (int)(at - transcript), transcript);
		for (at = end; *at == ' '; at++)
			;
	}
}

static void test_place(void **state)
{
	(void)state;
	assert_int_equal(uart.device.base, 0x10000000);
	assert_int_equal(uart.device.size, 8);
}

static void test_as_left_by_firmware(void **state)
{
	(void)state;
	play("r0=0 r1=0 r2=c1 r3=3 r4=0 r5=60 r6=b0 r7=0 w3=83 r0=2 r1=0");
	assert_false(line_level);
}

static void test_register_masks(void **state)
{
	(void)state;
	play("w1=ff r1=f r2=c2 r2=c1 r2=c1 w1=0 r2=c1 r1=0");
	play("w3=ff r3=ff r0=2 r1=0 w0=34 w1=12 r0=34 r1=12 w0=0 w1=0 r0=0 r1=0 w3=3 r3=3");
	play("w4=ef r4=f r6=b0 w4=0 r6=b0 r6=b0 w4=1f r4=1f r6=f0 w4=11 r6=20 w4=12 r6=10 "
	     "w4=14 r6=40 w4=18 r6=80 w4=0 r6=b0");
	play("w5=ff r5=60 w6=ff r6=b0 w6=0 r6=b0 w7=a5 r7=a5");
	play("w2=0 r2=1 w2=1 r2=c1 w2=ff r2=c1 w2=c1 r2=c1 w2=81 r2=c1 w2=0 r2=1 w2=6 r2=1");
	assert_int_equal(sent_count, 0);
}

/* Only the register at the access's offset takes part, whatever the width. */
static void test_widths(void **state)
{
	uint64_t value;

	(void)state;
	for (unsigned size = 1; size <= 8; size *= 2) {
		uart.device.ops->write(&uart.device, 0, size, 0x1122334455667700 + 'a' + size);
		uart.device.ops->read(&uart.device, 0, size, &value);
		assert_int_equal(value, 0);
	}
	uart.device.ops->write(&uart.device, 4, 4, 0x55667788);
	uart.device.ops->read(&uart.device, 4, 4, &value);
	assert_int_equal(value, 8);
	uart.device.ops->read(&uart.device, 6, 2, &value);
	assert_int_equal(value, 0xb0);
	play("r1=0 r3=3 r7=0");
	assert_string_equal(sent, "bcei");
}

static void test_loop_without_fifos(void **state)
{
	(void)state;
	play("w2=0 w4=10 r5=60 w0=41 r5=61 r2=1 r0=41 r5=60 r0=41 r5=60 w0=42 w0=43 r5=63 r5=61 "
	     "r0=43 r5=60");
	play("w1=1 r2=1 w0=44 r2=4 r2=4 r0=44 r2=1 w1=5 w0=41 w0=42 r2=6 r5=63 r2=4 r0=42 r2=1");
	assert_int_equal(sent_count, 0);
}

static void test_loop_with_fifos(void **state)
{
	(void)state;
	play("w4=10 w2=7 w0=51 w0=52 r5=61 w1=1 r2=c4 r0=51 r2=c4 r0=52 r2=c1 r5=60 r0=0");
	play("w1=0 w0=1 w0=2 r5=61 w2=3 r5=60 r0=0");
	play("w2=7 w0=1 w0=2 r5=61 w2=0 r5=60 w2=1 r0=0");
	play("w2=0 w0=71 r5=61 w2=1 r5=60 r0=0");
	play("w0=55 w4=0 r5=61 r0=55 r5=60");
	assert_int_equal(sent_count, 0);
}

static void test_overrun(void **state)
{
	(void)state;
	play("w4=10 w2=7 w1=0");
	for (unsigned i = 0; i < 18; i++)
		wr(0, 0x30 + i);
	play("r5=63 r5=61 w0=0 w1=5 r2=c6 r5=63 r2=c4");
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(rd(0), 0x30 + i);
	play("r0=0 r0=0 r5=60 r2=c1");
}

/* Below the trigger level the timeout announces what is there. */
static void test_trigger_levels(void **state)
{
	static const unsigned triggers[] = {1, 4, 8, 14};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		play("w1=0 w4=10");
		wr(2, 7 | i << 6);
		assert_false(line_level);
		wr(1, 1);
		for (unsigned count = 1; count <= 16; count++) {
			wr(0, count);
			assert_int_equal(rd(2), count < triggers[i] ? 0xcc : 0xc4);
			assert_true(line_level);
		}
		for (unsigned count = 15; count > 0; count--) {
			rd(0);
			assert_int_equal(rd(2), count < triggers[i] ? 0xcc : 0xc4);
		}
		rd(0);
		assert_int_equal(rd(2), 0xc1);
		assert_false(line_level);
	}
}

static void test_transmitter_interrupt(void **state)
{
	(void)state;
	play("w2=7 w1=0 r2=c1 w1=2 r2=c2 r2=c1 w1=2 r2=c1 w1=0 w1=2 r2=c2 w0=20 r2=c2 r2=c1 w1=0 "
	     "r2=c1 w0=20 w1=2 r2=c2 w1=0 w2=5 w1=2 r2=c2 r2=c1 w2=5 r2=c2 r2=c1 w1=0 w2=5 r2=c1");
	play("w4=10 w1=3 r2=c2 r2=c1 w0=77 r2=c4 r2=c4 r0=77 r2=c2 r2=c1 w1=0 w4=0");
	play("w1=2 r2=c2 w1=3 r2=c1 w1=0 w1=3 w1=1 r2=c1 w1=3 r2=c2 r2=c1");
	play("w4=0 w1=8 r2=c1 w4=1f r2=c1 r6=f0 r2=c1 w4=0 r2=c1 r6=b0");
	assert_string_equal(sent, "  ");
}

static void test_interrupt_line(void **state)
{
	(void)state;
	wr(1, 2);
	assert_true(line_level);
	rd(2);
	assert_false(line_level);
	wr(0, 'x');
	assert_true(line_level);
	wr(1, 0);
	assert_false(line_level);
	wr(1, 1);
	assert_false(line_level);
	assert_true(uart_receive(&uart, 'y', false));
	assert_true(line_level);
	rd(0);
	assert_false(line_level);
}

static void test_divisor_hides_data(void **state)
{
	(void)state;
	play("w3=83 w0=3 w1=0 w2=7 r2=c1 r5=60 r0=3 w3=3 r0=0 r1=0");
	assert_int_equal(sent_count, 0);
	wr(0, 'a');
	assert_string_equal(sent, "a");
}

static void test_receive(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 16; i++)
		assert_true(uart_receive(&uart, (uint8_t)('a' + i), false));
	assert_false(uart_receive(&uart, 'q', false));
	assert_false(uart_receive(&uart, 'q', false));
	typed = "qr";
	assert_int_equal(rd(0), 'a');
	assert_int_equal(drained_count, 1);
	/* It offered two and one was taken; the other follows. */
	assert_string_equal(typed, "r");
	assert_int_equal(rd(0), 'b');
	assert_string_equal(typed, "");
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(rd(0), 'c' + i);
	play("r5=60 r0=0");
	assert_int_equal(drained_count, 2);
}

/* Who has more to offer than it does at once is asked when the guest reads. */
static void test_receive_more(void **state)
{
	(void)state;
	assert_true(uart_receive(&uart, 'a', false));
	assert_true(uart_receive(&uart, 'b', true));
	assert_int_equal(drained_count, 0);
	typed = "c";
	assert_int_equal(rd(0), 'a');
	assert_int_equal(drained_count, 1);
	assert_int_equal(rd(0), 'b');
	assert_int_equal(rd(0), 'c');
	assert_int_equal(drained_count, 1);
}

static void test_receive_without_fifos(void **state)
{
	(void)state;
	wr(2, 0);
	assert_true(uart_receive(&uart, 'a', false));
	assert_false(uart_receive(&uart, 'b', false));
	typed = "bc";
	assert_int_equal(rd(0), 'a');
	assert_int_equal(rd(0), 'b');
	assert_int_equal(rd(0), 'c');
	assert_int_equal(drained_count, 2);
	play("r5=60 r0=63");
}

/* Room comes from emptying the FIFO, from a larger one, from leaving the loop, and by reset. */
static void test_other_ways_to_room(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 17; i++)
		uart_receive(&uart, 'x', false);
	wr(2, 3);
	assert_int_equal(drained_count, 1);
	wr(2, 0);
	uart_receive(&uart, 'y', false);
	assert_false(uart_receive(&uart, 'z', false));
	wr(2, 1);
	assert_int_equal(drained_count, 2);
	wr(4, 0x10);
	assert_false(uart_receive(&uart, 'z', false));
	assert_int_equal(rd(5), 0x60);
	rd(0);
	assert_int_equal(drained_count, 2);
	typed = "z";
	wr(4, 0);
	assert_int_equal(drained_count, 3);
	assert_int_equal(rd(0), 'z');
	for (unsigned i = 0; i < 17; i++)
		uart_receive(&uart, 'x', false);
	typed = "w";
	uart_reset(&uart);
	assert_int_equal(drained_count, 4);
	assert_int_equal(rd(0), 'w');
}

static void test_reset(void **state)
{
	(void)state;
	play("w4=1f w0=41 w1=f w7=5 w3=83 w0=9 w1=9 w3=1b");
	assert_true(line_level);
	uart_reset(&uart);
	assert_false(line_level);
	test_as_left_by_firmware(NULL);
}

/* What a random guest does keeps the FIFO in its bounds and the line as IIR says. */
static void test_random(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		unsigned reg, value;
		bool level;

		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
		reg = (unsigned)(seed >> 40) % 8;
		value = (unsigned)(seed >> 50) & 0xff;
		if (seed >> 63)
			wr(reg, value);
		else
			rd(reg);
		uart_receive(&uart, (uint8_t)i, false);
		sent_count = 0;
		assert_true(uart.count <= (uart.fcr & 1 ? 16 : 1));
		level = line_level;
		assert_int_equal(level, !(rd(2) & 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_place, setup),
	    cmocka_unit_test_setup(test_as_left_by_firmware, setup),
	    cmocka_unit_test_setup(test_register_masks, setup),
	    cmocka_unit_test_setup(test_widths, setup),
	    cmocka_unit_test_setup(test_loop_without_fifos, setup),
	    cmocka_unit_test_setup(test_loop_with_fifos, setup),
	    cmocka_unit_test_setup(test_overrun, setup),
	    cmocka_unit_test_setup(test_trigger_levels, setup),
	    cmocka_unit_test_setup(test_transmitter_interrupt, setup),
	    cmocka_unit_test_setup(test_interrupt_line, setup),
	    cmocka_unit_test_setup(test_divisor_hides_data, setup),
	    cmocka_unit_test_setup(test_receive, setup),
	    cmocka_unit_test_setup(test_receive_more, setup),
	    cmocka_unit_test_setup(test_receive_without_fifos, setup),
	    cmocka_unit_test_setup(test_other_ways_to_room, setup),
	    cmocka_unit_test_setup(test_reset, setup),
	    cmocka_unit_test_setup(test_random, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
