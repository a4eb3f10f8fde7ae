/* SPDX-License-Identifier: MIT */

/* `vm stats` and `irq`: what has been counted since the VMs and the machine started. */

#include "driver/plic.h"
#include "kernel/hart.h"
#include "kernel/platform.h"
#include "shell/commands.h"
#include "shell/print.h"
#include "shell/statistics.h"

#include <stdio.h>
#include <string.h>

static const char *const injection_names[INJECTIONS] = {"software", "timer", "external"};

/* Seconds and milliseconds. */
static void print_time(const char *what, uint64_t ticks)
{
	uint64_t ms = time_ticks_to_ns(ticks) / 1000000;

	shell_print("  %s %llu.%03u s", what, (unsigned long long)(ms / 1000),
		    (unsigned)(ms % 1000));
}

static void print_exits(const struct usage *usage, enum exit_class class)
{
	const struct exit_count *exits = &usage->counts.exits[class];
	uint64_t quick = statistics_quick(&usage->counts, class);
	uint64_t all = usage_exits(usage, class);

	if (all == 0)
		return;
	shell_print("  %-12s %12llu %12llu", exit_class_names[class], (unsigned long long)all,
		    (unsigned long long)quick);
	if (exits->count && statistics_has_instructions())
		shell_print(" %16llu %10llu", (unsigned long long)exits->instructions,
			    (unsigned long long)(exits->instructions / exits->count));
	shell_print("\n");
}

static void print_vcpu(const struct vcpu *vcpu)
{
	struct usage usage = {0};

	usage_add_vcpu(&usage, vcpu);
	shell_print("vCPU %llu on hart %llu:", (unsigned long long)vcpu->id,
		    (unsigned long long)vcpu->hart->id);
	print_time("ran", usage.run);
	print_time("waited", usage.wait);
	shell_print("\n  interrupts injected:");
	for (unsigned i = 0; i < INJECTIONS; i++)
		shell_print(" %llu %s%s", (unsigned long long)usage.counts.injected[i],
			    injection_names[i], i < INJECTIONS - 1 ? "," : "\n");
	shell_print("  %-12s %12s %12s %16s %10s\n", "exits", "count", "quick", "instructions",
		    "each");
	for (enum exit_class class = 0; class < EXIT_CLASSES; class ++)
		print_exits(&usage, class);
}

static void json_of_injections(struct shell_json *json, const struct usage *usage)
{
	char name[32];

	for (unsigned i = 0; i < INJECTIONS; i++) {
		snprintf(name, sizeof(name), "injected_%s", injection_names[i]);
		shell_json_number(json, name, usage->counts.injected[i]);
	}
}

static void json_of_exits(struct shell_json *json, const struct usage *usage, enum exit_class class)
{
	const char *class_name = exit_class_names[class];
	char name[32];

	snprintf(name, sizeof(name), "%s_exits", class_name);
	shell_json_number(json, name, usage_exits(usage, class));
	snprintf(name, sizeof(name), "%s_quick", class_name);
	shell_json_number(json, name, statistics_quick(&usage->counts, class));
	snprintf(name, sizeof(name), "%s_instructions", class_name);
	shell_json_number(json, name, usage->counts.exits[class].instructions);
}

static void json_of_vcpu(struct shell_json *json, const struct vcpu *vcpu)
{
	struct usage usage = {0};

	usage_add_vcpu(&usage, vcpu);
	shell_json_object(json);
	shell_json_number(json, "vcpu", vcpu->id);
	shell_json_number(json, "hart", vcpu->hart->id);
	shell_json_number(json, "run_ns", time_ticks_to_ns(usage.run));
	shell_json_number(json, "wait_ns", time_ticks_to_ns(usage.wait));
	json_of_injections(json, &usage);
	for (enum exit_class class = 0; class < EXIT_CLASSES; class ++)
		json_of_exits(json, &usage, class);
}

void cmd_vm_stats(const struct command_call *call)
{
	const struct vm *vm = vm_by_name(call->vm);
	struct shell_json json;

	if (!vm)
		return;
	if (call->json)
		shell_json_begin(&json);
	else if (!usage_has_vcpus(vm))
		shell_refuse("%s: it does not run\n", call->vm);
	for (unsigned i = 0; usage_has_vcpus(vm) && i < vm->guest.vcpu_count; i++) {
		if (call->json)
			json_of_vcpu(&json, vm->vcpus[i]);
		else
			print_vcpu(vm->vcpus[i]);
	}
	if (call->json)
		shell_json_end(&json);
}

static void irq_json(void)
{
	struct shell_json json;
	const struct vm *vm;

	shell_json_begin(&json);
	for (unsigned i = 0; i < hart_count(); i++) {
		const struct hart *hart = hart_by_index(i);

		shell_json_object(&json);
		shell_json_number(&json, "hart", hart->id);
		shell_json_number(&json, "ipis", hart->counts.ipis);
		shell_json_number(&json, "ipis_sent", hart->counts.ipis_sent);
		shell_json_number(&json, "timers", hart->counts.timers);
		shell_json_number(&json, "externals", hart->counts.externals);
	}
	for (uint32_t source = 1; source < host_plic_source_count(); source++) {
		if (host_plic_interrupts(source) == 0)
			continue;
		shell_json_object(&json);
		shell_json_number(&json, "source", source);
		shell_json_number(&json, "interrupts", host_plic_interrupts(source));
	}
	for (vm = vm_next(NULL); vm; vm = vm_next(vm)) {
		struct usage usage;

		usage_of_vm(&usage, vm);
		shell_json_object(&json);
		shell_json_string(&json, "vm", vm->config.name);
		json_of_injections(&json, &usage);
	}
	shell_json_end(&json);
}

static void print_harts(void)
{
	shell_print("%-18s %12s %12s %12s %12s\n", "taken by hart", "IPIs", "(sent)", "timer",
		    "external");
	for (unsigned i = 0; i < hart_count(); i++) {
		const struct hart *hart = hart_by_index(i);

		shell_print("  %-16llu %12llu %12llu %12llu %12llu\n", (unsigned long long)hart->id,
			    (unsigned long long)hart->counts.ipis,
			    (unsigned long long)hart->counts.ipis_sent,
			    (unsigned long long)hart->counts.timers,
			    (unsigned long long)hart->counts.externals);
	}
}

static void print_sources(void)
{
	for (uint32_t source = 1; source < host_plic_source_count(); source++) {
		if (host_plic_interrupts(source))
			shell_print("  source %-9u %51llu%s\n", source,
				    (unsigned long long)host_plic_interrupts(source),
				    source == platform.uart.interrupt ? "  UART" : "");
	}
}

void cmd_irq(const struct command_call *call)
{
	const struct vm *vm;

	if (call->json) {
		irq_json();
		return;
	}
	print_harts();
	print_sources();
	shell_print("%-18s %12s %25s %12s\n", "injected into VM", "software", "timer", "external");
	for (vm = vm_next(NULL); vm; vm = vm_next(vm)) {
		struct usage usage;

		usage_of_vm(&usage, vm);
		shell_print("  %-16s %12llu %25llu %12llu\n", vm->config.name,
			    (unsigned long long)usage.counts.injected[INJECTED_SOFT],
			    (unsigned long long)usage.counts.injected[INJECTED_TIMER],
			    (unsigned long long)usage.counts.injected[INJECTED_EXTERNAL]);
	}
}
