/* SPDX-License-Identifier: MIT */
/* unit: shell/cmd_vm.c shell/command.c shell/print.c shell/completion.c */
#include "tests/unit/command_fixture.h"

#include "shell/console.h"
#include "vmm/vm.h"

#define VMS 3

static const struct command table[] = {
    {"vm", "VMs", vm_commands, 0, NULL},
    {NULL, NULL, NULL, 0, NULL},
};

static struct vm vms[VMS];
static unsigned vm_total;
static unsigned focused;
static char done[256]; /* what was done with VMs */
static int result;     /* of the next such thing that can fail */

static void note(const char *what, const char *name)
{
	snprintf(done + strlen(done), sizeof(done) - strlen(done), "%s %s;", what, name);
}

struct vm *vm_next(const struct vm *vm)
{
	unsigned next = vm ? (unsigned)(vm - vms) + 1 : 0;

	return next < vm_total ? &vms[next] : NULL;
}

struct vm *vm_by_name(const char *name)
{
	for (unsigned i = 0; i < vm_total; i++) {
		if (strcmp(vms[i].config.name, name) == 0)
			return &vms[i];
	}
	return NULL;
}

const char *vm_next_described(int *at)
{
	static const char *const names[] = {"mail", "old"};

	return *at < 2 ? names[(*at)++] : NULL;
}

int vm_define(const char *name)
{
	note("define", name);
	return result;
}

int vm_start(struct vm *vm)
{
	if (vm->state != VM_OFF && vm->state != VM_CRASHED)
		return ERR_EXIST;
	note("start", vm->config.name);
	return result;
}

static bool can_end(const struct vm *vm)
{
	return vm_is_alive(vm) && vm->state != VM_STOPPING;
}

int vm_stop(struct vm *vm, unsigned seconds)
{
	char what[32];

	if (!can_end(vm))
		return ERR_EXIST;
	snprintf(what, sizeof(what), "stop %u", seconds);
	note(what, vm->config.name);
	return result;
}

void vm_kill(struct vm *vm)
{
	note("kill", vm->config.name);
}

void vm_end(struct vm *vm, enum vm_end end)
{
	assert_int_equal(end, VM_END_REBOOT);
	note("reset", vm->config.name);
}

int vm_pause(struct vm *vm)
{
	if (vm->state != VM_RUNNING && vm->state != VM_LOADING)
		return ERR_EXIST;
	note("pause", vm->config.name);
	return 0;
}

int vm_resume(struct vm *vm)
{
	if (!vm_is_paused(vm))
		return ERR_EXIST;
	if (vm->crashed)
		return ERR_DENIED;
	note("resume", vm->config.name);
	return 0;
}

void vm_destroy(struct vm *vm)
{
	note("destroy", vm->config.name);
}

uint64_t identity_used_bytes(const struct vm *vm)
{
	return vm == &vms[2] ? 1 << 20 : 0;
}

uint32_t vmconfig_cpu(const struct vmconfig *config, uint32_t index)
{
	assert_true(index < config->cpu_count);
	return 10 + index;
}

void console_focus(unsigned number)
{
	focused = number;
}

unsigned console_focused(void)
{
	return focused;
}

static void other_file(const struct command_call *call)
{
	shell_print("%s %llu\n", call->vm,
		    (unsigned long long)(call->number_count ? call->numbers[0] : 0));
}

void cmd_vm_stats(const struct command_call *call)
{
	other_file(call);
}

void inspect_regs(const struct command_call *call)
{
	other_file(call);
}

void inspect_dump(const struct command_call *call)
{
	other_file(call);
}

void inspect_mem(const struct command_call *call)
{
	other_file(call);
}

static const struct engine engine = {.name = "hext"};

static int setup(void **state)
{
	static const char *const names[VMS] = {"web", "db", "mail-gate"};

	(void)state;
	fake_reset();
	typed_at = table;
	memset(vms, 0, sizeof(vms));
	vm_total = VMS;
	focused = 1;
	done[0] = '\0';
	result = 0;
	for (unsigned i = 0; i < VMS; i++) {
		vms[i].number = i + 1;
		vms[i].state = VM_RUNNING;
		vms[i].started = true;
		vms[i].guest.engine = &engine;
		vms[i].config.vcpus = i + 1;
		vms[i].config.memory = 64ULL << 20;
		snprintf(vms[i].config.name, sizeof(vms[i].config.name), "%s", names[i]);
	}
	return 0;
}

