/* SPDX-License-Identifier: MIT */
/* unit: shell/console.c kernel/options.c vmm/backlog.c vmm/copy.c */
#include "tests/unit/console_fixture.h"

static void test_focus_keys(void **state)
{
	(void)state;
	assert_int_equal(console_focused(), 1);
	type_text("\x1d"
		  "2");
	expect_told("pilae: console of vm2\n");
	assert_int_equal(console_focused(), 2);
	type_text("\x1d"
		  "s");
	assert_int_equal(console_focused(), 0);
	/* What is for the shell, or behind something that is, waits for its job. */
	type_text("abc");
	assert_string_equal(shell_queued, "abc");
	console_focus(1);
	type_text("d");
	shell_busy = true;
	type_text("e");
	assert_string_equal(shell_queued, "abce");
	expect_guest("d");
	/* As long as it has room. */
	shell_room = false;
	assert_false(UART.ready());
	shell_busy = false;
	assert_true(UART.ready());
}

static void test_keys(void **state)
{
	(void)state;
	keys("\x1ds");
	assert_int_equal(console_focused(), 0);
	expect_told("pilae: shell; Ctrl-] and a digit leaves it\n");
	keys("abc\x1d\x1d");
	assert_string_equal(shell_keys, "abc\x1d");
	console_leave_shell();
	assert_int_equal(console_focused(), 1);
	keys("\x1d"
	     "3x\x1d\x1dy");
	assert_int_equal(console_focused(), 3);
	expect_guest("x\x1dy");
	told[0] = '\0';
	/* There is none. */
	keys("\x1d"
	     "9");
	assert_int_equal(console_focused(), 3);
	expect_told("pilae: there is no VM 9\n");
	console_focus(UINT32_MAX);
	expect_told("pilae: there is no VM 4294967295\n");
	/* One that was refused has no console. */
	vms[1].console.backlog.bytes = NULL;
	keys("\x1d"
	     "2");
	assert_int_equal(console_focused(), 3);
	expect_told("pilae: there is no VM 2\n");
	keys("\x1d"
	     "a");
	assert_true(others);
	expect_told("pilae: lines of other VMs are shown\n");
	keys("\x1d"
	     "a");
	assert_false(others);
	expect_told("pilae: lines of other VMs are not shown\n");
	expect_guest("");
	/* The shell goes back to the one before. */
	console_focus(0);
	console_leave_shell();
	assert_int_equal(console_focused(), 3);
}

static void test_help(void **state)
{
	static const char expected[] = "pilae: Ctrl-] 1  console of vm1 (shown)\n"
				       "pilae: Ctrl-] 2  console of vm2\n"
				       "pilae: Ctrl-] 3  console of vm3\n"
				       "pilae: Ctrl-] s  the shell\n"
				       "pilae: Ctrl-] a  lines of all other VMs, or none\n"
				       "pilae: Ctrl-] Ctrl-]  sends Ctrl-]\n";
	static const char others_keys[] = "?0SA \r\n\x1b\x7f\xff";

	(void)state;
	for (const char *c = others_keys; *c; c++) {
		console_key(ESCAPE);
		console_key((uint8_t)*c);
		expect_told(expected);
	}
	console_key(ESCAPE);
	console_key(0);
	expect_told(expected);
	expect_guest("");
	assert_int_equal(console_focused(), 1);
}

/* It is whole with as many VMs as have keys, and names as long as may be. */
static void test_long_help(void **state)
{
	unsigned lines = 0;

	(void)state;
	vm_total = VMS;
	for (unsigned i = 0; i < VMS; i++) {
		memset(vms[i].config.name, 'n', VMCONFIG_NAME_MAX - 1);
		vms[i].config.name[VMCONFIG_NAME_MAX - 1] = '\0';
	}
	keys("\x1d?");
	for (const char *c = told; *c; c++)
		lines += *c == '\n';
	assert_int_equal(lines, VMS + 3);
	assert_non_null(strstr(told, "sends Ctrl-]\n"));
}

static void test_escape_option(void **state)
{
	static const struct {
		const char *option;
		uint8_t escape;
		const char *name;
	} cases[] = {
	    {"pilae.escape=^A", 1, "Ctrl-A"},
	    {"pilae.escape=^@", 0, "Ctrl-@"},
	    {"pilae.escape=^_", 0x1f, "Ctrl-_"},
	    {"pilae.escape=^[", 0x1b, "Ctrl-["},
	    {"pilae.escape=^?", 0x7f, "Ctrl-?"},
	    {"pilae.escape=^B pilae.escape=^C", 3, "Ctrl-C"},
	    {"pilae.color pilae.escape=^Z", 0x1a, "Ctrl-Z"},
	};
	static const char *const wrong[] = {"",    "^",  "x",  "^a", "^]]",
					    "^]x", "^>", "]^", "^`", "\xff"};
	char text[64];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		console_init(cases[i].option);
		assert_string_equal(messages, "");
		assert_int_equal(colored, strstr(cases[i].option, "color") != NULL);
		console_key(cases[i].escape);
		console_key('s');
		snprintf(text, sizeof(text), "pilae: shell; %s and a digit leaves it\n",
			 cases[i].name);
		expect_told(text);
		console_key(cases[i].escape);
		console_key('?');
		snprintf(text, sizeof(text), "pilae: %s %s  sends %s\n", cases[i].name,
			 cases[i].name, cases[i].name);
		assert_non_null(strstr(told, text));
		told[0] = '\0';
	}
	/* What is wrong changes nothing. */
	console_init("pilae.escape=^]");
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		snprintf(text, sizeof(text), "pilae.escape=%s", wrong[i]);
		console_init(text);
		assert_non_null(strstr(messages, "not a control character such as ^]"));
		messages[0] = '\0';
		console_focus(0);
		keys("\x1d"
		     "1");
		assert_int_equal(console_focused(), 1);
	}
}

