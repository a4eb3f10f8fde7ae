/* SPDX-License-Identifier: MIT */

/* `top`: what harts and VMs do, anew each second. */

#include "kernel/hart.h"
#include "kernel/page.h"
#include "kernel/timer.h"
#include "kernel/trap.h"
#include "shell/commands.h"
#include "shell/print.h"
#include "shell/shell.h"
#include "shell/statistics.h"

#include <stdio.h>
#include <string.h>

/* ECMA-48: cursor home; erase the rest of the line, and of the display. */
#define HOME       "\033[H"
#define REST_LINE  "\033[K\n"
#define REST_SHOWN "\033[J"

#define SCAN_A_STRETCH 1024 /* vCPUs between two preemption points */

/* A vCPU that `top` knows: how it was when it was looked at last. */
struct known_vcpu {
	const struct vcpu *vcpu; /* never followed */
	struct usage usage;
};

/* A hart: what it counted, and what the vCPUs that are on it now did since. */
struct known_hart {
	struct hart_counts counts;
	struct usage usage;
};

static struct {
	struct known_vcpu *vcpus; /* pages, while `top` is shown */
	unsigned order, room, count;
	struct known_hart harts[HARTS_MAX];
	uint64_t time; /* of the last look, ticks */
	bool first;    /* that was none */
} top;

static unsigned count_vcpus(void)
{
	unsigned count = 0;
	const struct vm *vm;

	for (vm = vm_next(NULL); vm; vm = vm_next(vm))
		count += vm->config.vcpus;
	return count;
}

/* Where a vCPU is kept; NULL if there is no room. The first time it has done nothing so far. */
static struct usage *look_up(const struct vcpu *vcpu, unsigned *at, bool *known)
{
	/* VMs and their vCPUs come in the same order each time, so it is mostly the next one. */
	for (unsigned i = 0; !top.first && i < top.count; i++) {
		if (i % SCAN_A_STRETCH == SCAN_A_STRETCH - 1)
			preempt_point();
		struct known_vcpu *next = &top.vcpus[(*at + i) % top.count];

		if (next->vcpu == vcpu) {
			*at = (unsigned)(next - top.vcpus) + 1;
			*known = true;
			return &next->usage;
		}
	}
	*known = false;
	if (top.count == top.room)
		return NULL;
	top.vcpus[top.count].vcpu = vcpu;
	return &top.vcpus[top.count++].usage;
}

/* What a VM did since the last look; its harts get their part. */
static void look_at(const struct vm *vm, struct usage *sum, unsigned *at)
{
	*sum = (struct usage){0};
	for (unsigned i = 0; usage_has_vcpus(vm) && i < vm->guest.vcpu_count; i++) {
		const struct vcpu *vcpu = vm->vcpus[i];
		struct usage now = {0}, *before;
		bool known;

		usage_add_vcpu(&now, vcpu);
		before = look_up(vcpu, at, &known);
		if (!before)
			continue;
		if (known) {
			usage_add_difference(sum, &now, before);
			usage_add_difference(&top.harts[vcpu->hart->index].usage, &now, before);
		}
		*before = now;
		preempt_point();
	}
}

static uint64_t per_second(uint64_t count, uint64_t ticks)
{
	uint64_t us = time_ticks_to_ns(ticks) / 1000;

	return us ? count * 1000000 / us : 0;
}

static unsigned percent(uint64_t part, uint64_t all)
{
	return all ? (unsigned)(part * 100 / all) : 0;
}

static void print_header(const char *first, const char *second)
{
	shell_print("%-12s %5s %6s %8s", first, second, "wait%", "exits/s");
	for (enum exit_class class = 0; class < EXIT_CLASSES; class ++)
		shell_print(" %8.8s", exit_class_names[class]);
	shell_print(" %6s" REST_LINE, "Minstr");
}

static void print_row(const char *name, unsigned run, const struct usage *usage, uint64_t ticks)
{
	char text[SHELL_PRINT_MAX];
	int length = snprintf(text, sizeof(text), "%-12.12s %5u %6u %8llu", name, run,
			      percent(usage->wait, ticks),
			      (unsigned long long)per_second(usage_all_exits(usage), ticks));

	for (enum exit_class class = 0; class < EXIT_CLASSES; class ++)
		length +=
		    snprintf(text + length, sizeof(text) - (size_t)length, " %8llu",
			     (unsigned long long)per_second(usage_exits(usage, class), ticks));
	snprintf(text + length, sizeof(text) - (size_t)length, " %6llu" REST_LINE,
		 (unsigned long long)per_second(usage_all_instructions(usage), ticks) / 1000000);
	shell_print("%s", text);
}