static void test_documented(void **state)
{
	(void)state;
	check_documented(vm_commands, "vm ");
}

static void test_list(void **state)
{
	(void)state;
	vms[1].state = VM_OFF;
	vms[1].started = false;
	vms[1].guest.engine = NULL;
	vms[1].config.engine = VMCONFIG_ENGINE_SOFT;
	vms[2].state = VM_REFUSED;
	expect("vm list", "     name             state        engine vCPUs        RAM\n"
			  "  1  web              running      hext       1     64 MiB\n"
			  "  2  db               not started  soft       2     64 MiB\n"
			  "  3  mail-gate        refused     \n");
	vm_total = 0;
	expect("vm list", "     name             state        engine vCPUs        RAM\n");
	expect("vm list --json", "[]\n");
}

/* The words of docs/shell.md. */
static void test_states(void **state)
{
	static const struct {
		enum vm_state state;
		bool started;
		const char *word;
	} cases[] = {
	    {VM_OFF, false, "not started"},  {VM_OFF, true, "ended"},
	    {VM_CRASHED, true, "crashed"},   {VM_REFUSED, false, "refused"},
	    {VM_LOADING, false, "loading"},  {VM_RUNNING, true, "running"},
	    {VM_PAUSING, true, "pausing"},   {VM_PAUSED, true, "paused"},
	    {VM_STOPPING, true, "stopping"},
	};
	char text[64];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		vms[1].state = cases[i].state;
		vms[1].started = cases[i].started;
		run("vm list");
		snprintf(text, sizeof(text), " %s ", cases[i].word);
		expect_part(text);
		run_json("vm list --json");
		snprintf(text, sizeof(text), "\"state\": \"%s\"", cases[i].word);
		expect_part(text);
		run("vm info db");
		snprintf(text, sizeof(text), "state:    %s\n", cases[i].word);
		expect_part(text);
		snprintf(text, sizeof(text), "\n| `%s` |", cases[i].word);
		assert_non_null(strstr(documentation(), text));
	}
}

static void test_json(void **state)
{
	(void)state;
	vms[0].arena.pages[ARENA_RAM] = 3;
	vms[0].arena.pages[ARENA_TABLES] = 2;
	vms[0].arena.pages[ARENA_OBJECTS] = 1;
	vms[0].config.manual = true;
	run_json("vm info web --json");
	assert_string_equal(printed,
			    "[{\"number\": 1, \"name\": \"web\", \"state\": \"running\", "
			    "\"focused\": true, \"crashed\": false, \"manual\": true, "
			    "\"engine\": \"hext\", \"vcpus\": 1, \"memory_bytes\": 67108864, "
			    "\"ram_kib\": 12, \"tables_kib\": 8, \"objects_kib\": 4}]\n");
	run_json("vm info mail-gate --json");
	expect_part("\"ram_kib\": 1024,");
	/* What is gone is nothing. */
	vms[0].state = VM_CRASHED;
	run_json("vm list --json");
	expect_part("\"crashed\": true, \"manual\": true");
	assert_null(strstr(printed, "\"ram_kib\": 12"));
	/* And of one that is refused nothing else is known. */
	vms[0].state = VM_REFUSED;
	run_json("vm info web --json");
	assert_string_equal(printed, "[{\"number\": 1, \"name\": \"web\", "
				     "\"state\": \"refused\", \"focused\": true}]\n");
}

static void test_info(void **state)
{
	(void)state;
	vms[1].arena.pages[ARENA_RAM] = 3;
	vms[1].config.cpu_count = 3;
	vms[1].config.kernel_name = "linux";
	vms[1].config.bootargs = "";
	vms[1].config.on_crash = VMCONFIG_ON_CRASH_PAUSE;
	vms[1].ram_base = 0x80000000;
	vms[1].state = VM_PAUSED;
	vms[1].crashed = true;
	expect("vm info db",
	       "name:     db\nstate:    paused after a crash\nengine:   hext\nvCPUs:    2\n"
	       "harts:    10 11 12\nRAM:      64 MiB from 0x80000000\n"
	       "in use:   12 KiB of RAM, 0 KiB of tables, 0 KiB of objects\n"
	       "kernel:   linux\nbootargs: \non crash: pause\n");
	vms[0].state = VM_OFF;
	vms[0].started = false;
	vms[0].config.manual = true;
	expect("vm info web", "name:     web\nstate:    not started, manual\nengine:   hext\n"
			      "vCPUs:    1\nRAM:      64 MiB\non crash: stop\n");
	vms[0].state = VM_REFUSED;
	expect("vm info web", "name:     web\nstate:    refused, manual\n"
			      "its description was refused: see the messages at boot\n");
}

