/* SPDX-License-Identifier: MIT */
/* unit: shell/port.c vmm/backlog.c vmm/copy.c */
#include "tests/unit/fake_kernel.h"

#include "driver/virtio/console.h"
#include "shell/port.h"
#include "shell/script.h"
#include "shell/terminal.h"
#include "vmm/hooks.h"
#include "vmm/vm.h"

#define VMS   2
#define PORTS 4

/* Ports, as the driver has them. */
struct host_port {
	char name[HOST_PORT_NAME_MAX];
	void *owner;
	bool open;
	unsigned room;
	char out[200000];
	size_t out_length;
};

static struct host_port ports[PORTS];
static const struct host_port_events *events;
static struct vm vms[VMS];
static uint8_t kept[VMS][BACKLOG_SIZE];
static unsigned updates, drains;

/* The script's side. */
static struct host_port *script_port;
static unsigned script_reads, script_opens, script_closes;

static bool is_locked(struct spinlock *lock)
{
	if (!spin_trylock(lock))
		return true;
	spin_unlock(lock);
	return false;
}

static void assert_unlocked(const struct vm_console *console)
{
	assert_false(is_locked((struct spinlock *)&console->lock));
	assert_false(is_locked((struct spinlock *)&console->input_lock));
}

void host_ports_init(const struct host_port_events *its_events)
{
	events = its_events;
}

struct host_port *host_port_by_name(const char *name)
{
	for (unsigned i = 0; i < PORTS; i++) {
		if (strcmp(ports[i].name, name) == 0)
			return &ports[i];
	}
	return NULL;
}

void *host_port_owner(const struct host_port *port)
{
	return port->owner;
}

void host_port_claim(struct host_port *port, void *owner)
{
	assert_null(port->owner);
	port->owner = owner;
}

void host_port_release(struct host_port *port)
{
	assert_non_null(port->owner);
	port->owner = NULL;
}

bool host_port_is_open(const struct host_port *port)
{
	return port->open;
}

unsigned host_port_write(struct host_port *port, const uint8_t *bytes, unsigned count)
{
	unsigned taken = count < port->room ? count : port->room;

	/* A text of Pilae's fits into one buffer, and is taken whole or not at all. */
	if (taken < count && count < 64 && bytes[0] == '\r')
		taken = 0;
	if (!port->open)
		return 0;
	assert_true(port->out_length + taken < sizeof(port->out));
	memcpy(port->out + port->out_length, bytes, taken);
	port->out_length += taken;
	port->room -= taken;
	return taken;
}

bool script_begin(struct host_port *port)
{
	if (script_port)
		return false;
	script_port = port;
	return true;
}

void script_end(void)
{
	assert_non_null(script_port);
	script_port = NULL;
}

void script_opened(bool open)
{
	script_opens += open;
	script_closes += !open;
}

void script_received(void)
{
	script_reads++;
}

void terminal_update(struct vm_console *console)
{
	assert_unlocked(console);
	updates++;
}

void console_drained(struct vm *vm)
{
	assert_unlocked(&vm->console);
	assert_in_range(vm - vms, 0, VMS - 1);
	drains++;
}

struct vm *vm_by_name(const char *name)
{
	for (unsigned i = 0; i < VMS; i++) {
		if (strcmp(vms[i].config.name, name) == 0)
			return &vms[i];
	}
	return NULL;
}

/* What the driver does, in its order. */
static void appear(unsigned n, const char *name)
{
	snprintf(ports[n].name, sizeof(ports[n].name), "%s", name);
	events->named(&ports[n], ports[n].name);
}

static void disappear(unsigned n)
{
	ports[n].open = false;
	events->opened(&ports[n], false);
	ports[n].name[0] = '\0';
	events->removed(&ports[n]);
	assert_null(ports[n].owner);
}

static void open_port(unsigned n, bool open)
{
	ports[n].open = open;
	events->opened(&ports[n], open);
}

/* As the console does it. */
static void vm_write(unsigned n, const void *bytes, unsigned count)
{
	struct vm_console *console = &vms[n].console;

	spin_lock(&console->lock);
	backlog_write(&console->backlog, bytes, count);
	if (console->port)
		port_send(console);
	spin_unlock(&console->lock);
}

static void vm_print(unsigned n, const char *text)
{
	vm_write(n, text, (unsigned)strlen(text));
}

static void expect_out(unsigned n, const char *text)
{
	ports[n].out[ports[n].out_length] = '\0';
	assert_string_equal(ports[n].out, text);
	ports[n].out_length = 0;
	assert_unlocked(&vms[0].console);
	assert_unlocked(&vms[1].console);
}

