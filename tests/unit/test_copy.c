/* SPDX-License-Identifier: MIT */
/* unit: vmm/copy.c */
#include "vmm/copy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SIZE 200

static uint8_t from[SIZE + 16], to[SIZE + 16], wanted[SIZE + 16];

static void check_copy(unsigned source, unsigned target, unsigned size)
{
	memset(to, 0xee, sizeof(to));
	memset(wanted, 0xee, sizeof(wanted));
	memcpy(wanted + target, from + source, size);
	copy_bytes(to + target, from + source, size);
	assert_memory_equal(to, wanted, sizeof(to));
}

/* Every alignment of both sides, and every size: nothing else changes. */
static void test_copy(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(from); i++)
		from[i] = (uint8_t)(i * 7 + 1);
	for (unsigned quick = 0; quick < 2; quick++) {
		copy_loads_anywhere = quick;
		for (unsigned place = 0; place < 64; place++) {
			for (unsigned size = 0; size <= SIZE; size++)
				check_copy(place % 8, place / 8, size);
		}
	}
}

static void test_clear(void **state)
{
	(void)state;
	for (unsigned place = 0; place < 8; place++) {
		for (unsigned size = 0; size <= SIZE; size++) {
			memset(to, 0xee, sizeof(to));
			memset(wanted, 0xee, sizeof(wanted));
			memset(wanted + place, 0, size);
			clear_bytes(to + place, size);
			assert_memory_equal(to, wanted, sizeof(to));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_copy),
	    cmocka_unit_test(test_clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
