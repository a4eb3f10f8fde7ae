/* SPDX-License-Identifier: MIT */

/* The life of a VM: how it gets from one state to the next. docs/architecture.md has a picture. */

#include "kernel/error.h"
#include "kernel/hart.h"
#include "kernel/log.h"
#include "kernel/trap.h"
#include "riscv/sbi.h"
#include "vmm/gmem.h"
#include "vmm/hooks.h"
#include "vmm/vm_own.h"

#include <stdarg.h>
#include <stdio.h>

#define VCPUS_A_STRETCH 32 /* that are dealt with between two preemption points */

/*
 * The last part: what it had is given back.
 */

static int destroy_step(struct job *job)
{
	struct vm *vm = container_of(job, struct vm, job);

	if (arena_destroy_step(&vm->arena) == ERR_AGAIN || identity_scrub_step(vm) == ERR_AGAIN)
		return ERR_AGAIN;
	vm_count_end(vm, vm->crashed);
	spin_lock(&vm->lock);
	vm->state = vm->crashed ? VM_CRASHED : VM_OFF;
	spin_unlock(&vm->lock);
	if (vm->forget)
		vm_forget(vm);
	vm_check_last();
	return 0;
}

static void cancel_timers(struct vm *vm)
{
	timer_cancel(&vm->stop_timer);
	for (unsigned id = 0; id < vm->config.vcpus; id++) {
		timer_cancel(&vm->vcpus[id]->timer);
		if (id % VCPUS_A_STRETCH == VCPUS_A_STRETCH - 1)
			preempt_point();
	}
	timer_quiesce();
}

/* It is STOPPING, and none of its vCPUs is active. */
static void begin_destroy(struct vm *vm)
{
	console_forget(vm);
	/* Its code is not to be found in an instruction cache when its pages are another's. */
	hart_fence_i_all();
	machine_reset(vm);
	cancel_timers(vm);
	if (vm->guest.engine->log_use)
		vm->guest.engine->log_use(&vm->guest, vm->config.name);
	vm_unbuild(vm);
	schedule_job(&vm->job, destroy_step);
}

/*
 * Loading.
 */

static int stopped_step(struct job *job);

static bool is_stopping(struct vm *vm)
{
	bool stopping;

	spin_lock(&vm->lock);
	stopping = vm->state == VM_STOPPING;
	spin_unlock(&vm->lock);
	return stopping;
}

/* The boot vCPU starts, or is put aside before its first instruction. */
static void begin_run(struct vm *vm)
{
	struct vcpu *boot = vm->vcpus[0];

	spin_lock(&vm->lock);
	vm->guest.engine->vcpu_reset(boot, vm->loader.plan.entry.v, vm->loader.plan.fdt.v, false);
	boot->hsm_state = SBI_HSM_STARTED;
	vm->active = 1;
	if (vm->pause_loaded) {
		boot->paused = true;
		vm->paused = 1;
		vm->state = VM_PAUSED;
	} else {
		vm->state = VM_RUNNING;
		schedule_start(boot);
	}
	spin_unlock(&vm->lock);
	/* What has been typed for it before. */
	console_drained(vm);
}

static int load_failed(struct vm *vm)
{
	spin_lock(&vm->lock);
	vm->state = VM_STOPPING;
	vm->end = VM_END_CRASH;
	vm->crashed = true;
	spin_unlock(&vm->lock);
	begin_destroy(vm);
	return 0;
}

static int load_job_step(struct job *job)
{
	struct vm *vm = container_of(job, struct vm, job);
	int error;

	if (is_stopping(vm))
		return stopped_step(job);
	error = load_step(vm);
	if (error == ERR_AGAIN)
		return error;
	/* Ended at a preemption point of this very step: all that it was is of no use. */
	if (is_stopping(vm))
		return stopped_step(job);
	if (error)
		return load_failed(vm);
	begin_run(vm);
	return 0;
}

static void begin_load(struct vm *vm)
{
	load_begin(vm, vm_system());
	schedule_job(&vm->job, load_job_step);
}

/* As a machine comes out of reset: devices and harts, but not memory. */
static void reset(struct vm *vm)
{
	console_forget(vm);
	machine_reset(vm);
	cancel_timers(vm);
	for (unsigned id = 0; id < vm->config.vcpus; id++) {
		struct vcpu *vcpu = vm->vcpus[id];

		gmem_fault_abandon(vcpu);
		vcpu->hsm_state = SBI_HSM_STOPPED;
		vcpu->requests = 0;
		vcpu->irq = 0;
		vcpu->fence_count = 0;
		if (id % VCPUS_A_STRETCH == VCPUS_A_STRETCH - 1)
			preempt_point();
	}
}