static int setup(void **state)
{
	static const char *const names[VMS] = {"web", "db"};

	(void)state;
	fake_reset();
	memset(ports, 0, sizeof(ports));
	memset(vms, 0, sizeof(vms));
	for (unsigned i = 0; i < VMS; i++) {
		snprintf(vms[i].config.name, sizeof(vms[i].config.name), "%s", names[i]);
		backlog_init(&vms[i].console.backlog, kept[i]);
	}
	for (unsigned i = 0; i < PORTS; i++)
		ports[i].room = UINT32_MAX;
	script_port = NULL;
	script_reads = script_opens = script_closes = updates = drains = 0;
	port_init();
	return 0;
}

static void test_output(void **state)
{
	(void)state;
	vm_print(0, "before ");
	appear(0, "web");
	assert_ptr_equal(vms[0].console.port, &ports[0]);
	assert_ptr_equal(vms[0].console.input_port, &ports[0]);
	assert_int_equal(updates, 1);
	vm_print(0, "\033[1mraw");
	expect_out(0, "");
	/* Who attaches gets what is kept, and then what comes. */
	open_port(0, true);
	expect_out(0, "before \033[1mraw");
	vm_print(0, "\n$ ");
	expect_out(0, "\n$ ");
	/* And who attaches then, what was printed since. */
	open_port(0, false);
	vm_print(0, "unseen");
	expect_out(0, "");
	open_port(0, true);
	expect_out(0, "unseen");
	expect_out(1, "");
}

static void test_input(void **state)
{
	(void)state;
	appear(0, "web");
	events->received(&ports[0]);
	assert_int_equal(drains, 1);
	assert_int_equal(script_reads, 0);
}

/* A reader that takes a little at a time gets all, as long as that is kept. */
static void test_slow_reader(void **state)
{
	char text[1000], expected[sizeof(text) + 1];

	(void)state;
	appear(0, "web");
	open_port(0, true);
	/* Near the place where the backlog wraps. */
	for (unsigned i = 0; i < BACKLOG_SIZE - 100; i += 4)
		vm_write(0, "----", 4);
	ports[0].out_length = 0;
	ports[0].room = 0;
	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 26);
	snprintf(expected, sizeof(expected), "%.*s", (int)sizeof(text), text);
	vm_write(0, text, sizeof(text));
	for (unsigned i = 0; i < sizeof(text) / 7 + 1; i++) {
		ports[0].room = 7;
		events->drained(&ports[0]);
	}
	expect_out(0, expected);
	/* In one piece, if there is room. */
	ports[0].room = UINT32_MAX;
	for (unsigned i = 0; i < BACKLOG_SIZE - 400; i += 4)
		vm_write(0, "----", 4);
	ports[0].out_length = 0;
	ports[0].room = 0;
	vm_write(0, text, sizeof(text));
	ports[0].room = UINT32_MAX;
	events->drained(&ports[0]);
	expect_out(0, expected);
}

/* One that is too slow is told how much it missed, in a line of its own. */
static void test_dropped(void **state)
{
	unsigned long long dropped;
	const char *told;
	size_t rest;

	(void)state;
	appear(0, "web");
	open_port(0, true);
	ports[0].room = 10;
	for (unsigned i = 0; i < 3 * BACKLOG_SIZE; i += 16)
		vm_write(0, "0123456789abcdef", 16);
	expect_out(0, "0123456789");
	/* There is no room to tell it: nothing else comes before. */
	ports[0].room = 5;
	events->drained(&ports[0]);
	expect_out(0, "");
	ports[0].room = UINT32_MAX;
	events->drained(&ports[0]);
	ports[0].out[ports[0].out_length] = '\0';
	assert_int_equal(
	    sscanf(ports[0].out, "\r\npilae: %llu bytes of output dropped\r\n", &dropped), 1);
	told = strstr(ports[0].out, "dropped\r\n");
	assert_non_null(told);
	rest = strlen(told + 9);
	assert_int_equal(10 + dropped + rest, 3 * BACKLOG_SIZE);
	ports[0].out_length = 0;
	vm_print(0, "x");
	expect_out(0, "x");
}

/* What was printed while nobody was there is no loss that would have to be told. */
static void test_nobody_there(void **state)
{
	(void)state;
	appear(0, "web");
	open_port(0, true);
	open_port(0, false);
	for (unsigned i = 0; i < 3 * BACKLOG_SIZE; i += 16)
		vm_write(0, "0123456789abcdef", 16);
	open_port(0, true);
	ports[0].out[ports[0].out_length] = '\0';
	assert_null(strstr(ports[0].out, "pilae"));
	assert_in_range(ports[0].out_length, BACKLOG_SIZE / 2, BACKLOG_SIZE);
}

