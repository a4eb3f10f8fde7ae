/* SPDX-License-Identifier: MIT */

/* Running a vCPU, and what the engine deals with itself. */

#include "engine/fp.h"
#include "engine/hext/hext.h"
#include "engine/hext/quick.h"
#include "engine/vcpu_trace.h"
#include "kernel/error.h"
#include "kernel/hart.h"
#include "kernel/irqoff.h"
#include "kernel/trap.h"
#include "riscv/csr.h"
#include "riscv/insn.h"

#define INSN_WFI     0x10500073
#define INSN_WRS_NTO 0x00d00073
#define INSN_WRS_STO 0x01d00073

#define IRQ_LEVELS (BIT(IRQ_S_TIMER) | BIT(IRQ_S_EXT))

static void count_levels(struct vcpu *vcpu, uint32_t raised)
{
	if (raised & BIT(IRQ_S_TIMER)) {
		vcpu_trace(vcpu, TRACE_INJECT, IRQ_S_TIMER, 0, 0);
		statistics_add(&vcpu->statistics.injected[INJECTED_TIMER]);
	}
	if (raised & BIT(IRQ_S_EXT)) {
		vcpu_trace(vcpu, TRACE_INJECT, IRQ_S_EXT, 0, 0);
		statistics_add(&vcpu->statistics.injected[INJECTED_EXTERNAL]);
	}
}

/* Tells the hardware what is pending for the vCPU now. */
static void fold_interrupts(struct vcpu *vcpu, uint32_t irq)
{
	uint32_t levels = irq & (uint32_t)IRQ_LEVELS;

	if (irq & BIT(IRQ_S_SOFT)) {
		/*
		 * From here on it is the guest's own sip.SSIP, which it clears by itself; one
		 * that is raised after this sets the bit again.
		 */
		__atomic_fetch_and(&vcpu->irq, ~(uint32_t)BIT(IRQ_S_SOFT), __ATOMIC_SEQ_CST);
		csr_set(CSR_HVIP, BIT(IRQ_VS_SOFT));
		statistics_add(&vcpu->statistics.injected[INJECTED_SOFT]);
		vcpu_trace(vcpu, TRACE_INJECT, IRQ_S_SOFT, 0, 0);
	}
	if (levels != vcpu->irq_loaded) {
		count_levels(vcpu, levels & ~vcpu->irq_loaded);
		csr_clear(CSR_HVIP, (uint64_t)(vcpu->irq_loaded & ~levels) << HVIP_SHIFT);
		csr_set(CSR_HVIP, (uint64_t)(levels & ~vcpu->irq_loaded) << HVIP_SHIFT);
		vcpu->irq_loaded = levels;
	}
}

static void inject(struct vcpu *vcpu, uint64_t cause, uint64_t value)
{
	/* What trap entry into VS-mode does (Priv. 1.13, 10.1.1, 18.6.3). */
	uint64_t status = csr_read(CSR_VSSTATUS);
	uint64_t sie = status & SSTATUS_SIE ? SSTATUS_SPIE : 0;
	uint64_t spp = vcpu->sstatus & SSTATUS_SPP;

	csr_write(CSR_VSSTATUS,
		  (status & ~(uint64_t)(SSTATUS_SIE | SSTATUS_SPIE | SSTATUS_SPP)) | sie | spp);
	csr_write(CSR_VSEPC, vcpu->pc);
	csr_write(CSR_VSCAUSE, cause);
	csr_write(CSR_VSTVAL, value);
	vcpu->pc = csr_read(CSR_VSTVEC) & ~UINT64_C(3);
	vcpu->sstatus |= SSTATUS_SPP;
}

/* hlvx.hu and hlvx.wu a1, (a0), which the assembler has no names for without H. */
#define INSN_HLVX_HU 0x643545f3
#define INSN_HLVX_WU 0x683545f3

/* Reads the guest's code with its translation and execute permission. */
#define HLVX(insn, address, value)                              \
	({                                                      \
		register uint64_t failed_ __asm__("t0");        \
		register uint64_t a0_ __asm__("a0") = address;  \
		register uint64_t a1_ __asm__("a1") = 0;        \
                                                                \
		__asm__ volatile("   li t0, 0\n"                \
				 "1: .word %3\n"                \
				 "2:\n" EXCEPTION_ENTRY(1b, 2b) \
				 : "+r"(a1_), "=&r"(failed_)    \
				 : "r"(a0_), "i"(insn)          \
				 : "memory");                   \
		*(value) = (uint32_t)a1_;                       \
		!failed_;                                       \
	})

