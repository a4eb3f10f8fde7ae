/* SPDX-License-Identifier: MIT */

/* `vm …`: what there is of VMs, and what can be done with them. */

#include "kernel/error.h"
#include "shell/commands.h"
#include "shell/console.h"
#include "shell/print.h"
#include "vmm/vm.h"

#include <string.h>

const char *command_vm_name(unsigned index)
{
	const struct vm *vm = vm_by_number(index + 1);

	return vm ? vm->config.name : NULL;
}

/* Two VMs of one name cannot be: they are nodes of one tree. */
static struct vm *find(const char *name)
{
	const char *other;
	unsigned i = 0;

	while ((other = command_vm_name(i)) != NULL && strcmp(name, other) != 0)
		i++;
	return vm_by_number(i + 1);
}

static const char *state_word(const struct vm *vm)
{
	static const char *const words[] = {
	    [VM_OFF] = "off",         [VM_CRASHED] = "crashed", [VM_REFUSED] = "refused",
	    [VM_LOADING] = "loading", [VM_RUNNING] = "running", [VM_STOPPING] = "stopping",
	};

	if (vm->state == VM_OFF)
		return vm->started ? "ended" : "not started";
	return words[vm->state];
}

static bool is_alive(const struct vm *vm)
{
	return vm->state == VM_LOADING || vm->state == VM_RUNNING || vm->state == VM_STOPPING;
}

/* Of a VM that has no engine yet, what it asks for. */
static const char *engine_word(const struct vm *vm)
{
	static const char *const words[] = {"auto", "hext", "soft"};

	return vm->guest.engine ? vm->guest.engine->name : words[vm->config.engine];
}

static uint64_t kib_used(struct vm *vm, enum arena_use use)
{
	return is_alive(vm) ? vm->arena.pages[use] * (PAGE_SIZE >> 10) : 0;
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
	shell_json_bool(json, "manual", vm->config.manual);
	shell_json_string(json, "engine", engine_word(vm));
	shell_json_number(json, "vcpus", vm->config.vcpus);
	shell_json_number(json, "memory_bytes", vm->config.memory);
	shell_json_number(json, "ram_kib", kib_used(vm, ARENA_RAM));
	shell_json_number(json, "tables_kib", kib_used(vm, ARENA_TABLES));
	shell_json_number(json, "objects_kib", kib_used(vm, ARENA_OBJECTS));
}

static void list_json(void)
{
	struct shell_json json;
	struct vm *vm;

	shell_json_begin(&json);
	for (unsigned n = 1; (vm = vm_by_number(n)) != NULL; n++)
		print_json_of(&json, vm);
	shell_json_end(&json);
}

static void vm_list(const struct command_call *call)
{
	const struct vm *vm;

	if (call->json) {
		list_json();
		return;
	}
	shell_print("%3s  %-16s %-12s %-6s %5s %10s\n", "", "name", "state", "engine", "vCPUs",
		    "RAM");
	for (unsigned n = 1; (vm = vm_by_number(n)) != NULL; n++) {
		shell_print("%3u  %-16s %-12s", n, vm->config.name, state_word(vm));
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
		    (unsigned long long)kib_used(vm, ARENA_RAM),
		    (unsigned long long)kib_used(vm, ARENA_TABLES),
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

static void info_text(struct vm *vm)
{
	static const char *const on_crash[] = {"stop", "restart", "pause"};

	shell_print("name:     %s\n", vm->config.name);
	shell_print("state:    %s%s\n", state_word(vm), vm->config.manual ? ", manual" : "");
	if (vm->state == VM_REFUSED) {
		shell_print("its description was refused: see the messages at boot\n");
		return;
	}
	shell_print("engine:   %s\n", engine_word(vm));
	shell_print("vCPUs:    %u\n", vm->config.vcpus);
	print_cpus(vm);
	print_ram_range(vm);
	if (is_alive(vm))
		print_use(vm);
	if (vm->config.kernel_name)
		shell_print("kernel:   %s\n", vm->config.kernel_name);
	if (vm->config.ramdisk_name)
		shell_print("ramdisk:  %s\n", vm->config.ramdisk_name);
	if (vm->config.bootargs)
		shell_print("bootargs: %s\n", vm->config.bootargs);
	shell_print("on crash: %s\n", on_crash[vm->config.on_crash]);
}

static void vm_info(const struct command_call *call)
{
	struct vm *vm = find(call->vm);
	struct shell_json json;

	if (!call->json) {
		info_text(vm);
		return;
	}
	shell_json_begin(&json);
	print_json_of(&json, vm);
	shell_json_end(&json);
}

static void start_vm(const struct command_call *call)
{
	struct vm *vm = find(call->vm);

	if (vm->state == VM_REFUSED)
		shell_print("%s: its description was refused: see the messages at boot\n",
			    call->vm);
	else if (vm_start(vm) == ERR_EXIST)
		shell_print("%s: it is %s already; expected one that is off, ended or crashed\n",
			    call->vm, state_word(vm));
}

static void vm_console(const struct command_call *call)
{
	console_focus(find(call->vm)->number);
}

/* Ends a VM; what becomes of it is logged. */
static void end(const struct command_call *call, enum vm_end how)
{
	struct vm *vm = find(call->vm);

	if (vm->state == VM_RUNNING)
		vm_end(vm, how);
	else
		shell_print("%s: it is %s; expected one that is running\n", call->vm,
			    state_word(vm));
}

static void kill_vm(const struct command_call *call)
{
	end(call, VM_END_POWEROFF);
}

static void reset_vm(const struct command_call *call)
{
	end(call, VM_END_REBOOT);
}

const struct command vm_commands[] = {
    {"list", "all VMs", NULL, COMMAND_JSON, vm_list},
    {"info", "one VM in full", NULL, COMMAND_NAME | COMMAND_JSON, vm_info},
    {"stats", "what its vCPUs did: time, exits, interrupts", NULL, COMMAND_NAME | COMMAND_JSON,
     cmd_vm_stats},
    {"start", "start a VM that is not running", NULL, COMMAND_NAME, start_vm},
    {"console", "give it the terminal", NULL, COMMAND_NAME, vm_console},
    {"kill", "end a VM, as if its power were cut", NULL, COMMAND_NAME, kill_vm},
    {"reset", "boot a VM anew", NULL, COMMAND_NAME, reset_vm},
    {NULL, NULL, NULL, 0, NULL},
};