static void test_names(void **state)
{
	(void)state;
	/* A second one of the name, and one of no VM's, are left alone. */
	appear(0, "web");
	appear(1, "web");
	appear(2, "nobody");
	appear(3, "");
	assert_ptr_equal(vms[0].console.port, &ports[0]);
	assert_null(ports[1].owner);
	assert_null(ports[2].owner);
	assert_null(ports[3].owner);
	open_port(1, true);
	open_port(2, true);
	vm_print(0, "text");
	expect_out(1, "");
	/* A new name for a port that is used changes nothing. */
	appear(0, "db");
	assert_ptr_equal(ports[0].owner, &vms[0].console);
	assert_null(vms[1].console.port);
	appear(0, "pilae");
	assert_null(script_port);
}

/* A VM that was refused has no console. */
static void test_no_console(void **state)
{
	(void)state;
	vms[0].console.backlog.bytes = NULL;
	appear(0, "web");
	assert_null(vms[0].console.port);
	assert_null(ports[0].owner);
}

static void test_port_goes(void **state)
{
	(void)state;
	appear(0, "web");
	open_port(0, true);
	vm_print(0, "one");
	expect_out(0, "one");
	disappear(0);
	assert_null(vms[0].console.port);
	assert_null(vms[0].console.input_port);
	assert_int_equal(updates, 2);
	vm_print(0, "two");
	expect_out(0, "");
	/* And comes again, elsewhere, with all that is kept. */
	ports[2].open = true;
	appear(2, "web");
	expect_out(2, "onetwo");
}

static void test_vm_goes(void **state)
{
	(void)state;
	appear(0, "web");
	open_port(0, true);
	port_lose(&vms[0].console);
	assert_null(ports[0].owner);
	assert_null(vms[0].console.port);
	assert_null(vms[0].console.input_port);
	/* Its other side goes and comes: nobody is told. */
	open_port(0, false);
	open_port(0, true);
	disappear(0);
	/* Without a port there is none to lose. */
	port_lose(&vms[0].console);
	/* A VM that is defined finds it. */
	snprintf(ports[0].name, sizeof(ports[0].name), "db");
	vm_print(1, "hello");
	ports[0].open = true;
	port_find(&vms[1].console);
	assert_ptr_equal(ports[0].owner, &vms[1].console);
	expect_out(0, "hello");
	port_find(&vms[0].console);
	assert_null(vms[0].console.port);
}

static void test_script(void **state)
{
	(void)state;
	appear(0, "pilae");
	assert_ptr_equal(script_port, &ports[0]);
	assert_non_null(ports[0].owner);
	open_port(0, true);
	events->received(&ports[0]);
	events->drained(&ports[0]);
	open_port(0, false);
	assert_int_equal(script_opens, 1);
	assert_int_equal(script_closes, 1);
	assert_int_equal(script_reads, 1);
	assert_int_equal(drains, 0);
	/* One is enough. */
	appear(1, "pilae");
	assert_null(ports[1].owner);
	/* It is no VM's, even of one that is called so. */
	snprintf(vms[0].config.name, sizeof(vms[0].config.name), "pilae");
	port_find(&vms[0].console);
	assert_null(vms[0].console.port);
	disappear(0);
	assert_null(script_port);
	appear(1, "pilae");
	assert_ptr_equal(script_port, &ports[1]);
}

/* The name is the shell's whether there is such a port by now or not, and whether it is used. */
static void test_vm_called_as_the_shell(void **state)
{
	(void)state;
	snprintf(vms[0].config.name, sizeof(vms[0].config.name), "pilae");
	appear(0, "pilae");
	appear(1, "pilae");
	assert_ptr_equal(script_port, &ports[0]);
	snprintf(ports[0].name, sizeof(ports[0].name), "else");
	port_find(&vms[0].console);
	assert_null(ports[1].owner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_output, setup),
	    cmocka_unit_test_setup(test_input, setup),
	    cmocka_unit_test_setup(test_slow_reader, setup),
	    cmocka_unit_test_setup(test_dropped, setup),
	    cmocka_unit_test_setup(test_nobody_there, setup),
	    cmocka_unit_test_setup(test_names, setup),
	    cmocka_unit_test_setup(test_no_console, setup),
	    cmocka_unit_test_setup(test_port_goes, setup),
	    cmocka_unit_test_setup(test_vm_goes, setup),
	    cmocka_unit_test_setup(test_script, setup),
	    cmocka_unit_test_setup(test_vm_called_as_the_shell, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
