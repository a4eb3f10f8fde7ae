/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_VM_LIFE_FIXTURE_H
#define TESTS_UNIT_VM_LIFE_FIXTURE_H

/*
 * A VM of three vCPUs that has been started, and all that its life needs of others: jobs, timers,
 * devices, and harts that look at requests when the test says so. For one source file of a test
 * program, which is linked with vmm/vm_life.c.
 */

#include "tests/unit/fake_kernel.h"

#include "riscv/sbi.h"
#include "vmm/gmem.h"
#include "vmm/hooks.h"
#include "vmm/vm_own.h"

#define VCPUS 3

/* A VM of three vCPUs, of which the test does what the scheduler would. */
static struct vm vm;
static struct vcpu vcpus[VCPUS];
static struct vcpu *pointers[VCPUS];
static struct job *job; /* that is queued, or NULL */
static struct job *report_job;
static unsigned reports; /* shown of a VM that is paused */
static struct timer *armed;
static unsigned queued[VCPUS]; /* by schedule_start() */
static unsigned alive, forgotten, crashes, loads, asked;
static bool has_button;
static int load_result;
static bool in_flight; /* a device of the host works for the VM */
static unsigned quiesce_calls, resume_calls;

static void reset_vcpu(struct vcpu *vcpu, uint64_t pc, uint64_t argument, bool resumed)
{
	(void)vcpu;
	(void)pc;
	(void)argument;
	assert_false(resumed);
}

static const struct engine engine = {.name = "fake", .vcpu_reset = reset_vcpu};

bool vm_build(struct vm *built, enum vmconfig_engine otherwise, uint64_t committed)
{
	(void)otherwise;
	(void)committed;
	memset(vcpus, 0, sizeof(vcpus));
	for (unsigned i = 0; i < VCPUS; i++) {
		pointers[i] = &vcpus[i];
		vcpus[i].id = i;
		vcpus[i].guest = &built->guest;
		vcpus[i].hsm_state = SBI_HSM_STOPPED;
		vcpus[i].mode = VCPU_PARKED;
		queued[i] = 0;
	}
	built->guest.engine = &engine;
	built->vcpus = pointers;
	built->config.vcpus = VCPUS;
	return true;
}

void vm_unbuild(struct vm *ended)
{
	assert_int_equal(ended->active, 0);
	assert_null(armed);
	ended->vcpus = NULL;
}

void vm_count_start(const struct vm *started)
{
	(void)started;
	alive++;
}

void vm_count_end(const struct vm *ended, bool crashed)
{
	assert_ptr_equal(ended, &vm);
	crashes += crashed;
	alive--;
}

void vm_forget(struct vm *gone)
{
	assert_ptr_equal(gone, &vm);
	forgotten++;
}

void vm_check_last(void)
{
}

struct fit *vm_system(void)
{
	return NULL;
}

enum vmconfig_engine vm_default_engine(void)
{
	return VMCONFIG_ENGINE_AUTO;
}

uint64_t vm_committed_bytes(void)
{
	return 0;
}

void load_begin(struct vm *loaded, struct fit *fit)
{
	(void)loaded;
	(void)fit;
	loads++;
}

int load_step(struct vm *loaded)
{
	(void)loaded;
	return load_result;
}

int arena_destroy_step(struct arena *arena)
{
	(void)arena;
	return 0;
}

void console_restart(struct vm *started)
{
	assert_ptr_equal(started, &vm);
}

void report_show(struct vm *shown)
{
	assert_ptr_equal(shown, &vm);
	assert_true(vm.crashed);
	reports++;
}

void report_stopped(struct vm *stopped)
{
	assert_int_equal(stopped->active, 0);
}

void report_note_crash(struct vm *crashed, const char *reason)
{
	assert_ptr_equal(crashed, &vm);
	assert_non_null(reason);
}

void report_blame(struct vcpu *vcpu)
{
	assert_int_equal(vcpu->hsm_state, SBI_HSM_STOPPED);
}

void schedule_job(struct job *one, int (*step)(struct job *job))
{
	one->step = step;
	if (one == &vm.report_job) {
		assert_null(report_job);
		report_job = one;
		return;
	}
	assert_null(job);
	assert_true(spin_trylock(&vm.lock));
	spin_unlock(&vm.lock);
	job = one;
}

