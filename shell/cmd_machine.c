/* SPDX-License-Identifier: MIT */

/* The commands about the machine, and the table of all. */

#include "kernel/hart.h"
#include "kernel/isa.h"
#include "kernel/log.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "kernel/pool.h"
#include "riscv/sbi.h"
#include "shell/commands.h"
#include "shell/print.h"
#include "vmm/vm.h"

static void help(const struct command_call *call)
{
	(void)call;
	command_help(shell_commands);
	shell_print(
	    "Words may be cut short; Tab completes them. Ctrl-D goes back to the console.\n");
}

/* SBI 2.0, 4.1: the major version is above bit 24. */
static void version(const struct command_call *call)
{
	uint64_t spec =
	    (uint64_t)sbi_call(SBI_EXT_BASE, SBI_BASE_GET_SPEC_VERSION, 0, 0, 0, 0, 0).value;
	uint64_t id = (uint64_t)sbi_call(SBI_EXT_BASE, SBI_BASE_GET_IMPL_ID, 0, 0, 0, 0, 0).value;
	uint64_t implementation =
	    (uint64_t)sbi_call(SBI_EXT_BASE, SBI_BASE_GET_IMPL_VERSION, 0, 0, 0, 0, 0).value;

	(void)call;
	shell_print("Pilae, on firmware with SBI %llu.%llu: %s %llu, version 0x%llx\n",
		    (unsigned long long)(spec >> 24 & 0x7f), (unsigned long long)(spec & 0xffffff),
		    id == 1 ? "OpenSBI," : "implementation", (unsigned long long)id,
		    (unsigned long long)implementation);
}

static void list_harts_json(void)
{
	static char text[ISA_STRING_MAX];
	struct shell_json json;

	shell_json_begin(&json);
	for (unsigned i = 0; i < hart_count(); i++) {
		const struct hart *hart = hart_by_index(i);

		shell_json_object(&json);
		shell_json_number(&json, "id", hart->id);
		shell_json_bool(&json, "h", hart->has_h);
		shell_json_bool(&json, "sstc", hart->has_sstc);
		isa_print(hart->isa, text, sizeof(text));
		shell_json_string(&json, "isa", text);
	}
	shell_json_end(&json);
}

static void hart_list(const struct command_call *call)
{
	if (call->json) {
		list_harts_json();
		return;
	}
	shell_print("%4s  %-5s %-5s %s\n", "id", "H", "Sstc", "engines");
	for (unsigned i = 0; i < hart_count(); i++) {
		const struct hart *hart = hart_by_index(i);

		shell_print("%4llu  %-5s %-5s %s%s\n", (unsigned long long)hart->id,
			    hart->has_h ? "yes" : "no", hart->has_sstc ? "yes" : "no",
			    hext_engine.can_use(hart) ? "hext " : "",
			    soft_engine.can_use(hart) ? "soft" : "");
	}
}

static void mem(const struct command_call *call)
{
	uint64_t reserved = identity_total_bytes();
	uint64_t total = page_total_bytes() + reserved, available = pool_free_bytes();
	uint64_t promised = vm_committed_bytes() + reserved;
	struct shell_json json;

	if (!call->json) {
		shell_print("%llu MiB in all, %llu MiB free; %llu MiB promised to VMs and Pilae\n",
			    (unsigned long long)(total >> 20),
			    (unsigned long long)(available >> 20),
			    (unsigned long long)(promised >> 20));
		return;
	}
	shell_json_begin(&json);
	shell_json_object(&json);
	shell_json_number(&json, "total_bytes", total);
	shell_json_number(&json, "free_bytes", available);
	shell_json_number(&json, "promised_bytes", promised);
	shell_json_end(&json);
}

static void poweroff(const struct command_call *call)
{
	(void)call;
	log_info("the machine is powered off by the shell");
	machine_end(vm_any_crashed());
}

static void reboot(const struct command_call *call)
{
	(void)call;
	log_info("the machine is rebooted by the shell");
	machine_reboot();
	shell_refuse("reboot: the firmware cannot do that\n");
}

static const struct command hart_commands[] = {
    {"list", "the machine's harts", NULL, COMMAND_JSON, hart_list},
    {NULL, NULL, NULL, 0, NULL},
};

const struct command shell_commands[] = {
    {"help", "this list", NULL, 0, help},
    {"version", "what runs here", NULL, 0, version},
    {"vm", "VMs", vm_commands, 0, NULL},
    {"hart", "harts", hart_commands, 0, NULL},
    {"top", "what harts and VMs do, live", NULL, COMMAND_JSON, cmd_top},
    {"irq", "interrupts, by source", NULL, COMMAND_JSON, cmd_irq},
    {"trace", "tracing", trace_commands, 0, NULL},
    {"disk", "the machine's disks", disk_commands, 0, NULL},
    {"net", "switches between VMs", net_commands, 0, NULL},
    {"mem", "the machine's memory", NULL, COMMAND_JSON, mem},
    {"dt", "the machine's device tree", NULL, COMMAND_WORD, inspect_tree},
    {"log", "Pilae's last messages", NULL, COMMAND_JSON, inspect_log},
    {"poweroff", "end the machine, whatever runs", NULL, 0, poweroff},
    {"reboot", "start the machine anew", NULL, 0, reboot},
    {NULL, NULL, NULL, 0, NULL},
};
