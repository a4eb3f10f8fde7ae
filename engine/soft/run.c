/* SPDX-License-Identifier: MIT */

/*
 * Running a vCPU. While the engine deals with a trap by itself the vCPU counts as in the guest:
 * who wants something of it sends an interrupt, which is taken as soon as it is there again.
 */

#include "engine/fp.h"
#include "engine/soft/code.h"
#include "engine/soft/soft.h"
#include "engine/soft/walk.h"
#include "engine/vcpu_trace.h"
#include "kernel/hart.h"
#include "kernel/irqoff.h"
#include "riscv/csr.h"

void soft_leave(struct vcpu *vcpu, const struct exit *exit)
{
	__atomic_store_n(&vcpu->mode, VCPU_HOST, __ATOMIC_RELEASE);
	vcpu_exited(vcpu, exit);
}

/* Its kinds are numbered 1, 5 and 9. */
void soft_count_interrupt(struct vcpu *vcpu, uint64_t cause)
{
	vcpu_trace(vcpu, TRACE_INJECT, cause & ~SCAUSE_INTERRUPT, 0, 0);
	statistics_add(&vcpu->statistics.injected[(cause & ~SCAUSE_INTERRUPT) >> 2]);
}

void soft_leave_for_nothing(struct vcpu *vcpu)
{
	struct exit exit = {.reason = EXIT_NONE};

	soft_leave(vcpu, &exit);
}

void soft_inject(struct vcpu *vcpu, uint64_t cause, uint64_t value)
{
	soft_trap_enter(vcpu, cause, value);
	soft_update(vcpu);
}

static void take_interrupt(struct vcpu *vcpu)
{
	uint64_t interrupt = soft_pending_interrupt(vcpu);

	if (!interrupt)
		return;
	soft_count_interrupt(vcpu, interrupt);
	soft_inject(vcpu, interrupt, 0);
}

static void environment_call(struct vcpu *vcpu)
{
	struct exit exit = {.reason = EXIT_SBI};

	if (vcpu->soft->privilege == SOFT_S)
		soft_leave(vcpu, &exit);
	soft_inject(vcpu, EXC_ECALL_U, 0);
	soft_run_blocks(vcpu);
}

static void leave_for_interrupt(struct vcpu *vcpu, uint64_t cause)
{
	struct exit exit = {.reason = EXIT_INTERRUPT, .number = cause & ~SCAUSE_INTERRUPT};

	soft_leave(vcpu, &exit);
}

static void page_fault(struct vcpu *vcpu, uint64_t cause, gva_t va)
{
	if (soft_quick_access(vcpu, cause, va))
		statistics_count(&vcpu->statistics, EXITS_MMIO);
	else
		statistics_count(&vcpu->statistics, soft_page_fault(vcpu, cause, va));
}

/* Deals with a trap; what returns here is counted here, what leaves by vcpu_exited(). */
static void deal_with(struct vcpu *vcpu, uint64_t cause, uint64_t value)
{
	switch (cause) {
	case EXC_BREAKPOINT:
		soft_breakpoint(vcpu, value);
		statistics_count(&vcpu->statistics, EXITS_PRIVILEGED);
		break;
	case EXC_ILLEGAL_INSN:
		soft_illegal_instruction(vcpu, value);
		statistics_count(&vcpu->statistics, EXITS_PRIVILEGED);
		break;
	case EXC_ECALL_U:
		environment_call(vcpu);
		statistics_count(&vcpu->statistics, EXITS_PRIVILEGED);
		break;
	case EXC_INSN_PAGE:
	case EXC_LOAD_PAGE:
	case EXC_STORE_PAGE:
		page_fault(vcpu, cause, GVA(value));
		break;
	default:
		if (cause & SCAUSE_INTERRUPT)
			leave_for_interrupt(vcpu, cause);
		/* What a guest gets from its own machine. */
		soft_inject(vcpu, cause, value);
		statistics_count(&vcpu->statistics, EXITS_OTHER);
		break;
	}
}

void soft_do_fences(struct vcpu *vcpu)
{
	struct soft_vcpu *soft = vcpu->soft;
	struct soft_fast_root *fast = &soft->fast[VIEW_S];
	/* Since it was noted there was nothing but these, each of which has changed the version. */
	bool is_fast = fast->version == soft->shadow.version - soft->fence_count;

	for (uint64_t i = 0; i < soft->fence_count; i++)
		shadow_fence_others(&soft->shadow, GVA(soft->fences[i]));
	soft->fence_count = 0;
	if (is_fast)
		fast->version = soft->shadow.version;
}

void soft_enter_user(struct vcpu *vcpu)
{
	soft_begin_quickly(vcpu);
	if (vcpu->soft->fence_count)
		soft_do_fences(vcpu);
	vcpu->soft->privilege = SOFT_U;
	soft_update(vcpu);
	irqoff_note();
}