/* Strings of a system file are as long as they like, and are not to be taken for anything else. */
static void test_hostile_strings(void **state)
{
	static char bootargs[5001];

	(void)state;
	memset(bootargs, 'b', sizeof(bootargs) - 1);
	vms[0].config.bootargs = bootargs;
	vms[0].config.ramdisk_name = "r\033]0;x\007\nok\nerror\r\x9b"
				     "2J\xc3\xa4";
	vms[0].config.kernel_name = bootargs;
	run("vm info web");
	expect_part("ramdisk:  r?]0;x??ok?error??2J??\nbootargs: bbb");
	expect_part("bbb\non crash: stop\n");
	assert_true(printed_length > 10000);
	run_json("vm info web --json");
}

/* Which commands are for which states, as docs/shell.md says. */
enum { OFF = 1, CRASHED = 2, LOADING = 4, RUNNING = 8, PAUSING = 16, PAUSED = 32, STOPPING = 64 };

static const struct {
	const char *command, *note;
	unsigned states;
	const char *expected;
} deeds[] = {
    {"start", "start", OFF | CRASHED, "not started, ended or crashed"},
    {"stop", "stop 30", LOADING | RUNNING | PAUSING | PAUSED, "running"},
    {"kill", "kill", LOADING | RUNNING | PAUSING | PAUSED | STOPPING, "running"},
    {"reset", "reset", LOADING | RUNNING | PAUSING | PAUSED, "running"},
    {"pause", "pause", LOADING | RUNNING, "running"},
    {"resume", "resume", PAUSING | PAUSED, "paused"},
    {"destroy", "destroy", OFF | CRASHED | LOADING | RUNNING | PAUSING | PAUSED | STOPPING, ""},
};

static void test_deeds(void **state)
{
	static const struct {
		enum vm_state state;
		unsigned bit;
		const char *word;
	} states[] = {
	    {VM_OFF, OFF, "ended"},
	    {VM_CRASHED, CRASHED, "crashed"},
	    {VM_LOADING, LOADING, "loading"},
	    {VM_RUNNING, RUNNING, "running"},
	    {VM_PAUSING, PAUSING, "pausing"},
	    {VM_PAUSED, PAUSED, "paused"},
	    {VM_STOPPING, STOPPING, "stopping"},
	};
	char line[64], text[128];

	(void)state;
	for (unsigned d = 0; d < ARRAY_SIZE(deeds); d++) {
		snprintf(line, sizeof(line), "vm %s db", deeds[d].command);
		for (unsigned s = 0; s < ARRAY_SIZE(states); s++) {
			vms[1].state = states[s].state;
			done[0] = '\0';
			if (deeds[d].states & states[s].bit) {
				expect(line, "");
				snprintf(text, sizeof(text), "%s db;", deeds[d].note);
				assert_string_equal(done, text);
				continue;
			}
			snprintf(text, sizeof(text), "db: it is %s; expected one that is %s\n",
				 states[s].word, deeds[d].expected);
			expect_refusal(line, text);
			assert_string_equal(done, "");
		}
	}
}

/* One that is refused can be destroyed, and that is all. */
static void test_refused(void **state)
{
	static const char why[] = "db: its description was refused: see the messages at boot\n";
	char line[64];

	(void)state;
	vms[1].state = VM_REFUSED;
	for (unsigned d = 0; d < ARRAY_SIZE(deeds) - 1; d++) {
		snprintf(line, sizeof(line), "vm %s db", deeds[d].command);
		expect_refusal(line, why);
	}
	/* It has no console that could be given anything. */
	expect_refusal("vm console db", why);
	assert_int_equal(focused, 1);
	assert_string_equal(done, "");
	expect("vm destroy db", "");
	assert_string_equal(done, "destroy db;");
}

