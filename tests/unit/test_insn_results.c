/* SPDX-License-Identifier: MIT */
/* unit: riscv/insn.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "riscv/insn.h"

/* What loads put into a register, and AMOs into memory. */

static uint64_t extend(uint8_t size, bool is_signed, uint64_t value)
{
	struct insn insn = {.size = size, .is_signed = is_signed};

	return insn_extend(&insn, value);
}

static void test_extend(void **state)
{
	const uint64_t v = UINT64_C(0x8182838485868788);

	(void)state;
	assert_int_equal(extend(1, true, v), UINT64_C(0xffffffffffffff88));
	assert_int_equal(extend(1, false, v), 0x88);
	assert_int_equal(extend(1, true, 0x7f), 0x7f);
	assert_int_equal(extend(2, true, v), UINT64_C(0xffffffffffff8788));
	assert_int_equal(extend(2, false, v), 0x8788);
	assert_int_equal(extend(4, true, v), UINT64_C(0xffffffff85868788));
	assert_int_equal(extend(4, false, v), 0x85868788);
	assert_int_equal(extend(8, true, v), v);
	assert_int_equal(extend(8, false, v), v);
}

static uint64_t amo(uint8_t operation, uint8_t size, uint64_t memory, uint64_t operand)
{
	struct insn insn = {
	    .kind = INSN_AMO, .size = size, .is_signed = true, .operation = operation};
	uint64_t result = insn_amo_result(&insn, memory, operand);

	return size == 8 ? result : result & (BIT(8 * size) - 1);
}

static void test_amo_results(void **state)
{
	const uint64_t small = 5, minus = UINT64_C(0xfffffffffffffffe);

	(void)state;
	/* A word's upper half is nothing to the operation, on either side. */
	assert_int_equal(amo(AMO_ADD, 4, 0xffffffff, 2), 1);
	assert_int_equal(amo(AMO_ADD, 8, 0xffffffff, 2), UINT64_C(0x100000001));
	assert_int_equal(amo(AMO_SWAP, 4, 1, UINT64_C(0x1122334455667788)), 0x55667788);
	assert_int_equal(amo(AMO_CAS, 8, 1, 77), 77);
	assert_int_equal(amo(AMO_XOR, 4, 0xf0f0, 0xff00), 0x0ff0);
	assert_int_equal(amo(AMO_OR, 8, 0xf0f0, 0x0f00), 0xfff0);
	assert_int_equal(amo(AMO_AND, 4, 0xf0f0, 0xff00), 0xf000);
	assert_int_equal(amo(AMO_MIN, 4, 0x80000000, 1), 0x80000000);
	assert_int_equal(amo(AMO_MIN, 8, 0x80000000, 1), 1);
	assert_int_equal(amo(AMO_MAX, 4, 0x80000000, 1), 1);
	assert_int_equal(amo(AMO_MAX, 8, 0x80000000, 1), 0x80000000);
	assert_int_equal(amo(AMO_MINU, 4, 0x80000000, 1), 1);
	assert_int_equal(amo(AMO_MAXU, 4, 0x80000000, 1), 0x80000000);
	assert_int_equal(amo(AMO_MAXU, 4, 1, UINT64_C(0xffffffff00000000)), 1);
	assert_int_equal(amo(AMO_MIN, 8, minus, small), minus);
	assert_int_equal(amo(AMO_MAX, 8, minus, small), small);
	assert_int_equal(amo(AMO_MINU, 8, minus, small), small);
	assert_int_equal(amo(AMO_MAXU, 8, minus, small), minus);
	assert_int_equal(amo(AMO_MIN, 1, 0x80, 0x7f), 0x80);
	assert_int_equal(amo(AMO_MAXU, 2, 0x8000, 0x7fff), 0x8000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_extend),
	    cmocka_unit_test(test_amo_results),
	};

	return cmocka_run_group_tests_name("insn_results", tests, NULL, NULL);
}
