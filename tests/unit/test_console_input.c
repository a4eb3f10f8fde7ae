/* SPDX-License-Identifier: MIT */
/* unit: shell/console.c kernel/options.c vmm/backlog.c vmm/copy.c */
#include "tests/unit/console_fixture.h"

#define FEED_MAX  32
#define POLLS_MAX 1000 /* a second of them */

static struct vm *const vm = &vms[0];

static void send_to_port(const char *text)
{
	while (*text)
		port_in[port_head++ % sizeof(port_in)] = (uint8_t)*text++;
	console_drained(vm);
}

static void give_port(void)
{
	vm->console.port = vm->console.input_port = (struct host_port *)&port_in;
}

static void test_typed(void **state)
{
	(void)state;
	type_text("login\r");
	expect_guest("login\r");
	guest_room = 2;
	type_text("abcdef");
	expect_guest("ab");
	assert_true(asked_back);
	guest_room = UINT32_MAX;
	console_drained(vm);
	expect_guest("cdef");
}

/* A guest that reads fast is not fed for ever, and then says when it has read. */
static void test_stretches(void **state)
{
	(void)state;
	guest_room = 0;
	for (unsigned i = 0; i < VM_CONSOLE_INPUT; i++)
		type_text("x");
	guest_room = UINT32_MAX;
	for (unsigned left = VM_CONSOLE_INPUT; left > 0; left -= FEED_MAX) {
		console_drained(vm);
		assert_int_equal(guest_count, FEED_MAX);
		assert_true(asked_back);
		guest_count = 0;
	}
	console_drained(vm);
	expect_guest("");
}

/* What is typed while a VM does not run waits. */
static void test_states(void **state)
{
	static const enum vm_state states[] = {VM_OFF,     VM_CRASHED, VM_REFUSED, VM_LOADING,
					       VM_PAUSING, VM_PAUSED,  VM_STOPPING};

	(void)state;
	give_port();
	for (unsigned i = 0; i < ARRAY_SIZE(states); i++) {
		vm->state = states[i];
		type_text("typed ");
		send_to_port("sent");
		assert_int_equal(calls, 0);
		vm->state = VM_RUNNING;
		console_drained(vm);
		expect_guest("typed sent");
		calls = 0;
	}
}

/* 512 bytes wait, then the UART; when nothing was read for a second the rest is thrown away. */
static void test_no_reader(void **state)
{
	(void)state;
	guest_room = 0;
	for (unsigned i = 0; i < VM_CONSOLE_INPUT; i++)
		type_text(i % 2 ? "a" : "b");
	for (unsigned i = 0; i < POLLS_MAX - 1; i++)
		assert_false(UART.ready());
	/* So the escape character can be typed, */
	type_text("lost\x1d"
		  "2");
	assert_int_equal(console_focused(), 2);
	console_focus(1);
	assert_true(UART.ready());
	/* and nothing of what waited has changed. */
	guest_room = UINT32_MAX;
	for (unsigned i = 0; i < VM_CONSOLE_INPUT / FEED_MAX; i++)
		console_drained(vm);
	assert_int_equal(guest_count, VM_CONSOLE_INPUT);
	for (unsigned i = 0; i < VM_CONSOLE_INPUT; i++)
		assert_int_equal(guest_in[i], i % 2 ? 'a' : 'b');
	guest_count = 0;
	type_text("again");
	expect_guest("again");
}

/* A guest that reads now and then loses nothing, however long it takes. */
static void test_slow_reader(void **state)
{
	unsigned next = 0, seen = 0;

	(void)state;
	guest_room = 0;
	while (next < 3000) {
		for (unsigned polls = 0; !UART.ready(); polls++) {
			assert_true(polls < POLLS_MAX);
			if (polls == POLLS_MAX - 2) {
				guest_room = 1;
				console_drained(vm);
			}
		}
		UART.receive((uint8_t)('!' + next++ % 90));
	}
	guest_room = UINT32_MAX;
	for (unsigned i = 0; i < VM_CONSOLE_INPUT / FEED_MAX; i++)
		console_drained(vm);
	assert_int_equal(guest_count, next);
	for (; seen < next; seen++)
		assert_int_equal(guest_in[seen], '!' + seen % 90);
}

/* Who has the focus alone is typed to. */
static void test_others_get_nothing(void **state)
{
	(void)state;
	guest_room = 0;
	type_text("one\x1d"
		  "2");
	type_text("two\x1d"
		  "s");
	assert_int_equal(vms[0].console.head - vms[0].console.tail, 3);
	assert_int_equal(vms[1].console.head - vms[1].console.tail, 3);
	assert_int_equal(vms[2].console.head, 0);
	console_key('x');
	assert_string_equal(shell_keys, "x");
}

/* A byte from the port that the guest had no room for is neither lost nor overtaken by the next. */
static void test_port(void **state)
{
	(void)state;
	give_port();
	send_to_port("abc");
	expect_guest("abc");
	guest_room = 0;
	send_to_port("defg");
	type_text("typed");
	guest_room = 7;
	console_drained(vm);
	expect_guest("typedde");
	/* The port goes, but not what was read from it. */
	guest_room = 0;
	console_drained(vm);
	vm->console.port = vm->console.input_port = NULL;
	guest_room = UINT32_MAX;
	console_drained(vm);
	expect_guest("f");
	assert_int_equal(port_head - port_tail, 1);
}

/* Bytes of both, in any order: each side's come once, in their order. Small ones are typed. */
static void test_random(void **state)
{
	unsigned typed = 0, sent = 0, typed_seen = 0, sent_seen = 0;

	(void)state;
	give_port();
	for (unsigned round = 0; round < 50000; round++) {
		char text[2] = {0};

		switch (fake_random_below(4)) {
		case 0:
			if (vm->console.head - vm->console.tail < VM_CONSOLE_INPUT) {
				text[0] = (char)('0' + typed++ % 10);
				type_text(text);
			}
			break;
		case 1:
			if (port_head - port_tail < sizeof(port_in)) {
				text[0] = (char)('a' + sent++ % 26);
				send_to_port(text);
			}
			break;
		case 2:
			guest_room = fake_random_below(5);
			break;
		default:
			vm->state = fake_random_below(4) ? VM_RUNNING : VM_PAUSED;
			console_drained(vm);
		}
		for (unsigned i = 0; i < guest_count; i++) {
			if (guest_in[i] >= 'a')
				assert_int_equal(guest_in[i], 'a' + sent_seen++ % 26);
			else
				assert_int_equal(guest_in[i], '0' + typed_seen++ % 10);
		}
		guest_count = 0;
	}
	assert_true(typed_seen > 1000 && sent_seen > 1000);
	assert_int_equal(vm->console.head - vm->console.tail, typed - typed_seen);
	assert_int_equal(port_head - port_tail + vm->console.holds, sent - sent_seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_typed, setup),
	    cmocka_unit_test_setup(test_stretches, setup),
	    cmocka_unit_test_setup(test_states, setup),
	    cmocka_unit_test_setup(test_no_reader, setup),
	    cmocka_unit_test_setup(test_slow_reader, setup),
	    cmocka_unit_test_setup(test_others_get_nothing, setup),
	    cmocka_unit_test_setup(test_port, setup),
	    cmocka_unit_test_setup(test_random, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
