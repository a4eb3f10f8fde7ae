/* SPDX-License-Identifier: MIT */
/* unit: device/plic.c */
#include "tests/unit/plic_fixture.h"

/* One source, enabled in hart 0's S context at priority 1. */
static void start_with(unsigned source)
{
	start(1);
	wr(4 * source, 1);
	wr(REG_ENABLE(S(0), source / 32), 1U << (source % 32));
	wr(REG_THRESHOLD(S(0)), 0);
}

static void test_place(void **state)
{
	(void)state;
	start(1);
	assert_int_equal(plic.device.base, 0x0c000000);
	assert_int_equal(plic.device.size, 0x600000);
}

static void test_init_limits(void **state)
{
	(void)state;
	assert_int_equal(plic_init(&plic, NULL, 0, vcpu_list), ERR_RANGE);
	assert_int_equal(plic_init(&plic, NULL, 513, vcpu_list), ERR_RANGE);
	start(512);
	teardown(NULL);
	for (unsigned allowed = 0; allowed < 3; allowed++) {
		allocations_allowed = allowed;
		assert_int_equal(plic_init(&plic, NULL, 4, vcpu_list), ERR_NOMEM);
		teardown(NULL);
	}
}

static void test_widths(void **state)
{
	static const unsigned refused[] = {1, 2, 8};
	uint64_t value;

	(void)state;
	start_with(10);
	set(10, true);
	for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
		assert_int_equal(
		    plic.device.ops->read(&plic.device, REG_CLAIM(S(0)), refused[i], &value),
		    ERR_FAULT);
		assert_int_equal(plic.device.ops->write(&plic.device, 40, refused[i], 7),
				 ERR_FAULT);
	}
	assert_int_equal(rd(40), 1);
	assert_int_equal(rd(REG_CLAIM(S(0))), 10);
}

static void test_priority_registers(void **state)
{
	(void)state;
	start(1);
	for (unsigned i = 0; i < 0x1000 / 4; i++) {
		wr(4 * i, 0xffffffff);
		assert_int_equal(rd(4 * i), i >= 1 && i <= 95 ? 7 : 0);
	}
	wr(40, 9);
	assert_int_equal(rd(40), 1);
	assert_int_equal(rd(36), 7);
}

static void test_pending_registers(void **state)
{
	(void)state;
	start(1);
	for (unsigned i = 0; i <= 96; i++)
		set(i, true);
	wr(REG_PENDING(0), 0);
	assert_int_equal(rd(REG_PENDING(0)), 0xfffffffe);
	assert_int_equal(rd(REG_PENDING(1)), 0xffffffff);
	assert_int_equal(rd(REG_PENDING(2)), 0xffffffff);
	for (unsigned i = 3; i < 0x1000 / 4; i++)
		assert_int_equal(rd(REG_PENDING(i)), 0);
}

static void test_enable_registers(void **state)
{
	(void)state;
	start(2);
	for (unsigned ctx = 0; ctx < 16; ctx++) {
		for (unsigned word = 0; word < 32; word++) {
			wr(REG_ENABLE(ctx, word), 0xa5a50000 + 32 * ctx + word);
			assert_int_equal(rd(REG_ENABLE(ctx, word)),
					 ctx < 4 && word < 3 ? 0xa5a50000 + 32 * ctx + word : 0);
		}
	}
}

static void test_context_registers(void **state)
{
	(void)state;
	start(2);
	for (unsigned ctx = 0; ctx < 1024; ctx++) {
		assert_int_equal(rd(REG_THRESHOLD(ctx)), ctx < 4 ? 7 : 0);
		wr(REG_THRESHOLD(ctx), 0xfffffffd);
		assert_int_equal(rd(REG_THRESHOLD(ctx)), ctx < 4 ? 5 : 0);
		assert_int_equal(rd(REG_CLAIM(ctx)), 0);
		wr(REG_CLAIM(ctx), 1);
		wr(REG_CLAIM(ctx) + 4, 3);
		assert_int_equal(rd(REG_CLAIM(ctx) + 4), 0);
		assert_int_equal(rd(REG_THRESHOLD(ctx) + 0xffc), 0);
	}
	assert_int_equal(rd(0x5ffffc), 0);
	wr(0x5ffffc, ~0U);
	wr(0x1ffffc, ~0U);
	assert_int_equal(rd(0x1ffffc), 0);
}

