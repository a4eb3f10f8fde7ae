/* SPDX-License-Identifier: MIT */
#include "guests/lib/trap.h"

#include "guests/lib/console.h"
#include "guests/lib/machine.h"
#include "riscv/sbi.h"

#define EBREAK 0x00100073U

/* A page for each hart: QEMU can miss the first store to a page of code while another hart stores
 * to it or is about to run it, and the instruction that was there before is run again.
 */
static uint8_t insn_pages[HARTS_MAX][PAGE_SIZE] __aligned(PAGE_SIZE);

void trap_interrupt_quiet(uint64_t number)
{
	if (number == IRQ_S_SOFT)
		csr_clear(CSR_SIP, BIT(IRQ_S_SOFT));
	else if (number == IRQ_S_TIMER)
		sbi_call(SBI_EXT_SET_TIMER, 0, ~UINT64_C(0), 0, 0, 0, 0);
	else
		csr_clear(CSR_SIE, BIT(number));
}

static void trap_handle_interrupt(struct hart *hart, struct trap_frame *frame)
{
	uint64_t number = frame->cause & 15;

	hart->interrupts[number]++;
	if (hart->order_count < ARRAY_SIZE(hart->order))
		hart->order[hart->order_count] = number;
	hart->order_count++;
	if (hart->on_interrupt)
		hart->on_interrupt(frame);
	else
		trap_interrupt_quiet(number);
}

void trap_handle(struct trap_frame *frame)
{
	struct hart *hart = hart_self();
	uint64_t bottom = (uint64_t)hart->trap_area + TRAP_LEVEL_SIZE;

	if (frame->cause & SCAUSE_INTERRUPT) {
		trap_handle_interrupt(hart, frame);
		return;
	}
	if (hart->on_exception && hart->on_exception(frame))
		return;
	if (hart->catch_sp == 0 || hart->frame < bottom) {
		print_raw("guest: unexpected exception: hart %lu cause %lu epc 0x%lx tval 0x%lx "
			  "ra 0x%lx sp 0x%lx\n",
			  hart->id, frame->cause, frame->epc, frame->tval, frame->x[REG_RA],
			  frame->x[REG_SP]);
		machine_shutdown(false);
	}
	hart->trap = *frame;
	frame->epc = (uint64_t)trap_resume;
	frame->x[REG_SP] = hart->catch_sp;
	frame->x[REG_TP] = (uint64_t)hart;
	frame->status = (frame->status | SSTATUS_SPP) & ~(uint64_t)SSTATUS_SPIE;
}

static uint64_t enter(uint64_t frame, uint64_t a1, uint64_t a2)
{
	(void)a1;
	(void)a2;
	trap_enter((const struct trap_frame *)frame);
}

const struct trap_frame *trap_exec(uint64_t pc, const uint64_t x[32], bool user)
{
	uint64_t status =
	    csr_read(CSR_SSTATUS) & ~(uint64_t)(SSTATUS_SPP | SSTATUS_SPIE | SSTATUS_SIE);
	struct trap_frame frame = {.epc = pc, .status = status | (user ? 0 : SSTATUS_SPP)};

	for (int i = 1; i < 32; i++)
		frame.x[i] = x ? x[i] : 0;
	trap_run(enter, (uint64_t)&frame, 0, 0);
	return &hart_self()->trap;
}

static uint32_t *insn_slot(void)
{
	return (uint32_t *)insn_pages[hart_self() - harts];
}

uint64_t insn_address(void)
{
	return (uint64_t)insn_slot();
}

const struct trap_frame *insn_exec(uint32_t insn, const uint64_t x[32], bool user)
{
	uint16_t *code = (uint16_t *)insn_slot();
	unsigned int i = 0;

	code[i++] = (uint16_t)insn;
	if ((insn & 3) == 3)
		code[i++] = (uint16_t)(insn >> 16);
	code[i++] = (uint16_t)EBREAK;
	code[i] = (uint16_t)(EBREAK >> 16);
	__asm__ volatile("fence.i" ::: "memory");
	return trap_exec(insn_address(), x, user);
}

const struct trap_frame *insn_exec2(uint32_t insn, uint64_t a0, uint64_t a1, bool user)
{
	uint64_t x[32] = {0};

	x[REG_A0] = a0;
	x[REG_A1] = a1;
	return insn_exec(insn, x, user);
}

bool insn_completed(void)
{
	const struct trap_frame *trap = &hart_self()->trap;
	uint32_t length = (*(uint16_t *)insn_slot() & 3) == 3 ? 4 : 2;

	return trap->cause == EXC_BREAKPOINT && trap->epc == insn_address() + length;
}
