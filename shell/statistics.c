/* SPDX-License-Identifier: MIT */

#include "shell/statistics.h"

#include "kernel/trap.h"
#include "vmm/run_queue.h"

bool usage_has_vcpus(const struct vm *vm)
{
	switch (vm->state) {
	case VM_OFF:
	case VM_CRASHED:
	case VM_REFUSED:
	case VM_STOPPING:
		return false;
	default:
		return true;
	}
}

/* The scheduler adds a turn, or a wait, when it has ended. */
static void add_times(struct usage *usage, const struct vcpu *vcpu)
{
	const volatile struct entity *entity = vcpu->entity;
	uint64_t since = entity->since, now = time_now();
	uint64_t current = entity->active && now > since ? now - since : 0;

	usage->run += entity->run_ticks;
	usage->wait += entity->wait_ticks;
	if (entity->queued)
		usage->wait += current;
	else
		usage->run += current;
}

static void add_counts(struct vcpu_statistics *sum, const struct vcpu_statistics *counts)
{
	for (unsigned i = 0; i < EXIT_CLASSES; i++) {
		sum->exits[i].count += counts->exits[i].count;
		sum->exits[i].instructions += counts->exits[i].instructions;
	}
	sum->quick_sbi += counts->quick_sbi;
	sum->quick_mmio += counts->quick_mmio;
	sum->quick_privileged += counts->quick_privileged;
	sum->quick_shadow += counts->quick_shadow;
	for (unsigned i = 0; i < INJECTIONS; i++)
		sum->injected[i] += counts->injected[i];
}

void usage_add_vcpu(struct usage *usage, const struct vcpu *vcpu)
{
	add_times(usage, vcpu);
	add_counts(&usage->counts, &vcpu->statistics);
}

void usage_of_vm(struct usage *usage, const struct vm *vm)
{
	*usage = (struct usage){0};
	for (unsigned i = 0; usage_has_vcpus(vm) && i < vm->guest.vcpu_count; i++) {
		usage_add_vcpu(usage, vm->vcpus[i]);
		preempt_point();
	}
}

/* A VM that was started anew counts from 0 again. */
static uint64_t difference(uint64_t now, uint64_t before)
{
	return now >= before ? now - before : now;
}

void usage_add_difference(struct usage *sum, const struct usage *now, const struct usage *before)
{
	const struct vcpu_statistics *a = &now->counts, *b = &before->counts;

	sum->run += difference(now->run, before->run);
	sum->wait += difference(now->wait, before->wait);
	for (unsigned i = 0; i < EXIT_CLASSES; i++) {
		sum->counts.exits[i].count += difference(a->exits[i].count, b->exits[i].count);
		sum->counts.exits[i].instructions +=
		    difference(a->exits[i].instructions, b->exits[i].instructions);
	}
	sum->counts.quick_sbi += difference(a->quick_sbi, b->quick_sbi);
	sum->counts.quick_mmio += difference(a->quick_mmio, b->quick_mmio);
	sum->counts.quick_privileged += difference(a->quick_privileged, b->quick_privileged);
	sum->counts.quick_shadow += difference(a->quick_shadow, b->quick_shadow);
	for (unsigned i = 0; i < INJECTIONS; i++)
		sum->counts.injected[i] += difference(a->injected[i], b->injected[i]);
}

uint64_t usage_exits(const struct usage *usage, enum exit_class class)
{
	return usage->counts.exits[class].count + statistics_quick(&usage->counts, class);
}

uint64_t usage_all_exits(const struct usage *usage)
{
	uint64_t sum = 0;

	for (enum exit_class class = 0; class < EXIT_CLASSES; class ++)
		sum += usage_exits(usage, class);
	return sum;
}

uint64_t usage_all_instructions(const struct usage *usage)
{
	uint64_t sum = 0;

	for (enum exit_class class = 0; class < EXIT_CLASSES; class ++)
		sum += usage->counts.exits[class].instructions;
	return sum;
}
