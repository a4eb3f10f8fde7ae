/* SPDX-License-Identifier: MIT */
/* unit: vmm/vm_build.c kernel/arena.c kernel/page.c kernel/isa.c kernel/fdt.c */
/* libs: -lfdt -Wl,--wrap=arena_alloc,--wrap=arena_alloc_pages */

/* VMs that cannot be built, at each of the steps: what is said then, and that nothing is left. */

#include "tests/unit/vm_build_fixture.h"

#include "tests/unit/failing_allocations.h"

MAY_FAIL(arena_alloc, (struct arena * arena, size_t size), arena, size)
MAY_FAIL(arena_alloc_pages, (struct arena * arena, unsigned order, enum arena_use use), arena,
	 order, use)

static void expect_refused_in_silence(void)
{
	assert_false(build());
	expect_silence();
	expect_nothing_left();
}

/* What is wrong was reported by who found it; what had been built goes. */
static void test_errors(void **state)
{
	(void)state;
	identity_error = ERR_INVAL;
	expect_refused_in_silence();
	identity_error = 0;
	guest_error = ERR_RANGE;
	expect_refused("/configurations/web: pilae,ram-base: engine hext on these harts does not "
		       "reach RAM up to 0x83ffffff; put it lower");
	guest_error = 0;
	vm.config.vcpus = 5;
	for (uint32_t i = 0; i < 5; i++) {
		abandoned = 0;
		place_error = ERR_TOO_LARGE;
		place_error_at = i;
		expect_refused_in_silence();
		/* Those after it were not begun. */
		assert_int_equal(abandoned, i + 1);
		place_error_at = NO_VCPU;
		vcpu_error = ERR_NOMEM;
		vcpu_error_at = i;
		expect_refused("/configurations/web: no memory left to build it");
		vcpu_error_at = NO_VCPU;
	}
	machine_error = ERR_INVAL;
	expect_refused_in_silence();
	machine_error = 0;
	assert_true(build());
	end();
}

/* Each allocation fails in turn, alone and with all after it: nothing is left, and it is said. */
static void test_allocations_fail(void **state)
{
	(void)state;
	vm.config.vcpus = 3;
	for (unsigned alone = 0; alone < 2; alone++) {
		unsigned n = 1;

		for (;; n++) {
			fail_from(n, alone);
			if (build())
				break;
			assert_true(fail.done >= n);
			expect_message("/configurations/web: no memory left to build it");
			expect_nothing_left();
		}
		/* The list, tables, three for each vCPU, two for devices. */
		assert_int_equal(n - 1, 2 + 3 * 3 + 2);
		end();
	}
}

/* One life after another, with anything wrong: all that a life had is there for the next. */
static void test_lives(void **state)
{
	unsigned built = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t hext_harts = 0;

		vm.config.vcpus = fake_random_below(VCPUS_MAX) + 1;
		vm.config.engine = fake_random_below(3);
		allowed_ids = fake_random();
		soft_harts = fake_random();
		for (unsigned k = 0; k < FAKE_HARTS; k++) {
			harts[k].has_h = fake_random_below(2);
			hext_harts |= harts[k].has_h && allowed_ids >> harts[k].id & 1 ? BIT(k) : 0;
		}
		machine_error = fake_random_below(4) ? 0 : ERR_EXIST;
		place_error = ERR_TOO_LARGE;
		place_error_at = fake_random_below(4 * VCPUS_MAX);
		fail_from(fake_random_below(2) ? 0 : fake_random_below(3 * VCPUS_MAX) + 1, i % 2);
		if (!build()) {
			expect_nothing_left();
			continue;
		}
		built++;
		assert_true(vm.harts);
		if (vm.guest.engine == &hext_engine)
			assert_int_equal(vm.harts, hext_harts);
		else
			assert_true(!hext_harts || vm.config.engine == VMCONFIG_ENGINE_SOFT);
		assert_int_equal(placed, vm.config.vcpus);
		end();
	}
	assert_in_range(built, 100, 900);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_errors),
	    TEST(test_allocations_fail),
	    TEST(test_lives),
	};

	return cmocka_run_group_tests_name("vm_build_fails", tests, NULL, NULL);
}
