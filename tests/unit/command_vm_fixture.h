/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_COMMAND_VM_FIXTURE_H
#define TESTS_UNIT_COMMAND_VM_FIXTURE_H

/* Commands about one VM, "web", which runs. For one source file of a test program. */

#include "tests/unit/command_fixture.h"

#include "vmm/vm.h"

#define VCPUS_MAX 3

static struct vm vm;
static struct vcpu vcpus[VCPUS_MAX], *pointers[VCPUS_MAX];

struct vm *vm_by_name(const char *name)
{
	return strcmp(name, "web") == 0 ? &vm : NULL;
}

/* Commands are those of `table`, and the VM has `count` vCPUs. */
static void begin(const struct command *table, unsigned count)
{
	fake_reset();
	vm_to_complete = "web";
	typed_at = table;
	memset(&vm, 0, sizeof(vm));
	memset(vcpus, 0, sizeof(vcpus));
	for (unsigned i = 0; i < count; i++) {
		vcpus[i].id = i;
		pointers[i] = &vcpus[i];
	}
	vm.number = 1;
	vm.state = VM_RUNNING;
	vm.vcpus = pointers;
	vm.guest.vcpu_count = vm.config.vcpus = count;
	snprintf(vm.config.name, sizeof(vm.config.name), "web");
}

#endif
