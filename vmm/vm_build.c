/* SPDX-License-Identifier: MIT */

/* Building a VM from its description: everything that can fail, before it is called alive. */

#include "kernel/alloc_fault.h"
#include "kernel/error.h"
#include "kernel/hart.h"
#include "kernel/log.h"
#include "kernel/page.h"
#include "kernel/trace_ring.h"
#include "kernel/trap.h"
#include "riscv/sbi.h"
#include "vmm/gmem.h"
#include "vmm/hooks.h"
#include "vmm/vm_own.h"

#include <string.h>

/* The harts of those that the VM may use that can run this engine's guests: bits by index. */
static uint64_t usable_harts(const struct vm *vm, const struct engine *engine)
{
	uint64_t harts = 0;

	for (unsigned i = 0; i < hart_count(); i++) {
		const struct hart *hart = hart_by_index(i);

		if (vmconfig_allows_cpu(&vm->config, hart->id) && engine->can_use(hart))
			harts |= BIT(i);
	}
	return harts;
}

static bool choose_engine(struct vm *vm, enum vmconfig_engine otherwise)
{
	enum vmconfig_engine wanted = vm->config.engine;

	if (wanted == VMCONFIG_ENGINE_AUTO)
		wanted = otherwise;
	vm->guest.engine = wanted == VMCONFIG_ENGINE_HEXT   ? &hext_engine
			   : wanted == VMCONFIG_ENGINE_SOFT ? &soft_engine
			   : usable_harts(vm, &hext_engine) ? &hext_engine
							    : &soft_engine;
	vm->harts = usable_harts(vm, vm->guest.engine);
	if (vm->harts)
		return true;
	if (wanted == VMCONFIG_ENGINE_HEXT)
		log_error("%s: engine hext needs harts with the H extension, and this machine's "
			  "have none that it may use; give it harts that have, in pilae,cpus or "
			  "QEMU's -cpu rv64,h=true, or let it use engine soft",
			  vm->config.path);
	else
		log_error("%s: pilae,cpus: none of these harts can run it", vm->config.path);
	return false;
}

static void timer_expired(struct timer *timer)
{
	struct vcpu *vcpu = container_of(timer, struct vcpu, timer);

	/* With Sstc the hardware shows the guest that its time has come; it only has to run. */
	if (vcpu->has_sstc)
		vcpu_kick(vcpu);
	else
		vcpu_raise(vcpu, IRQ_S_TIMER);
}

static int build_vcpu(struct vm *vm, unsigned id)
{
	size_t front = vm->guest.engine->vcpu_front;
	char *block = arena_alloc(&vm->arena, front + sizeof(struct vcpu));

	if (!block)
		return ERR_NOMEM;

	struct vcpu *vcpu = (struct vcpu *)(block + front);

	vm->vcpus[id] = vcpu;
	vcpu->id = id;
	vcpu->trace_id = TRACE_WHO(vm->number, id);
	vcpu->self_mask = id < 64 ? BIT(id) : 0;
	vcpu->guest = &vm->guest;
	vcpu->sbi_extensions = vm->guest.sbi_extensions;
	vcpu->mode = VCPU_PARKED;
	vcpu->hsm_state = SBI_HSM_STOPPED;
	timer_init(&vcpu->timer, timer_expired);

	int error = schedule_place(vm, vcpu);

	return error ? error : vm->guest.engine->vcpu_init(vcpu);
}

/* What all the harts that it may run on can do. */
static void find_isa(struct vm *vm)
{
	bool first = true;

	for (unsigned i = 0; i < hart_count(); i++) {
		const struct hart *hart = hart_by_index(i);

		if (!(vm->harts & BIT(i)))
			continue;
		if (first)
			vm->guest.isa = *hart->isa;
		else
			isa_intersect(&vm->guest.isa, hart->isa);
		first = false;
	}
	vm->guest.engine->limit_isa(&vm->guest.isa);
}

static unsigned address_bits(uint64_t last)
{
	unsigned bits = 0;

	while (last >> bits)
		bits++;
	return bits;
}

