/* SPDX-License-Identifier: MIT */
/* unit: vmm/vm_build.c kernel/arena.c kernel/page.c kernel/isa.c kernel/fdt.c */
/* libs: -lfdt */

/* VMs that can be built: their engine, harts, vCPUs, and what they may take. */

#include "tests/unit/vm_build_fixture.h"

static void test_engine(void **state)
{
	(void)state;
	assert_true(build());
	assert_ptr_equal(vm.guest.engine, &hext_engine);
	assert_int_equal(vm.harts, 0xf);
	end();
	/* Some can: these are the VM's. */
	harts[0].has_h = harts[3].has_h = false;
	assert_true(build());
	assert_ptr_equal(vm.guest.engine, &hext_engine);
	assert_int_equal(vm.harts, 6);
	end();
	/* It may not use these: then it is the other engine. */
	allowed_ids = BIT(3) | BIT(9);
	assert_true(build());
	assert_ptr_equal(vm.guest.engine, &soft_engine);
	assert_int_equal(vm.harts, 9);
	end();
	assert_false(vm_build(&vm, VMCONFIG_ENGINE_HEXT, 0));
	expect_message("/configurations/web: engine hext needs harts with the H extension");
	expect_nothing_left();
	vm.config.engine = VMCONFIG_ENGINE_HEXT;
	expect_refused("/configurations/web: engine hext needs harts with the H extension");
	/* What its description says goes before what others leave open. */
	vm.config.engine = VMCONFIG_ENGINE_SOFT;
	assert_true(vm_build(&vm, VMCONFIG_ENGINE_HEXT, 0));
	assert_ptr_equal(vm.guest.engine, &soft_engine);
	end();
	soft_harts = 6;
	expect_refused("/configurations/web: pilae,cpus: none of these harts can run it");
	vm.config.engine = VMCONFIG_ENGINE_AUTO;
	expect_refused("/configurations/web: pilae,cpus: none of these harts can run it");
	allowed_ids = 0;
	expect_refused("/configurations/web: pilae,cpus: none of these harts can run it");
}

/* It is told of what all harts can do that may run it: not of others'. */
static void test_isa(void **state)
{
	(void)state;
	isas[0].letters = 0x1111;
	harts[0].has_h = false;
	isas[1].letters = ~0U & ~0x10U;
	isas[2].letters = ~0U & ~0x20U;
	isas[3].letters = ~0U & ~0x40U;
	isas[3].virtual_address_bits = 39;
	allowed_ids = ~BIT(9);
	for (unsigned i = 0; i < FAKE_HARTS; i++)
		isa_add(&isas[i], i == 2 ? ISA_zba : ISA_zbb);
	isa_add(&isas[2], ISA_zbb);
	assert_true(build());
	assert_int_equal(vm.harts, 6);
	assert_int_equal(vm.guest.isa.letters, ~(1U << 7) & ~0x30U);
	assert_true(isa_has(&vm.guest.isa, ISA_zbb));
	assert_false(isa_has(&vm.guest.isa, ISA_zba));
	assert_int_equal(vm.guest.isa.virtual_address_bits, 48);
	end();
	allowed_ids = ~UINT64_C(0);
	vm.config.engine = VMCONFIG_ENGINE_SOFT;
	assert_true(build());
	assert_int_equal(vm.guest.isa.letters, 0x1101);
	assert_int_equal(vm.guest.isa.virtual_address_bits, 39);
	/* The harts' own stays. */
	assert_int_equal(isas[0].letters, 0x1111);
	end();
}

static void test_built(void **state)
{
	char kept[80];

	(void)state;
	vm.config.vcpus = VCPUS_MAX;
	vm.config.fast_csr = true;
	vm.guest.vmid = 99;
	vm.found[3] = 5;
	assert_true(build());
	assert_int_equal(vm.guest.vmid, 0);
	assert_int_equal(vm.found[3], 0);
	assert_ptr_equal(vm.guest.sbi_extensions, sbi_extension_ids);
	assert_true(vm.guest.fast_csr);
	assert_int_equal(vm.ram_base, 0x80000000);
	assert_int_equal(vm.ram_size, MIB(64));
	assert_int_equal(vm.guest.ram_base, 0x80000000);
	assert_int_equal(vm.guest.ram_size, MIB(64));
	assert_int_equal(vm.group.weight, 100);
	assert_int_equal(placed, VCPUS_MAX);
	assert_int_equal(machines, 1);
	for (unsigned i = 0; i < VCPUS_MAX; i++) {
		const struct vcpu *vcpu = vm.vcpus[i];

		assert_int_equal(vcpu->id, i);
		assert_int_equal(vcpu->trace_id, TRACE_WHO(6, i));
		assert_int_equal(vcpu->self_mask, i < 64 ? BIT(i) : 0);
		assert_int_equal(vcpu->mode, VCPU_PARKED);
		assert_int_equal(vcpu->hsm_state, SBI_HSM_STOPPED);
		assert_ptr_equal(vcpu->guest, &vm.guest);
		assert_ptr_equal(vcpu->sbi_extensions, sbi_extension_ids);
	}
	snprintf(kept, sizeof(kept), "web: hext, 70 vCPUs, 64 MiB, %lu KiB kept",
		 (align_up(sizeof(vm), PAGE_SIZE) + KEPT_BYTES +
		  vm.arena.pages[ARENA_OBJECTS] * PAGE_SIZE) >>
		     10);
	expect_message(kept);
	/* For each vCPU, interrupts that are pending are taken before and after. */
	assert_in_range(preemptions, 2 * VCPUS_MAX, 3 * VCPUS_MAX);
	end();
	vm.config.vcpus = 1;
	assert_true(build());
	expect_message("web: hext, 1 vCPU, 64 MiB");
	end();
}

