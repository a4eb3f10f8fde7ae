/* SPDX-License-Identifier: MIT */

#include "vmm/report.h"

#include "kernel/error.h"
#include "kernel/hart.h"
#include "kernel/log.h"
#include "kernel/platform.h"
#include "kernel/trap.h"
#include "vmm/vm.h"

#include <stdio.h>

#define LINES_MAX     24 /* of a report, with the one that says why the VM crashed */
#define OTHERS_MAX    2  /* lines about other vCPUs */
#define OTHERS_A_LINE 2

/*
 * Taking a vCPU's registers.
 */

struct capture {
	struct vcpu *vcpu;
	struct vcpu_state *state;
	int error;
};

static void capture_here(void *argument)
{
	struct capture *capture = argument;

	capture->error = schedule_read_state(capture->vcpu, capture->state);
}

void report_capture(struct vcpu *vcpu, struct vcpu_state *state)
{
	struct capture capture = {.vcpu = vcpu, .error = ERR_AGAIN};

	*state = (struct vcpu_state){.pc = 0};
	capture.state = state;
	/* Again if it has gone to another hart meanwhile. */
	while (capture.error == ERR_AGAIN)
		hart_call(__atomic_load_n(&vcpu->hart, __ATOMIC_RELAXED), capture_here, &capture);
}

void report_note_crash(struct vm *vm, const char *reason)
{
	struct report *report = &vm->report;
	struct vcpu *current = schedule_current();

	if (__atomic_exchange_n(&report->noted, 1, __ATOMIC_SEQ_CST))
		return;
	snprintf(report->reason, sizeof(report->reason), "%s", reason);
	report->has_state = current && vm_of(current) == vm;
	if (!report->has_state)
		return;
	report->blamed = current;
	vm->guest.engine->read_state(current, true, &report->state);
}

void report_blame(struct vcpu *vcpu)
{
	vm_of(vcpu)->report.blamed = vcpu;
}

/*
 * The screen.
 */

const char *report_vcpu_word(const struct vcpu *vcpu)
{
	switch (__atomic_load_n(&vcpu->mode, __ATOMIC_RELAXED)) {
	case VCPU_BLOCKED:
		return "waits";
	case VCPU_PARKED:
		return vcpu->left_running ? "parked" : "stopped";
	default:
		return "runs";
	}
}

static void put_head(const struct vcpu *vcpu, const struct vcpu_state *state,
		     const struct report_sink *sink)
{
	const struct vm *vm = vm_of(vcpu);
	char line[VMCONFIG_NAME_MAX + 80];

	snprintf(line, sizeof(line), "%s: vCPU %llu of %u, %s, %s-mode, %s", vm->config.name,
		 (unsigned long long)vcpu->id, vm->config.vcpus, vm->guest.engine->name,
		 state->user ? "U" : "S", report_vcpu_word(vcpu));
	sink->put(sink->context, line);
}

/* What the others of its VM do, as far as there is room. */
static unsigned put_others(const struct vcpu *vcpu, const struct report_sink *sink)
{
	const struct vm *vm = vm_of(vcpu);
	uint32_t count = vm->config.vcpus - 1;
	uint32_t shown = (uint32_t)min_u64(count, (uint64_t)OTHERS_MAX * OTHERS_A_LINE);
	char line[REPORT_WIDTH + 1];
	struct vcpu_state state;
	size_t length = 0;
	uint32_t done = 0, id = 0;

	/* The last place says how many more there are. */
	if (shown < count)
		shown--;
	for (; done < shown; id++) {
		struct vcpu *other = vm->vcpus[id];

		if (other == vcpu)
			continue;
		if (done % OTHERS_A_LINE == 0)
			length =
			    (size_t)snprintf(line, sizeof(line), "  %-8s", done ? "" : "others");
		report_capture(other, &state);
		length +=
		    (size_t)snprintf(line + length, sizeof(line) - length, "%s%u %s %c %llx",
				     done % OTHERS_A_LINE ? ", " : "", id, report_vcpu_word(other),
				     state.user ? 'U' : 'S', (unsigned long long)state.pc);
		done++;
		if (done % OTHERS_A_LINE == 0 || done == count)
			sink->put(sink->context, line);
	}
	if (done < count) {
		snprintf(line + length, sizeof(line) - length, ", and %u more", count - done);
		sink->put(sink->context, line);
	}
	return (unsigned)((done + (done < count) + OTHERS_A_LINE - 1) / OTHERS_A_LINE);
}

/* All but the reason. */
static void put_screen(struct vcpu *vcpu, const struct vcpu_state *state,
		       const struct report_sink *sink)
{
	const struct vm *vm = vm_of(vcpu);
	unsigned lines = 2;

	put_head(vcpu, state, sink);
	lines += report_text_registers(sink, state);
	lines += report_text_csrs(sink, state);
	lines += report_text_code(sink, vm, state);
	lines += report_text_stack(sink, vm, state);
	lines += put_others(vcpu, sink);
	report_text_exits(sink, vcpu, LINES_MAX - lines);
}

void report_registers(struct vcpu *vcpu, const struct report_sink *sink)
{
	struct vcpu_state state;

	report_capture(vcpu, &state);
	put_head(vcpu, &state, sink);
	report_text_registers(sink, &state);
	report_text_csrs(sink, &state);
}

void report_dump(struct vcpu *vcpu, const struct report_sink *sink)
{
	struct vcpu_state state;

	report_capture(vcpu, &state);
	put_screen(vcpu, &state, sink);
}

static void put_log(void *context, const char *line)
{
	(void)context;
	log_error("%s", line);
	preempt_point();
}

static void show(struct vm *vm)
{
	const struct report_sink sink = {put_log, NULL};
	struct report *report = &vm->report;
	struct vcpu *vcpu = report->blamed ? report->blamed : vm->vcpus[0];

	if (report->skipped)
		log_error("%s: %u crashes before this one had no report", vm->config.name,
			  report->skipped);
	if (!report->has_state)
		report_capture(vcpu, &report->state);
	put_screen(vcpu, &report->state, &sink);
	report->skipped = 0;
}

void report_show(struct vm *vm)
{
	struct report *report = &vm->report;
	uint64_t now = time_now();

	if (!vm->crashed || !report->noted || report->dealt_with)
		return;
	report->dealt_with = true;
	if (report->shown_at == 0 || now - report->shown_at >= platform.timebase) {
		report->shown_at = now;
		show(vm);
	} else {
		report->skipped++;
	}
}

void report_stopped(struct vm *vm)
{
	struct report *report = &vm->report;

	report_show(vm);
	/* Its next life begins with nothing of this one. */
	for (uint32_t id = 0; id < vm->config.vcpus; id++) {
		vm->vcpus[id]->left_running = false;
		vm->vcpus[id]->exit_count = 0;
	}
	report->blamed = NULL;
	report->dealt_with = false;
	__atomic_store_n(&report->noted, 0, __ATOMIC_SEQ_CST);
}
