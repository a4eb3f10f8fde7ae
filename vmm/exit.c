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
	if (vm_is_ram(vm_of(vcpu), access->gpa, 1) || access->walk || access->kind == ACCESS_FETCH)
		exit_memory(vcpu, access);
	else
		mmio_emulate(vcpu, access);
}

static __attribute__((noinline)) void handle_rarer(struct vcpu *vcpu, const struct exit *exit)
{
	switch (exit->reason) {
	case EXIT_INTERRUPT:
		interrupt_dispatch(exit->number);
		break;
	case EXIT_WFI:
		schedule_block(vcpu);
		break;
	default:
		break;
	}
}

/* Notes an exit. `more`: of an access, its kind; of a call, its function. */
static inline void note(struct vcpu *vcpu, enum exit_reason reason, uint64_t more, uint64_t detail)
{
	vcpu->exits[vcpu->exit_count++ % EXIT_NOTES] =
	    (struct exit_note){vcpu->pc, reason | more << EXIT_NOTE_SHIFT, detail};
}

void __noreturn vcpu_exited(struct vcpu *vcpu, const struct exit *exit)
{
	if (exit->reason == EXIT_ACCESS) {
		note(vcpu, EXIT_ACCESS, exit->access.kind, exit->access.gpa.v);
		handle_access(vcpu, &exit->access);
	} else if (exit->reason == EXIT_SBI) {
		note(vcpu, EXIT_SBI, vcpu->x[16], vcpu->x[17]);
		sbi_handle(vcpu);
	} else {
		note(vcpu, exit->reason, 0, exit->reason == EXIT_INTERRUPT ? exit->number : 0);
		handle_rarer(vcpu, exit);
	}
	schedule_run();
}