/*
 * hstatus.SPVP still holds the privilege of the trap from the guest, which is the one that
 * HLVX translates with. An aligned instruction is fetched at once (Ziccif): another hart may be
 * writing it.
 */
static int fetch(struct vcpu *vcpu, uint32_t *bits)
{
	uint32_t low = 0, high = 0;

	if (vcpu->pc % 4 == 0) {
		if (!HLVX(INSN_HLVX_WU, vcpu->pc, &low))
			return ERR_AGAIN;
		*bits = (low & 3) == 3 ? low : low & 0xffff;
		return 0;
	}
	if (!HLVX(INSN_HLVX_HU, vcpu->pc, &low))
		return ERR_AGAIN;
	if ((low & 3) == 3 && !HLVX(INSN_HLVX_HU, vcpu->pc + 2, &high))
		return ERR_AGAIN;
	*bits = low | high << 16;
	return 0;
}

static int read_word(struct vcpu *vcpu, gva_t address, uint64_t *word, struct exit_access *fault)
{
	register uint64_t failed __asm__("t0");
	register uint64_t a0 __asm__("a0") = address.v;
	register uint64_t a1 __asm__("a1") = 0;
	uint64_t cause;
	gva_t at; /* of a word in two pages, the part that cannot be read (Priv. 1.13, 12.1.9) */

	/* hlv.d a1, (a0) */
	__asm__ volatile("   li t0, 0\n"
			 "1: .word 0x6c0545f3\n"
			 "2:\n" EXCEPTION_ENTRY(1b, 2b)
			 : "+r"(a1), "=&r"(failed)
			 : "r"(a0)
			 : "memory");
	cause = failed - 1;
	*word = a1;
	if (!failed)
		return 0;
	at = GVA(csr_read(CSR_STVAL));
	*fault = (struct exit_access){
	    .kind = ACCESS_LOAD,
	    .gpa = GPA(csr_read(CSR_HTVAL) << 2),
	    .gva = at,
	};
	if (cause == EXC_LOAD_GUEST_PAGE)
		return ERR_FAULT;
	inject(vcpu, cause, at.v);
	return ERR_AGAIN;
}

static bool clear_ipi(struct vcpu *vcpu)
{
	uint32_t bit = (uint32_t)BIT(IRQ_S_SOFT);
	bool raised = __atomic_fetch_and(&vcpu->irq, ~bit, __ATOMIC_SEQ_CST) & bit;
	bool pending = csr_read(CSR_HVIP) & BIT(IRQ_VS_SOFT);

	csr_clear(CSR_HVIP, BIT(IRQ_VS_SOFT));
	return raised || pending;
}

/*
 * The guest tried what only a hypervisor may do, or what it was not given (a closed counter,
 * say): its machine has no H extension, so there the instruction is illegal. WFI and WRS are
 * the exceptions: they trap here when others want the hart.
 */
static void virtual_instruction(struct vcpu *vcpu, struct exit *exit)
{
	uint32_t bits;

	exit->reason = EXIT_NONE;
	/* stval may be 0 (Priv. 1.13, 18.6.2), and is not always right on QEMU 7.2. */
	if (fetch(vcpu, &bits) != 0)
		return;

	bool from_s = vcpu->sstatus & SSTATUS_SPP;

	if ((bits == INSN_WFI && from_s) || bits == INSN_WRS_NTO || bits == INSN_WRS_STO) {
		vcpu->pc += 4;
		exit->reason = bits == INSN_WFI ? EXIT_WFI : EXIT_WRS;
		return;
	}
	inject(vcpu, EXC_ILLEGAL_INSN, bits);
}

static inline void guest_page_fault(uint64_t scause, struct exit *exit)
{
	uint64_t htinst = csr_read(CSR_HTINST);
	uint64_t stval = csr_read(CSR_STVAL);

	/* A pseudoinstruction of a walk: bit 0 clear, and no register bits (table 18.8). */
	bool walk = (htinst & ~UINT64_C(0x1020)) == 0x2000;

	exit->reason = EXIT_ACCESS;
	exit->access.kind = scause == EXC_LOAD_GUEST_PAGE    ? ACCESS_LOAD
			    : scause == EXC_STORE_GUEST_PAGE ? ACCESS_STORE
							     : ACCESS_FETCH;
	exit->access.walk = walk;
	exit->access.gpa.v = csr_read(CSR_HTVAL) << 2 | (walk ? 0 : stval & 3);
	exit->access.gva.v = stval;
	exit->access.transformed = htinst;
}

