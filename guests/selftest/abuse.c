/* SPDX-License-Identifier: MIT */
/* Storms of what is legal but unreasonable. What counts is that the machine stays what it was. */
#include "guests/lib/nasty.h"
#include "guests/lib/paging.h"
#include "guests/selftest/mmio.h"
#include "guests/selftest/sbi.h"

#define ENOUGH_MS 60000

static uint64_t one_call(uint64_t extension, uint64_t function, uint64_t seed)
{
	uint64_t a[5];

	for (int i = 0; i < 5; i++)
		a[i] = nasty_value(&seed);
	return (uint64_t)sbi_call(extension, function, a[0], a[1], a[2], a[3], a[4]).error;
}

/*
 * Whether a call of this function with any arguments leaves the guest alive: not a shutdown,
 * a stop, a start at a random address or a sleep, and nothing that writes to memory or prints. Of
 * extensions that a machine may have and this test does not know, that is so where it has not.
 */
static bool harmless(uint64_t extension, uint64_t function)
{
	switch (extension) {
	case SBI_EXT_SRST:
		return function != SBI_SRST_RESET;
	case SBI_EXT_HSM:
		return function != SBI_HSM_HART_START && function != SBI_HSM_HART_STOP &&
		       function != SBI_HSM_HART_SUSPEND;
	case SBI_EXT_DBCN:
		return function > SBI_DBCN_WRITE_BYTE;
	case SBI_EXT_CONSOLE_PUTCHAR:
	case SBI_EXT_SHUTDOWN:
		return false;
	case SBI_EXT_PMU:
	case SBI_EXT_SUSP:
	case SBI_EXT_CPPC:
	case SBI_EXT_NACL:
	case SBI_EXT_STA:
	case SBI_EXT_SSE:
	case SBI_EXT_FWFT:
	case SBI_EXT_DBTR:
	case SBI_EXT_MPXY:
		return sbi1(SBI_EXT_BASE, SBI_BASE_PROBE_EXTENSION, extension).value == 0;
	default:
		return true;
	}
}

static void ecalls(void)
{
	uint64_t seed = test_seed * 1000003;

	for (int i = 0; i < 8000; i++) {
		uint64_t extension = nasty_extension(&seed);
		uint64_t function = random_next(&seed) & 7;

		if (random_next(&seed) % 8 == 0)
			function = nasty_value(&seed);
		if (!harmless(extension, (uint32_t)function))
			continue;
		if (trap_run(one_call, extension, function, random_next(&seed) | 1))
			expect(hart_self()->trap.cause == EXC_LOAD_ACCESS &&
				   extension <= SBI_EXT_SHUTDOWN,
			       "0x%lx/%lu: cause %lu", extension, function,
			       hart_self()->trap.cause);
	}
	expect_eq(hart_status(0), SBI_HSM_STARTED, "status afterwards");
}

/* CSRs whose change would end the test, or the counters it needs. */
static bool csr_needed(uint32_t csr)
{
	bool hypervisor = (csr & 0xf00) == 0x200 || (csr & 0xf00) == 0x600;

	return csr == CSR_SATP || csr == CSR_SSCRATCH || csr == CSR_STVEC || csr == CSR_SENVCFG ||
	       csr == 0x120 || (hypervisor && machine_has("h"));
}

/* An instruction that leaves the CPU alive if all registers point into scratch memory. */
static bool insn_harmless(uint32_t insn)
{
	uint32_t f3 = insn >> 12 & 7;

	if ((insn & 3) == 3) {
		uint32_t op = insn & 0x7f;

		if (op == OP_SYSTEM)
			return (f3 & 3) != 0 && !csr_needed(insn >> 20);
		return op != 0x6f && op != 0x67 && op != 0x63;
	}
	f3 = insn >> 13 & 7;
	if ((insn & 3) == 1)
		return f3 != 5 && f3 != 6 && f3 != 7;
	if ((insn & 3) == 2)
		return f3 != 4;
	return true;
}

static void one_csr(uint32_t f3, uint32_t csr, uint64_t value, bool user)
{
	insn_exec2(insn_csr(f3, csr, 12, 11), 0, value, user);
	expect(insn_completed() || hart_self()->trap.cause == EXC_ILLEGAL_INSN,
	       "CSR 0x%x: cause %lu", csr, hart_self()->trap.cause);
	csr_write(CSR_SIE, 0);
}

