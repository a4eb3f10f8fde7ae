/* SPDX-License-Identifier: MIT */

/*
 * Why a hart is in the kernel: a program made a system call, or did what it may not, or an
 * interrupt came.
 */

#include "guests/minikernel/kernel.h"
#include "riscv/csr.h"

_Static_assert(offsetof(struct frame, pc) == FRAME_PC, "layout.h");
_Static_assert(offsetof(struct frame, status) == FRAME_STATUS, "layout.h");
_Static_assert(offsetof(struct frame, cause) == FRAME_CAUSE, "layout.h");
_Static_assert(offsetof(struct frame, value) == FRAME_VALUE, "layout.h");
_Static_assert(sizeof(struct frame) == FRAME_SIZE, "layout.h");

static const char *exception_name(uint64_t cause)
{
	static const char *const names[] = {
	    [EXC_INSN_MISALIGNED] = "misaligned jump",
	    [EXC_INSN_ACCESS] = "instruction access fault",
	    [EXC_ILLEGAL_INSN] = "illegal instruction",
	    [EXC_BREAKPOINT] = "breakpoint",
	    [EXC_LOAD_MISALIGNED] = "misaligned load",
	    [EXC_LOAD_ACCESS] = "load access fault",
	    [EXC_STORE_MISALIGNED] = "misaligned store",
	    [EXC_STORE_ACCESS] = "store access fault",
	    [EXC_ECALL_S] = "system call from S-mode",
	    [EXC_INSN_PAGE] = "instruction page fault",
	    [EXC_LOAD_PAGE] = "load page fault",
	    [EXC_STORE_PAGE] = "store page fault",
	};

	return cause < ARRAY_SIZE(names) && names[cause] != NULL ? names[cause] : "exception";
}

static void interrupt(uint64_t cause)
{
	switch (cause & ~SCAUSE_INTERRUPT) {
	case IRQ_S_SOFT:
		/* From another hart. That it came is the message: see hart_interrupt(). */
		csr_clear(CSR_SIP, 1 << IRQ_S_SOFT);
		break;
	case IRQ_S_TIMER:
		/* It stays pending until the timer is set again, be it to the same time. */
		hart_self()->timer = 0;
		sched_expire();
		break;
	case IRQ_S_EXT:
		plic_interrupt();
		break;
	default:
		panic("interrupt %lu", cause & ~SCAUSE_INTERRUPT);
	}
}

static int page_fault(struct proc *p)
{
	switch (p->frame->cause) {
	case EXC_INSN_PAGE:
		return space_fault(&p->space, p->frame->value, ACCESS_EXECUTE);
	case EXC_LOAD_PAGE:
		return space_fault(&p->space, p->frame->value, ACCESS_READ);
	case EXC_STORE_PAGE:
		return space_fault(&p->space, p->frame->value, ACCESS_WRITE);
	default:
		return ERR_FAULT;
	}
}

/* There is no page left for a program. The largest process has to go, be it this one or not. */
static void out_of_memory(void)
{
	struct proc *victim = proc_largest();

	/* Until it is gone, the program that wants memory comes back here and gives way. */
	hart_self()->preempt = true;
	if (victim->killed)
		return;
	print("minikernel: %s[%u] killed: out of memory\n", victim->name, victim->pid);
	proc_kill(victim, STATUS_OUT_OF_MEMORY);
}

static void exception(struct proc *p)
{
	const struct frame *f = p->frame;
	int error = page_fault(p);

	if (error == ERR_NOMEM) {
		out_of_memory();
	} else if (error != 0) {
		print("minikernel: %s[%u] killed: %s at pc 0x%lx, value 0x%lx\n", p->name, p->pid,
		      exception_name(f->cause), f->pc, f->value);
		proc_kill(p, STATUS_FAULT + (int)f->cause);
	}
}

/* From vector.S, on the kernel stack of the process. Returns to its program. */
void trap_user(struct frame *frame)
{
	struct proc *p;

	kernel_lock();
	p = proc_current();
	if ((frame->cause & SCAUSE_INTERRUPT) != 0) {
		interrupt(frame->cause);
	} else if (p->killed) {
		/* While it waited for the lock. Whoever sleeps now would never be woken. */
	} else if (frame->cause == EXC_ECALL_U) {
		frame->pc += 4;
		syscall_dispatch(p);
	} else {
		exception(p);
	}
	trap_leave();
}

/* The last thing that is done before a program goes on, or starts. */
void trap_leave(void)
{
	struct proc *p = proc_current();

	while (hart_self()->preempt && !p->killed)
		sched_yield();
	if (p->killed)
		proc_exit(p->status);
	sched_set_timer();
	kernel_unlock();
}

static void print_registers(const struct frame *f)
{
	static const char names[32][4] = {"",   "ra", "sp",  "gp",  "tp", "t0", "t1", "t2",
					  "s0", "s1", "a0",  "a1",  "a2", "a3", "a4", "a5",
					  "a6", "a7", "s2",  "s3",  "s4", "s5", "s6", "s7",
					  "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6"};

	for (int i = 1; i < 32; i++)
		print("%4s %016lx%s", names[i], f->x[i], i % 4 == 3 ? "\n" : "");
	print("\n  pc %016lx status %016lx cause %016lx value %016lx\n", f->pc, f->status, f->cause,
	      f->value);
}

/* From vector.S, on a stack of its own: either the hart was idle, or the kernel has a bug. */
void trap_kernel(struct frame *frame)
{
	if ((frame->cause & SCAUSE_INTERRUPT) != 0) {
		kernel_lock();
		interrupt(frame->cause);
		kernel_unlock();
		/* One is enough: back in idle() it is off, not as it was when this one came. */
		frame->status &= ~(uint64_t)SSTATUS_SPIE;
		return;
	}
	print_registers(frame);
	panic("%s in the kernel, on hart %lu", exception_name(frame->cause), hart_self()->id);
}
