/* SPDX-License-Identifier: MIT */

#include "vmm/vm.h"

#include "kernel/error.h"
#include "kernel/hart.h"
#include "kernel/irqoff.h"
#include "kernel/log.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "kernel/pool.h"
#include "kernel/trap.h"
#include "riscv/sbi.h"
#include "vmm/gmem.h"
#include "vmm/hooks.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct {
	struct spinlock lock; /* guards the counts; the list is constant after boot */
	struct vm *first, **last;
	unsigned count;
	unsigned alive;              /* LOADING, RUNNING or STOPPING */
	bool any_crashed;            /* or refused */
	uint64_t committed;          /* bytes of RAM promised to those alive */
	enum vmconfig_engine engine; /* of VMs that leave it open; constant, as the next */
	struct fit fit;
} vms = {.lock = SPINLOCK_INIT, .last = &vms.first};

unsigned vm_count(void)
{
	return vms.count;
}

unsigned vm_count_alive(void)
{
	return vms.alive;
}

bool vm_any_crashed(void)
{
	return vms.any_crashed;
}

uint64_t vm_committed_bytes(void)
{
	return vms.committed;
}

struct vm *vm_by_number(unsigned number)
{
	for (struct vm *vm = vms.first; vm; vm = vm->next) {
		if (vm->number == number)
			return vm;
	}
	return NULL;
}

/*
 * Building: everything that can fail, before the VM is called alive.
 */

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
	struct vcpu *vcpu = arena_alloc(&vm->arena, sizeof(*vcpu));

	if (!vcpu)
		return ERR_NOMEM;
	vm->vcpus[id] = vcpu;
	vcpu->id = id;
	vcpu->self_mask = id < 64 ? BIT(id) : 0;
	vcpu->guest = &vm->guest;
	vcpu->sbi_extensions = vm->guest.sbi_extensions;
	vcpu->mode = VCPU_PARKED;
	vcpu->hsm_state = SBI_HSM_STOPPED;
	list_init(&vcpu->run_link);
	timer_init(&vcpu->timer, timer_expired);
	vcpu->hart = schedule_place(vm);
	if (!vcpu->hart) {
		log_error("%s: pilae,cpus: none of these harts can run it", vm->config.path);
		return ERR_NOENT;
	}
	return vm->guest.engine->vcpu_init(vcpu);
}