/* With each of the instructions that take a register; with one that has its operand in itself. */
static void all_csrs(void)
{
	uint64_t seed = test_seed * 31337;

	for (uint32_t csr = 0; csr < 4096; csr++) {
		if (csr_needed(csr))
			continue;
		for (uint32_t f3 = 1; f3 < 4; f3++)
			one_csr(f3, csr, nasty_value(&seed), false);
		one_csr(5 + (uint32_t)(random_next(&seed) % 3), csr, 0, false);
		one_csr(1 + (uint32_t)(random_next(&seed) % 3), csr, nasty_value(&seed), true);
	}
}

static void random_insns(void)
{
	uint64_t seed = test_seed * 424243, x[32];
	uint32_t *scratch = heap_take(KIB(64));

	for (size_t i = 0; i < KIB(64) / 4; i++)
		scratch[i] = INSN_EBREAK;
	for (int i = 0; i < 20000; i++) {
		uint32_t insn = (uint32_t)random_next(&seed);
		const struct trap_frame *trap;

		if (i & 1)
			insn |= 3;
		if (!insn_harmless(insn))
			continue;
		for (int r = 0; r < 32; r++)
			x[r] = (uint64_t)scratch + KIB(32) + (random_next(&seed) & 0x3f8);
		csr_clear(CSR_SSTATUS, SSTATUS_VS);
		csr_set(CSR_SSTATUS, SSTATUS_FS);
		trap = insn_exec(insn, x, i & 2);
		expect(insn_completed() ||
			   (trap->cause <= EXC_STORE_ACCESS && trap->epc == insn_address()) ||
			   trap->cause == EXC_SOFTWARE_CHECK,
		       "0x%x: cause %lu epc 0x%lx", insn, trap->cause, trap->epc);
	}
}

static void sfences(void)
{
	uint64_t seed = test_seed * 99;
	struct paging tables;

	paging_init_identity(&tables, 3);
	for (int mode = 0; mode < 2; mode++) {
		if (mode)
			paging_on(&tables, 1);
		for (int i = 0; i < 5000; i++) {
			sfence_all();
			sfence_va(nasty_value(&seed));
			sfence_asid(nasty_value(&seed));
			sfence_va_asid(nasty_value(&seed), nasty_value(&seed));
		}
	}
	paging_off();
}

/* What satp holds after any write is either that, or what it was. */
static void satp_values(void)
{
	uint64_t seed = test_seed * 4242;
	struct paging tables;

	paging_init_identity(&tables, 3);
	paging_on(&tables, 0);
	for (int i = 0; i < 3000; i++) {
		uint64_t value = random_next(&seed), mode = value >> ATP_MODE_SHIFT;

		if (mode == ATP_MODE_BARE || (mode >= ATP_MODE_SV39 && mode <= ATP_MODE_SV57))
			continue;
		csr_write(CSR_SATP, value);
		expect_eq(csr_read(CSR_SATP), paging_satp(&tables, 0), "satp after 0x%lx", value);
	}
	paging_off();
}

/* Many address spaces, each used for a moment. */
static void many_spaces(void)
{
	static struct paging spaces[96];
	uint64_t seed = test_seed * 5, page = (uint64_t)heap_take(PAGE_SIZE);

	*(volatile uint64_t *)page = 0x600d;
	for (size_t i = 0; i < ARRAY_SIZE(spaces); i++)
		paging_init_identity(&spaces[i], 3);
	for (int round = 0; round < 600; round++) {
		uint64_t n = random_next(&seed) % ARRAY_SIZE(spaces);
		uint64_t va = GIB(64) + (random_next(&seed) & 15) * MIB(2) +
			      (random_next(&seed) & 511) * PAGE_SIZE;

		paging_map(&spaces[n], va, page, 0, PTE_RW);
		csr_write(CSR_SATP, paging_satp(&spaces[n], n));
		sfence_va(va);
		expect_eq(*(volatile uint64_t *)va, 0x600d, "space %lu at 0x%lx", n, va);
	}
	paging_off();
}

static void on_timer(struct trap_frame *frame)
{
	(void)frame;
	sbi1(SBI_EXT_TIME, 0, hart_self()->interrupts[IRQ_S_TIMER] < 3000 ? 0 : ~UINT64_C(0));
}

/* A timer that is always due: the rest of the guest still gets on. */
static void timer_storm(void)
{
	hart_self()->on_interrupt = on_timer;
	csr_set(CSR_SIE, BIT(IRQ_S_TIMER));
	sbi1(SBI_EXT_TIME, 0, 0);
	csr_set(CSR_SSTATUS, SSTATUS_SIE);
	expect(wait_until(hart_self()->interrupts[IRQ_S_TIMER] >= 3000, 30000), "%lu interrupts",
	       hart_self()->interrupts[IRQ_S_TIMER]);
	csr_clear(CSR_SSTATUS, SSTATUS_SIE);
}

static bool alone(void)
{
	if (machine.hart_count < 2)
		test_skip("one hart");
	return machine.hart_count < 2;
}