static void test_claim_and_complete(void **state)
{
	(void)state;
	start_with(10);
	assert_false(notified[0]);
	set(10, true);
	assert_true(notified[0]);
	assert_int_equal(rd(REG_CLAIM(S(0))), 10);
	assert_false(notified[0]);
	assert_int_equal(rd(REG_PENDING(0)), 0);
	assert_int_equal(rd(REG_CLAIM(S(0))), 0);
	set(10, false);
	wr(REG_CLAIM(S(0)), 10);
	assert_false(notified[0]);
	set(10, true);
	assert_true(notified[0]);
}

static void test_level_still_high(void **state)
{
	(void)state;
	start_with(70);
	set(70, true);
	assert_int_equal(rd(REG_CLAIM(S(0))), 70);
	wr(REG_CLAIM(S(0)), 70);
	assert_true(notified[0]);
	assert_int_equal(rd(REG_PENDING(2)), 1 << 6);
	assert_int_equal(rd(REG_CLAIM(S(0))), 70);
	/* Setting the line anew makes no request before the completion. */
	set(70, false);
	set(70, true);
	assert_int_equal(rd(REG_PENDING(2)), 0);
	set(70, false);
	wr(REG_CLAIM(S(0)), 70);
	assert_int_equal(rd(REG_PENDING(2)), 0);
}

static void test_request_is_not_retracted(void **state)
{
	(void)state;
	start_with(10);
	set(10, true);
	set(10, false);
	assert_true(notified[0]);
	assert_int_equal(rd(REG_CLAIM(S(0))), 10);
	wr(REG_CLAIM(S(0)), 10);
	assert_false(notified[0]);
	assert_int_equal(rd(REG_CLAIM(S(0))), 0);
}

static void test_completion_ids(void **state)
{
	static const uint32_t strange[] = {0, 1, 11, 96, 128 + 10, 0x10a, 0x1000a, 0xffffffff};

	(void)state;
	start_with(10);
	set(10, true);
	assert_int_equal(rd(REG_CLAIM(S(0))), 10);
	for (unsigned i = 0; i < ARRAY_SIZE(strange); i++) {
		wr(REG_CLAIM(S(0)), strange[i]);
		assert_false(notified[0]);
	}
	/* As on virt, another context or one that has it disabled completes it as well. */
	wr(REG_ENABLE(S(0), 0), 0);
	wr(REG_CLAIM(M(0)), 10);
	assert_int_equal(rd(REG_PENDING(0)), 1 << 10);
	assert_false(notified[0]);
	wr(REG_ENABLE(S(0), 0), 1 << 10);
	assert_true(notified[0]);
}

static void test_priority_order(void **state)
{
	static const unsigned order[] = {95, 3, 64, 63, 5, 90};
	static const unsigned priority[] = {7, 6, 6, 5, 1, 1};

	(void)state;
	start(1);
	for (unsigned word = 0; word < 3; word++)
		wr(REG_ENABLE(S(0), word), ~0U);
	for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
		wr(4 * order[i], priority[i]);
		set(order[i], true);
	}
	set(20, true); /* priority 0: never */
	wr(REG_THRESHOLD(S(0)), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
		assert_true(notified[0]);
		assert_int_equal(rd(REG_CLAIM(S(0))), order[i]);
	}
	assert_false(notified[0]);
	assert_int_equal(rd(REG_CLAIM(S(0))), 0);
}

static void test_threshold(void **state)
{
	(void)state;
	start_with(10);
	wr(40, 3);
	set(10, true);
	for (unsigned threshold = 0; threshold < 8; threshold++) {
		wr(REG_THRESHOLD(S(0)), threshold);
		assert_int_equal(notified[0], threshold < 3);
	}
	wr(REG_THRESHOLD(S(0)), 3);
	assert_int_equal(rd(REG_CLAIM(S(0))), 0);
	wr(40, 4);
	assert_true(notified[0]);
	wr(40, 0);
	assert_false(notified[0]);
	wr(40, 4);
	assert_int_equal(rd(REG_CLAIM(S(0))), 10);
}

static void test_several_harts(void **state)
{
	(void)state;
	start(130);
	wr(40, 1);
	for (unsigned hart = 0; hart < 130; hart++) {
		wr(REG_THRESHOLD(S(hart)), hart % 3 ? 0 : 7);
		wr(REG_ENABLE(S(hart), 0), hart % 2 ? 1 << 10 : 1 << 11);
	}
	set(10, true);
	for (unsigned hart = 0; hart < 130; hart++)
		assert_int_equal(notified[hart], hart % 3 && hart % 2);
	/* Whoever claims it takes it from all. */
	assert_int_equal(rd(REG_CLAIM(S(127))), 10);
	for (unsigned hart = 0; hart < 130; hart++)
		assert_false(notified[hart]);
	assert_int_equal(rd(REG_CLAIM(S(65))), 0);
	wr(REG_CLAIM(S(65)), 10);
	assert_true(notified[65] && notified[127] && notified[1]);
}