/* Who has the terminal at first: vm_start_system() has started what it could. */
static void test_begin(void **state)
{
	static const struct {
		enum vm_state states[3];
		unsigned focus;
	} cases[] = {
	    {{VM_LOADING, VM_LOADING, VM_LOADING}, 1},
	    {{VM_OFF, VM_LOADING, VM_LOADING}, 2},
	    {{VM_REFUSED, VM_OFF, VM_LOADING}, 3},
	    {{VM_CRASHED, VM_LOADING, VM_OFF}, 2},
	    {{VM_OFF, VM_OFF, VM_OFF}, 0},
	    {{VM_REFUSED, VM_CRASHED, VM_OFF}, 0},
	};
	char text[64];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		for (unsigned n = 0; n < 3; n++)
			vms[n].state = cases[i].states[n];
		focused = NULL;
		console_begin();
		assert_int_equal(console_focused(), cases[i].focus);
		assert_true(others);
		snprintf(text, sizeof(text), "pilae: console of vm%u\n", cases[i].focus);
		expect_told(cases[i].focus == 1   ? ""
			    : cases[i].focus == 0 ? "pilae: shell; Ctrl-] and a digit leaves it\n"
						  : text);
		if (cases[i].focus) {
			console_focus(0);
			console_leave_shell();
			assert_int_equal(console_focused(), cases[i].focus);
			told[0] = '\0';
		}
	}
}

static void test_output(void **state)
{
	struct vm_console *console = &vms[0].console;

	(void)state;
	assert_int_equal(console_output(&vms[0], (const uint8_t *)"hello", 5), 5);
	assert_memory_equal(block, "hello", 5);
	assert_int_equal(wakes, 0);
	assert_int_equal(port_sends, 0);
	console->shown = VM_CONSOLE_ALL;
	console->port = (struct host_port *)&port_in;
	console_output(&vms[0], (const uint8_t *)"!", 1);
	assert_int_equal(wakes, 1);
	assert_int_equal(port_sends, 1);
	/* Once it is known that there is something, nobody is woken again. */
	console->queued = true;
	console_output(&vms[0], (const uint8_t *)"!", 1);
	assert_int_equal(wakes, 1);
	assert_int_equal(console->backlog.head, 7);
}

static void test_life(void **state)
{
	struct vm *vm = &vms[1];

	(void)state;
	memset(&vm->console, 0, sizeof(vm->console));
	assert_int_equal(console_kept_bytes(), BACKLOG_SIZE);
	has_memory = false;
	assert_int_equal(console_add(vm), ERR_NOMEM);
	assert_null(known[1]);
	/* A VM without one goes as any other. */
	console_remove(vm);
	has_memory = true;
	assert_int_equal(console_add(vm), 0);
	assert_ptr_equal(known[1], &vm->console);
	assert_ptr_equal(port_owner, &vm->console);
	console_output(vm, (const uint8_t *)"secret", 6);
	console_focus(2);
	vm->console.port = (struct host_port *)&port_in;
	console_remove(vm);
	assert_int_equal(blocks_used, 0);
	assert_int_equal(console_focused(), 0);
	assert_null(known[1]);
	assert_null(vm->console.backlog.bytes);
	console_remove(vm);
}

static void test_restart(void **state)
{
	struct vm_console *console = &vms[0].console;

	(void)state;
	console_output(&vms[0], (const uint8_t *)"half a line", 11);
	/* The guest has stopped: its last line is as complete as it will be. */
	vms[0].state = VM_STOPPING;
	console_forget(&vms[0]);
	assert_int_equal(console->backlog.line, 11);
	assert_int_equal(wakes, 1);
	type_text("typed for the one before");
	expect_guest("");
	console_restart(&vms[0]);
	assert_int_equal(console->backlog.first, 11);
	vms[0].state = VM_RUNNING;
	console_drained(&vms[0]);
	expect_guest("");
	type_text("new");
	expect_guest("new");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_focus_keys, setup),
	    cmocka_unit_test_setup(test_keys, setup),
	    cmocka_unit_test_setup(test_help, setup),
	    cmocka_unit_test_setup(test_long_help, setup),
	    cmocka_unit_test_setup(test_escape_option, setup),
	    cmocka_unit_test_setup(test_begin, setup),
	    cmocka_unit_test_setup(test_output, setup),
	    cmocka_unit_test_setup(test_life, setup),
	    cmocka_unit_test_setup(test_restart, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
