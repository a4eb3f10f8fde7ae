/* SPDX-License-Identifier: MIT */
/* unit: vmm/vm_build.c kernel/arena.c kernel/page.c kernel/isa.c kernel/fdt.c */
/* libs: -lfdt -Wl,--wrap=arena_alloc,--wrap=arena_alloc_pages */
#include "tests/unit/fake_kernel.h"

#include "kernel/isa.h"
#include "kernel/page.h"
#include "kernel/trace_ring.h"
#include "riscv/csr.h"
#include "riscv/sbi.h"
#include "tests/unit/failing_allocations.h"
#include "tests/unit/machine_memory.h"
#include "vmm/gmem.h"
#include "vmm/hooks.h"
#include "vmm/vm_own.h"

#define COUNT      (SIZE >> PAGE_SHIFT)
#define VCPUS_MAX  70
#define KEPT_BYTES KIB(20)

MAY_FAIL(arena_alloc, (struct arena * arena, size_t size), arena, size)
MAY_FAIL(arena_alloc_pages, (struct arena * arena, unsigned order, enum arena_use use), arena,
	 order, use)

const uint64_t sbi_extension_ids[] = {SBI_EXT_BASE, 0};

static struct page pages[COUNT];
static struct vm vm;
static struct isa isas[FAKE_HARTS];
static uint64_t soft_harts;    /* that can run its guests: bits by index */
static uint64_t allowed_ids;   /* of harts that the VM may use: bits by id */
static unsigned address_bits;  /* that guest_init() was told */
static unsigned placed;        /* vCPUs that have a place */
static unsigned abandoned;     /* of which a fault was abandoned */
static unsigned machines;      /* that are built */
static unsigned kicks, raises; /* of vCPUs */

/* What goes wrong, beside allocations: an error and with which vCPU; NO_VCPU: with none. */
#define NO_VCPU UINT32_MAX
static int identity_error, guest_error, place_error, vcpu_error, machine_error;
static uint32_t place_error_at, vcpu_error_at;
static uint64_t identity_base; /* where identity_find() puts the RAM */

bool vmconfig_allows_cpu(const struct vmconfig *config, uint64_t hart_id)
{
	assert_ptr_equal(config, &vm.config);
	return allowed_ids >> hart_id & 1;
}

static bool hext_can_use(const struct hart *hart)
{
	return hart->has_h;
}

static bool soft_can_use(const struct hart *hart)
{
	return soft_harts >> hart->index & 1;
}

static void hext_limit(struct isa *isa)
{
	isa->letters &= ~(1U << ('h' - 'a'));
}

static void soft_limit(struct isa *isa)
{
	isa->letters &= ~(1U << ('v' - 'a'));
}

static uint64_t overhead(uint64_t ram_size, uint32_t vcpus)
{
	return ram_size / 512 + vcpus * KIB(8);
}

static int guest_init(struct guest *guest, unsigned bits)
{
	assert_ptr_equal(guest, &vm.guest);
	assert_ptr_equal(guest->arena, &vm.arena);
	assert_ptr_equal(guest->vcpus, vm.vcpus);
	assert_int_equal(guest->vcpu_count, vm.config.vcpus);
	assert_int_equal(guest->ram_size, vm.config.memory);
	address_bits = bits;
	if (!arena_alloc_pages(guest->arena, 2, ARENA_TABLES))
		return ERR_NOMEM;
	return guest_error;
}

static int vcpu_init(struct vcpu *vcpu)
{
	/* It is known by then where it is, and what it is. */
	assert_ptr_equal(vm.vcpus[vcpu->id], vcpu);
	assert_ptr_equal(vcpu->guest, &vm.guest);
	assert_non_null(vcpu->hart);
	/* What the engine has in front of it is zeroes, and no other vCPU's. */
	for (size_t i = 0; i < vm.guest.engine->vcpu_front; i++) {
		assert_int_equal(((uint8_t *)vcpu)[-(ptrdiff_t)i - 1], 0);
		((uint8_t *)vcpu)[-(ptrdiff_t)i - 1] = 0xa5;
	}
	for (unsigned other = 0; other < vcpu->id; other++)
		assert_true((char *)vm.vcpus[other] + sizeof(*vcpu) <=
				(char *)vcpu - vm.guest.engine->vcpu_front ||
			    (char *)(vcpu + 1) <=
				(char *)vm.vcpus[other] - vm.guest.engine->vcpu_front);
	vcpu->soft = arena_alloc(vcpu->guest->arena, 100);
	if (!vcpu->soft)
		return ERR_NOMEM;
	return vcpu->id == vcpu_error_at ? vcpu_error : 0;
}

const struct engine hext_engine = {
    .name = "hext",
    .can_use = hext_can_use,
    .limit_isa = hext_limit,
    .overhead = overhead,
    .guest_init = guest_init,
    .vcpu_init = vcpu_init,
};

const struct engine soft_engine = {
    .name = "soft",
    .vcpu_front = 5000,
    .can_use = soft_can_use,
    .limit_isa = soft_limit,
    .overhead = overhead,
    .guest_init = guest_init,
    .vcpu_init = vcpu_init,
};

void timer_init(struct timer *timer, void (*expired)(struct timer *timer))
{
	timer->expired = expired;
}

void vcpu_kick(struct vcpu *vcpu)
{
	assert_true(vcpu->has_sstc);
	kicks++;
}

void vcpu_raise(struct vcpu *vcpu, unsigned irq)
{
	assert_false(vcpu->has_sstc);
	assert_int_equal(irq, IRQ_S_TIMER);
	raises++;
}

