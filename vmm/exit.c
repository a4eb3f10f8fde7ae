/* SPDX-License-Identifier: MIT */

#include "vmm/exit.h"

#include "engine/vcpu_trace.h"
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
		bool writes = access->walk && access->transformed & ACCESS_WALK_WRITES;

		/* Other devices than flash hold neither page tables nor code. */
		if (writes || machine_map(vm, access->gpa) != 0)
			exit_access_fault(vcpu, access);
		else
			vcpu->guest->engine->mapped(vcpu, access->gpa);
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
		schedule_look(vcpu);
		statistics_count_loaded(EXITS_INTERRUPT);
		break;
	case EXIT_WFI:
		schedule_block(vcpu);
		statistics_count_loaded(EXITS_WFI);
		break;
	case EXIT_COUNTED:
		break;
	case EXIT_WRS:
		schedule_yield(vcpu);
		statistics_count_loaded(EXITS_OTHER);
		break;
	default:
		statistics_count_loaded(EXITS_OTHER);
		break;
	}
}

/* Notes an exit. `more`: of an access, its kind; of a call, its function. */
static inline void note(struct vcpu *vcpu, enum exit_reason reason, uint64_t more, uint64_t detail)
{
	vcpu->exits[vcpu->exit_count++ % EXIT_NOTES] =
	    (struct exit_note){vcpu->pc, reason | more << EXIT_NOTE_SHIFT, detail};
}

static __attribute__((noinline, cold)) void trace_access(struct vcpu *vcpu,
							 const struct exit_access *access)
{
	unsigned detail = (unsigned)access->kind;

	if (access->walk)
		detail |= TRACE_ACCESS_WALK;
	if (vm_is_ram(vm_of(vcpu), access->gpa, 1))
		detail |= TRACE_ACCESS_RAM;
	vcpu_trace(vcpu, TRACE_ACCESS, detail, access->gpa.v, access->gva.v);
}

static __attribute__((noinline, cold)) void trace_exit(struct vcpu *vcpu, const struct exit *exit)
{
	switch (exit->reason) {
	case EXIT_SBI:
		vcpu_trace(vcpu, TRACE_SBI, 0, vcpu->x[17], vcpu->x[16]);
		break;
	case EXIT_ACCESS:
		trace_access(vcpu, &exit->access);
		break;
	case EXIT_WFI:
		vcpu_trace(vcpu, TRACE_WFI, 0, 0, 0);
		break;
	case EXIT_INTERRUPT:
		vcpu_trace(vcpu, TRACE_INTERRUPT, (unsigned)exit->number, 0, 0);
		break;
	default:
		vcpu_trace(vcpu, TRACE_OTHER, 0, 0, 0);
		break;
	}
}

static inline __attribute__((always_inline)) void __noreturn deal_with(struct vcpu *vcpu,
								       const struct exit *exit)
{
	if (exit->reason == EXIT_ACCESS) {
		note(vcpu, EXIT_ACCESS, exit->access.kind, exit->access.gpa.v);
		handle_access(vcpu, &exit->access);
	} else if (exit->reason == EXIT_SBI) {
		note(vcpu, EXIT_SBI, vcpu->x[16], vcpu->x[17]);
		sbi_handle(vcpu);
		statistics_count_loaded(EXITS_SBI);
	} else {
		note(vcpu, exit->reason, 0, exit->reason == EXIT_INTERRUPT ? exit->number : 0);
		handle_rarer(vcpu, exit);
	}
	schedule_run();
}

/* What comes after a trace point is there twice, so that it need not keep anything for this one. */
static __attribute__((noinline, cold)) void __noreturn exited_traced(struct vcpu *vcpu,
								     const struct exit *exit)
{
	trace_exit(vcpu, exit);
	deal_with(vcpu, exit);
}

void __noreturn vcpu_exited(struct vcpu *vcpu, const struct exit *exit)
{
	if (trace_is_on())
		exited_traced(vcpu, exit);
	deal_with(vcpu, exit);
}