static void show_harts(uint64_t ticks)
{
	print_header("hart", "busy%");
	for (unsigned i = 0; i < hart_count(); i++) {
		const struct hart *hart = hart_by_index(i);
		struct known_hart *known = &top.harts[i];
		uint64_t idle = hart->counts.idle_ticks - known->counts.idle_ticks;
		char name[24];

		snprintf(name, sizeof(name), "%llu", (unsigned long long)hart->id);
		print_row(name, percent(ticks - min_u64(idle, ticks), ticks), &known->usage, ticks);
		known->counts = hart->counts;
		known->usage = (struct usage){0};
	}
}

static void show(void)
{
	uint64_t now = time_now(), ticks = now - top.time;
	unsigned at = 0;
	const struct vm *vm;

	top.time = now;
	shell_print(HOME "up %llu s, %u hart%s, %u VM%s; any key ends this" REST_LINE REST_LINE,
		    (unsigned long long)(time_ticks_to_ns(now) / 1000000000), hart_count(),
		    hart_count() == 1 ? "" : "s", vm_count(), vm_count() == 1 ? "" : "s");
	print_header("VM", "run%");
	for (vm = vm_next(NULL); vm; vm = vm_next(vm)) {
		struct usage usage;

		look_at(vm, &usage, &at);
		if (usage_has_vcpus(vm))
			print_row(vm->config.name, percent(usage.run, ticks), &usage, ticks);
	}
	shell_print(REST_LINE);
	top.first = false;
	show_harts(ticks);
	shell_print(REST_SHOWN);
}

static void end(void)
{
	page_free(top.vcpus, top.order);
	top.vcpus = NULL;
}

static void json_of_usage(struct shell_json *json, const struct usage *usage)
{
	char name[32];

	shell_json_number(json, "run_ns", time_ticks_to_ns(usage->run));
	shell_json_number(json, "wait_ns", time_ticks_to_ns(usage->wait));
	for (enum exit_class class = 0; class < EXIT_CLASSES; class ++) {
		snprintf(name, sizeof(name), "%s_exits", exit_class_names[class]);
		shell_json_number(json, name, usage_exits(usage, class));
	}
	shell_json_number(json, "instructions", usage_all_instructions(usage));
}

/* One sample: all that was counted so far, for scripts that compare two. */
static void sample(void)
{
	struct shell_json json;
	const struct vm *vm;

	shell_json_begin(&json);
	shell_json_object(&json);
	shell_json_number(&json, "time_ns", time_ticks_to_ns(time_now()));
	for (vm = vm_next(NULL); vm; vm = vm_next(vm)) {
		struct usage usage;

		usage_of_vm(&usage, vm);
		shell_json_object(&json);
		shell_json_string(&json, "vm", vm->config.name);
		json_of_usage(&json, &usage);
	}
	for (unsigned i = 0; i < hart_count(); i++) {
		const struct hart *hart = hart_by_index(i);

		shell_json_object(&json);
		shell_json_number(&json, "hart", hart->id);
		shell_json_number(&json, "idle_ns", time_ticks_to_ns(hart->counts.idle_ticks));
	}
	shell_json_end(&json);
}

/* Takes pages for twice the vCPUs that there are: VMs may be started meanwhile. */
static bool begin(void)
{
	unsigned wanted = 2 * count_vcpus() + 64;

	top.order = page_order(wanted * sizeof(*top.vcpus));
	top.vcpus = page_alloc(top.order);
	top.room = (unsigned)((PAGE_SIZE << top.order) / sizeof(*top.vcpus));
	top.count = 0;
	top.first = true;
	memset(top.harts, 0, sizeof(top.harts));
	for (unsigned i = 0; i < hart_count(); i++)
		top.harts[i].counts = hart_by_index(i)->counts;
	top.time = time_now();
	return top.vcpus;
}

void cmd_top(const struct command_call *call)
{
	if (call->json)
		sample();
	else if (shell_is_script())
		shell_refuse("top: it needs a terminal; expected: top --json\n");
	else if (top.vcpus)
		shell_refuse("top: it is shown in another shell\n");
	else if (!begin())
		shell_refuse("top: no memory left\n");
	else
		shell_begin_live(show, end);
}