/* Its guest is told when the time has come, or shown by the hardware once it runs. */
static void test_timer(void **state)
{
	(void)state;
	assert_true(build());
	vm.vcpus[1]->timer.expired(&vm.vcpus[1]->timer);
	assert_int_equal(raises, 1);
	assert_int_equal(kicks, 0);
	vm.vcpus[0]->has_sstc = true;
	vm.vcpus[0]->timer.expired(&vm.vcpus[0]->timer);
	assert_int_equal(raises, 1);
	assert_int_equal(kicks, 1);
	end();
}

static void expect_address_bits(uint64_t base, uint64_t size, unsigned bits)
{
	vm.config.ram_base = base;
	vm.config.memory = size;
	assert_true(build());
	assert_int_equal(address_bits, bits);
	end();
}

static void test_address_bits(void **state)
{
	(void)state;
	expect_address_bits(0, MIB(2), 21);
	expect_address_bits(0x80000000, MIB(64), 32);
	expect_address_bits(BIT(32) - MIB(64), MIB(64), 32);
	expect_address_bits(BIT(32) - MIB(64), MIB(66), 33);
	expect_address_bits(BIT(56) - MIB(64), MIB(64), 56);
	/* RAM where something was set apart for it. */
	vm.config.identity_map = true;
	assert_true(build());
	assert_int_equal(vm.guest.ram_base, identity_base);
	assert_int_equal(address_bits, 33);
	end();
}

/* What it may take, and whether that is left. */
static void test_commitment(void **state)
{
	uint64_t rest, sum;

	(void)state;
	vm.guest.engine = &hext_engine;
	vm.config.device_count = 3;
	rest = overhead(MIB(64), 2) + 2 * KIB(4) + KIB(256) + 3 * KIB(64);
	sum = vm_commitment(&vm);
	assert_int_equal(sum, MIB(64) + 2 * MEGAPAGE_SIZE + rest);
	vm.config.identity_map = true;
	assert_int_equal(vm_commitment(&vm), rest);
	vm.config.identity_map = false;
	vm.config.vcpus = 9;
	assert_int_equal(vm_commitment(&vm),
			 sum + (GMEM_BACKING_MAX - 2) * MEGAPAGE_SIZE + 7 * KIB(12));

	vm.config.vcpus = 2;
	assert_true(vm_build(&vm, VMCONFIG_ENGINE_AUTO, SIZE - sum));
	end();
	messages[0] = '\0';
	assert_false(vm_build(&vm, VMCONFIG_ENGINE_AUTO, SIZE - sum + 1));
	expect_message(
	    "/configurations/web: pilae,memory: 64 MiB do not fit: the host has 512 MiB, "
	    "of which 443 MiB are taken");
	expect_nothing_left();
	assert_false(vm_build(&vm, VMCONFIG_ENGINE_AUTO, SIZE));
	assert_false(vm_build(&vm, VMCONFIG_ENGINE_AUTO, UINT64_MAX));
	vm.config.identity_map = true;
	expect_nothing_left();
	messages[0] = '\0';
	assert_true(vm_build(&vm, VMCONFIG_ENGINE_AUTO, SIZE - rest));
	end();
	assert_false(vm_build(&vm, VMCONFIG_ENGINE_AUTO, SIZE - rest + 1));
	expect_message("pilae,memory: tables for 64 MiB do not fit");
	expect_nothing_left();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_engine), TEST(test_isa),          TEST(test_built),
	    TEST(test_timer),  TEST(test_address_bits), TEST(test_commitment),
	};

	return cmocka_run_group_tests_name("vm_build", tests, NULL, NULL);
}
