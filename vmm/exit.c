/* SPDX-License-Identifier: MIT */

#include "vmm/exit.h"

#include "kernel/error.h"
#include "kernel/trap.h"
#include "vmm/gmem.h"
#include "vmm/hooks.h"
#include "vmm/vm.h"

void exit_access_fault(struct vcpu *vcpu, const struct exit_access *access)
{
	static const uint8_t causes[] = {
	    [ACCESS_FETCH] = EXC_INSN_ACCESS,
	    [ACCESS_LOAD] = EXC_LOAD_ACCESS,
	    [ACCESS_STORE] = EXC_STORE_ACCESS,
	};

	vcpu->guest->engine->inject(vcpu, causes[access->kind], access->gva.v);
}

void exit_memory(struct vcpu *vcpu, const struct exit_access *access)
{
	struct vm *vm = vm_of(vcpu);
	int error;

	if (!vm_is_ram(vm, access->gpa, 1)) {
		/* Devices hold neither page tables nor code. */
		exit_access_fault(vcpu, access);
		return;
	}
	error = gmem_fault(vcpu, access->gpa);
	if (error && error != ERR_AGAIN)
		vm_crash(vm, "no memory left for the guest's RAM at 0x%llx",
			 (unsigned long long)access->gpa.v);
}

static inline void handle_access(struct vcpu *vcpu, const struct exit_access *access)
{
	if (vm_is_ram(vm_of(vcpu), access->gpa, 1) || access->walk ||
	    access->kind == ACCESS_FETCH) {
		exit_memory(vcpu, access);
		statistics_count_loaded(EXITS_MEMORY);
	} else {
		mmio_emulate(vcpu, access);
		statistics_count_loaded(EXITS_MMIO);
	}
}

static __attribute__((noinline)) void handle_rarer(struct vcpu *vcpu, const struct exit *exit)
{
	switch (exit->reason) {
	case EXIT_INTERRUPT:
		interrupt_dispatch(exit->number);
		statistics_count_loaded(EXITS_INTERRUPT);
		break;
	case EXIT_WFI:
		schedule_block(vcpu);
		statistics_count_loaded(EXITS_WFI);
		break;
	case EXIT_COUNTED:
		break;
	default:
		statistics_count_loaded(EXITS_OTHER);
		break;
	}
}

void __noreturn vcpu_exited(struct vcpu *vcpu, const struct exit *exit)
{
	if (exit->reason == EXIT_ACCESS) {
		handle_access(vcpu, &exit->access);
	} else if (exit->reason == EXIT_SBI) {
		sbi_handle(vcpu);
		statistics_count_loaded(EXITS_SBI);
	} else {
		handle_rarer(vcpu, exit);
	}
	schedule_run();
}