static __attribute__((noinline)) void decode_rarer_exit(struct vcpu *vcpu, uint64_t scause,
							struct exit *exit)
{
	if (scause & SCAUSE_INTERRUPT) {
		exit->reason = EXIT_INTERRUPT;
		exit->number = scause & ~SCAUSE_INTERRUPT;
	} else if (scause == EXC_VIRTUAL_INSN) {
		virtual_instruction(vcpu, exit);
	} else if (scause == CAUSE_DEALT_WITH) {
		exit->reason = EXIT_COUNTED;
	} else {
		/* A cause that hedeleg cannot delegate on this hart: it is the guest's. */
		inject(vcpu, scause, csr_read(CSR_STVAL));
		exit->reason = EXIT_NONE;
	}
}

/* The CSRs are still the access's. */
static __attribute__((noinline, cold)) void trace_quick_access(struct vcpu *vcpu)
{
	bool store = csr_read(CSR_HTINST) & INSN_PLAIN_STORE;
	uint64_t gpa = csr_read(CSR_HTVAL) << 2 | (csr_read(CSR_STVAL) & 3);

	vcpu_trace(vcpu, TRACE_MMIO, store ? TRACE_ACCESS_STORE : TRACE_ACCESS_LOAD, gpa, 0);
}

int hext_quick_access(struct vcpu *vcpu)
{
	uint64_t htinst = csr_read(CSR_HTINST);
	uint64_t stval = csr_read(CSR_STVAL);
	gpa_t gpa = GPA(csr_read(CSR_HTVAL) << 2 | (stval & 3));
	uint64_t sepc = csr_read(CSR_SEPC);

	if (!insn_is_plain(htinst) || !vcpu_quick_access(vcpu, gpa, htinst))
		return QUICK_NOT_DEALT_WITH;
	csr_write(CSR_SEPC, sepc + (htinst & 2 ? 4 : 2));
	statistics_add(&vcpu->statistics.quick_mmio);
	if (trace_is_on())
		trace_quick_access(vcpu);

	/* Others who want something of this vCPU send an IPI, as it counts as in the guest. */
	if (vcpu->irq != vcpu->irq_loaded || vcpu->requests || this_hart()->reschedule)
		return QUICK_LEAVE;
	return QUICK_GO_ON;
}

#define GUEST_PAGE_FAULTS \
	(BIT(EXC_INSN_GUEST_PAGE) | BIT(EXC_LOAD_GUEST_PAGE) | BIT(EXC_STORE_GUEST_PAGE))

void __noreturn hext_exited(struct vcpu *vcpu, uint64_t scause)
{
	struct exit exit;

	irqoff_begin();
	__atomic_store_n(&vcpu->mode, VCPU_HOST, __ATOMIC_RELEASE);
	if (scause < 24 && GUEST_PAGE_FAULTS >> scause & 1)
		guest_page_fault(scause, &exit);
	else if (scause == EXC_ECALL_VS)
		exit.reason = EXIT_SBI;
	else
		decode_rarer_exit(vcpu, scause, &exit);
	statistics_begin();
	vcpu_exited(vcpu, &exit);
}

static __attribute__((noinline, cold)) void __noreturn enter_traced(struct vcpu *vcpu)
{
	vcpu_trace(vcpu, TRACE_ENTER, 0, 0, 0);
	hext_enter(vcpu);
}

static inline void enter(struct vcpu *vcpu, bool trap_wfi)
{
	if (unlikely(__atomic_load_n(&vcpu->requests, __ATOMIC_RELAXED))) {
		__atomic_store_n(&vcpu->mode, VCPU_HOST, __ATOMIC_RELEASE);
		return;
	}
	csr_write(CSR_HSTATUS, HSTATUS_VSXL_64 | HSTATUS_SPV | (trap_wfi ? HSTATUS_VTW : 0));
	irqoff_end();
	if (trace_is_on())
		enter_traced(vcpu);
	hext_enter(vcpu);
}

/* Apart, so that the way of most entries saves no registers for it. */
static __attribute__((noinline)) void fold_and_enter(struct vcpu *vcpu, uint32_t irq, bool trap_wfi)
{
	fold_interrupts(vcpu, irq);
	enter(vcpu, trap_wfi);
}

static void run(struct vcpu *vcpu, bool trap_wfi)
{
	uint32_t irq;

	__atomic_store_n(&vcpu->mode, VCPU_GUEST, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);

	/* From here on who raises or requests something sends an IPI, or is seen here. */
	irq = __atomic_load_n(&vcpu->irq, __ATOMIC_RELAXED);
	if (irq != vcpu->irq_loaded)
		fold_and_enter(vcpu, irq, trap_wfi);
	else
		enter(vcpu, trap_wfi);
}