/* What all the harts that it may run on can do. */
static void find_isa(struct vm *vm)
{
	bool first = true;

	for (unsigned i = 0; i < hart_count(); i++) {
		const struct hart *hart = hart_by_index(i);

		if (!vmconfig_allows_cpu(&vm->config, hart->id))
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
	find_isa(vm);
	vm->ram_base = vm->config.ram_base;
	vm->ram_size = vm->config.memory;
	guest->ram_size = vm->ram_size;
	guest->fast_csr = vm->config.fast_csr;
	vm->vcpus = arena_alloc(&vm->arena, count * sizeof(*vm->vcpus));
	if (!vm->vcpus)
		return ERR_NOMEM;
	guest->vcpus = vm->vcpus;
	guest->vcpu_count = count;

	uint64_t last = vm->ram_base + vm->ram_size - 1;
	int error = guest->engine->guest_init(guest, address_bits(last));

	if (error == ERR_RANGE)
		log_error("%s: pilae,ram-base: engine %s on these harts does not reach RAM up to "
			  "0x%llx; put it lower",
			  vm->config.path, guest->engine->name, (unsigned long long)last);
	for (unsigned id = 0; id < count && !error; id++) {
		error = build_vcpu(vm, id);
		preempt_point();
	}
	return error ? error : machine_build(vm);
}

static void unplace_vcpus(struct vm *vm)
{
	for (unsigned id = 0; vm->vcpus && id < vm->config.vcpus; id++) {
		if (vm->vcpus[id] && vm->vcpus[id]->hart)
			schedule_unplace(vm->vcpus[id]);
	}
	vm->vcpus = NULL;
}

static uint64_t kept_bytes(const struct vm *vm)
{
	return align_up(sizeof(*vm), PAGE_SIZE) + console_kept_bytes() +
	       (vm->arena.pages[ARENA_OBJECTS] << PAGE_SHIFT);
}

/* What a VM takes at the most: its RAM, its engine's tables, and the rest. */
static uint64_t commitment(const struct vm *vm)
{
	const struct vmconfig *config = &vm->config;

	return config->memory + vm->guest.engine->overhead(config->memory, config->vcpus) +
	       KIB(4) * config->vcpus + KIB(256);
}

/*
 * Its life.
 */

/*
 * Whether the machine goes on with no VM alive: a manual one has never been started, or there
 * are manual ones alone.
 */
static bool waits_for_start(void)
{
	bool all_manual = true, any = false, any_new = false;

	for (const struct vm *vm = vms.first; vm; vm = vm->next) {
		all_manual &= vm->config.manual;
		if (!vm->config.manual || vm->state == VM_REFUSED)
			continue;
		any = true;
		any_new |= !vm->started;
	}
	return any_new || (any && all_manual);
}

/* Counts a VM that has ended, and ends the machine with the last one. */
static void note_ended(struct vm *vm, bool crashed)
{
	spin_lock(&vms.lock);
	vm->state = crashed ? VM_CRASHED : VM_OFF;
	vms.any_crashed |= crashed;
	vms.committed -= commitment(vm);

	bool last = --vms.alive == 0;

	spin_unlock(&vms.lock);
	if (last && waits_for_start())
		log_info("no VM is running; the shell can start one");
	else if (last)
		machine_end(vms.any_crashed);
}

static int destroy_step(struct job *job)
{
	struct vm *vm = container_of(job, struct vm, job);

	if (arena_destroy_step(&vm->arena) == ERR_AGAIN)
		return ERR_AGAIN;
	note_ended(vm, vm->end == VM_END_CRASH);
	return 0;
}

static void begin_destroy(struct vm *vm)
{
	console_forget(vm);
	/* Its code is not to be found in an instruction cache when its pages are another's. */
	hart_fence_i_all();
	if (vm->machine)
		machine_reset(vm);
	timer_quiesce();
	if (vm->guest.engine->log_use)
		vm->guest.engine->log_use(&vm->guest, vm->config.name);
	for (unsigned id = 0; vm->vcpus && id < vm->config.vcpus; id++) {
		if (vm->vcpus[id])
			gmem_fault_abandon(vm->vcpus[id]);
	}
	unplace_vcpus(vm);
	vm->machine = NULL;
	memset(&vm->bus, 0, sizeof(vm->bus));
	schedule_job(&vm->job, destroy_step);
}

static int load_job_step(struct job *job)
{
	struct vm *vm = container_of(job, struct vm, job);
	int error = load_step(vm);

	if (error == ERR_AGAIN)
		return error;
	if (error) {
		vm->end = VM_END_CRASH;
		begin_destroy(vm);
		return 0;
	}

	struct vcpu *boot = vm->vcpus[0];

	spin_lock(&vm->lock);
	vm->guest.engine->vcpu_reset(boot, vm->loader.plan.entry.v, vm->loader.plan.fdt.v, false);
	boot->hsm_state = SBI_HSM_STARTED;
	vm->state = VM_RUNNING;
	vm->active = 1;
	schedule_start(boot);
	spin_unlock(&vm->lock);
	/* What has been typed for it before. */
	console_drained(vm);
	return 0;
}

static void begin_load(struct vm *vm)
{
	vm->state = VM_LOADING;
	load_begin(vm, &vms.fit);
	schedule_job(&vm->job, load_job_step);
}

/* As a machine comes out of reset: devices and harts, but not memory. */
static void reset(struct vm *vm)
{
	console_forget(vm);
	machine_reset(vm);
	for (unsigned id = 0; id < vm->config.vcpus; id++) {
		struct vcpu *vcpu = vm->vcpus[id];

		vcpu->hsm_state = SBI_HSM_STOPPED;
		vcpu->requests = 0;
		vcpu->irq = 0;
		vcpu->fence_count = 0;
	}
}

/* All its vCPUs are parked. On the boot hart. */
static int stopped_step(struct job *job)
{
	struct vm *vm = container_of(job, struct vm, job);
	bool restart =
	    vm->end == VM_END_REBOOT ||
	    (vm->end == VM_END_CRASH && vm->config.on_crash == VMCONFIG_ON_CRASH_RESTART);

	if (restart) {
		log_info("%s: restarts", vm->config.name);
		reset(vm);
		begin_load(vm);
	} else {
		log_info("%s: %s", vm->config.name,
			 vm->end == VM_END_CRASH ? "ended by a failure" : "powered off");
		begin_destroy(vm);
	}
	return 0;
}

void vm_vcpu_parked(struct vcpu *vcpu)
{
	struct vm *vm = vm_of(vcpu);
	bool stopped, dead;

	spin_lock(&vm->lock);
	vcpu->hsm_state = SBI_HSM_STOPPED;
	vm->active--;
	stopped = vm->active == 0 && vm->state == VM_STOPPING;
	dead = vm->active == 0 && vm->state == VM_RUNNING;
	spin_unlock(&vm->lock);
	if (dead)
		vm_crash(vm, "its last hart has stopped itself; none is left to start one");
	else if (stopped)
		schedule_job(&vm->job, stopped_step);
}

void vm_end(struct vm *vm, enum vm_end end)
{
	bool idle = false;

	spin_lock(&vm->lock);
	if (vm->state != VM_RUNNING) {
		spin_unlock(&vm->lock);
		return;
	}
	vm->state = VM_STOPPING;
	vm->end = end;
	idle = vm->active == 0;
	/* The lock keeps the VM from being taken down, and its vCPUs freed, meanwhile. */
	for (unsigned id = 0; id < vm->config.vcpus; id++)
		vcpu_request(vm->vcpus[id], VCPU_LEAVE);
	spin_unlock(&vm->lock);
	if (idle)
		schedule_job(&vm->job, stopped_step);
}

void vm_crash(struct vm *vm, const char *format, ...)
{
	char reason[160];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	log_error("%s: stopped: %s", vm->config.name, reason);
	vm_end(vm, VM_END_CRASH);
}

/*
 * Taking in the system.
 */

/* Whether some hart that the VM may use can run this engine's guests. */
static bool is_usable(const struct vm *vm, const struct engine *engine)
{
	for (unsigned i = 0; i < hart_count(); i++) {
		const struct hart *hart = hart_by_index(i);

		if (vmconfig_allows_cpu(&vm->config, hart->id) && engine->can_use(hart))
			return true;
	}
	return false;
}

static bool choose_engine(struct vm *vm, enum vmconfig_engine otherwise)
{
	enum vmconfig_engine wanted = vm->config.engine;

	if (wanted == VMCONFIG_ENGINE_AUTO)
		wanted = otherwise;
	vm->guest.engine = wanted == VMCONFIG_ENGINE_HEXT   ? &hext_engine
			   : wanted == VMCONFIG_ENGINE_SOFT ? &soft_engine
			   : is_usable(vm, &hext_engine)    ? &hext_engine
							    : &soft_engine;
	if (is_usable(vm, vm->guest.engine))
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

static bool has_room(struct vm *vm)
{
	uint64_t total = page_total_bytes();
	uint64_t left = total > vms.committed ? total - vms.committed : 0;

	if (commitment(vm) <= left)
		return true;
	log_error("%s: pilae,memory: %llu MiB do not fit: the host has %llu MiB, of which "
		  "%llu MiB are taken; give it less, or the host more",
		  vm->config.path, (unsigned long long)(vm->config.memory >> 20),
		  (unsigned long long)(total >> 20), (unsigned long long)(vms.committed >> 20));
	return false;
}

static void undo_build(struct vm *vm)
{
	unplace_vcpus(vm);
	vm->machine = NULL;
	memset(&vm->bus, 0, sizeof(vm->bus));
	while (arena_destroy_step(&vm->arena) == ERR_AGAIN)
		preempt_point();
}

static void count_alive(const struct vm *vm)
{
	spin_lock(&vms.lock);
	vms.committed += commitment(vm);
	vms.alive++;
	spin_unlock(&vms.lock);
}

/* On the boot hart, where VMs are taken down, too. Nothing of a former life is left. */
static bool start(struct vm *vm)
{
	memset(&vm->guest, 0, sizeof(vm->guest));
	if (!choose_engine(vm, vms.engine) || !has_room(vm))
		return false;

	console_restart(vm);

	int error = build(vm);

	if (error) {
		if (error == ERR_NOMEM)
			log_error("%s: no memory left to build it", vm->config.path);
		undo_build(vm);
		return false;
	}
	count_alive(vm);
	vm->started = true;
	log_info("%s: %s, %u vCPU%s, %llu MiB, %llu KiB kept", vm->config.name,
		 vm->guest.engine->name, vm->config.vcpus, vm->config.vcpus == 1 ? "" : "s",
		 (unsigned long long)(vm->config.memory >> 20),
		 (unsigned long long)(kept_bytes(vm) >> 10));
	begin_load(vm);
	return true;
}

int vm_start(struct vm *vm)
{
	if (vm->state != VM_OFF && vm->state != VM_CRASHED)
		return ERR_EXIST;
	return start(vm) ? 0 : ERR_INVAL;
}

static struct vm *new_vm(void)
{
	unsigned order = 0;

	while (PAGE_SIZE << order < sizeof(struct vm))
		order++;

	struct vm *vm = page_alloc_zeroed(order);

	if (vm) {
		vm->number = ++vms.count;
		*vms.last = vm;
		vms.last = &vm->next;
	}
	return vm;
}

/* false if the VM is refused. */
static bool take_in(int node)
{
	struct vm *vm = new_vm();

	if (!vm) {
		log_error("/configurations: no memory left for one more VM");
		return false;
	}
	if (vmconfig_read(&vm->config, &vms.fit, node) != 0 ||
	    vmconfig_check_supported(&vm->config) != 0) {
		vm->state = VM_REFUSED;
		return false;
	}
	if (console_add(vm) != 0) {
		log_error("%s: no memory left for its console", vm->config.path);
		vm->state = VM_REFUSED;
		return false;
	}
	if (vm->config.manual || start(vm))
		return true;
	vm->state = VM_CRASHED;
	return false;
}

void vm_start_system(const void *system, uint64_t size, enum vmconfig_engine engine)
{
	vms.engine = engine;
	vms.committed = page_total_bytes() - page_free_bytes();
	/* What is wrong with the file as a whole has been reported; its VMs may still start. */
	if (fit_open(&vms.fit, system, size) != 0)
		machine_end(true);
	if (vmconfig_check_system(&vms.fit) != 0)
		vms.any_crashed = true;
	for (int node = vmconfig_next(&vms.fit, 0); node >= 0;
	     node = vmconfig_next(&vms.fit, node)) {
		if (!take_in(node))
			vms.any_crashed = true;
	}
	if (vms.alive == 0 && !waits_for_start()) {
		log_error("no VM could be started");
		machine_end(true);
	}
	pool_begin();
	irqoff_start_measuring();
}