static void test_m_context_is_inert(void **state)
{
	(void)state;
	start(2);
	wr(40, 1);
	wr(REG_ENABLE(M(1), 0), 1 << 10);
	wr(REG_THRESHOLD(M(1)), 0);
	set(10, true);
	assert_int_equal(notifications, 0);
	assert_int_equal(rd(REG_CLAIM(M(1))), 10);
	wr(REG_CLAIM(M(1)), 10);
	assert_int_equal(rd(REG_PENDING(0)), 1 << 10);
	assert_int_equal(notifications, 0);
}

static void test_lines(void **state)
{
	(void)state;
	start(1);
	assert_null(plic_line(&plic, 0).set);
	assert_null(plic_line(&plic, 96).set);
	assert_null(plic_line(&plic, ~0U).set);
	assert_non_null(plic_line(&plic, 1).set);
	assert_non_null(plic_line(&plic, 95).set);
}

static void test_forwarding(void **state)
{
	(void)state;
	start_with(33);
	completions = 0;
	assert_int_equal(plic_forward(&plic, 0, host_completed, NULL), ERR_RANGE);
	assert_int_equal(plic_forward(&plic, 96, host_completed, NULL), ERR_RANGE);
	assert_int_equal(plic_forward(&plic, 33, host_completed, &completions), 0);
	set(33, true);
	wr(REG_CLAIM(S(0)), 33); /* not claimed: no completion */
	assert_int_equal(completions, 0);
	assert_int_equal(rd(REG_CLAIM(S(0))), 33);
	wr(REG_CLAIM(S(0)), 33);
	assert_int_equal(completions, 1);
	assert_int_equal(completed_source, 33);
	assert_true(notified[0]);
	assert_int_equal(rd(REG_CLAIM(S(0))), 33);
	wr(REG_CLAIM(S(0)), 33);
	assert_int_equal(completions, 2);
	assert_false(notified[0]);
}

static void test_reset(void **state)
{
	(void)state;
	start_with(10);
	plic_forward(&plic, 12, host_completed, NULL);
	set(10, true);
	set(11, true);
	set(12, true);
	set(13, true);
	set(13, false);
	assert_true(notified[0]);
	plic_reset(&plic);
	assert_false(notified[0]);
	assert_int_equal(rd(40), 0);
	assert_int_equal(rd(REG_ENABLE(S(0), 0)), 0);
	assert_int_equal(rd(REG_THRESHOLD(S(0))), 7);
	assert_int_equal(rd(REG_PENDING(0)), 3 << 10);
	/* What was in service is so no more. */
	wr(40, 1);
	wr(REG_ENABLE(S(0), 0), 1 << 10);
	wr(REG_THRESHOLD(S(0)), 0);
	assert_int_equal(rd(REG_CLAIM(S(0))), 10);
	plic_reset(&plic);
	assert_int_equal(rd(REG_PENDING(0)), 3 << 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(test_place, teardown),
	    cmocka_unit_test_teardown(test_init_limits, teardown),
	    cmocka_unit_test_teardown(test_widths, teardown),
	    cmocka_unit_test_teardown(test_priority_registers, teardown),
	    cmocka_unit_test_teardown(test_pending_registers, teardown),
	    cmocka_unit_test_teardown(test_enable_registers, teardown),
	    cmocka_unit_test_teardown(test_context_registers, teardown),
	    cmocka_unit_test_teardown(test_claim_and_complete, teardown),
	    cmocka_unit_test_teardown(test_level_still_high, teardown),
	    cmocka_unit_test_teardown(test_request_is_not_retracted, teardown),
	    cmocka_unit_test_teardown(test_completion_ids, teardown),
	    cmocka_unit_test_teardown(test_priority_order, teardown),
	    cmocka_unit_test_teardown(test_threshold, teardown),
	    cmocka_unit_test_teardown(test_several_harts, teardown),
	    cmocka_unit_test_teardown(test_m_context_is_inert, teardown),
	    cmocka_unit_test_teardown(test_lines, teardown),
	    cmocka_unit_test_teardown(test_forwarding, teardown),
	    cmocka_unit_test_teardown(test_reset, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
