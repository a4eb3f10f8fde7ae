/* SPDX-License-Identifier: MIT */

#include "kernel/trap.h"

#include "kernel/disturb.h"
#include "kernel/hart.h"
#include "kernel/irqoff.h"
#include "kernel/log.h"
#include "kernel/panic.h"
#include "riscv/csr.h"

struct exception_entry {
	uint64_t insn, resume;
};

extern const struct exception_entry exception_table_start[], exception_table_end[];

static void (*external_handler)(void);

void interrupt_set_external(void (*handler)(void))
{
	external_handler = handler;
}

static void dispatch(uint64_t number)
{
	struct hart_counts *counts = &this_hart()->counts;

	disturb_interrupt(external_handler);
	switch (number) {
	case IRQ_S_SOFT:
		counts->ipis++;
		ipi_interrupt();
		break;
	case IRQ_S_TIMER:
		counts->timers++;
		timer_interrupt();
		break;
	case IRQ_S_EXT:
		counts->externals++;
		if (external_handler)
			external_handler();
		break;
	default:
		/* Nothing else is enabled in sie; silence whatever it is. */
		csr_clear(CSR_SIE, BIT(number & 63));
		break;
	}
}

/* An IPI has been sent, and is lost or still to come; see ipi_send(). Out of the way of others. */
static __attribute__((noinline)) void dispatch_with_ipi(uint64_t number)
{
	dispatch(number);
	ipi_interrupt();
}

void interrupt_dispatch(uint64_t number)
{
	if (number != IRQ_S_SOFT && __atomic_load_n(&this_hart()->ipi, __ATOMIC_RELAXED))
		dispatch_with_ipi(number);
	else
		dispatch(number);
}

void preempt_allow(void)
{
	irqoff_end();
	csr_set(CSR_SSTATUS, SSTATUS_SIE);
}

void preempt_forbid(void)
{
	csr_clear(CSR_SSTATUS, SSTATUS_SIE);
	irqoff_begin();
}

/* If it is a job that runs here, and another may be due. */
static void give_way(const struct hart *hart)
{
	if (hart->reschedule && hart->give_way)
		hart->give_way();
}

void preempt_point(void)
{
	const struct hart *hart = this_hart();

	preempt_allow();
	preempt_forbid();
	give_way(hart);
}

void interrupt_wait(void)
{
	uint64_t since = time_now();

	irqoff_end();
	/* WFI returns when an interrupt is pending, whether or not SIE is set (Priv. 1.13, 3.3.3).
	 */
	__asm__ volatile("wfi" ::: "memory");
	irqoff_begin();
	this_hart()->counts.idle_ticks += time_now() - since;
	preempt_point();
}

static bool exception_fixup(struct trap_frame *frame)
{
	for (const struct exception_entry *e = exception_table_start; e < exception_table_end;
	     e++) {
		if (e->insn == frame->sepc) {
			frame->sepc = e->resume;
			frame->x[5] = frame->scause + 1;
			return true;
		}
	}
	return false;
}

/*
 * What a handler began it ends: only the job that it came to may give way. Each of its turns begins
 * with no vCPU loaded: hstatus.SPV is clear, so that SRET returns to it (Priv. 1.13, 18.6.4).
 */
static void take_interrupt(uint64_t number)
{
	struct hart *hart = this_hart();
	void (*of_job)(void) = hart->give_way;

	irqoff_begin();
	hart->give_way = NULL;
	interrupt_dispatch(number);
	hart->give_way = of_job;
	give_way(hart);
	irqoff_end();
}

void kernel_trap(struct trap_frame *frame)
{
	if (frame->scause & SCAUSE_INTERRUPT) {
		take_interrupt(frame->scause & ~SCAUSE_INTERRUPT);
		return;
	}
	if (!exception_fixup(frame))
		panic_trap("unexpected exception in the hypervisor", frame);
}

void __noreturn kernel_stack_overflow(struct trap_frame *frame)
{
	panic_trap("stack overflow in the hypervisor", frame);
}
