/* SPDX-License-Identifier: MIT */

#include "kernel/hart.h"

#include "kernel/disturb.h"
#include "kernel/error.h"
#include "kernel/fdt.h"
#include "kernel/isa.h"
#include "kernel/log.h"
#include "kernel/mmu.h"
#include "kernel/page.h"
#include "kernel/platform.h"
#include "kernel/trace.h"
#include "kernel/trap.h"
#include "riscv/csr.h"
#include "riscv/sbi.h"

#include <stddef.h>
#include <string.h>

_Static_assert(offsetof(struct hart, time_register) == HART_TIME_REGISTER,
	       "timer.h and hart differ");

_Static_assert(offsetof(struct hart, emergency_stack_top) == HART_EMERGENCY_SP,
	       "kernel/layout.h and struct hart differ");

/* What secondary_start finds at the address in a1, before it has an address space. */
struct hart_start {
	uint64_t satp;
	char *sp;
	struct hart *tp;
};

_Static_assert(offsetof(struct hart_start, satp) == HART_START_SATP &&
		   offsetof(struct hart_start, sp) == HART_START_SP &&
		   offsetof(struct hart_start, tp) == HART_START_TP,
	       "kernel/layout.h and struct hart_start differ");

struct hart boot_hart;

static void (*prepare_hart)(void);
static void (*run_hart)(void);

static struct hart *harts[HARTS_MAX];
unsigned harts_online;
static char boot_emergency_stack[2048] __aligned(16);

void hart_secondary_main(void) __noreturn;

struct hart *hart_by_index(unsigned index)
{
	return harts[index];
}

struct hart *hart_by_id(uint64_t id)
{
	for (unsigned i = 0; i < harts_online; i++) {
		if (harts[i]->id == id)
			return harts[i];
	}
	return NULL;
}

void hart_init_boot(uint64_t id)
{
	boot_hart.id = id;
	boot_hart.emergency_stack_top = boot_emergency_stack + sizeof(boot_emergency_stack);
	harts[0] = &boot_hart;
	harts_online = 1;
}

/*
 * What the device tree says is believed only if the hart agrees: QEMU's `h=true` shows in
 * misa, which S-mode cannot read, but hstatus can be.
 */
static void probe_features(struct hart *hart)
{
	uint64_t value;

	hart->has_h = csr_try_read(CSR_HSTATUS, &value);
	hart->has_sstc = isa_has(hart->isa, ISA_sstc) && csr_try_read(CSR_STIMECMP, &value);
}

/* Whether cbo.zero works here: the firmware has to have allowed it too. */
static bool try_zero_block(void)
{
	static char block[512] __aligned(512);
	register char *a0 __asm__("a0") = block;
	register uint64_t failed __asm__("t0");

	__asm__ volatile("   li t0, 0\n"
			 "1: .word 0x0045200f\n" /* cbo.zero (a0) */
			 "2:\n" EXCEPTION_ENTRY(1b, 2b)
			 : "=&r"(failed)
			 : "r"(a0)
			 : "memory");
	return !failed;
}

/* Clearing is quick only if every hart can do it alike. Harts come up one after the other. */
static void agree_on_zero_block(const struct hart *hart)
{
	static unsigned agreed;
	unsigned size = isa_has(hart->isa, ISA_zicboz) ? hart->isa->cboz_block_size : 0;

	if (size < 8 || size > 512 || (size & (size - 1)) != 0 || !try_zero_block())
		size = 0;
	if (hart == &boot_hart)
		agreed = size;
	else if (size != agreed)
		agreed = 0;
	page_set_zero_block(agreed);
}

static void init_this_hart(void)
{
	struct hart *hart = this_hart();

	probe_features(hart);
	agree_on_zero_block(hart);
	csr_set(CSR_SIE, BIT(IRQ_S_SOFT));
	csr_write(CSR_SCOUNTEREN, 0);
	timer_init_hart();
	prepare_hart();
}

void __noreturn hart_secondary_main(void)
{
	init_this_hart();
	__atomic_add_fetch(&harts_online, 1, __ATOMIC_RELEASE);
	run_hart();
	panic("a hart has nothing left to do");
}

static struct isa *read_isa(int node)
{
	static struct isa *last;
	static struct isa scratch;

	if (isa_parse_node(&scratch, platform.fdt, node) != 0)
		return NULL;
	/* Most machines have harts of one kind, or a few in a row. */
	if (last && isa_equal(last, &scratch))
		return last;
	last = page_alloc(0);
	if (last)
		*last = scratch;
	return last;
}

static struct hart *new_hart(uint64_t id)
{
	struct hart *hart = page_alloc_zeroed(0);

	if (!hart)
		panic("no memory for a hart");
	_Static_assert(sizeof(struct hart) <= PAGE_SIZE / 2, "a page holds a hart and a stack");
	hart->id = id;
	hart->emergency_stack_top = (char *)hart + PAGE_SIZE;
	hart->stack_top = mmu_map_stack();
	return hart;
}

/* A firmware may have to power it up; and a simulated one may have to wait for its host. */
#define HART_START_SECONDS 10