static void test_start(void **state)
{
	(void)state;
	vms[0].state = VM_OFF;
	result = ERR_NOMEM;
	expect_refusal("vm start web", "web: not started; Pilae's log says why\n");
	result = ERR_INVAL;
	expect_refusal("vm start web", "web: not started; Pilae's log says why\n");
}

static void test_stop(void **state)
{
	(void)state;
	expect("vm stop web 0", "");
	expect("vm stop web 3600", "");
	expect("vm stop web 0x10", "");
	assert_string_equal(done, "stop 0 web;stop 3600 web;stop 16 web;");
	done[0] = '\0';
	expect_refusal("vm stop web 3601", "3601: expected up to 3600 seconds\n");
	expect_refusal("vm stop web 4294967296", "4294967296: expected up to 3600 seconds\n");
	expect_refusal("vm stop web 18446744073709551615",
		       "18446744073709551615: expected up to 3600 seconds\n");
	assert_string_equal(done, "");
	/* It is ended all the same. */
	result = ERR_NOSYS;
	expect("vm stop web", "web: its machine has no power button: it is ended by force\n");
	vms[0].state = VM_PAUSED;
	expect("vm stop web", "web: it does not run, and cannot answer: it is ended by force\n");
}

static void test_resume(void **state)
{
	(void)state;
	vms[0].state = VM_PAUSED;
	vms[0].crashed = true;
	expect_refusal("vm resume web", "web: it has crashed; reset or kill it\n");
	assert_string_equal(done, "");
}

static void test_define(void **state)
{
	(void)state;
	expect("vm define mail", "");
	assert_string_equal(done, "define mail;");
	result = ERR_NOMEM;
	expect_refusal("vm define old", "old: no memory left for one more VM\n");
	result = ERR_INVAL;
	expect_refusal("vm define old", "old: not defined; Pilae's log says why\n");
	expect_refusal("vm define web", "web: there is a VM of this name already\n");
}

static void test_console(void **state)
{
	(void)state;
	expect("vm console mail-gate", "");
	assert_int_equal(focused, 3);
}

/* Names, numbers and words that no command is to get. */
static void test_wrong_lines(void **state)
{
	static const char *const commands[] = {"info",  "stats", "start",  "stop",    "kill",
					       "reset", "pause", "resume", "destroy", "console",
					       "regs",  "dump",  "mem"};
	static const char *const names[] = {"",     "we",   "webb", "WEB",  "1",    "--json",
					    "mail", "w\"b", "%s%n", "../x", "web/0"};
	char line[128];

	(void)state;
	for (unsigned c = 0; c < ARRAY_SIZE(commands); c++) {
		for (unsigned n = 0; n < ARRAY_SIZE(names); n++) {
			snprintf(line, sizeof(line), "vm %s %s", commands[c], names[n]);
			run(line);
			assert_int_equal(refused, 1);
		}
		snprintf(line, sizeof(line), "vm %s web 1 2 3 four", commands[c]);
		run(line);
		assert_int_equal(refused, 1);
		snprintf(line, sizeof(line), "vm %s web -1", commands[c]);
		if (strcmp(commands[c], "mem") != 0) {
			run(line);
			assert_int_equal(refused, 1);
		}
	}
	assert_string_equal(done, "");
	assert_int_equal(focused, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_documented, setup),
	    cmocka_unit_test_setup(test_list, setup),
	    cmocka_unit_test_setup(test_states, setup),
	    cmocka_unit_test_setup(test_json, setup),
	    cmocka_unit_test_setup(test_info, setup),
	    cmocka_unit_test_setup(test_hostile_strings, setup),
	    cmocka_unit_test_setup(test_deeds, setup),
	    cmocka_unit_test_setup(test_refused, setup),
	    cmocka_unit_test_setup(test_start, setup),
	    cmocka_unit_test_setup(test_stop, setup),
	    cmocka_unit_test_setup(test_resume, setup),
	    cmocka_unit_test_setup(test_define, setup),
	    cmocka_unit_test_setup(test_console, setup),
	    cmocka_unit_test_setup(test_wrong_lines, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
