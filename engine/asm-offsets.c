/* SPDX-License-Identifier: MIT */

/* Offsets for assembly: compiled, not linked; see mk/hypervisor.mk. */

#include "engine/soft/soft.h"
#include "engine/soft/trampoline.h"
#include "engine/vcpu.h"
#include "kernel/hart.h"

#define VALUE(name, value) __asm__ volatile(".ascii \"->" #name " %0\"" ::"i"(value))
#define OFFSET(name, type, member) \
	__asm__ volatile(".ascii \"->" #name " %0\"" ::"i"(offsetof(type, member)))
#define BASED(name, member) \
	VALUE(name, (int64_t)offsetof(struct soft_vcpu, member) - (int64_t)SOFT_BASE)

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
	OFFSET(VCPU_QUICK_SBI, struct vcpu, statistics.quick_sbi);
	OFFSET(VCPU_QUICK_PRIVILEGED, struct vcpu, statistics.quick_privileged);
	OFFSET(VCPU_QUICK_SHADOW, struct vcpu, statistics.quick_shadow);
	OFFSET(VCPU_INJECTED_SOFT, struct vcpu, statistics.injected[INJECTED_SOFT]);
	OFFSET(VCPU_SOFT_BASE, struct vcpu, soft_base);
	VALUE(SOFT_VIEW_S, VIEW_S);
	VALUE(SOFT_S, SOFT_S);
	VALUE(SOFT_FAULT_INJECTED, SOFT_FAULT_INJECTED);
	VALUE(SOFT_FENCES_MOST, SOFT_FENCES);
	OFFSET(VCPU_IRQ, struct vcpu, irq);
	BASED(SOFT_SSTATUS, csrs.sstatus);
	BASED(SOFT_STVEC, csrs.stvec);
	BASED(SOFT_SEPC, csrs.sepc);
	BASED(SOFT_SCAUSE, csrs.scause);
	BASED(SOFT_SSCRATCH, csrs.sscratch);
	BASED(SOFT_STVAL, csrs.stval);
	BASED(SOFT_PRIVILEGE, privilege);
	BASED(SOFT_FP_FIELDS, fp_fields);
	BASED(SOFT_WRITABLE, writable);
	BASED(SOFT_READ_FIELDS, read_fields);
	BASED(SOFT_SITES, sites);
	BASED(SOFT_UNSAVED_FP, unsaved_fp);
	BASED(SOFT_SCRATCH, scratch);
	BASED(SOFT_LOW_PAGES, low_pages);
	BASED(SOFT_FENCE_COUNT, fence_count);
	BASED(SOFT_FENCES_FIRST, fences);
	BASED(SOFT_STASH, stash);
	BASED(SOFT_VIEW, view);
	BASED(SOFT_HOST_SATP, host_satp);
	BASED(SOFT_FAST_U_VERSION, fast[VIEW_U].version);
	BASED(SOFT_FAST_U_SATP, fast[VIEW_U].host_satp);
	BASED(SOFT_FAST_U_ROOT, fast[VIEW_U].root);
	BASED(SOFT_FAST_S_VERSION, fast[VIEW_S].version);
	BASED(SOFT_FAST_S_SATP, fast[VIEW_S].host_satp);
	BASED(SOFT_FAST_S_ROOT, fast[VIEW_S].root);
	BASED(SOFT_FAST_S, fast[VIEW_S]);
	BASED(SOFT_FAST_SUM, fast[VIEW_SUM]);
	OFFSET(FAST_VERSION, struct soft_fast_root, version);
	OFFSET(FAST_HOST_SATP, struct soft_fast_root, host_satp);
	OFFSET(FAST_ROOT, struct soft_fast_root, root);
	OFFSET(FAST_VIEW, struct soft_fast_root, view);
	BASED(SOFT_CODE_GENERATION, shadow.code_generation);
	BASED(SOFT_VERSION, shadow.version);
	BASED(SOFT_SELECTED, shadow.selected);
	OFFSET(SITE_PC, struct soft_fast_site, pc);
	OFFSET(SITE_GENERATION, struct soft_fast_site, generation);
	OFFSET(SITE_OPS, struct soft_fast_site, ops);
	OFFSET(VCPU_TRAMPOLINE, struct vcpu, trampoline);
	OFFSET(TRAMPOLINE_VCPU, struct trampoline, vcpu);
	OFFSET(TRAMPOLINE_HOST_SATP, struct trampoline, host_satp);
	OFFSET(TRAMPOLINE_GUEST_TP, struct trampoline, guest_tp);
	OFFSET(TRAMPOLINE_GUEST_SATP, struct trampoline, guest_satp);
	OFFSET(TRAMPOLINE_VECTOR, struct trampoline, vector);
	OFFSET(TRAMPOLINE_ENTER, struct trampoline, enter);
	OFFSET(HART_STACK_TOP, struct hart, stack_top);
	OFFSET(HART_INTERRUPTS_OFF_SINCE, struct hart, interrupts_off_since);
}