/* Starts the hart and waits until it is up, so that hart indexes follow the tree's order. */
static void start_hart(struct hart *hart)
{
	static struct hart_start start;
	unsigned before = harts_online;
	uint64_t deadline = time_now() + HART_START_SECONDS * platform.timebase;

	start = (struct hart_start){mmu_satp(), hart->stack_top, hart};
	hart->index = before;
	harts[before] = hart;

	extern char secondary_start[];
	struct sbi_ret ret =
	    sbi_call(SBI_EXT_HSM, SBI_HSM_HART_START, hart->id, image_to_hpa(secondary_start).v,
		     image_to_hpa(&start).v, 0, 0);

	if (ret.error != SBI_SUCCESS) {
		log_warn("hart %llu: the firmware does not start it (SBI error %lld)",
			 (unsigned long long)hart->id, (long long)ret.error);
		return;
	}
	while (__atomic_load_n(&harts_online, __ATOMIC_ACQUIRE) == before) {
		/* A hart that comes up after all would use what is not its own any more. */
		if (time_now() > deadline)
			panic("hart %llu does not come up", (unsigned long long)hart->id);
	}
}

static bool is_usable_cpu(int node)
{
	const char *type = fdt_getprop(platform.fdt, node, "device_type", NULL);

	return type && strcmp(type, "cpu") == 0 && fdt_node_enabled(platform.fdt, node);
}

static void describe_boot_hart(int cpus)
{
	uint64_t id, size;
	int node;

	fdt_for_each_subnode(node, platform.fdt, cpus)
	{
		if (is_usable_cpu(node) && fdt_node_reg(platform.fdt, node, 0, &id, &size) == 0 &&
		    id == boot_hart.id)
			boot_hart.isa = read_isa(node);
	}
	if (!boot_hart.isa)
		panic("/cpus: no usable node for the boot hart %llu",
		      (unsigned long long)boot_hart.id);
	init_this_hart();
}

void hart_start_all(void (*prepare)(void), void (*run)(void))
{
	int cpus = fdt_path_offset(platform.fdt, "/cpus");
	uint64_t id, size;
	int node;

	prepare_hart = prepare;
	run_hart = run;
	describe_boot_hart(cpus);
	fdt_for_each_subnode(node, platform.fdt, cpus)
	{
		if (!is_usable_cpu(node) || fdt_node_reg(platform.fdt, node, 0, &id, &size) != 0 ||
		    id == boot_hart.id)
			continue;
		if (harts_online == HARTS_MAX) {
			log_warn("more than %u harts; the rest stay off", HARTS_MAX);
			break;
		}

		const struct isa *isa = read_isa(node);

		/*
		 * Compared with the boot hart's, not with the mode in use: on QEMU 7.2 the tree
		 * says less than the harts can do.
		 */
		if (!isa || isa->virtual_address_bits < boot_hart.isa->virtual_address_bits) {
			log_warn("hart %llu: its ISA or MMU does not suffice; it stays off",
				 (unsigned long long)id);
			continue;
		}

		struct hart *hart = new_hart(id);

		hart->isa = isa;
		start_hart(hart);
	}
}

void hart_fence_i_all(void)
{
	sbi_call(SBI_EXT_RFENCE, SBI_RFENCE_FENCE_I, 0, UINT64_MAX, 0, 0, 0);
}

static void send_ipi(const struct hart *hart)
{
	if (!disturb_ipi(hart))
		sbi_call(SBI_EXT_IPI, SBI_IPI_SEND_IPI, 1, hart->id, 0, 0, 0);
}

void ipi_send(struct hart *hart, enum ipi reason)
{
	/* Who set the first bit sends; until it is taken the interrupt is still to come. */
	if (__atomic_fetch_or(&hart->ipi, reason, __ATOMIC_SEQ_CST) & (uint32_t)reason)
		return;
	this_hart()->counts.ipis_sent++;
	trace(TRACE_IPI, reason, 0, hart->id, 0);
	if (hart == this_hart())
		csr_set(CSR_SIP, BIT(IRQ_S_SOFT));
	else
		send_ipi(hart);
}

void ipi_send_again(const struct hart *hart)
{
	if (__atomic_load_n(&hart->ipi, __ATOMIC_SEQ_CST))
		send_ipi(hart);
}

void hart_notify(struct hart *hart)
{
	__atomic_store_n(&hart->reschedule, 1, __ATOMIC_SEQ_CST);
	if (hart != this_hart())
		ipi_send(hart, IPI_KICK);
}

/* Of the one job that runs. */
static struct {
	struct hart *hart; /* NULL: it has been done; atomic */
	void (*function)(void *argument);
	void *argument;
} call;

void hart_call(struct hart *hart, void (*function)(void *argument), void *argument)
{
	if (hart == this_hart()) {
		function(argument);
		return;
	}
	call.function = function;
	call.argument = argument;
	__atomic_store_n(&call.hart, hart, __ATOMIC_RELEASE);
	ipi_send(hart, IPI_CALL);
	for (unsigned turns = 1; __atomic_load_n(&call.hart, __ATOMIC_ACQUIRE); turns++) {
		if (turns % IPI_PATIENCE == 0)
			ipi_send_again(hart);
		preempt_point();
	}
}

static void take_call(void)
{
	if (__atomic_load_n(&call.hart, __ATOMIC_ACQUIRE) != this_hart())
		return;
	call.function(call.argument);
	__atomic_store_n(&call.hart, NULL, __ATOMIC_RELEASE);
}

void ipi_halt_others(void)
{
	for (unsigned i = 0; i < harts_online; i++) {
		if (harts[i] != this_hart())
			ipi_send(harts[i], IPI_HALT);
	}
}

void ipi_interrupt(void)
{
	csr_clear(CSR_SIP, BIT(IRQ_S_SOFT));

	uint32_t reasons = __atomic_exchange_n(&this_hart()->ipi, 0, __ATOMIC_SEQ_CST);

	if (reasons & IPI_CALL)
		take_call();
	if (reasons & IPI_HALT) {
		csr_write(CSR_SIE, 0);
		for (;;)
			__asm__ volatile("wfi");
	}
}
