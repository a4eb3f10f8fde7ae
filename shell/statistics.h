/* SPDX-License-Identifier: MIT */
#ifndef SHELL_STATISTICS_H
#define SHELL_STATISTICS_H

/* What vCPUs have counted (engine/statistics.h), added up. Boot hart, in a job. */

#include "engine/statistics.h"
#include "vmm/vm.h"

/* Of a vCPU, a VM or all that are on a hart. */
struct usage {
	uint64_t run, wait; /* ticks, with the turn that is going on */
	struct vcpu_statistics counts;
};

/* Whether the VM's vCPUs are there, and stay until this step of the job ends. */
bool usage_has_vcpus(const struct vm *vm);

/* Adds what a vCPU has counted so far. */
void usage_add_vcpu(struct usage *usage, const struct vcpu *vcpu);

/* All vCPUs of a VM; nothing where there are none. Passes preemption points. */
void usage_of_vm(struct usage *usage, const struct vm *vm);

/* Adds what has come to `now` since `before`, of which it may be no successor. */
void usage_add_difference(struct usage *sum, const struct usage *now, const struct usage *before);

/* Exits of a class, or of all, the quick ones too. */
uint64_t usage_exits(const struct usage *usage, enum exit_class class);
uint64_t usage_all_exits(const struct usage *usage);
uint64_t usage_all_instructions(const struct usage *usage);

#endif