/* Whether a VM that has stopped is to restart: then it is LOADING. */
static bool take_restart(struct vm *vm)
{
	bool restart;

	spin_lock(&vm->lock);
	restart = vm->end == VM_END_REBOOT ||
		  (vm->end == VM_END_CRASH && vm->config.on_crash == VMCONFIG_ON_CRASH_RESTART);
	if (restart) {
		vm->state = VM_LOADING;
		vm->crashed = vm->pause_loaded = false;
	}
	spin_unlock(&vm->lock);
	return restart;
}

/* None of its vCPUs is active any more. On the boot hart. */
static int stopped_step(struct job *job)
{
	struct vm *vm = container_of(job, struct vm, job);

	/* A device of the host may be writing to its memory. Who ends that queues this job again.
	 */
	vm->quiescing = machine_quiesce(vm) == ERR_AGAIN;
	if (vm->quiescing)
		return 0;
	report_stopped(vm);
	if (take_restart(vm)) {
		log_info("%s: restarts", vm->config.name);
		reset(vm);
		begin_load(vm);
	} else {
		log_info("%s: %s", vm->config.name,
			 vm->crashed ? "ended by a failure" : "powered off");
		begin_destroy(vm);
	}
	return 0;
}

void vm_quiesced(struct vm *vm)
{
	if (!vm->quiescing)
		return;
	vm->quiescing = false;
	schedule_job(&vm->job, stopped_step);
}

static void stop_expired(struct timer *timer)
{
	struct vm *vm = container_of(timer, struct vm, stop_timer);

	log_warn("%s: has not shut down within %u s: it is ended by force", vm->config.name,
		 vm->stop_seconds);
	vm_kill(vm);
}

int vm_start(struct vm *vm)
{
	if (vm->state != VM_OFF && vm->state != VM_CRASHED)
		return ERR_EXIST;
	console_restart(vm);
	if (!vm_build(vm, vm_default_engine(), vm_committed_bytes()))
		return ERR_INVAL;
	vm_count_start(vm);
	timer_init(&vm->stop_timer, stop_expired);
	vm->started = true;
	spin_lock(&vm->lock);
	vm->state = VM_LOADING;
	vm->crashed = vm->pause_loaded = false;
	vm->active = vm->paused = 0;
	spin_unlock(&vm->lock);
	begin_load(vm);
	return 0;
}

/*
 * Out of the guest, for good or for a while. Functions named …_locked have vm->lock, which keeps
 * the VM from being taken down, and its vCPUs freed, meanwhile.
 */

static int report_step(struct job *job)
{
	report_show(container_of(job, struct vm, report_job));
	return 0;
}

static void note_paused_locked(struct vm *vm)
{
	if (vm->state != VM_PAUSING || vm->paused != vm->active)
		return;
	vm->state = VM_PAUSED;
	/* It is done before any job that takes the VM down, which is queued later. */
	if (vm->crashed)
		schedule_job(&vm->report_job, report_step);
}

static void pause_locked(struct vm *vm)
{
	vm->state = VM_PAUSING;
	for (unsigned id = 0; id < vm->config.vcpus; id++) {
		if (vm->vcpus[id]->hsm_state != SBI_HSM_STOPPED)
			vcpu_request(vm->vcpus[id], VCPU_PAUSE);
	}
	note_paused_locked(vm);
}

/* Whether no vCPU is left whose leaving is to be waited for. */
static bool leave_locked(struct vm *vm)
{
	for (unsigned id = 0; id < vm->config.vcpus; id++) {
		struct vcpu *vcpu = vm->vcpus[id];

		if (vcpu->paused) {
			vcpu->paused = false;
			vcpu->left_running = true;
			vcpu->hsm_state = SBI_HSM_STOPPED;
			vm->active--;
		} else {
			vcpu_request(vcpu, VCPU_LEAVE);
		}
	}
	vm->paused = 0;
	return vm->active == 0;
}

/* Whether stopped_step is to be queued. */
static bool end_locked(struct vm *vm, enum vm_end end)
{
	bool loading = vm->state == VM_LOADING;

	if (!vm_is_alive(vm) || vm->state == VM_STOPPING)
		return false;
	vm->crashed |= end == VM_END_CRASH;
	if (end == VM_END_CRASH && vm->config.on_crash == VMCONFIG_ON_CRASH_PAUSE) {
		if (vm->state == VM_RUNNING)
			pause_locked(vm);
		return false;
	}
	vm->state = VM_STOPPING;
	vm->end = end;
	/* The job that loads it sees that by itself. */
	return !loading && leave_locked(vm);
}

void vm_end(struct vm *vm, enum vm_end end)
{
	bool stopped;

	spin_lock(&vm->lock);
	stopped = end_locked(vm, end);
	spin_unlock(&vm->lock);
	if (stopped)
		schedule_job(&vm->job, stopped_step);
}