int schedule_place(struct vm *of, struct vcpu *vcpu)
{
	assert_ptr_equal(of, &vm);
	assert_int_equal(vcpu->mode, VCPU_PARKED);
	assert_int_equal(vm.group.weight, vm.config.weight);
	if (vcpu->id == place_error_at)
		return place_error;
	vcpu->entity = arena_alloc(&vm.arena, 64);
	if (!vcpu->entity)
		return ERR_NOMEM;
	vcpu->hart = &harts[__builtin_ctzll(vm.harts)];
	placed++;
	return 0;
}

void schedule_unplace(struct vcpu *vcpu)
{
	assert_non_null(vcpu->hart);
	placed--;
}

void gmem_fault_abandon(struct vcpu *vcpu)
{
	assert_ptr_equal(vcpu->guest, &vm.guest);
	abandoned++;
}

int identity_find(struct vm *of)
{
	assert_ptr_equal(of, &vm);
	if (vm.config.identity_map && !identity_error)
		vm.ram_base = identity_base;
	return identity_error;
}

int machine_build(struct vm *of)
{
	assert_int_equal(placed, of->config.vcpus);
	of->machine = arena_alloc(&of->arena, 5000);
	if (!of->machine)
		return ERR_NOMEM;
	machines++;
	of->bus.count = 1;
	if (!arena_alloc_pages(&of->arena, 0, ARENA_OBJECTS))
		return ERR_NOMEM;
	return machine_error;
}

void machine_unbuild(struct vm *of)
{
	if (of->machine)
		machines--;
}

uint64_t machine_overhead(const struct vmconfig *config)
{
	return config->device_count * KIB(64);
}

uint64_t console_kept_bytes(void)
{
	return KEPT_BYTES;
}

/* Four harts with ids 3, 5, 7, 9, which can do everything. */
static int setup(void **state)
{
	(void)state;
	fake_reset();
	memory_map();
	page_init(memory, COUNT, pages);
	page_add(memory, COUNT);
	memset(&vm, 0, sizeof(vm));
	for (unsigned i = 0; i < FAKE_HARTS; i++) {
		memset(&isas[i], 0, sizeof(isas[i]));
		isas[i].letters = ~0U;
		isas[i].virtual_address_bits = 48;
		harts[i].id = 3 + 2 * i;
		harts[i].isa = &isas[i];
		harts[i].has_h = true;
	}
	soft_harts = BIT(FAKE_HARTS) - 1;
	allowed_ids = ~UINT64_C(0);
	identity_error = guest_error = place_error = vcpu_error = machine_error = 0;
	place_error_at = vcpu_error_at = NO_VCPU;
	identity_base = UINT64_C(0x140000000);
	placed = abandoned = machines = kicks = raises = 0;
	fail_from(0, false);
	snprintf(vm.config.name, sizeof(vm.config.name), "web");
	snprintf(vm.config.path, sizeof(vm.config.path), "/configurations/web");
	vm.number = 6;
	vm.config.vcpus = 2;
	vm.config.memory = MIB(64);
	vm.config.ram_base = UINT64_C(0x80000000);
	vm.config.weight = 100;
	return 0;
}

/* What a VM that is not there has: nothing. */
static void expect_nothing_left(void)
{
	static const struct bus no_bus;

	assert_null(vm.vcpus);
	assert_null(vm.machine);
	assert_memory_equal(&vm.bus, &no_bus, sizeof(no_bus));
	assert_memory_equal(&vm.forwarded, &no_bus, sizeof(no_bus));
	assert_int_equal(placed, 0);
	assert_int_equal(machines, 0);
	assert_int_equal(page_free_bytes(), page_total_bytes());
}

static int teardown(void **state)
{
	(void)state;
	vm_unbuild(&vm);
	while (vm.arena.blocks && arena_destroy_step(&vm.arena) == ERR_AGAIN)
		;
	expect_nothing_left();
	memory_unmap();
	return 0;
}

static bool build(void)
{
	messages[0] = '\0';
	return vm_build(&vm, VMCONFIG_ENGINE_AUTO, 0);
}

static void end(void)
{
	unsigned vcpus = vm.config.vcpus;

	abandoned = 0;
	vm_unbuild(&vm);
	assert_int_equal(abandoned, vcpus);
	while (arena_destroy_step(&vm.arena) == ERR_AGAIN)
		;
	expect_nothing_left();
}

static void expect_message(const char *part)
{
	if (!strstr(messages, part))
		fail_msg("\"%s\" is not in \"%s\"", part, messages);
}

static void expect_refused(const char *part)
{
	assert_false(build());
	expect_message(part);
	expect_nothing_left();
}

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

/* What is wrong was reported by who found it; what had been built goes. */
static void test_errors(void **state)
{
	(void)state;
	identity_error = ERR_INVAL;
	expect_refused("");
	assert_string_equal(messages, "");
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
		expect_refused("");
		assert_string_equal(messages, "");
		/* Those after it were not begun. */
		assert_int_equal(abandoned, i + 1);
		place_error_at = NO_VCPU;
		vcpu_error = ERR_NOMEM;
		vcpu_error_at = i;
		expect_refused("/configurations/web: no memory left to build it");
		vcpu_error_at = NO_VCPU;
	}
	machine_error = ERR_INVAL;
	expect_refused("");
	assert_string_equal(messages, "");
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_engine),       TEST(test_isa),
	    TEST(test_built),        TEST(test_timer),
	    TEST(test_address_bits), TEST(test_commitment),
	    TEST(test_errors),       TEST(test_allocations_fail),
	    TEST(test_lives),
	};

	return cmocka_run_group_tests_name("vm_build", tests, NULL, NULL);
}
