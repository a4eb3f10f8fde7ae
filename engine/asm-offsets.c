/* SPDX-License-Identifier: MIT */

/* Offsets for assembly: compiled, not linked; see mk/hypervisor.mk. */

#include "engine/soft/soft.h"
#include "engine/soft/trampoline.h"
#include "engine/vcpu.h"
#include "kernel/hart.h"

#define VALUE(name, value) __asm__ volatile(".ascii \"->" #name " %0\"" ::"i"(value))
#define OFFSET(name, type, member) \
	__asm__ volatile(".ascii \"->" #name " %0\"" ::"i"(offsetof(type, member)))
/* From struct vcpu on. */
#define SOFT(name, member)                                              \
	VALUE(name, (int64_t)offsetof(struct soft_block, soft.member) - \
			(int64_t)offsetof(struct soft_block, vcpu))

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
	VALUE(SOFT_VIEW_S, VIEW_S);
	VALUE(SOFT_S, SOFT_S);
	VALUE(SOFT_FAULT_INJECTED, SOFT_FAULT_INJECTED);
	VALUE(SOFT_FENCES_MOST, SOFT_FENCES);
	OFFSET(VCPU_IRQ, struct vcpu, irq);
	SOFT(SOFT_SSTATUS, csrs.sstatus);
	SOFT(SOFT_STVEC, csrs.stvec);
	SOFT(SOFT_SEPC, csrs.sepc);
	SOFT(SOFT_SCAUSE, csrs.scause);
	SOFT(SOFT_SSCRATCH, csrs.sscratch);
	SOFT(SOFT_STVAL, csrs.stval);
	SOFT(SOFT_PRIVILEGE, privilege);
	SOFT(SOFT_FP_FIELDS, fp_fields);
	SOFT(SOFT_WRITABLE, writable);
	SOFT(SOFT_READ_FIELDS, read_fields);
	SOFT(SOFT_SITE_PLACES, site_places);
	SOFT(SOFT_SITE_GENERATION, site_generation);
	SOFT(SOFT_CODE_GENERATION, shadow.code_generation);
	SOFT(SOFT_UNSAVED_FP, unsaved_fp);
	SOFT(SOFT_SCRATCH, scratch);
	SOFT(SOFT_LOW_PAGES, low_pages);
	SOFT(SOFT_FENCE_COUNT, fence_count);
	SOFT(SOFT_FENCES_FIRST, fences);
	SOFT(SOFT_STASH, stash);
	SOFT(SOFT_VIEW, view);
	SOFT(SOFT_HOST_SATP, host_satp);
	SOFT(SOFT_FAST_U_VERSION, fast[VIEW_U].version);
	SOFT(SOFT_FAST_U_SATP, fast[VIEW_U].host_satp);
	SOFT(SOFT_FAST_U_ROOT, fast[VIEW_U].root);
	SOFT(SOFT_FAST_S_VERSION, fast[VIEW_S].version);
	SOFT(SOFT_FAST_S_SATP, fast[VIEW_S].host_satp);
	SOFT(SOFT_FAST_S_ROOT, fast[VIEW_S].root);
	SOFT(SOFT_FAST_S, fast[VIEW_S]);
	SOFT(SOFT_FAST_SUM, fast[VIEW_SUM]);
	OFFSET(FAST_VERSION, struct soft_fast_root, version);
	OFFSET(FAST_HOST_SATP, struct soft_fast_root, host_satp);
	OFFSET(FAST_ROOT, struct soft_fast_root, root);
	OFFSET(FAST_VIEW, struct soft_fast_root, view);
	SOFT(SOFT_VERSION, shadow.version);
	SOFT(SOFT_SELECTED, shadow.selected);
	VALUE(SITE_NONE, (int64_t)SOFT_SITE_NONE);
	OFFSET(SITE_PC, struct soft_fast_site, pc);
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