static int build(struct vm *vm)
{
	struct guest *guest = &vm->guest;
	uint32_t count = vm->config.vcpus;

	arena_init(&vm->arena);
	guest->arena = &vm->arena;
	guest->sbi_extensions = sbi_extension_ids;
	guest->vmid = 0;
	vm->group = (struct entity_group){.weight = vm->config.weight};
	find_isa(vm);
	vm->ram_base = vm->config.ram_base;
	vm->ram_size = vm->config.memory;

	int error = identity_find(vm);

	if (error)
		return error;
	guest->ram_base = vm->ram_base;
	guest->ram_size = vm->ram_size;
	guest->fast_csr = vm->config.fast_csr;
	vm->vcpus = arena_alloc(&vm->arena, count * sizeof(*vm->vcpus));
	if (!vm->vcpus)
		return ERR_NOMEM;
	guest->vcpus = vm->vcpus;
	guest->vcpu_count = count;

	uint64_t last = vm->ram_base + vm->ram_size - 1;

	error = guest->engine->guest_init(guest, address_bits(last));
	if (error == ERR_RANGE)
		log_error("%s: pilae,ram-base: engine %s on these harts does not reach RAM up to "
			  "0x%llx; put it lower",
			  vm->config.path, guest->engine->name, (unsigned long long)last);
	for (unsigned id = 0; id < count && !error; id++) {
		preempt_point();
		error = build_vcpu(vm, id);
		preempt_point();
	}
	return error ? error : machine_build(vm);
}

uint64_t vm_commitment(const struct vm *vm)
{
	const struct vmconfig *config = &vm->config;
	uint64_t backing = min_u64(config->vcpus, GMEM_BACKING_MAX) * MEGAPAGE_SIZE;
	/* What is reserved at boot is none of what VMs are given their RAM from. */
	uint64_t ram = config->identity_map ? 0 : config->memory + backing;

	return ram + vm->guest.engine->overhead(config->memory, config->vcpus) +
	       KIB(4) * config->vcpus + KIB(256) + machine_overhead(config);
}

static bool has_room(struct vm *vm, uint64_t committed)
{
	uint64_t total = page_total_bytes();
	uint64_t left = total > committed ? total - committed : 0;

	if (vm_commitment(vm) <= left)
		return true;
	log_error("%s: pilae,memory: %s%llu MiB do not fit: the host has %llu MiB, of which "
		  "%llu MiB are taken; give it less, or the host more",
		  vm->config.path, vm->config.identity_map ? "tables for " : "",
		  (unsigned long long)(vm->config.memory >> 20), (unsigned long long)(total >> 20),
		  (unsigned long long)(committed >> 20));
	return false;
}

void vm_unbuild(struct vm *vm)
{
	alloc_fault_end(ALLOC_FAULT_LIFE);
	machine_unbuild(vm);
	for (unsigned id = 0; vm->vcpus && id < vm->config.vcpus; id++) {
		if (!vm->vcpus[id])
			continue;
		gmem_fault_abandon(vm->vcpus[id]);
		if (vm->vcpus[id]->hart)
			schedule_unplace(vm->vcpus[id]);
	}
	vm->vcpus = NULL;
	vm->machine = NULL;
	memset(&vm->bus, 0, sizeof(vm->bus));
	memset(&vm->forwarded, 0, sizeof(vm->forwarded));
}

static uint64_t kept_bytes(const struct vm *vm)
{
	return align_up(sizeof(*vm), PAGE_SIZE) + console_kept_bytes() +
	       (vm->arena.pages[ARENA_OBJECTS] << PAGE_SHIFT);
}

bool vm_build(struct vm *vm, enum vmconfig_engine otherwise, uint64_t committed)
{
	memset(&vm->guest, 0, sizeof(vm->guest));
	memset(vm->found, 0, sizeof(vm->found));
	if (!choose_engine(vm, otherwise) || !has_room(vm, committed))
		return false;

	alloc_fault_begin(ALLOC_FAULT_MAKING);

	int error = build(vm);

	if (error == ERR_NOMEM)
		log_error("%s: no memory left to build it", vm->config.path);
	alloc_fault_end(ALLOC_FAULT_MAKING);
	if (error) {
		vm_unbuild(vm);
		while (arena_destroy_step(&vm->arena) == ERR_AGAIN)
			preempt_point();
		return false;
	}
	log_info("%s: %s, %u vCPU%s, %llu MiB, %llu KiB kept", vm->config.name,
		 vm->guest.engine->name, vm->config.vcpus, vm->config.vcpus == 1 ? "" : "s",
		 (unsigned long long)(vm->config.memory >> 20),
		 (unsigned long long)(kept_bytes(vm) >> 10));
	alloc_fault_begin(ALLOC_FAULT_LIFE);
	return true;
}