static bool has_interrupt(struct vcpu *vcpu)
{
	/* hip, not vsip: on QEMU 7.2 the latter lacks a timer interrupt of vstimecmp. */
	uint64_t pending = csr_read(CSR_HIP) >> HVIP_SHIFT;

	pending |= __atomic_load_n(&vcpu->irq, __ATOMIC_SEQ_CST);
	return pending & csr_read(CSR_VSIE);
}

static void set_timer(struct vcpu *vcpu, uint64_t deadline)
{
	if (vcpu->has_sstc) {
		csr_write(CSR_VSTIMECMP, deadline);
		return;
	}
	/* SBI 2.0, 6.1: the pending timer interrupt is cleared as well. */
	vcpu_lower(vcpu, IRQ_S_TIMER);
	vcpu->csrs.vstimecmp = deadline;
	timer_set(&vcpu->timer, deadline);
}

static uint64_t timer_deadline(struct vcpu *vcpu)
{
	/* One that is masked wakes nobody. */
	bool wakes = vcpu->has_sstc && csr_read(CSR_VSIE) & BIT(IRQ_S_TIMER);

	return wakes ? csr_read(CSR_VSTIMECMP) : TIME_NEVER;
}

#define FENCE_PAGES_MAX 64

static void fence_page(uint64_t address, const struct fence *fence)
{
	register uint64_t a0 __asm__("a0") = address;
	register uint64_t a1 __asm__("a1") = fence->asid;

	if (fence->asid == FENCE_ALL_ASIDS)
		__asm__ volatile(".word 0x22050073" ::"r"(a0)
				 : "memory"); /* hfence.vvma a0, zero */
	else
		__asm__ volatile(".word 0x22b50073" ::"r"(a0), "r"(a1)
				 : "memory"); /* hfence.vvma a0, a1 */
}

static void fence(struct vcpu *vcpu, const struct fence *fence)
{
	register uint64_t a1 __asm__("a1") = fence->asid;
	uint64_t first = align_down(fence->start, PAGE_SIZE);
	uint64_t pages = (fence->size >> PAGE_SHIFT) + 2;

	(void)vcpu;
	if (pages <= FENCE_PAGES_MAX) {
		for (uint64_t a = first; a - first < fence->size + (fence->start - first);
		     a += PAGE_SIZE)
			fence_page(a, fence);
	} else if (fence->asid == FENCE_ALL_ASIDS) {
		__asm__ volatile(".word 0x22000073" ::: "memory"); /* hfence.vvma zero, zero */
	} else {
		__asm__ volatile(".word 0x22b00073" ::"r"(a1)
				 : "memory"); /* hfence.vvma zero, a1 */
	}
}

static void flush(struct vcpu *vcpu)
{
	const struct fence all = {.size = UINT64_MAX, .asid = FENCE_ALL_ASIDS};

	hext_forget_hidden(vcpu->guest);
	fence(vcpu, &all);
	__asm__ volatile("fence.i" ::: "memory");
}

/*
 * A hart may remember that a page was not mapped (Priv. 1.13, 12.2.1): the new entry is seen
 * for certain only after a fence.
 */
static void mapped(struct vcpu *vcpu, gpa_t gpa)
{
	register uint64_t a0 __asm__("a0") = gpa.v >> 2;

	(void)vcpu;
	/* hfence.gvma a0, zero; and the page's former code is not to be executed. */
	__asm__ volatile(".word 0x62050073\n"
			 "fence.i" ::"r"(a0)
			 : "memory");
}

const struct engine hext_engine = {
    .name = "hext",
    .init_hart = hext_init_hart,
    .can_use = hext_can_use,
    .limit_isa = hext_limit_isa,
    .overhead = hext_overhead,
    .guest_init = hext_guest_init,
    .vcpu_init = hext_vcpu_init,
    .vcpu_reset = hext_vcpu_reset,
    .load = hext_load,
    .put = hext_put,
    .run = run,
    .inject = inject,
    .fetch = fetch,
    .read_word = read_word,
    .clear_ipi = clear_ipi,
    .has_interrupt = has_interrupt,
    .set_timer = set_timer,
    .timer_deadline = timer_deadline,
    .fence = fence,
    .flush = flush,
    .mapped = mapped,
    .read_fp = fp_read,
    .write_fp = hext_write_fp,
    .read_state = hext_read_state,
};
