/* SPDX-License-Identifier: MIT */

/* `vm …`: what there is of VMs, and what can be done with them. */

#include "kernel/error.h"
#include "shell/commands.h"
#include "shell/console.h"
#include "shell/print.h"
#include "vmm/vm.h"

#define STOP_SECONDS     30 /* unless told otherwise */
#define STOP_SECONDS_MAX 3600

const char *command_vm_name(unsigned index)
{
	const struct vm *vm = vm_next(NULL);

	while (vm && index-- > 0)
		vm = vm_next(vm);
	return vm ? vm->config.name : NULL;
}

const char *command_new_name(int *at)
{
	return vm_next_described(at);
}

static const char *state_word(const struct vm *vm)
{
	static const char *const words[] = {
	    [VM_OFF] = "off",         [VM_CRASHED] = "crashed",   [VM_REFUSED] = "refused",
	    [VM_LOADING] = "loading", [VM_RUNNING] = "running",   [VM_PAUSING] = "pausing",
	    [VM_PAUSED] = "paused",   [VM_STOPPING] = "stopping",
	};

	if (vm->state == VM_OFF)
		return vm->started ? "ended" : "not started";
	return words[vm->state];
}

/* Of a VM that has no engine yet, what it asks for. */
static const char *engine_word(const struct vm *vm)
{
	static const char *const words[] = {"auto", "hext", "soft"};

	return vm->guest.engine ? vm->guest.engine->name : words[vm->config.engine];
}

static uint64_t kib_used(struct vm *vm, enum arena_use use)
{
	return vm_is_alive(vm) ? vm->arena.pages[use] * (PAGE_SIZE >> 10) : 0;
}

static uint64_t ram_kib(struct vm *vm)
{
	return kib_used(vm, ARENA_RAM) + (vm_is_alive(vm) ? identity_used_bytes(vm) >> 10 : 0);
}

/* What a description that is refused would have been is not known. */
static void print_json_of(struct shell_json *json, struct vm *vm)
{
	shell_json_object(json);
	shell_json_number(json, "number", vm->number);
	shell_json_string(json, "name", vm->config.name);
	shell_json_string(json, "state", state_word(vm));
	shell_json_bool(json, "focused", vm->number == console_focused());
	if (vm->state == VM_REFUSED)
		return;
	shell_json_bool(json, "crashed", vm->state == VM_CRASHED || vm->crashed);
	shell_json_bool(json, "manual", vm->config.manual);
	shell_json_string(json, "engine", engine_word(vm));
	shell_json_number(json, "vcpus", vm->config.vcpus);
	shell_json_number(json, "memory_bytes", vm->config.memory);
	shell_json_number(json, "ram_kib", ram_kib(vm));
	shell_json_number(json, "tables_kib", kib_used(vm, ARENA_TABLES));
	shell_json_number(json, "objects_kib", kib_used(vm, ARENA_OBJECTS));
}

static void list_json(void)
{
	struct shell_json json;

	shell_json_begin(&json);
	for (struct vm *vm = vm_next(NULL); vm; vm = vm_next(vm))
		print_json_of(&json, vm);
	shell_json_end(&json);
}

static void vm_list(const struct command_call *call)
{
	if (call->json) {
		list_json();
		return;
	}
	shell_print("%3s  %-16s %-12s %-6s %5s %10s\n", "", "name", "state", "engine", "vCPUs",
		    "RAM");
	for (const struct vm *vm = vm_next(NULL); vm; vm = vm_next(vm)) {
		shell_print("%3u  %-16s %-12s", vm->number, vm->config.name, state_word(vm));
		if (vm->state != VM_REFUSED)
			shell_print(" %-6s %5u %6llu MiB", engine_word(vm), vm->config.vcpus,
				    (unsigned long long)(vm->config.memory >> 20));
		shell_print("\n");
	}
}

