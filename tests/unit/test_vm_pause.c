/* SPDX-License-Identifier: MIT */
/* unit: vmm/vm_life.c */

/* VMs that are paused and go on, and what happens to them meanwhile. */

#include "tests/unit/vm_life_fixture.h"

static void test_pause_while_loading(void **state)
{
	(void)state;
	/* Paused before its first instruction, or not after all. */
	load_result = ERR_AGAIN;
	assert_int_equal(vm_pause(&vm), 0);
	assert_int_equal(vm_pause(&vm), ERR_EXIST);
	assert_int_equal(vm_resume(&vm), 0);
	assert_int_equal(vm_pause(&vm), 0);
	load_result = 0;
	do_jobs();
	assert_int_equal(vm.state, VM_PAUSED);
	assert_int_equal(queued[0], 0);
	assert_int_equal(vm_resume(&vm), 0);
	assert_int_equal(queued[0], 1);
}

static void test_pause_and_resume_at_once(void **state)
{
	(void)state;
	run_all();
	assert_int_equal(vm_pause(&vm), 0);
	look(0);
	assert_int_equal(vm.state, VM_PAUSING);
	/* One has been put aside, one not: it finds that it may go on. */
	assert_int_equal(vm_resume(&vm), 0);
	assert_int_equal(queued[0], 2);
	assert_int_equal(vcpus[1].requests, 0);
	/* And one that had looked at its requests before. */
	vcpus[1].mode = VCPU_PARKED;
	vm_vcpu_paused(&vcpus[1]);
	assert_int_equal(queued[1], 2);
	assert_int_equal(vm.state, VM_RUNNING);
	assert_int_equal(vm.paused, 0);
	assert_int_equal(vm.active, 2);
}

static void test_pause_while_a_hart_starts_and_one_stops(void **state)
{
	(void)state;
	run_all();
	assert_int_equal(vm_pause(&vm), 0);
	start_vcpu(2);
	vcpus[1].requests |= VCPU_PARK;
	look(0);
	look(1);
	assert_int_equal(vm.state, VM_PAUSING);
	look(2);
	assert_int_equal(vm.state, VM_PAUSED);
	assert_int_equal(vm.active, 2);
	assert_int_equal(vm_resume(&vm), 0);
	assert_int_equal(queued[1], 1);
	assert_int_equal(queued[2], 2);
}

static void test_kill_while_pausing(void **state)
{
	(void)state;
	run_all();
	assert_int_equal(vm_pause(&vm), 0);
	look(0);
	vm_kill(&vm);
	assert_int_equal(vm.active, 1);
	/* It had seen PAUSE, and not yet LEAVE. */
	vcpus[1].mode = VCPU_PARKED;
	vm_vcpu_paused(&vcpus[1]);
	assert_non_null(job);
	expect_ended(VM_OFF);
}

static void test_crash_and_pause(void **state)
{
	(void)state;
	vm.config.on_crash = VMCONFIG_ON_CRASH_PAUSE;
	run_all();
	vm_crash(&vm, "no %s", "reason");
	vm_crash(&vm, "again");
	assert_int_equal(vm.state, VM_PAUSING);
	assert_int_equal(resume_calls, 0);
	assert_int_equal(vm_resume(&vm), ERR_DENIED);
	assert_int_equal(resume_calls, 0);
	look_all();
	assert_int_equal(vm.state, VM_PAUSED);
	assert_int_equal(vm_resume(&vm), ERR_DENIED);
	assert_int_equal(alive, 1);
	do_jobs();
	assert_int_equal(reports, 1);
	vm_end(&vm, VM_END_REBOOT);
	do_jobs();
	assert_int_equal(vm.state, VM_RUNNING);
	assert_false(vm.crashed);
	/* Its only hart stops itself: a crash with nothing to put aside. */
	vcpus[0].requests |= VCPU_PARK;
	look(0);
	assert_int_equal(vm.state, VM_PAUSED);
	assert_int_equal(vm.active, 0);
	vm_kill(&vm);
	expect_ended(VM_CRASHED);
}

static void test_last_hart_stops_while_pausing(void **state)
{
	(void)state;
	do_jobs();
	assert_int_equal(vm_pause(&vm), 0);
	vcpus[0].requests |= VCPU_PARK;
	look(0);
	expect_ended(VM_CRASHED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_pause_while_loading, set_up),
	    cmocka_unit_test_setup(test_pause_and_resume_at_once, set_up),
	    cmocka_unit_test_setup(test_pause_while_a_hart_starts_and_one_stops, set_up),
	    cmocka_unit_test_setup(test_kill_while_pausing, set_up),
	    cmocka_unit_test_setup(test_crash_and_pause, set_up),
	    cmocka_unit_test_setup(test_last_hart_stops_while_pausing, set_up),
	};

	return cmocka_run_group_tests_name("vm_pause", tests, NULL, NULL);
}
