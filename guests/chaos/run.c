/* SPDX-License-Identifier: MIT */
/* Made-up code runs, and the worker gets back from it. */
#include "guests/chaos/chaos.h"

#define TRAPS_MAX  1024
#define FENCES     8 /* one in so many changes of satp is followed by a fence; none needs it */
#define NO_ADDRESS BIT(62) /* where every fetch is a page fault */

extern char data_start[], image_end[];

static void map(struct worker *w, uint64_t va, uint64_t pa, uint64_t size, uint64_t flags)
{
	for (uint64_t i = 0; i < size; i += PAGE_SIZE)
		paging_map(&w->tables, va + i, pa + i, 0, flags | PTE_A | PTE_D);
}

/* The guest's own memory, as little of it as it needs to handle a trap. */
static void map_guest(struct worker *w)
{
	uint64_t text = align_down((uint64_t)guest_main, MIB(2)), data = (uint64_t)data_start;
	uint64_t all_harts = (uint64_t)harts, own = (uint64_t)&harts[w->index];

	map(w, text, text, data - text, PTE_V | PTE_R | PTE_X);
	map(w, data, data, all_harts - data, PTE_RW);
	map(w, own, own, align_up(sizeof(struct hart), PAGE_SIZE), PTE_RW);
}

void run_init(struct worker *w)
{
	unsigned int levels = 3 + w->index % 3;

	w->code = (uint16_t *)heap_take(CODE_SIZE);
	w->scratch = (uint64_t)heap_take(SCRATCH);
	for (size_t i = 0; i < CODE_SIZE / 2; i++)
		w->code[i] = INSN_C_EBREAK;
	for (uint64_t i = 0; i < SCRATCH; i += 8)
		*(uint64_t *)(w->scratch + i) = value_any(w);
	paging_init(&w->tables, paging_supported(levels) ? levels : 3);
	map_guest(w);
	/* Devices. In what is left free of the root, tables_add() puts its own. */
	paging_map(&w->tables, 0, 0, 2, PTE_RW);
	paging_map(&w->tables, U_ALIAS, 0, 2, PTE_RW | PTE_U);
	map(w, (uint64_t)w->code, (uint64_t)w->code, CODE_SIZE, PTE_V | PTE_R);
	map(w, VA_CODE, (uint64_t)w->code, CODE_SIZE, PTE_V | PTE_R | PTE_X);
	map(w, VA_CODE + U_ALIAS, (uint64_t)w->code, CODE_SIZE, PTE_RWX | PTE_U);
	map(w, VA_SCRATCH, w->scratch, SCRATCH, PTE_RW);
	map(w, VA_SCRATCH + U_ALIAS, w->scratch, SCRATCH, PTE_RWX | PTE_U);
}

void run_paged(struct worker *w, bool paged)
{
	if (paged)
		csr_write(CSR_SATP, paging_satp(&w->tables, w->index + 1));
	else
		csr_write(CSR_SATP, 0);
	if (one_in(w, FENCES))
		sfence_all();
}

uint64_t run_address(const struct worker *w, bool paged, bool user)
{
	uint64_t at = paged ? VA_CODE + (user ? U_ALIAS : 0) : (uint64_t)w->code;

	return at + PAGE_SIZE;
}

void run_write(struct worker *w, const uint32_t *words, size_t count)
{
	uint16_t *to = w->code + PAGE_SIZE / 2;

	for (size_t i = 0; i < count; i++) {
		*to++ = (uint16_t)words[i];
		if ((words[i] & 3) == 3)
			*to++ = (uint16_t)(words[i] >> 16);
	}
	w->size = (uint64_t)to - (uint64_t)w->code - PAGE_SIZE;
	for (unsigned int i = 0; i < 8; i++)
		*to++ = INSN_C_EBREAK;
	__asm__ volatile("fence.i" ::: "memory");
}

void run_timer(uint64_t us)
{
	sbi_call(SBI_EXT_TIME, SBI_TIME_SET_TIMER, time_now() + us * machine.timebase / 1000000, 0,
		 0, 0, 0);
}

void run_interrupt(struct trap_frame *frame)
{
	struct worker *w = worker_self();
	uint64_t number = frame->cause & 15;

	trap_interrupt_quiet(number);
	if (!w->running || number != IRQ_S_TIMER)
		return;
	/* Enough: the first may have come at once, from what was set before. */
	if (++w->ticks > 1)
		frame->epc = NO_ADDRESS;
	run_timer(TICK_US);
}

bool run_code(struct worker *w, uint64_t at, const uint16_t *words, uint64_t size,
	      const uint64_t x[32], bool user)
{
	struct skip *skip = (struct skip *)hart_self()->own;
	const struct trap_frame *trap;

	*skip = (struct skip){.at = at, .size = size, .words = words, .left = TRAPS_MAX};
	w->ticks = 0;
	if (user)
		run_timer(TICK_US);
	csr_write(CSR_SIE, BIT(IRQ_S_TIMER) | BIT(IRQ_S_SOFT));
	hart_self()->on_exception = NULL;
	w->running = true;
	trap = trap_exec(at, x, user);
	w->running = false;
	w->traps = TRAPS_MAX - (uint64_t)skip->left;
	skip->left = 0;
	csr_write(CSR_SIE, 0);
	return trap->cause == EXC_BREAKPOINT && trap->epc == at + size;
}

bool run_written(struct worker *w, const uint64_t x[32], bool paged, bool user)
{
	return run_code(w, run_address(w, paged, user), w->code + PAGE_SIZE / 2, w->size, x, user);
}