static void print_ram_range(const struct vm *vm)
{
	shell_print("RAM:      %llu MiB", (unsigned long long)(vm->config.memory >> 20));
	if (vm->started)
		shell_print(" from 0x%llx", (unsigned long long)vm->ram_base);
	shell_print("\n");
}

static void print_use(struct vm *vm)
{
	shell_print("in use:   %llu KiB of RAM, %llu KiB of tables, %llu KiB of objects\n",
		    (unsigned long long)ram_kib(vm), (unsigned long long)kib_used(vm, ARENA_TABLES),
		    (unsigned long long)kib_used(vm, ARENA_OBJECTS));
}

/* What keeps its harts apart: the list of pilae,cpus. */
static void print_cpus(const struct vm *vm)
{
	if (vm->config.cpu_count == 0)
		return;
	shell_print("harts:   ");
	for (uint32_t i = 0; i < vm->config.cpu_count; i++)
		shell_print(" %u", vmconfig_cpu(&vm->config, i));
	shell_print("\n");
}

/* One of the description's strings, which may be long; NULL: it has none. */
static void print_string(const char *what, const char *string)
{
	if (!string)
		return;
	shell_print("%s", what);
	shell_print_text(string);
	shell_print("\n");
}

static void info_text(struct vm *vm)
{
	static const char *const on_crash[] = {"stop", "restart", "pause"};

	shell_print("name:     %s\n", vm->config.name);
	shell_print("state:    %s%s%s\n", state_word(vm),
		    vm->state == VM_PAUSED && vm->crashed ? " after a crash" : "",
		    vm->config.manual ? ", manual" : "");
	if (vm->state == VM_REFUSED) {
		shell_print("its description was refused: see the messages at boot\n");
		return;
	}
	shell_print("engine:   %s\n", engine_word(vm));
	shell_print("vCPUs:    %u\n", vm->config.vcpus);
	print_cpus(vm);
	print_ram_range(vm);
	if (vm_is_alive(vm))
		print_use(vm);
	print_string("kernel:   ", vm->config.kernel_name);
	print_string("ramdisk:  ", vm->config.ramdisk_name);
	print_string("bootargs: ", vm->config.bootargs);
	shell_print("on crash: %s\n", on_crash[vm->config.on_crash]);
}

static void vm_info(const struct command_call *call)
{
	struct vm *vm = vm_by_name(call->vm);
	struct shell_json json;

	if (!call->json) {
		info_text(vm);
		return;
	}
	shell_json_begin(&json);
	print_json_of(&json, vm);
	shell_json_end(&json);
}

/* What was asked for needs a VM in another state. */
static void tell_state(const struct vm *vm, const char *expected)
{
	if (vm->state == VM_REFUSED)
		shell_refuse("%s: its description was refused: see the messages at boot\n",
			     vm->config.name);
	else
		shell_refuse("%s: it is %s; expected one that is %s\n", vm->config.name,
			     state_word(vm), expected);
}

static bool can_end(const struct vm *vm)
{
	return vm_is_alive(vm) && vm->state != VM_STOPPING;
}

static void start_vm(const struct command_call *call)
{
	struct vm *vm = vm_by_name(call->vm);
	int error = vm_start(vm);

	if (error == ERR_EXIST)
		tell_state(vm, "not started, ended or crashed");
	else if (error)
		shell_refuse("%s: not started; Pilae's log says why\n", call->vm);
}

static void vm_console(const struct command_call *call)
{
	const struct vm *vm = vm_by_name(call->vm);

	/* It has no console. */
	if (vm->state == VM_REFUSED)
		tell_state(vm, "");
	else
		console_focus(vm->number);
}