void vm_crash(struct vm *vm, const char *format, ...)
{
	char reason[160];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	log_error("%s: stopped: %s", vm->config.name, reason);
	report_note_crash(vm, reason);
	vm_end(vm, VM_END_CRASH);
}

void vm_kill(struct vm *vm)
{
	spin_lock(&vm->lock);
	if (vm->state == VM_STOPPING)
		vm->end = VM_END_POWEROFF;
	spin_unlock(&vm->lock);
	vm_end(vm, VM_END_POWEROFF);
}

int vm_stop(struct vm *vm, unsigned seconds)
{
	if (!vm_is_alive(vm) || vm->state == VM_STOPPING)
		return ERR_EXIST;
	if (vm->state != VM_RUNNING || !machine_request_shutdown(vm)) {
		vm_kill(vm);
		return ERR_NOSYS;
	}
	vm->stop_seconds = seconds;
	timer_set(&vm->stop_timer, time_now() + time_ns_to_ticks(seconds * UINT64_C(1000000000)));
	return 0;
}

void vm_destroy(struct vm *vm)
{
	if (!vm_is_alive(vm)) {
		vm_forget(vm);
		return;
	}
	vm->forget = true;
	vm_kill(vm);
}

int vm_pause(struct vm *vm)
{
	int error = 0;

	spin_lock(&vm->lock);
	if (vm->state == VM_RUNNING)
		pause_locked(vm);
	else if (vm->state == VM_LOADING && !vm->pause_loaded)
		vm->pause_loaded = true;
	else
		error = ERR_EXIST;
	spin_unlock(&vm->lock);
	return error;
}

static void resume_locked(struct vm *vm)
{
	vm->state = VM_RUNNING;
	vm->paused = 0;
	for (unsigned id = 0; id < vm->config.vcpus; id++) {
		struct vcpu *vcpu = vm->vcpus[id];

		__atomic_fetch_and(&vcpu->requests, ~(uint32_t)VCPU_PAUSE, __ATOMIC_SEQ_CST);
		if (vcpu->paused) {
			vcpu->paused = false;
			schedule_start(vcpu);
		}
	}
}

int vm_resume(struct vm *vm)
{
	int error = 0;

	spin_lock(&vm->lock);
	if (vm->state == VM_LOADING && vm->pause_loaded)
		vm->pause_loaded = false;
	else if (vm->state != VM_PAUSING && vm->state != VM_PAUSED)
		error = ERR_EXIST;
	else if (vm->crashed)
		error = ERR_DENIED;
	else
		resume_locked(vm);
	spin_unlock(&vm->lock);
	if (error)
		return error;
	machine_resume(vm);
	/* What has been typed meanwhile. */
	console_drained(vm);
	return 0;
}

/* Whether stopped_step is to be queued. */
static bool one_less_locked(struct vm *vm)
{
	vm->active--;
	note_paused_locked(vm);
	return vm->active == 0 && vm->state == VM_STOPPING;
}

void vm_vcpu_parked(struct vcpu *vcpu)
{
	struct vm *vm = vm_of(vcpu);
	bool dead, stopped = false;

	spin_lock(&vm->lock);
	vcpu->left_running = vcpu->hsm_state != SBI_HSM_STOP_PENDING;
	vcpu->hsm_state = SBI_HSM_STOPPED;
	dead = vm->active == 1 && (vm->state == VM_RUNNING || vm->state == VM_PAUSING);
	/* The last one counts until it has been told, as the VM is there that long. */
	if (!dead)
		stopped = one_less_locked(vm);
	spin_unlock(&vm->lock);
	if (dead) {
		report_blame(vcpu);
		vm_crash(vm, "its last hart has stopped itself; none is left to start one");
		spin_lock(&vm->lock);
		stopped = one_less_locked(vm);
		spin_unlock(&vm->lock);
	}
	if (stopped)
		schedule_job(&vm->job, stopped_step);
}

void vm_vcpu_paused(struct vcpu *vcpu)
{
	struct vm *vm = vm_of(vcpu);
	bool stopped = false;

	spin_lock(&vm->lock);
	if (vm->state == VM_PAUSING) {
		vcpu->paused = true;
		vm->paused++;
		note_paused_locked(vm);
	} else if (vm->state == VM_STOPPING) {
		vcpu->left_running = true;
		vcpu->hsm_state = SBI_HSM_STOPPED;
		stopped = --vm->active == 0;
	} else {
		/* It is to go on already. */
		schedule_start(vcpu);
	}
	spin_unlock(&vm->lock);
	if (stopped)
		schedule_job(&vm->job, stopped_step);
}