void soft_trapped(struct vcpu *vcpu, uint64_t cause, uint64_t value)
{
	irqoff_begin();
	vcpu_trace(vcpu, TRACE_TRAP, TRACE_CAUSE(cause), value, vcpu->pc);
	vcpu->soft->shadow.work = 0;
	if (vcpu->soft->fence_count)
		soft_do_fences(vcpu);
	deal_with(vcpu, cause, value);
	if (unlikely(vcpu->irq))
		take_interrupt(vcpu);
	if (unlikely(vcpu->requests | this_hart()->reschedule)) {
		struct exit exit = {.reason = EXIT_COUNTED};

		soft_leave(vcpu, &exit);
	}
	vcpu_trace(vcpu, TRACE_ENTER, 0, 0, 0);
	irqoff_end();
}

static __attribute__((noinline, cold)) void __noreturn enter_traced(struct vcpu *vcpu)
{
	vcpu_trace(vcpu, TRACE_ENTER, 0, 0, 0);
	soft_enter(vcpu);
}

static void run(struct vcpu *vcpu, bool trap_wfi)
{
	/* WFI traps in U-mode anyway. */
	(void)trap_wfi;
	__atomic_store_n(&vcpu->mode, VCPU_GUEST, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);

	/* From here on who raises or requests something sends an IPI, or is seen here. */
	if (unlikely(__atomic_load_n(&vcpu->requests, __ATOMIC_RELAXED))) {
		__atomic_store_n(&vcpu->mode, VCPU_HOST, __ATOMIC_RELEASE);
		return;
	}
	if (vcpu->irq)
		take_interrupt(vcpu);
	irqoff_end();
	if (trace_is_on())
		enter_traced(vcpu);
	soft_enter(vcpu);
}

static bool clear_ipi(struct vcpu *vcpu)
{
	uint32_t bit = (uint32_t)BIT(IRQ_S_SOFT);

	return __atomic_fetch_and(&vcpu->irq, ~bit, __ATOMIC_SEQ_CST) & bit;
}

static bool has_interrupt(struct vcpu *vcpu)
{
	return __atomic_load_n(&vcpu->irq, __ATOMIC_SEQ_CST) & vcpu->soft->csrs.sie;
}

static void set_timer(struct vcpu *vcpu, uint64_t deadline)
{
	/* SBI 2.0, 6.1: the pending timer interrupt is cleared as well. */
	vcpu_lower(vcpu, IRQ_S_TIMER);
	timer_set(&vcpu->timer, deadline);
}

static uint64_t timer_deadline(struct vcpu *vcpu)
{
	/* The host's timer wakes it. */
	(void)vcpu;
	return TIME_NEVER;
}

#define FENCE_PAGES_MAX 16

static void fence(struct vcpu *vcpu, const struct fence *fence)
{
	struct shadow *shadow = &vcpu->soft->shadow;
	struct shadow_fence one = {.all_asids = fence->asid == FENCE_ALL_ASIDS,
				   .asid = fence->asid & SOFT_ASID_MASK};
	uint64_t first = align_down(fence->start, PAGE_SIZE);
	uint64_t pages = (fence->size >> PAGE_SHIFT) + 2;

	one.all_addresses = pages > FENCE_PAGES_MAX;
	for (uint64_t a = first;
	     !one.all_addresses && a - first < fence->size + (fence->start - first);
	     a += PAGE_SIZE) {
		one.address = GVA(a);
		shadow_fence(shadow, &one);
		/* Several may be asked for at once, and each address may take long. */
		one.all_addresses = shadow->work > SOFT_WORK_MAX;
	}
	if (one.all_addresses)
		shadow_fence(shadow, &one);
	soft_update_after_flush(vcpu);
}

static void flush(struct vcpu *vcpu)
{
	shadow_flush(&vcpu->soft->shadow);
	soft_update_after_flush(vcpu);
	__asm__ volatile("fence.i" ::: "memory");
}

static void mapped(struct vcpu *vcpu, gpa_t gpa)
{
	/* The shadow tables are filled when the guest touches it again. */
	(void)vcpu;
	(void)gpa;
}

const struct engine soft_engine = {
    .name = "soft",
    .vcpu_front = offsetof(struct soft_block, vcpu),
    .init_hart = soft_init_hart,
    .can_use = soft_can_use,
    .limit_isa = soft_limit_isa,
    .overhead = soft_overhead,
    .log_use = soft_log_use,
    .guest_init = soft_guest_init,
    .vcpu_init = soft_vcpu_init,
    .vcpu_reset = soft_vcpu_reset,
    .load = soft_load,
    .put = soft_put,
    .run = run,
    .inject = soft_inject,
    .fetch = soft_fetch,
    .waits_at_wrs = soft_waits_at_wrs,
    .read_word = soft_read_word,
    .clear_ipi = clear_ipi,
    .has_interrupt = has_interrupt,
    .set_timer = set_timer,
    .timer_deadline = timer_deadline,
    .fence = fence,
    .flush = flush,
    .mapped = mapped,
    .begin_write = code_begin_write,
    .end_write = code_end_write,
    .note_written = code_note_written,
    .read_fp = fp_read,
    .write_fp = soft_write_fp,
    .read_state = soft_read_state,
};