static void everywhere(void (*work)(void *argument))
{
	for (size_t i = 1; i < machine.hart_count; i++)
		expect_eq(hart_run(i, work, NULL), 0, "start of hart %lu", harts[i].id);
	work(NULL);
	for (size_t i = 1; i < machine.hart_count; i++)
		expect(hart_join(i, ENOUGH_MS), "hart %lu did not finish", harts[i].id);
}

static void send_many(void *argument)
{
	(void)argument;
	csr_write(CSR_SIE, BIT(IRQ_S_SOFT));
	csr_set(CSR_SSTATUS, SSTATUS_SIE);
	for (int i = 0; i < 1000; i++)
		expect_eq(sbi2(SBI_EXT_IPI, 0, 0, ~UINT64_C(0)).error, 0, "IPI to all");
	csr_clear(CSR_SSTATUS, SSTATUS_SIE);
	expect(hart_self()->interrupts[IRQ_S_SOFT] > 0, "hart %lu got none", hart_self()->id);
}

static void ipi_storm(void)
{
	if (!alone())
		everywhere(send_many);
}

/* Everyone fences everyone, with interrupts on and off. */
static void fence_many(void *argument)
{
	uint64_t seed = (hart_self()->id + 1) * 777;

	(void)argument;
	/* OpenSBI spins until all have answered, which takes long when they share host CPUs. */
	for (int i = 0; i < (machine.opensbi ? 4 : 30); i++) {
		if (i & 1)
			csr_set(CSR_SSTATUS, SSTATUS_SIE);
		expect_eq(sbi5(SBI_EXT_RFENCE, (uint64_t)i % 3, 0, ~UINT64_C(0),
			       random_next(&seed) >> 26 << 12, random_next(&seed) >> 44 << 12, 1)
			      .error,
			  0, "fence of all");
		csr_clear(CSR_SSTATUS, SSTATUS_SIE);
	}
}

static void fence_storm(void)
{
	if (alone())
		return;
	/* Seen with OpenSBI 1.1 and four harts: they wait for each other for ever. */
	if (machine.opensbi && machine.sbi_impl_version < 0x10005)
		test_skip("this firmware may lock up");
	else
		everywhere(fence_many);
}

static void nothing(void *argument)
{
	(void)argument;
}

static void start_stop(void)
{
	if (alone())
		return;
	for (int round = 0; round < 100 && !test_failed(); round++) {
		for (size_t i = 1; i < machine.hart_count; i++)
			expect_eq(hart_run(i, nothing, NULL), 0, "start of hart %lu", harts[i].id);
		for (size_t i = 1; i < machine.hart_count; i++)
			expect(hart_join(i, ENOUGH_MS), "hart %lu did not finish", harts[i].id);
	}
}

/* Any width at any place in the devices' windows; stores where nothing ends the machine. */
static void device_accesses(void)
{
	static const struct {
		uint64_t base, size;
		bool stores;
	} windows[] = {{UART_BASE, 0x1000, false},     {PLIC_BASE, 0x600000, false},
		       {PLIC_BASE, 0x1000, true},      {RTC_BASE, 0x1000, false},
		       {FINISHER_BASE, 0x1000, false}, {VIRTIO_BASE, 0x8000, false}};
	uint64_t seed = test_seed * 2718281;

	for (int i = 0; i < 6000; i++) {
		size_t w = random_next(&seed) % ARRAY_SIZE(windows);
		uint64_t address = windows[w].base + random_next(&seed) % windows[w].size;
		uint32_t f3 = random_next(&seed) & 3, store = insn_s(OP_STORE, f3, 10, 11, 0);
		uint64_t cause =
		    insn_exec2(windows[w].stores && i & 1 ? store : insn_i(OP_LOAD, f3, 12, 10, 0),
			       address, nasty_value(&seed), false)
			->cause;

		expect(insn_completed() ||
			   (cause >= EXC_LOAD_MISALIGNED && cause <= EXC_STORE_ACCESS),
		       "0x%lx: cause %lu", address, cause);
	}
	for (uint32_t source = 0; source < 54; source++)
		PLIC_PRIORITY(source) = 0;
}

static const struct test tests[] = {
    {"ecalls", ecalls},
    {"all-csrs", all_csrs},
    {"random-insns", random_insns},
    {"sfences", sfences},
    {"satp-values", satp_values},
    {"many-spaces", many_spaces},
    {"timer-storm", timer_storm},
    {"ipi-storm", ipi_storm},
    {"fence-storm", fence_storm},
    {"start-stop", start_stop},
    {"device-accesses", device_accesses},
};
TEST_GROUP(abuse, tests);
