/* SPDX-License-Identifier: MIT */
/* unit: engine/vcpu.c */
#include "tests/unit/fake_kernel.h"

#include "engine/vcpu.h"

static struct vcpu vcpu;
static unsigned kicks, wakes, asked_again;
static const struct hart *kicked;

void ipi_send(struct hart *hart, enum ipi reason)
{
	assert_int_equal(reason, IPI_KICK);
	kicked = hart;
	kicks++;
}

/* As if the first IPIs had been lost. */
void ipi_send_again(const struct hart *hart)
{
	assert_ptr_equal(hart, &harts[2]);
	if (++asked_again == 3)
		vcpu.requests &= ~(uint32_t)VCPU_FENCE_VMA;
}

void vcpu_wake(struct vcpu *woken)
{
	assert_ptr_equal(woken, &vcpu);
	/* What there is to see is there before. */
	assert_true(vcpu.irq || vcpu.requests);
	wakes++;
}

static int setup(void **state)
{
	(void)state;
	fake_reset();
	memset(&vcpu, 0, sizeof(vcpu));
	vcpu.hart = &harts[2];
	kicks = wakes = asked_again = 0;
	return 0;
}

static void expect_notice(unsigned expected_kicks, unsigned expected_wakes)
{
	assert_int_equal(kicks, expected_kicks);
	assert_int_equal(wakes, expected_wakes);
	kicks = wakes = 0;
}

static void test_raise_and_lower(void **state)
{
	(void)state;
	vcpu.mode = VCPU_GUEST;
	vcpu_raise(&vcpu, IRQ_S_EXT);
	expect_notice(1, 0);
	assert_ptr_equal(kicked, &harts[2]);
	assert_int_equal(vcpu.irq, 1 << IRQ_S_EXT);
	/* It knows already. */
	vcpu_raise(&vcpu, IRQ_S_EXT);
	expect_notice(0, 0);
	vcpu_raise(&vcpu, IRQ_S_TIMER);
	expect_notice(1, 0);
	vcpu_lower(&vcpu, IRQ_S_SOFT);
	expect_notice(0, 0);
	assert_int_equal(vcpu.irq, 1 << IRQ_S_EXT | 1 << IRQ_S_TIMER);
	vcpu_lower(&vcpu, IRQ_S_EXT);
	expect_notice(1, 0);
	assert_int_equal(vcpu.irq, 1 << IRQ_S_TIMER);
	vcpu_lower(&vcpu, IRQ_S_EXT);
	expect_notice(0, 0);
}

static void test_kick_by_mode(void **state)
{
	(void)state;
	vcpu.requests = VCPU_FENCE_I;
	vcpu.mode = VCPU_HOST;
	vcpu_kick(&vcpu);
	vcpu.mode = VCPU_PARKED;
	vcpu_kick(&vcpu);
	expect_notice(0, 0);
	vcpu.mode = VCPU_BLOCKED;
	vcpu_kick(&vcpu);
	expect_notice(0, 1);
	vcpu.mode = VCPU_GUEST;
	vcpu_kick(&vcpu);
	expect_notice(1, 0);
	/* On this hart it is in the guest no more. */
	present_hart = &harts[2];
	vcpu_kick(&vcpu);
	expect_notice(0, 0);
}

static void test_request(void **state)
{
	(void)state;
	vcpu.mode = VCPU_BLOCKED;
	vcpu_request(&vcpu, VCPU_FENCE_I);
	vcpu_request(&vcpu, VCPU_LEAVE);
	/* Every request, as the one before may be under way. */
	vcpu_request(&vcpu, VCPU_LEAVE);
	expect_notice(0, 3);
	assert_int_equal(vcpu.requests, VCPU_FENCE_I | VCPU_LEAVE);
}

static void test_wait_request(void **state)
{
	(void)state;
	/* Out of the guest, or done: neither waits. */
	vcpu.requests = VCPU_FENCE_VMA;
	vcpu.mode = VCPU_HOST;
	vcpu_wait_request(&vcpu, VCPU_FENCE_VMA);
	vcpu.mode = VCPU_GUEST;
	vcpu_wait_request(&vcpu, VCPU_FENCE_I);
	expect_notice(0, 0);
	assert_int_equal(asked_again, 0);
	vcpu_wait_request(&vcpu, VCPU_FENCE_VMA);
	assert_int_equal(asked_again, 3);
}

static void test_fences(void **state)
{
	struct fence fences[FENCES_MAX];
	unsigned count = 99;

	(void)state;
	assert_false(vcpu_take_fences(&vcpu, fences, &count));
	assert_int_equal(count, 0);
	for (unsigned i = 0; i < FENCES_MAX; i++)
		vcpu_add_fence(&vcpu, &(struct fence){i * 4096, 4096, i});
	assert_false(vcpu_take_fences(&vcpu, fences, &count));
	assert_int_equal(count, FENCES_MAX);
	for (unsigned i = 0; i < FENCES_MAX; i++) {
		assert_int_equal(fences[i].start, i * 4096);
		assert_int_equal(fences[i].size, 4096);
		assert_int_equal(fences[i].asid, i);
	}
	assert_false(vcpu_take_fences(&vcpu, fences, &count));
	assert_int_equal(count, 0);
}

static void test_fences_overflow(void **state)
{
	struct fence fences[FENCES_MAX];
	unsigned count;

	(void)state;
	for (unsigned more = 1; more <= 100; more += 33) {
		for (unsigned i = 0; i < FENCES_MAX + more; i++)
			vcpu_add_fence(&vcpu, &(struct fence){i * 4096, 4096, i});
		assert_true(vcpu_take_fences(&vcpu, fences, &count));
		assert_in_range(count, 0, FENCES_MAX);
		assert_false(vcpu_take_fences(&vcpu, fences, &count));
		assert_int_equal(count, 0);
	}
	/* What lies behind the array in memory is as it was. */
	assert_int_equal(vcpu.timer.node.key, 0);
	assert_int_equal(vcpu.fence_lock.next, vcpu.fence_lock.owner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_raise_and_lower, setup),
	    cmocka_unit_test_setup(test_kick_by_mode, setup),
	    cmocka_unit_test_setup(test_request, setup),
	    cmocka_unit_test_setup(test_wait_request, setup),
	    cmocka_unit_test_setup(test_fences, setup),
	    cmocka_unit_test_setup(test_fences_overflow, setup),
	};

	return cmocka_run_group_tests_name("vcpu", tests, NULL, NULL);
}
