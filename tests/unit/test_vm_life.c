/* SPDX-License-Identifier: MIT */
/* unit: vmm/vm_life.c */

/* VMs that end: by themselves, by the user, by a crash; at once, or once a device is done. */

#include "tests/unit/vm_life_fixture.h"

static void test_stop_without_a_way(void **state)
{
	(void)state;
	run_all();
	assert_int_equal(vm_stop(&vm, 5), ERR_NOSYS);
	assert_int_equal(asked, 1);
	expect_ended(VM_OFF);
	assert_int_equal(vm_stop(&vm, 5), ERR_EXIST);
}

static void test_stop_is_answered(void **state)
{
	(void)state;
	has_button = true;
	run_all();
	assert_int_equal(vm_stop(&vm, 5), 0);
	assert_int_equal(vm.state, VM_RUNNING);
	assert_ptr_equal(armed, &vm.stop_timer);
	assert_int_equal(armed->node.key, 1000 + 50000000);
	vm_end(&vm, VM_END_POWEROFF);
	expect_ended(VM_OFF);
}

static void test_stop_is_not_answered(void **state)
{
	struct timer *timer;

	(void)state;
	has_button = true;
	run_all();
	assert_int_equal(vm_stop(&vm, 5), 0);
	timer = armed;
	armed = NULL;
	timer->expired(timer);
	assert_non_null(strstr(messages, "web: has not shut down within 5 s"));
	assert_int_equal(vm.state, VM_STOPPING);
	expect_ended(VM_OFF);
}

/* A restart answers it: the VM is not ended later on. */
static void test_stop_and_restart(void **state)
{
	(void)state;
	has_button = true;
	run_all();
	assert_int_equal(vm_stop(&vm, 5), 0);
	vm_end(&vm, VM_END_REBOOT);
	look_all();
	do_jobs();
	assert_int_equal(vm.state, VM_RUNNING);
	assert_null(armed);
	assert_int_equal(loads, 2);
	/* One that is paused cannot answer. */
	assert_int_equal(vm_pause(&vm), 0);
	look_all();
	assert_int_equal(vm_stop(&vm, 5), ERR_NOSYS);
	assert_int_equal(asked, 1);
	expect_ended(VM_OFF);
}

static void test_end_while_loading(void **state)
{
	(void)state;
	vm_end(&vm, VM_END_REBOOT);
	assert_int_equal(vm.state, VM_STOPPING);
	do_jobs();
	assert_int_equal(vm.state, VM_RUNNING);
	assert_int_equal(loads, 2);
	vm_end(&vm, VM_END_REBOOT);
	/* It is kept from restarting. */
	vm_kill(&vm);
	expect_ended(VM_OFF);
	assert_int_equal(loads, 2);
	assert_int_equal(vm_start(&vm), 0);
	load_result = ERR_CORRUPT;
	expect_ended(VM_CRASHED);
}

static void test_kill_while_loading(void **state)
{
	(void)state;
	load_result = ERR_CORRUPT;
	vm_kill(&vm);
	/* What is wrong with its images does not matter any more. */
	expect_ended(VM_OFF);
}

static void test_crash_and_restart(void **state)
{
	(void)state;
	vm.config.on_crash = VMCONFIG_ON_CRASH_RESTART;
	run_all();
	vm_crash(&vm, "once");
	look_all();
	do_jobs();
	assert_int_equal(vm.state, VM_RUNNING);
	vm_crash(&vm, "twice");
	vm_kill(&vm);
	expect_ended(VM_CRASHED);
}

/* What a device of the host still does for a VM is waited for, without a job that asks for it. */
static void test_quiesce(void **state)
{
	(void)state;
	run_all();
	vm_quiesced(&vm);
	assert_null(job);
	in_flight = true;
	vm_kill(&vm);
	look_all();
	do_jobs();
	assert_int_equal(vm.state, VM_STOPPING);
	assert_int_equal(alive, 1);
	assert_int_equal(quiesce_calls, 1);
	/* One device is done, another is not; and the last two are at once. */
	vm_quiesced(&vm);
	do_jobs();
	assert_int_equal(vm.state, VM_STOPPING);
	assert_int_equal(quiesce_calls, 2);
	in_flight = false;
	vm_quiesced(&vm);
	vm_quiesced(&vm);
	expect_ended(VM_OFF);
	assert_int_equal(quiesce_calls, 3);
	vm_quiesced(&vm);
	assert_null(job);
}

/* It is to restart, waits for a device, and is killed meanwhile. */
static void test_kill_while_quiescing(void **state)
{
	(void)state;
	run_all();
	in_flight = true;
	vm_end(&vm, VM_END_REBOOT);
	look_all();
	do_jobs();
	vm_kill(&vm);
	assert_null(job);
	in_flight = false;
	vm_quiesced(&vm);
	expect_ended(VM_OFF);
	assert_int_equal(loads, 1);
}

static void test_destroy(void **state)
{
	(void)state;
	run_all();
	vm_destroy(&vm);
	assert_int_equal(forgotten, 0);
	expect_ended(VM_OFF);
	assert_int_equal(forgotten, 1);
	/* And one that does not run: at once. */
	vm_destroy(&vm);
	assert_int_equal(forgotten, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_stop_without_a_way, set_up),
	    cmocka_unit_test_setup(test_stop_is_answered, set_up),
	    cmocka_unit_test_setup(test_stop_is_not_answered, set_up),
	    cmocka_unit_test_setup(test_stop_and_restart, set_up),
	    cmocka_unit_test_setup(test_end_while_loading, set_up),
	    cmocka_unit_test_setup(test_kill_while_loading, set_up),
	    cmocka_unit_test_setup(test_crash_and_restart, set_up),
	    cmocka_unit_test_setup(test_quiesce, set_up),
	    cmocka_unit_test_setup(test_kill_while_quiescing, set_up),
	    cmocka_unit_test_setup(test_destroy, set_up),
	};

	return cmocka_run_group_tests_name("vm_life", tests, NULL, NULL);
}
