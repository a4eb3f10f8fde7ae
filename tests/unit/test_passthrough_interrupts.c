/* SPDX-License-Identifier: MIT */
/* unit: device/passthrough.c device/plic.c vmm/bus.c vmm/guest_fdt_host.c vmm/vmconfig.c vmm/vmconfig_device.c vmm/vmconfig_property.c vmm/fit.c vmm/hash.c */
/* libs: -lfdt */

/* Interrupts of devices that a VM has, and what becomes of them when it is reset or ends. */

#include "tests/unit/passthrough_fixture.h"

static void enable(unsigned source)
{
	wr(4 * source, 1);
	wr(REG_ENABLE(S(0), source / 32), 1U << source % 32);
	wr(REG_THRESHOLD(S(0)), 0);
}

static void interrupt(unsigned source)
{
	sources[source].line = true;
	deliver(source);
}

static void build_interrupting(void)
{
	give("virtio-blk0");
	give("virtio-net0");
	assert_int_equal(build(), 0);
	assert_int_equal(resets, 2);
	enable(1);
}

static void test_interrupt(void **state)
{
	(void)state;
	build_interrupting();
	interrupt(1);
	assert_true(notified[0]);
	assert_true(sources[1].claimed);
	assert_int_equal(rd(REG_CLAIM(S(0))), 1);
	assert_false(notified[0]);
	/* The device is served, and the guest completes. */
	sources[1].line = false;
	wr(REG_CLAIM(S(0)), 1);
	assert_false(sources[1].claimed);
	assert_false(notified[0]);
	/* It is not: it interrupts again at once. */
	interrupt(1);
	assert_int_equal(rd(REG_CLAIM(S(0))), 1);
	wr(REG_CLAIM(S(0)), 1);
	assert_true(sources[1].claimed);
	assert_true(notified[0]);
	assert_int_equal(rd(REG_CLAIM(S(0))), 1);
	sources[1].line = false;
	wr(REG_CLAIM(S(0)), 1);
	assert_false(sources[1].claimed);
	/* One that the guest does not want stays claimed, and waits. */
	interrupt(20);
	assert_true(sources[20].claimed);
	assert_false(notified[0]);
	wr(REG_CLAIM(S(0)), 20);
	assert_true(sources[20].claimed);
	passthrough_quiet(&pass);
	passthrough_release(&pass);
}

/* At any moment of an interrupt, the VM is reset or ends: the host's goes on. */
static void reach(unsigned moment)
{
	if (moment > 0)
		interrupt(1);
	if (moment > 1)
		assert_int_equal(rd(REG_CLAIM(S(0))), 1);
	if (moment > 2)
		wr(REG_CLAIM(S(0)), 1);
}

static void test_reset_at_any_moment(void **state)
{
	(void)state;
	build_interrupting();
	for (unsigned moment = 0; moment < 4; moment++) {
		enable(1);
		reach(moment);
		/* Another device asks while they are made quiet. */
		sources[2].line = true;
		passthrough_quiet(&pass);
		plic_reset(&plic);
		for (unsigned i = 0; i < SOURCES; i++)
			assert_false(sources[i].enabled || sources[i].claimed);
		assert_false(notified[0]);
		passthrough_open(&pass);
		enable(1);
		interrupt(1);
		assert_true(notified[0]);
		assert_int_equal(rd(REG_CLAIM(S(0))), 1);
		sources[1].line = false;
		wr(REG_CLAIM(S(0)), 1);
		assert_false(sources[1].claimed);
	}
	assert_int_equal(resets, 2 + 8);
	passthrough_quiet(&pass);
	passthrough_release(&pass);
}

static void test_end_at_any_moment(void **state)
{
	for (unsigned moment = 0; moment < 4; moment++) {
		setup(state);
		build_interrupting();
		reach(moment);
		passthrough_quiet(&pass);
		plic_reset(&plic);
		passthrough_open(&pass);
		passthrough_release(&pass);
		for (unsigned i = 0; i < SOURCES; i++) {
			assert_false(sources[i].enabled || sources[i].claimed);
			assert_null(sources[i].handler);
		}
		assert_null(owners[0]);
		teardown(state);
	}
}

static void test_rtc_takes_its_interrupt(void **state)
{
	(void)state;
	give("/soc/rtc");
	assert_int_equal(build(), 0);
	assert_true(passthrough_takes(&pass, MACHINE_RTC_BASE, MACHINE_RTC_SIZE, 0));
	assert_true(sources[11].enabled);
	assert_int_equal(pass.described[0].node, 3);
	assert_int_equal(pass.described[0].interrupts[0], 11);
	passthrough_release(&pass);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_interrupt),
	    TEST(test_reset_at_any_moment),
	    cmocka_unit_test(test_end_at_any_moment),
	    TEST(test_rtc_takes_its_interrupt),
	};

	return cmocka_run_group_tests_name("passthrough_interrupts", tests, NULL, NULL);
}
