/* SPDX-License-Identifier: MIT */
#ifndef VMM_REPORT_H
#define VMM_REPORT_H

/*
 * What a VM was doing: the report of a crash, a screen of the log, and the same on request. The
 * registers are taken when the VM crashes, by the vCPU that is to blame; what its memory says is
 * read when all vCPUs are parked, in the job that takes the VM down or restarts it.
 */

#include "engine/state.h"
#include "kernel/types.h"
#include "vmm/report_text.h"

struct vcpu;
struct vm;

#define REPORT_REASON_MAX 128

struct report {
	uint32_t noted;      /* a crash is; atomic: who sets it owns the rest until it is shown */
	bool dealt_with;     /* that crash has been shown, or left out */
	bool has_state;      /* `state` was taken at the crash */
	struct vcpu *blamed; /* NULL: nobody is, so it is vCPU 0. Gone when the VM is taken down */
	char reason[REPORT_REASON_MAX];
	struct vcpu_state state;
	uint64_t shown_at; /* when a report was shown last, in ticks; 0: never */
	unsigned skipped;  /* crashes since then that were not */
};

/*
 * A VM is to be stopped for this reason. The vCPU that this hart deals with is to blame, if it is
 * one of the VM's. The first crash counts, until report_stopped(). Any hart.
 */
void report_note_crash(struct vm *vm, const char *reason);

/* This vCPU, which is parked, will be blamed for the crash that is noted next. */
void report_blame(struct vcpu *vcpu);

/*
 * All vCPUs of a VM that crashed are parked: shows what is noted, once, but of a VM that crashes
 * more often than once a second only every so often. In a job, on the boot hart; no lock held.
 */
void report_show(struct vm *vm);

/* The same if it crashed; then all is forgotten that is of its present life, which is over. */
void report_stopped(struct vm *vm);

/*
 * What a vCPU's guest sees at this moment. If it runs, its hart is interrupted and it goes on. In
 * a job; the VM is built (vm->vcpus is not NULL). Passes preemption points.
 */
void report_capture(struct vcpu *vcpu, struct vcpu_state *state);

/* The registers of a vCPU; and the whole screen about it and its VM. As report_capture(). */
void report_registers(struct vcpu *vcpu, const struct report_sink *sink);
void report_dump(struct vcpu *vcpu, const struct report_sink *sink);

/* What a vCPU does, in a word. Any context. */
const char *report_vcpu_word(const struct vcpu *vcpu);

#endif