/* What becomes of a VM that is ended is logged. */
static void stop_vm(const struct command_call *call)
{
	struct vm *vm = vm_by_name(call->vm);
	bool running = vm->state == VM_RUNNING;
	uint64_t seconds = call->number_count ? call->numbers[0] : STOP_SECONDS;
	int error;

	if (seconds > STOP_SECONDS_MAX) {
		shell_refuse("%llu: expected up to %u seconds\n", (unsigned long long)seconds,
			     STOP_SECONDS_MAX);
		return;
	}
	error = vm_stop(vm, (unsigned)seconds);
	if (error == ERR_EXIST)
		tell_state(vm, "running");
	else if (error && running)
		shell_print("%s: its machine has no power button: it is ended by force\n",
			    call->vm);
	else if (error)
		shell_print("%s: it does not run, and cannot answer: it is ended by force\n",
			    call->vm);
}

static void kill_vm(const struct command_call *call)
{
	struct vm *vm = vm_by_name(call->vm);

	/* One that is about to restart can still be kept from it. */
	if (vm_is_alive(vm))
		vm_kill(vm);
	else
		tell_state(vm, "running");
}

static void reset_vm(const struct command_call *call)
{
	struct vm *vm = vm_by_name(call->vm);

	if (can_end(vm))
		vm_end(vm, VM_END_REBOOT);
	else
		tell_state(vm, "running");
}

static void pause_vm(const struct command_call *call)
{
	struct vm *vm = vm_by_name(call->vm);

	if (vm_pause(vm) != 0)
		tell_state(vm, "running");
}

static void resume_vm(const struct command_call *call)
{
	struct vm *vm = vm_by_name(call->vm);
	int error = vm_resume(vm);

	if (error == ERR_DENIED)
		shell_refuse("%s: it has crashed; reset or kill it\n", call->vm);
	else if (error)
		tell_state(vm, "paused");
}

static void destroy_vm(const struct command_call *call)
{
	vm_destroy(vm_by_name(call->vm));
}

static void define_vm(const struct command_call *call)
{
	/* That it is described, and not there, has been checked; what is wrong is logged. */
	int error = vm_define(call->vm);

	if (error == ERR_NOMEM)
		shell_refuse("%s: no memory left for one more VM\n", call->vm);
	else if (error)
		shell_refuse("%s: not defined; Pilae's log says why\n", call->vm);
}

const struct command vm_commands[] = {
    {"list", "all VMs", NULL, COMMAND_JSON, vm_list},
    {"info", "one VM in full", NULL, COMMAND_NAME | COMMAND_JSON, vm_info},
    {"stats", "what its vCPUs did: time, exits, interrupts", NULL, COMMAND_NAME | COMMAND_JSON,
     cmd_vm_stats},
    {"start", "start a VM that is not running", NULL, COMMAND_NAME, start_vm},
    {"stop", "shut it down; by force after NUMBER seconds", NULL, COMMAND_NAME | COMMAND_NUMBER,
     stop_vm},
    {"kill", "end a VM, as if its power were cut", NULL, COMMAND_NAME, kill_vm},
    {"reset", "boot a VM anew", NULL, COMMAND_NAME, reset_vm},
    {"pause", "let it rest", NULL, COMMAND_NAME, pause_vm},
    {"resume", "let it go on", NULL, COMMAND_NAME, resume_vm},
    {"destroy", "end it and forget it", NULL, COMMAND_NAME, destroy_vm},
    {"define", "make a VM of the system known again", NULL, COMMAND_NEW_NAME, define_vm},
    {"console", "give it the terminal", NULL, COMMAND_NAME, vm_console},
    {"regs", "a vCPU's registers", NULL, COMMAND_NAME | COMMAND_NUMBER | COMMAND_JSON,
     inspect_regs},
    {"dump", "what a vCPU was doing", NULL, COMMAND_NAME | COMMAND_NUMBER, inspect_dump},
    {"mem", "a VM's memory", NULL, COMMAND_NAME | COMMAND_NUMBERS | COMMAND_WORD | COMMAND_JSON,
     inspect_mem},
    {NULL, NULL, NULL, 0, NULL},
};
