/* SPDX-License-Identifier: MIT */

/* Offsets for assembly: compiled, not linked; see mk/hypervisor.mk. */

#include "engine/vcpu.h"
#include "kernel/hart.h"

#define OFFSET(name, type, member) \
	__asm__ volatile(".ascii \"->" #name " %0\"" ::"i"(offsetof(type, member)))

void asm_offsets(void);

void asm_offsets(void)
{
	OFFSET(VCPU_PC, struct vcpu, pc);
	OFFSET(VCPU_SSTATUS, struct vcpu, sstatus);
	OFFSET(VCPU_HOST_TP, struct vcpu, host_tp);
	OFFSET(VCPU_SELF_MASK, struct vcpu, self_mask);
	OFFSET(VCPU_ID, struct vcpu, id);
	OFFSET(VCPU_HAS_SSTC, struct vcpu, has_sstc);
	OFFSET(VCPU_SBI_EXTENSIONS, struct vcpu, sbi_extensions);
	OFFSET(HART_STACK_TOP, struct hart, stack_top);
}
