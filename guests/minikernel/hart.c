/* SPDX-License-Identifier: MIT */

/* Harts: how the others start, how one interrupts another, and the lock between them. */

#include "guests/minikernel/kernel.h"
#include "riscv/csr.h"
#include "riscv/sbi.h"

_Static_assert(offsetof(struct hart, saved_sp) == HART_SAVED_SP, "layout.h");
_Static_assert(offsetof(struct hart, kernel_sp) == HART_KERNEL_SP, "layout.h");
_Static_assert(offsetof(struct hart, trap_sp) == HART_TRAP_SP, "layout.h");
_Static_assert(offsetof(struct hart, stack) == HART_STACK, "layout.h");

extern char start_secondary[];

struct hart boot_hart;
struct hart *harts[MAX_HARTS];
uint32_t hart_count;

static uint32_t lock;

/*
 * Looking before trying again keeps the waiting harts from pulling the cache line back and
 * forth; `pause` tells the core (or the hypervisor) that nothing is lost by running others.
 */
void kernel_lock(void)
{
	while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE) != 0)
		while (__atomic_load_n(&lock, __ATOMIC_RELAXED) != 0)
			__asm__ volatile(".insn i 0x0f, 0, x0, x0, 0x010"); /* pause */
}

void kernel_unlock(void)
{
	__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
}

/* Programs may read the time. Which interrupts there are is the same on all harts. */
static void set_csrs(void)
{
	csr_write(CSR_SCOUNTEREN, COUNTEREN_TM);
	csr_write(CSR_SIE, 1 << IRQ_S_SOFT | 1 << IRQ_S_TIMER | 1 << IRQ_S_EXT);
}

static void add(struct hart *h, uint64_t id)
{
	h->id = id;
	h->root = kernel_root;
	h->index = hart_count;
	harts[hart_count++] = h;
}

void hart_init_boot(uint64_t id)
{
	if (id >= MAX_HARTS)
		panic("hart %lu: numbers go up to %u here", id, MAX_HARTS - 1);
	add(&boot_hart, id);
	set_csrs();
}

/* The page of a hart: its struct hart at the bottom, its stack for traps above. */
static struct hart *new_hart(void)
{
	uint64_t page = page_alloc_zeroed();
	void *stack = vm_new_stack();
	struct hart *h;

	if (page == 0 || stack == NULL)
		return NULL;
	h = page_virt(page);
	h->trap_sp = (uint64_t)h + PAGE_SIZE;
	h->stack = (uint64_t)stack;
	return h;
}

static void start_hart(uint64_t id)
{
	uint64_t pa = machine.image + ((uint64_t)start_secondary - KERNEL_BASE);
	struct hart *h = new_hart();
	struct sbi_ret ret;

	if (h == NULL) {
		print("minikernel: hart %lu: no memory for it\n", id);
		return;
	}
	/* Perhaps it runs before the call returns, but no further than to the lock. */
	ret = sbi_call(SBI_EXT_HSM, SBI_HSM_HART_START, id, pa, (uint64_t)h, 0, 0);
	if (ret.error == SBI_SUCCESS)
		add(h, id);
	else
		print("minikernel: hart %lu does not start: SBI error %ld\n", id, ret.error);
}

void hart_start_others(void)
{
	for (uint32_t i = 0; i < machine.hart_count; i++)
		if (machine.harts[i].id != boot_hart.id && machine.harts[i].id < MAX_HARTS)
			start_hart(machine.harts[i].id);
}

void hart_main(void)
{
	kernel_lock();
	set_csrs();
	sched_loop();
}

/* The interrupt itself says nothing. What there is to do, the other hart finds by looking. */
void hart_interrupt(struct hart *h)
{
	struct sbi_ret ret = sbi_call(SBI_EXT_IPI, SBI_IPI_SEND_IPI, 1, h->id, 0, 0, 0);

	if (ret.error != SBI_SUCCESS)
		panic("SBI IPI to hart %lu: error %ld", h->id, ret.error);
}
