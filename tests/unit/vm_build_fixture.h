/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_VM_BUILD_FIXTURE_H
#define TESTS_UNIT_VM_BUILD_FIXTURE_H

/*
 * A VM that is to be built, on four harts: engines, devices, RAM set apart and places for vCPUs,
 * each of which can be made to fail; and that nothing of the VM is left when it is gone. For one
 * source file of a test program, which is linked with vmm/vm_build.c and what allocates.
 */

#include "tests/unit/fake_kernel.h"

#include "kernel/isa.h"
#include "kernel/page.h"
#include "kernel/trace_ring.h"
#include "riscv/csr.h"
#include "riscv/sbi.h"
#include "tests/unit/machine_memory.h"
#include "vmm/gmem.h"
#include "vmm/hooks.h"
#include "vmm/vm_own.h"

#define COUNT      (SIZE >> PAGE_SHIFT)
#define VCPUS_MAX  70
#define KEPT_BYTES KIB(20)

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

static void expect_refused(const char *part)
{
	assert_false(build());
	expect_message(part);
	expect_nothing_left();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
