/* SPDX-License-Identifier: MIT */

/* The list of VMs, and how the system's descriptions come into it. */

#include "vmm/vm.h"

#include "kernel/alloc_fault.h"
#include "kernel/error.h"
#include "kernel/irqoff.h"
#include "kernel/log.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "kernel/platform.h"
#include "kernel/pool.h"
#include "kernel/trap.h"
#include "vmm/hooks.h"
#include "vmm/net.h"
#include "vmm/vm_own.h"

#include <string.h>

static struct {
	struct vm *first;     /* by number; changed by jobs alone: see vmm/vm.h */
	struct spinlock lock; /* guards the next three */
	unsigned alive;
	bool any_crashed;   /* or refused */
	uint64_t committed; /* bytes promised to those alive */
	bool all_manual;    /* VMs of the system, of which one can start; constant after boot */
	enum vmconfig_engine engine; /* of VMs that leave it open; constant, as the next */
	struct fit fit;
} vms = {.lock = SPINLOCK_INIT};

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

bool vm_commit_own(uint64_t bytes)
{
	uint64_t total = page_total_bytes();
	bool fits;

	spin_lock(&vms.lock);
	fits = vms.committed <= total && bytes <= total - vms.committed;
	if (fits)
		vms.committed += bytes;
	spin_unlock(&vms.lock);
	return fits;
}

void vm_uncommit_own(uint64_t bytes)
{
	spin_lock(&vms.lock);
	vms.committed -= bytes;
	spin_unlock(&vms.lock);
}

struct fit *vm_system(void)
{
	return &vms.fit;
}

enum vmconfig_engine vm_default_engine(void)
{
	return vms.engine;
}

/*
 * The list.
 */

struct vm *vm_next(const struct vm *vm)
{
	return vm ? vm->next : vms.first;
}

unsigned vm_count(void)
{
	unsigned count = 0;

	for (const struct vm *vm = vms.first; vm; vm = vm->next)
		count++;
	return count;
}

struct vm *vm_by_number(unsigned number)
{
	for (struct vm *vm = vms.first; vm; vm = vm->next) {
		if (vm->number == number)
			return vm;
	}
	return NULL;
}

/* Two VMs of one name cannot be: they are nodes of one tree. */
struct vm *vm_by_name(const char *name)
{
	for (struct vm *vm = vms.first; vm; vm = vm->next) {
		if (strcmp(vm->config.name, name) == 0)
			return vm;
	}
	return NULL;
}

static struct vm *new_vm(void)
{
	struct vm *vm = page_alloc_zeroed(page_order(sizeof(struct vm)));
	struct vm **link = &vms.first;

	if (!vm)
		return NULL;
	for (vm->number = 1; *link && (*link)->number == vm->number; link = &(*link)->next)
		vm->number++;
	vm->next = *link;
	*link = vm;
	return vm;
}

void vm_forget(struct vm *vm)
{
	struct vm **link = &vms.first;

	while (*link != vm)
		link = &(*link)->next;
	*link = vm->next;
	console_remove(vm);
	page_clear(vm, page_order(sizeof(struct vm)));
	page_free(vm, page_order(sizeof(struct vm)));
}

/*
 * Who is alive.
 */

void vm_count_start(const struct vm *vm)
{
	spin_lock(&vms.lock);
	vms.committed += vm_commitment(vm);
	vms.alive++;
	spin_unlock(&vms.lock);
}

void vm_count_end(const struct vm *vm, bool crashed)
{
	spin_lock(&vms.lock);
	vms.any_crashed |= crashed;
	vms.committed -= vm_commitment(vm);
	vms.alive--;
	spin_unlock(&vms.lock);
}

/*
 * Whether the machine goes on with no VM alive: one has never been started, or the system has
 * manual ones alone.
 */
static bool waits_for_start(void)
{
	for (const struct vm *vm = vms.first; vm; vm = vm->next) {
		if (vm->state == VM_OFF && !vm->started)
			return true;
	}
	return vms.all_manual;
}

void vm_check_last(void)
{
	if (vms.alive > 0)
		return;
	if (waits_for_start())
		log_info("no VM is running; the shell can start one");
	else
		machine_end(vms.any_crashed);
}

/*
 * Descriptions.
 */

static int read_description(struct vm *vm, int node)
{
	int error = vmconfig_read(&vm->config, &vms.fit, node);

	if (!error && console_add(vm) != 0) {
		log_error("%s: no memory left for its console", vm->config.path);
		error = ERR_NOMEM;
	}
	return error;
}

const char *vm_next_described(int *at)
{
	while ((*at = vmconfig_next(&vms.fit, *at)) >= 0) {
		const char *name = fit_node_name(&vms.fit, *at);

		preempt_point();
		if (vmconfig_is_name(name) && !vm_by_name(name))
			return name;
	}
	return NULL;
}

static int define(int node)
{
	struct vm *vm = new_vm();

	if (!vm)
		return ERR_NOMEM;
	if (read_description(vm, node) == 0)
		return 0;
	vm_forget(vm);
	return ERR_INVAL;
}

int vm_define(const char *name)
{
	const char *other;
	int node = 0;

	if (vm_by_name(name))
		return ERR_EXIST;
	while ((other = vm_next_described(&node)) != NULL && strcmp(name, other) != 0)
		;
	if (!other)
		return ERR_NOENT;

	alloc_fault_begin(ALLOC_FAULT_MAKING);

	int error = define(node);

	alloc_fault_end(ALLOC_FAULT_MAKING);
	return error;
}

/* false if the VM is refused. */
static bool take_in(int node)
{
	struct vm *vm = new_vm();

	if (!vm) {
		log_error("/configurations: no memory left for one more VM");
		return false;
	}
	if (read_description(vm, node) != 0) {
		vm->state = VM_REFUSED;
		vms.all_manual &= vm->config.manual;
		return false;
	}
	vms.all_manual &= vm->config.manual;
	if (vm->config.manual || vm_start(vm) == 0)
		return true;
	vm->state = VM_CRASHED;
	return false;
}

static bool any_can_start(void)
{
	for (const struct vm *vm = vms.first; vm; vm = vm->next) {
		if (vm->state != VM_REFUSED)
			return true;
	}
	return false;
}

void vm_start_system(const void *system, uint64_t size, enum vmconfig_engine engine)
{
	vms.engine = engine;
	vms.all_manual = true;
	/* What is wrong with the file as a whole has been reported; its VMs may still start. */
	if (fit_open(&vms.fit, system, size) != 0)
		machine_end(true);
	if (vmconfig_check_system(&vms.fit) != 0 || !net_init(&vms.fit))
		vms.any_crashed = true;
	/* With the page that each hart may be clearing. */
	vms.committed = page_total_bytes() - page_free_bytes() + hart_count() * MEGAPAGE_SIZE;
	for (int node = vmconfig_next(&vms.fit, 0); node >= 0;
	     node = vmconfig_next(&vms.fit, node)) {
		if (!take_in(node))
			vms.any_crashed = true;
	}
	vms.all_manual &= any_can_start();
	if (vms.alive == 0 && !waits_for_start()) {
		log_error("no VM could be started");
		machine_end(true);
	}
	pool_begin();
	alloc_fault_enable(platform.bootargs);
	irqoff_start_measuring();
}
