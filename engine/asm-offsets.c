/* SPDX-License-Identifier: MIT */

/* Offsets for assembly: compiled, not linked; see mk/hypervisor.mk. */

#include "engine/soft/soft.h"
#include "engine/soft/trampoline.h"
#include "engine/vcpu.h"
#include "kernel/hart.h"

#define VALUE(name, value) __asm__ volatile(".ascii \"->" #name " %0\"" ::"i"(value))
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
	OFFSET(VCPU_SOFT, struct vcpu, soft);
	VALUE(SOFT_VIEW_S, VIEW_S);
	VALUE(SOFT_FENCES_MOST, SOFT_FENCES);
	OFFSET(VCPU_IRQ, struct vcpu, irq);
	OFFSET(SOFT_SSTATUS, struct soft_vcpu, csrs.sstatus);
	OFFSET(SOFT_STVEC, struct soft_vcpu, csrs.stvec);
	OFFSET(SOFT_SEPC, struct soft_vcpu, csrs.sepc);
	OFFSET(SOFT_SCAUSE, struct soft_vcpu, csrs.scause);
	OFFSET(SOFT_STVAL, struct soft_vcpu, csrs.stval);
	OFFSET(SOFT_PRIVILEGE, struct soft_vcpu, privilege);
	OFFSET(SOFT_FP_FIELDS, struct soft_vcpu, fp_fields);
	OFFSET(SOFT_WRITABLE, struct soft_vcpu, writable);
	OFFSET(SOFT_UNSAVED_FP, struct soft_vcpu, unsaved_fp);
	OFFSET(SOFT_SCRATCH, struct soft_vcpu, scratch);
	OFFSET(SOFT_LOW_PAGES, struct soft_vcpu, low_pages);
	OFFSET(SOFT_FENCE_COUNT, struct soft_vcpu, fence_count);
	OFFSET(SOFT_FENCES_FIRST, struct soft_vcpu, fences);
	OFFSET(SOFT_STASH, struct soft_vcpu, stash);
	OFFSET(SOFT_VIEW, struct soft_vcpu, view);
	OFFSET(SOFT_HOST_SATP, struct soft_vcpu, host_satp);
	OFFSET(SOFT_FAST_U_VERSION, struct soft_vcpu, fast[VIEW_U].version);
	OFFSET(SOFT_FAST_U_SATP, struct soft_vcpu, fast[VIEW_U].host_satp);
	OFFSET(SOFT_FAST_U_ROOT, struct soft_vcpu, fast[VIEW_U].root);
	OFFSET(SOFT_FAST_S_VERSION, struct soft_vcpu, fast[VIEW_S].version);
	OFFSET(SOFT_FAST_S_SATP, struct soft_vcpu, fast[VIEW_S].host_satp);
	OFFSET(SOFT_FAST_S_ROOT, struct soft_vcpu, fast[VIEW_S].root);
	OFFSET(SOFT_FAST_S, struct soft_vcpu, fast[VIEW_S]);
	OFFSET(SOFT_FAST_SUM, struct soft_vcpu, fast[VIEW_SUM]);
	OFFSET(FAST_VERSION, struct soft_fast_root, version);
	OFFSET(FAST_HOST_SATP, struct soft_fast_root, host_satp);
	OFFSET(FAST_ROOT, struct soft_fast_root, root);
	OFFSET(FAST_VIEW, struct soft_fast_root, view);
	OFFSET(SOFT_CODE_GENERATION, struct soft_vcpu, shadow.code_generation);
	OFFSET(SOFT_VERSION, struct soft_vcpu, shadow.version);
	OFFSET(SOFT_SELECTED, struct soft_vcpu, shadow.selected);
	OFFSET(SITE_PC, struct soft_vcpu, sites[0].pc);
	OFFSET(SITE_GENERATION, struct soft_vcpu, sites[0].generation);
	OFFSET(SITE_OPS, struct soft_vcpu, sites[0].ops);
	OFFSET(VCPU_TRAMPOLINE, struct vcpu, trampoline);
	OFFSET(TRAMPOLINE_VCPU, struct trampoline, vcpu);
	OFFSET(TRAMPOLINE_HOST_SATP, struct trampoline, host_satp);
	OFFSET(TRAMPOLINE_GUEST_TP, struct trampoline, guest_tp);
	OFFSET(TRAMPOLINE_GUEST_SATP, struct trampoline, guest_satp);
	OFFSET(TRAMPOLINE_VECTOR, struct trampoline, vector);
	OFFSET(TRAMPOLINE_ENTER, struct trampoline, enter);
	OFFSET(HART_STACK_TOP, struct hart, stack_top);
}