void schedule_start(struct vcpu *vcpu)
{
	assert_int_equal(vcpu->mode, VCPU_PARKED);
	vcpu->mode = VCPU_HOST;
	queued[vcpu->id]++;
}

void vcpu_request(struct vcpu *vcpu, uint32_t requests)
{
	vcpu->requests |= requests;
}

void timer_init(struct timer *timer, void (*expired)(struct timer *timer))
{
	timer->expired = expired;
}

void timer_set(struct timer *timer, uint64_t deadline)
{
	timer->node.key = deadline;
	armed = timer;
}

void timer_cancel(struct timer *timer)
{
	if (armed == timer)
		armed = NULL;
}

void timer_quiesce(void)
{
}

uint64_t time_now(void)
{
	return 1000;
}

uint64_t time_ns_to_ticks(uint64_t ns)
{
	return ns / 100;
}

void hart_fence_i_all(void)
{
}

void gmem_fault_abandon(struct vcpu *vcpu)
{
	(void)vcpu;
}

int identity_scrub_step(struct vm *one)
{
	assert_ptr_equal(one, &vm);
	return 0;
}

int machine_quiesce(struct vm *one)
{
	assert_ptr_equal(one, &vm);
	assert_int_equal(one->active, 0);
	quiesce_calls++;
	return in_flight ? ERR_AGAIN : 0;
}

void machine_reset(struct vm *one)
{
	assert_int_equal(one->active, 0);
}

bool machine_request_shutdown(struct vm *one)
{
	assert_ptr_equal(one, &vm);
	asked++;
	return has_button;
}

void machine_resume(struct vm *one)
{
	assert_ptr_equal(one, &vm);
	assert_false(vm_is_paused(one));
	resume_calls++;
}

void console_drained(struct vm *one)
{
	(void)one;
}

void console_forget(struct vm *one)
{
	(void)one;
}

/* Does the queued job's steps until there is none. */
static void do_jobs(void)
{
	struct job *report = report_job;

	report_job = NULL;
	if (report)
		report->step(report);
	while (job) {
		struct job *now = job;

		job = NULL;
		if (now->step(now) == ERR_AGAIN)
			job = now;
	}
}

/* A vCPU's hart looks at its requests. */
static void look(unsigned id)
{
	struct vcpu *vcpu = &vcpus[id];

	if (vcpu->mode == VCPU_PARKED)
		return;
	if (vcpu->requests & (VCPU_LEAVE | VCPU_PARK)) {
		vcpu->requests = 0;
		vcpu->mode = VCPU_PARKED;
		vm_vcpu_parked(vcpu);
	} else if (vcpu->requests & VCPU_PAUSE) {
		vcpu->mode = VCPU_PARKED;
		vm_vcpu_paused(vcpu);
	}
}

static void look_all(void)
{
	for (unsigned i = 0; i < VCPUS; i++)
		look(i);
}

/* As SBI's hart_start does. */
static void start_vcpu(unsigned id)
{
	vcpus[id].hsm_state = SBI_HSM_STARTED;
	vcpus[id].requests = vm.state == VM_PAUSING ? VCPU_PAUSE : 0;
	vm.active++;
	schedule_start(&vcpus[id]);
}

static int set_up(void **state)
{
	(void)state;
	fake_reset();
	memset(&vm, 0, sizeof(vm));
	snprintf(vm.config.name, sizeof(vm.config.name), "web");
	job = NULL;
	armed = NULL;
	alive = forgotten = crashes = loads = asked = 0;
	has_button = in_flight = false;
	quiesce_calls = resume_calls = 0;
	load_result = 0;
	assert_int_equal(vm_start(&vm), 0);
	return 0;
}

static void run_all(void)
{
	do_jobs();
	assert_int_equal(vm.state, VM_RUNNING);
	start_vcpu(1);
}

static void expect_ended(enum vm_state state)
{
	look_all();
	do_jobs();
	assert_int_equal(vm.state, state);
	assert_int_equal(alive, 0);
	assert_int_equal(crashes, state == VM_CRASHED);
	assert_null(armed);
}

#endif
